# SPDX-License-Identifier: Apache-2.0
"""An API server that misbehaves on demand: a proxy before the real one that delays, refuses, cuts off and falsifies.

with FaultyApi(cluster) as way:
    contour("--kubeconfig", cluster.kubeconfig(user, path=..., server=way.url))
    way.fault = lambda request: Fault(status=500) if request.is_list else None
    way.cut()                     # breaks every connection that is open: watches begin again
"""
import dataclasses
import http.client
import http.server
import socket
import ssl
import threading
import time
import typing
import urllib.parse


@dataclasses.dataclass
class Request:
    method: str
    path: str
    query: dict

    @property
    def is_watch(self):
        return "watch" in self.query

    @property
    def is_list(self):
        return self.method == "GET" and not self.is_watch and "/namespaces/" not in self.path

    @property
    def is_write(self):
        return self.method in ("PUT", "POST", "PATCH", "DELETE")


@dataclasses.dataclass
class Fault:
    """The fault that happens to one request."""
    delay: float = 0.0  # seconds before anything is done
    status: typing.Optional[int] = None  # answered with this, without asking the API server
    headers: dict = dataclasses.field(default_factory=dict)
    cut_after: typing.Optional[int] = None  # bytes of the body after which the connection breaks
    rewrite: typing.Optional[typing.Callable[[bytes], bytes]] = None  # of a whole body; not for watches
    keep: typing.Optional[typing.Callable[[bytes], bool]] = None  # which lines of a watch pass
    body: typing.Optional[bytes] = None  # with `status`


class FaultyApi:
    def __init__(self, cluster):
        self.cluster = cluster
        self.fault = lambda request: None
        self.requests = []  # Request, in the order in which they began
        self._open = set()
        self._lock = threading.Lock()
        way = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                with way._lock:
                    way._open.add(self.connection)

            def finish(self):
                with way._lock:
                    way._open.discard(self.connection)
                try:
                    super().finish()
                except OSError:
                    pass

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except (OSError, http.client.HTTPException):
                    self.close_connection = True

            def log_message(self, *_):
                pass

            def forward(self):
                way._forward(self)
            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # connections that we break ourselves

        self._server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cluster.ca_path.parent / "server.crt", cluster.ca_path.parent / "server.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self.cut()
        self._thread.join()

    def cut(self):
        """Breaks the connections that are open now."""
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _forward(self, handler):
        parts = urllib.parse.urlsplit(handler.path)
        request = Request(handler.command, parts.path, dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True)))
        self.requests.append(request)
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        fault = self.fault(request) or Fault()
        time.sleep(fault.delay)
        if fault.status is not None:
            text = fault.body if fault.body is not None else b'{"kind":"Status","apiVersion":"v1","status":"Failure","message":"fault of the test","code":%d}' % fault.status
            self._answer(handler, fault.status, {"content-type": "application/json", **fault.headers}, text, fault)
            return
        upstream = http.client.HTTPSConnection(self.cluster.address, self.cluster.port, timeout=600,
                                               context=ssl.create_default_context(cafile=str(self.cluster.ca_path)))
        try:
            headers = {name: value for name, value in handler.headers.items()
                       if name.lower() in ("authorization", "accept", "content-type", "user-agent")}
            upstream.request(handler.command, handler.path, body or None, headers)
            response = upstream.getresponse()
            kept = {"content-type": response.getheader("content-type", "application/json")}
            if request.is_watch and response.status == 200:
                self._stream(handler, response, kept, fault)
                return
            text = response.read()
            if fault.rewrite is not None:
                text = fault.rewrite(text)
            self._answer(handler, response.status, kept, text, fault)
        finally:
            upstream.close()

    @staticmethod
    def _answer(handler, status, headers, text, fault):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(text)))
        handler.end_headers()
        if fault.cut_after is not None and fault.cut_after < len(text):
            handler.wfile.write(text[:fault.cut_after])
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
            return
        handler.wfile.write(text)

    @staticmethod
    def _stream(handler, response, headers, fault):
        handler.send_response(200)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        left = fault.cut_after
        partial = b""
        while data := response.read1(65536):
            if fault.keep is not None:
                *lines, partial = (partial + data).split(b"\n")
                data = b"".join(line + b"\n" for line in lines if fault.keep(line))
                if not data:
                    continue
            if left is not None and len(data) >= left:
                data = data[:left]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            handler.wfile.flush()
            if left is not None:
                left -= len(data)
                if left <= 0:
                    handler.connection.shutdown(socket.SHUT_RDWR)
                    handler.close_connection = True
                    return
        handler.wfile.write(b"0\r\n\r\n")
