#!/usr/bin/env python3
"""An upstream that misbehaves in one way, or several that misbehave each in its own.

    upstream.py ADDRESS:PORT BEHAVIOUR[=ARGUMENT] [ADDRESS:PORT BEHAVIOUR[=ARGUMENT]]...

It answers targets with /ok in them, and whatever comes while nothing is wrong, with 200. Any other request gets BEHAVIOUR. Each
behaviour is a function below, given the connection and its argument; its name is what the command line says. With several
addresses there are several upstreams, each with its own. Those whose name begins with h2_ speak HTTP/2: see http2.py; with tls_, TLS: see tls.py.
"""
import socket
import struct
import sys
import threading
import time

import http2
import tls

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"


class Connection:
    def __init__(self, sock):
        self.sock, self.buffer, self.served = sock, b"", 0

    def request(self):
        """The next request, whole, as (target, head, body); None once the peer has closed."""
        while b"\r\n\r\n" not in self.buffer:
            if not self.more():
                return None
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        length, chunked = 0, False
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            chunked = chunked or name.lower() == b"transfer-encoding"
        if chunked:
            while b"0\r\n\r\n" not in rest and self.more():
                rest = self.buffer.partition(b"\r\n\r\n")[2]
            body, _, self.buffer = rest.partition(b"0\r\n\r\n")
        else:
            while len(rest) < length and self.more():
                rest = self.buffer.partition(b"\r\n\r\n")[2]
            body, self.buffer = rest[:length], rest[length:]
        return head.split(b" ")[1], head, body

    def more(self):
        try:
            data = self.sock.recv(65536)
        except OSError:
            return False
        self.buffer += data
        return bool(data)

    def send(self, data):
        self.sock.sendall(data)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        """FIN and nothing else: what the peer still sends is taken until it closes."""
        self.sock.shutdown(socket.SHUT_WR)
        self.sock.settimeout(5)
        while self.more():
            pass
        self.sock.close()


# ---- behaviours: what a request other than /ok gets ----------------------------------------------

def ok(c, _):
    c.send(OK)


def close(c, _):
    c.close()


def reset(c, _):
    c.reset()


def silence(c, seconds):
    time.sleep(float(seconds or 30))


def status(c, code):
    body = b"upstream says no\n"
    c.send(b"HTTP/1.1 %d Broken\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (int(code), len(body), body))


def header(c, size):
    """A header section of about `size` bytes, in one long field."""
    c.send(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * int(size) + b"\r\nContent-Length: 3\r\n\r\nok\n")


def many_headers(c, count):
    c.send(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(int(count))) + b"Content-Length: 3\r\n\r\nok\n")


def raw(c, text):
    """The argument as it is, with \\r, \\n and \\xNN: raw=HTTP/1.1 200 OK\\r\\nbad line\\r\\n\\r\\n"""
    c.send(text.encode("latin-1").decode("unicode_escape").encode("latin-1"))
    c.close()


def says(c, text):
    """The same, and the connection stays open."""
    c.send(text.encode("latin-1").decode("unicode_escape").encode("latin-1"))


def mid_headers_close(c, _):
    c.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Cut: he")
    time.sleep(0.05)
    c.close()


def mid_headers_reset(c, _):
    c.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Cut: he")
    time.sleep(0.05)
    c.reset()


def mid_body_close(c, _):
    c.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n" + b"x" * 100)
    time.sleep(0.05)
    c.close()


def mid_body_reset(c, _):
    c.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n" + b"x" * 100)
    time.sleep(0.05)
    c.reset()


def mid_chunk_close(c, _):
    c.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" + b"x" * 60)
    time.sleep(0.05)
    c.close()


def stall_mid_body(c, seconds):
    c.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n" + b"x" * 100)
    time.sleep(float(seconds or 30))


def stall_mid_headers(c, seconds):
    c.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Cut: he")
    time.sleep(float(seconds or 30))


def bad_request(c, _):
    """Speaks plaintext HTTP to whatever it got: a TLS hello, too."""
    c.send(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbad\n")
    c.close()


def reset_in_request(c, _):
    """Takes no more of a body than the kernel did, and resets."""
    time.sleep(0.1)
    c.reset()


def close_later(c, seconds):
    """Works, then closes without an answer: a worker killed by its master."""
    time.sleep(float(seconds))
    c.close()


def idle_limit(c, seconds):
    """Answers like any other, but closes a connection that was idle for so long."""
    c.send(OK)


BEHAVIOURS = {f.__name__: f for f in (ok, close, reset, silence, status, header, many_headers, raw, says, mid_headers_close,
                                      mid_headers_reset, mid_body_close, mid_body_reset, mid_chunk_close, stall_mid_body,
                                      stall_mid_headers, bad_request, reset_in_request, close_later, idle_limit)} | http2.BEHAVIOURS | tls.BEHAVIOURS
AT_FIRST_BYTES = (bad_request, reset_in_request)        # they do not wait for a whole request


def serve_inside(sock, terms, argument):
    name, _, rest = argument.partition("=")
    try:
        inside = terms.wrap(sock)
    except OSError:                     # the handshake failed: ssl has said so
        inside = None
    if inside is None:
        sock.close()
    else:
        serve(inside, BEHAVIOURS[name or "ok"], rest)


def serve(sock, behaviour, argument):
    if isinstance(behaviour, tls.Behaviour):
        serve_inside(sock, behaviour, argument)
        return
    c = Connection(sock)
    if behaviour is idle_limit:
        sock.settimeout(float(argument))
    try:
        if behaviour.__module__ == "http2":
            http2.serve(c, behaviour, argument)
        elif behaviour in AT_FIRST_BYTES and c.more():
            behaviour(c, argument)
        while True:
            request = c.request()
            if request is None:
                break
            c.served += 1
            if b"/ok" in request[0]:
                ok(c, None)
            else:
                behaviour(c, argument)
        sock.close()
    except OSError:
        sock.close()


def listen(where, what):
    address, _, port = where.rpartition(":")
    name, _, argument = what.partition("=")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, int(port)))
    listener.listen(128)
    return listener, BEHAVIOURS[name], argument


def accept(listener, behaviour, argument):
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(sock, behaviour, argument), daemon=True).start()


def main():
    threads = [threading.Thread(target=accept, args=listen(where, what)) for where, what in zip(sys.argv[1::2], sys.argv[2::2])]
    for thread in threads:
        thread.start()
    print("listening", flush=True)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
