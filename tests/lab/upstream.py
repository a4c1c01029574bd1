#!/usr/bin/env python3
"""An upstream that misbehaves in one way.

    upstream.py ADDRESS:PORT BEHAVIOUR[=ARGUMENT]

It answers GET /ok, and whatever comes while nothing is wrong, with 200. Any other request gets BEHAVIOUR. Each behaviour is a
function below, given the connection and its argument; its name is what the command line says.
"""
import socket
import struct
import sys
import threading
import time

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
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if b"chunked" in head.lower():
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


def close_later(c, seconds):
    """Works, then closes without an answer: a worker killed by its master."""
    time.sleep(float(seconds))
    c.close()


def idle_limit(c, seconds):
    """Answers like any other, but closes a connection that was idle for so long."""
    c.send(OK)


BEHAVIOURS = {f.__name__: f for f in (ok, close, reset, silence, status, header, many_headers, raw, mid_headers_close,
                                      mid_headers_reset, mid_body_close, mid_body_reset, mid_chunk_close, stall_mid_body,
                                      close_later, idle_limit)}


def serve(sock, behaviour, argument):
    c = Connection(sock)
    if behaviour is idle_limit:
        sock.settimeout(float(argument))
    try:
        while True:
            request = c.request()
            if request is None:
                break
            c.served += 1
            if request[0].startswith(b"/ok"):
                ok(c, None)
            else:
                behaviour(c, argument)
        sock.close()
    except OSError:
        sock.close()


def main():
    address, _, port = sys.argv[1].rpartition(":")
    name, _, argument = sys.argv[2].partition("=")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, int(port)))
    listener.listen(128)
    print("listening", flush=True)
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(sock, BEHAVIOURS[name], argument), daemon=True).start()


if __name__ == "__main__":
    main()
