# SPDX-License-Identifier: Apache-2.0
"""A backend that tells what reached it: `python3 -m harness.echo --name blue --address 10.244.0.1 --port 8080`.

Every request is answered 200 with JSON: backend name, method, host, path, headers, size of the body. Some paths do
more: `/status/503` answers with that code, `/delay/250/…` after that many milliseconds. Keep-alive, one process, an
asyncio protocol without a library: several thousand requests per second.

To be extended by another protocol (TLS: pass `ssl=`; h2c: another asyncio.Protocol that calls `respond`).
"""
import argparse
import asyncio
import json
import re
import ssl


def respond(name, method, target, headers, body_size):
    """(status, JSON body, delay in seconds) for one request; the same for every protocol."""
    status, delay = 200, 0.0
    if match := re.match(r"/status/(\d{3})\b", target):
        status = int(match.group(1))
    if match := re.match(r"/delay/(\d+)\b", target):
        delay = int(match.group(1)) / 1000
    answer = {"backend": name, "method": method, "host": headers.get("host", ""), "path": target,
              "headers": headers, "body_size": body_size}
    return status, json.dumps(answer).encode(), delay


class Http1(asyncio.Protocol):
    """HTTP/1.1 with keep-alive. Bodies by Content-Length or chunked are counted and thrown away."""

    def __init__(self, name):
        self.name = name
        self.transport = None
        self.buffer = b""
        self.queue = None

    def connection_made(self, transport):
        self.transport = transport
        self.queue = asyncio.get_running_loop().create_task(asyncio.sleep(0))

    def data_received(self, data):
        self.buffer += data
        while True:
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

    def _answer(self, method, target, headers, body_size):
        status, body, delay = respond(self.name, method, target, headers, body_size)
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


async def serve(name, address, port, certificate=None, key=None):
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
    server = await asyncio.get_running_loop().create_server(lambda: Http1(name), address, port, ssl=context)
    print(f"{name} listens on {address}:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    arguments = parser.parse_args()
    try:
        asyncio.run(serve(arguments.name, arguments.address, arguments.port, arguments.certificate, arguments.key))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
