# SPDX-License-Identifier: Apache-2.0
"""Speaks HTTP/2 frame by frame (RFC 9113), to do what no proper client does: floods, and streams that are left open."""
import collections
import dataclasses
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4

MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 3, 4  # settings
REFUSED_STREAM, ENHANCE_YOUR_CALM = 7, 11  # errors


@dataclasses.dataclass
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _literal(name, value):
    """A header field without indexing (RFC 7541, 6.2.2), without Huffman coding; both shorter than 127 bytes."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def request_headers(host, path="/", method="GET", more=()):
    fields = [(":method", method), (":scheme", "http"), (":authority", host), (":path", path), *more]
    return b"".join(_literal(name, value) for name, value in fields)


def request(stream, host, path="/", end=True, **keywords):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, request_headers(host, path, **keywords))


class Connection:
    """with Connection(address, port) as c: c.send(request(1, "www.example")); c.read_until(lambda c: c.closed)"""

    def __init__(self, address, port, timeout=5.0):
        self.socket = socket.create_connection((address, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.frames, self.closed, self.settings = [], False, {}
        self._buffer = b""
        self.send(PREFACE + frame(SETTINGS))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """Sends bytes. Returns False if the other side has closed the connection."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def read_until(self, condition):
        """Reads frames until condition(self) or the end of the connection; TimeoutError if neither comes."""
        while not condition(self) and not self.closed:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            self.closed = not data
            self._buffer += data
            while len(self._buffer) >= 9:
                length = int.from_bytes(self._buffer[:3], "big")
                if len(self._buffer) < 9 + length:
                    break
                kind, flags, stream = struct.unpack(">BBI", self._buffer[3:9])
                self._took(Frame(kind, flags, stream & 0x7FFFFFFF, self._buffer[9:9 + length]))
                self._buffer = self._buffer[9 + length:]
        return self

    def _took(self, received):
        self.frames.append(received)
        if received.kind == SETTINGS and not received.flags & ACK:
            for at in range(0, len(received.payload), 6):
                number, value = struct.unpack(">HI", received.payload[at:at + 6])
                self.settings[number] = value
            self.send(frame(SETTINGS, ACK))

    def count(self):
        return collections.Counter(received.kind for received in self.frames)

    @property
    def goaway(self):
        """Returns the error code of the GOAWAY frame that ended the connection, or None."""
        codes = [struct.unpack(">I", received.payload[4:8])[0] for received in self.frames if received.kind == GOAWAY]
        return codes[-1] if codes else None

    def resets(self):
        """Returns error codes by stream."""
        return {received.stream: struct.unpack(">I", received.payload)[0] for received in self.frames
                if received.kind == RST_STREAM}
