"""The server's side of HTTP/2 over a plain connection, and ways to break it. RFC 9113, RFC 7541.

Requests' header blocks are decoded by libnghttp2, which is there wherever why502 is; ours are written without a table.
"""
import ctypes
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK, PADDED, PRIORITY = 1, 4, 1, 8, 32
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 0, 1, 2, 7, 8, 11
STREAMS_ALL = 2 ** 31 - 1


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">IBBI", len(payload), kind, flags, stream)[1:] + payload


def literal(name, value):
    """A field as it is, for no table (RFC 7541 6.2.2); both below 127 bytes."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def response(stream, code, *fields, end=False):
    block = literal(b":status", b"%d" % code) + b"".join(literal(n, v) for n, v in fields)
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block)


class Field(ctypes.Structure):
    _fields_ = [("name", ctypes.POINTER(ctypes.c_char)), ("value", ctypes.POINTER(ctypes.c_char)),
                ("namelen", ctypes.c_size_t), ("valuelen", ctypes.c_size_t), ("flags", ctypes.c_uint8)]


class Inflater:
    def __init__(self):
        self.library = ctypes.CDLL("libnghttp2.so.14")
        self.library.nghttp2_hd_inflate_hd2.restype = ctypes.c_ssize_t
        self.inflater = ctypes.c_void_p()
        if self.library.nghttp2_hd_inflate_new(ctypes.byref(self.inflater)) != 0:
            raise MemoryError

    def fields(self, block):
        """A whole block as {name: value}."""
        found, flags = {}, ctypes.c_int(0)
        while not flags.value & 1:                      # NGHTTP2_HD_INFLATE_FINAL
            field, flags = Field(), ctypes.c_int(0)
            used = self.library.nghttp2_hd_inflate_hd2(self.inflater, ctypes.byref(field), ctypes.byref(flags), block,
                                                       ctypes.c_size_t(len(block)), 1)
            if used < 0:
                raise OSError("HPACK: %d" % used)
            block = block[used:]
            if flags.value & 2:                         # NGHTTP2_HD_INFLATE_EMIT
                found[ctypes.string_at(field.name, field.namelen)] = ctypes.string_at(field.value, field.valuelen)
        self.library.nghttp2_hd_inflate_end_headers(self.inflater)
        return found


class Server:
    """Answers /ok by itself; of any other request stream `asked` waits for a behaviour. `connection` is upstream.py's."""

    def __init__(self, connection):
        self.c, self.inflater, self.asked, self.served = connection, Inflater(), 0, 0
        self.paths, self.block = {}, b""
        if self.take(len(PREFACE)) == PREFACE:
            connection.send(frame(SETTINGS, 0, 0))

    def take(self, n):
        while len(self.c.buffer) < n:
            if not self.c.more():
                return None
        taken, self.c.buffer = self.c.buffer[:n], self.c.buffer[n:]
        return taken

    def read(self):
        """(type, flags, stream, payload) of the next frame; None once the peer has closed."""
        head = self.take(9)
        if head is None:
            return None
        length, (kind, flags, stream) = int.from_bytes(head[:3], "big"), struct.unpack(">BBI", head[3:])
        payload = self.take(length)
        return payload is not None and (kind, flags, stream & STREAMS_ALL, payload) or None

    def take_block(self, kind, flags, stream, payload):
        if kind == HEADERS:
            padding = payload[0] if flags & PADDED else 0
            payload = payload[(1 if flags & PADDED else 0) + (5 if flags & PRIORITY else 0):len(payload) - padding]
            self.block = b""
        self.block += payload
        if flags & END_HEADERS:
            self.paths[stream] = self.inflater.fields(self.block).get(b":path", b"")

    def next_request(self):
        """False once the peer has closed. A request in `asked` has come whole, and its target has no /ok."""
        while True:
            got = self.read()
            if got is None:
                return False
            kind, flags, stream, payload = got
            if kind in (SETTINGS, PING) and not flags & ACK:
                self.c.send(frame(kind, ACK, 0, payload if kind == PING else b""))
            if kind in (HEADERS, CONTINUATION):
                self.take_block(kind, flags, stream, payload)
            if kind not in (DATA, HEADERS) or not flags & END_STREAM:
                continue
            if b"/ok" not in self.paths.pop(stream, b""):
                self.asked = stream
                return True
            self.ok(stream)

    def ok(self, stream):
        self.served = stream
        self.c.send(response(stream, 200, (b"content-type", b"text/plain")) + frame(DATA, END_STREAM, stream, b"ok\n"))

    def goaway(self, last, code, debug=b""):
        self.c.send(frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + debug))


# ---- behaviours: what a request other than /ok gets. `s` is a Server. ------------------------------

def h2_ok(s, _):
    s.ok(s.asked)


def h2_goaway(s, code):
    """Abrupt: the request that has come is not processed."""
    s.goaway(s.served, int(code or 0), b"too_many_pings" if code == "11" else b"")
    s.c.close()


def h2_goaway_pair(s, _):
    """Graceful, as it should be: all streams first, then those processed; yet the last one is left out."""
    s.goaway(STREAMS_ALL, NO_ERROR)
    time.sleep(0.05)
    s.goaway(s.served, NO_ERROR)
    s.c.close()


def h2_reset(s, code):
    s.c.send(frame(RST_STREAM, 0, s.asked, struct.pack(">I", int(code))))


def h2_reset_mid_body(s, code):
    s.c.send(response(s.asked, 200, (b"content-length", b"1000")) + frame(DATA, 0, s.asked, b"x" * 100))
    time.sleep(0.05)
    h2_reset(s, code or str(INTERNAL_ERROR))


def h2_bad_frame(s, _):
    """DATA on stream 0 (RFC 9113 6.1)."""
    s.c.send(frame(DATA, END_STREAM, 0, b"lost"))


def h2_frame_size(s, _):
    """Larger than anybody allowed (RFC 9113 4.2)."""
    s.c.send(response(s.asked, 200) + frame(DATA, END_STREAM, s.asked, b"x" * 70000))


def h2_bad_hpack(s, _):
    """An index that stands for nothing (RFC 7541 2.3.3)."""
    s.c.send(frame(HEADERS, END_HEADERS | END_STREAM, s.asked, b"\xff\x80\x01"))


def h2_length_wrong(s, _):
    """No body, and a content-length of 10 (RFC 9113 8.1.1)."""
    s.c.send(response(s.asked, 200, (b"content-length", b"10"), end=True))


def h2_silence(_, seconds):
    time.sleep(float(seconds or 30))


def h2_stall(s, seconds):
    s.c.send(response(s.asked, 200, (b"content-length", b"1000")) + frame(DATA, 0, s.asked, b"x" * 100))
    time.sleep(float(seconds or 30))


def h2_close(s, _):
    s.c.close()


def h2_error(s, code):
    s.c.send(response(s.asked, int(code)) + frame(DATA, END_STREAM, s.asked, b"upstream says no\n"))


BEHAVIOURS = {f.__name__: f for f in (h2_ok, h2_goaway, h2_goaway_pair, h2_reset, h2_reset_mid_body, h2_bad_frame, h2_frame_size,
                                      h2_bad_hpack, h2_length_wrong, h2_silence, h2_stall, h2_close, h2_error)}


def serve(connection, behaviour, argument):
    server = Server(connection)
    while server.next_request():
        behaviour(server, argument)
