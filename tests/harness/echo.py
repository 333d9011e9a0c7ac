# SPDX-License-Identifier: Apache-2.0
"""A backend that answers with the request that it received: `python3 -m harness.echo --name blue --address 10.244.0.1 --port 8080`.

Every request is answered 200 with JSON: backend name, own address, method, host, path, headers, size of the body. Some
paths do more: `/status/503` answers with that code, `/delay/250/…` after that many milliseconds, `/flaky/2/key` with 503 for the
first two requests of that key, `/only/blue` with 503 unless the backend is blue. A websocket is accepted and its short
messages come back. Keep-alive, one process, an asyncio protocol without a library: several thousand requests per second.

With `--protocol tcp` it sends its name, then the bytes that it received. HTTP/2 and gRPC: grpc_echo.py.
"""
import argparse
import asyncio
import base64
import collections
import hashlib
import json
import re
import ssl


_requests = collections.Counter()  # of /flaky/…


def respond(name, address, method, target, headers, body_size):
    """Returns (status, JSON body, delay in seconds) for one request; the same for every protocol."""
    status, delay = 200, 0.0
    if match := re.match(r"/status/(\d{3})\b", target):
        status = int(match.group(1))
    if match := re.match(r"/flaky/(\d+)/", target):
        _requests[target] += 1
        status = 503 if _requests[target] <= int(match.group(1)) else 200
    if match := re.match(r"/only/(\w+)", target):
        status = 200 if match.group(1) == name else 503
    if match := re.match(r"/delay/(\d+)\b", target):
        delay = int(match.group(1)) / 1000
    answer = {"backend": name, "address": address, "method": method, "host": headers.get("host", ""), "path": target,
              "headers": headers, "body_size": body_size}
    return status, json.dumps(answer).encode(), delay


class Http1(asyncio.Protocol):
    """HTTP/1.1 with keep-alive. Bodies, by Content-Length or chunked, are counted and dropped."""

    def __init__(self, name):
        self.name = name
        self.transport = None
        self.buffer = b""
        self.queue = None
        self.is_websocket = False

    def connection_made(self, transport):
        self.transport = transport
        self.queue = asyncio.get_running_loop().create_task(asyncio.sleep(0))

    def data_received(self, data):
        self.buffer += data
        while True:
            if self.is_websocket:
                self._echo_messages()
                return
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            lines = self.buffer[:end].decode("latin-1").split("\r\n")
            headers = {}
            for line in lines[1:]:
                key, _, value = line.partition(":")
                headers[key.lower()] = value.strip()
            rest = self.buffer[end + 4:]
            body_size, used = self._body(headers, rest)
            if used is None:
                return
            self.buffer = rest[used:]
            if headers.get("upgrade", "").lower() == "websocket":
                self._accept_websocket(headers)
                continue
            method, target, _ = (lines[0].split(" ") + ["", ""])[:3]
            self._answer(method, target, headers, body_size)

    @staticmethod
    def _body(headers, rest):
        """(size of the body, bytes it takes), or (0, None) if it isn't all here."""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            size = position = 0
            while True:
                line_end = rest.find(b"\r\n", position)
                if line_end < 0:
                    return 0, None
                chunk = int(rest[position:line_end].split(b";")[0], 16)
                position = line_end + 2 + chunk + 2
                if len(rest) < position:
                    return 0, None
                size += chunk
                if chunk == 0:
                    return size, position
        length = int(headers.get("content-length", "0"))
        return (length, length) if len(rest) >= length else (0, None)

    def _accept_websocket(self, headers):
        magic = headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(magic.encode()).digest()).decode()
        self.transport.write((f"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
                              f"sec-websocket-accept: {accept}\r\nx-backend: {self.name}\r\n\r\n").encode())
        self.is_websocket = True

    def _echo_messages(self):
        """Masked frames of less than 126 bytes (RFC 6455, 5.2)."""
        while len(self.buffer) >= 6 and len(self.buffer) >= (end := 6 + (self.buffer[1] & 0x7F)):
            mask = self.buffer[2:6]
            payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(self.buffer[6:end]))
            self.transport.write(bytes([self.buffer[0], len(payload)]) + payload)
            self.buffer = self.buffer[end:]

    def _answer(self, method, target, headers, body_size):
        status, body, delay = respond(self.name, self.transport.get_extra_info("sockname")[0], method, target, headers,
                                      body_size)
        head = (f"HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\nx-backend: {self.name}\r\n"
                f"content-length: {len(body)}\r\n\r\n").encode()
        data = head if method == "HEAD" else head + body
        if delay == 0 and self.queue.done():
            self.transport.write(data)
            return
        before = self.queue  # answers go out in the order of the requests

        async def later():
            await before
            await asyncio.sleep(delay)
            if not self.transport.is_closing():
                self.transport.write(data)
        self.queue = asyncio.get_running_loop().create_task(later())


class Tcp(asyncio.Protocol):
    """Sends its name, then the bytes that it received."""

    def __init__(self, name):
        self.name = name
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(f"{self.name}: ".encode() + data)


PROTOCOLS = {"http": Http1, "tcp": Tcp}


async def serve(name, address, port, certificate=None, key=None, protocol="http"):
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
    server = await asyncio.get_running_loop().create_server(lambda: PROTOCOLS[protocol](name), address, port, ssl=context)
    print(f"{name} listens on {address}:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="http")
    arguments = parser.parse_args()
    try:
        asyncio.run(serve(arguments.name, arguments.address, arguments.port, arguments.certificate, arguments.key,
                          arguments.protocol))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
