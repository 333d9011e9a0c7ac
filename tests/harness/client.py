# SPDX-License-Identifier: Apache-2.0
"""HTTP clients that measure. They send single requests over one connection, poll until an answer is right, or send a steady
load and count the requests that fail."""
import collections
import dataclasses
import http.client
import json
import socket
import ssl
import threading
import time
import warnings


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def backend(self):
        """The name of the echo backend that answered, or None."""
        return self.headers.get("x-backend")


class Client:
    """One HTTP/1.1 connection. When it breaks, the request fails, and the next one connects again."""

    def __init__(self, address, port, timeout=5.0):
        self.address, self.port, self.timeout = address, port, timeout
        self._connection = None

    def _connect(self):
        connected = socket.create_connection((self.address, self.port), self.timeout)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    def request(self, host, path="/", method="GET", headers=None, body=None):
        """Raises OSError or http.client.HTTPException if the connection breaks."""
        if self._connection is None:
            connection = http.client.HTTPConnection(self.address, self.port, timeout=self.timeout)
            connection.sock = self._connect()
            self._connection = connection
        try:
            self._connection.request(method, path, body=body, headers={"host": host, **(headers or {})})
            response = self._connection.getresponse()
            answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if response.will_close:
            self.close()
        return answer

    def get(self, host, path="/", **keywords):
        return self.request(host, path, **keywords)

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def poll(self, host, path, wanted, timeout=10.0, interval=0.001):
        """Sends requests until wanted(answer) is true. Returns (seconds that it took, the other statuses seen on the way).

        A refused connection counts as status 0, since the listener itself may be new.
        """
        started = time.monotonic()
        seen = collections.Counter()
        while True:
            try:
                answer = self.get(host, path)
                if wanted(answer):
                    return time.monotonic() - started, seen
                seen[answer.status] += 1
            except (OSError, http.client.HTTPException):
                seen[0] += 1
            if time.monotonic() - started > timeout:
                raise AssertionError(f"{host}{path}: wrong answers for {timeout:g} s, statuses {dict(seen)}")
            time.sleep(interval)


class TLSClient(Client):
    """The same over TLS. The server name may differ from the host of the requests."""

    def __init__(self, address, port, server_name, context, timeout=5.0):
        super().__init__(address, port, timeout)
        self.server_name, self.context = server_name, context

    def _connect(self):
        return self.context.wrap_socket(super()._connect(), server_hostname=self.server_name)


def tls_context(ca_path, minimum=None, maximum=None):
    """Returns a client's context that verifies against the CA. `versions` may include those that OpenSSL doesn't offer by default."""
    context = ssl.create_default_context(cafile=str(ca_path))
    if minimum or maximum:
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = minimum or ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = maximum or ssl.TLSVersion.MAXIMUM_SUPPORTED
    return context


def count_backends(address, port, host, path, total, connections=8, window=25):
    """`total` answers by backend, from kept connections with `window` requests under way on each."""
    request = f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()
    counts, lock = collections.Counter(), threading.Lock()

    def run(share):
        with socket.create_connection((address, port), 10) as connection:
            file = connection.makefile("rb")
            while share:
                batch = min(window, share)
                connection.sendall(request * batch)
                for _ in range(batch):
                    response = http.client.HTTPResponse(_Shared(file))
                    response.begin()
                    response.read()
                    with lock:
                        counts[response.getheader("x-backend") if response.status == 200 else response.status] += 1
                share -= batch
    threads = [threading.Thread(target=run, args=(total // connections,)) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts


class _Shared:
    """Gives HTTPResponse one reader for all the answers of a connection; it would take a buffer of its own for each."""

    def __init__(self, file):
        self._file = file

    def makefile(self, _mode):
        return self

    def __getattr__(self, name):
        return getattr(self._file, name)

    def close(self):
        pass


class SteadyLoad:
    """Requests at a steady pace over several connections in the background.

    with SteadyLoad(address, port, "www.example.com", "/", per_second=200) as load:
        ...                       # changes that no request may notice
    load.assert_clean()           # every answer was 200, no connection broke
    """

    def __init__(self, address, port, host, path="/", per_second=200, connections=4, expect=200,
                 client=None):
        self._client = client or (lambda: Client(address, port))
        self.address, self.port, self.host, self.path = address, port, host, path
        self.expect = expect
        self.statuses = collections.Counter()
        self.backends = collections.Counter()
        self.errors = []
        self.failed = []  # begin, end and status or error of each request that wasn't answered as expected
        self._pause = connections / per_second
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(connections)]

    def _run(self):
        client = self._client()
        due = time.monotonic()
        while not self._stop.is_set():
            begin = time.monotonic()
            try:
                answer = client.get(self.host, self.path)
                with self._lock:
                    self.statuses[answer.status] += 1
                    self.backends[answer.backend] += 1
                    if answer.status != self.expect:
                        self.failed.append((begin, time.monotonic(), answer.status))
            except (OSError, http.client.HTTPException) as error:
                with self._lock:
                    self.errors.append(repr(error))
                    self.failed.append((begin, time.monotonic(), repr(error)))
            due = max(due + self._pause, time.monotonic() - 1.0)
            self._stop.wait(max(0.0, due - time.monotonic()))
        client.close()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def total(self):
        return sum(self.statuses.values()) + len(self.errors)

    @property
    def failed_milliseconds(self):
        """Returns the time from the first request that failed to the last."""
        if not self.failed:
            return 0.0
        return 1000 * (max(end for _, end, _ in self.failed) - min(begin for begin, _, _ in self.failed))

    def until(self, total, timeout=10.0):
        """Waits until there were so many requests, so that a short disturbance is observed for long enough."""
        end = time.monotonic() + timeout
        while self.total < total and time.monotonic() < end:
            time.sleep(0.01)

    def assert_clean(self, at_least=20):
        assert not self.errors, f"{len(self.errors)} broken connections, first: {self.errors[0]}"
        assert set(self.statuses) == {self.expect}, f"statuses {dict(self.statuses)}"
        assert self.total >= at_least, f"only {self.total} requests: the load proves nothing"
