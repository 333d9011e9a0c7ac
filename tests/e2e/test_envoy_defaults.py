# SPDX-License-Identifier: Apache-2.0
"""Defaults of Envoy that would lose data, end a connection, or answer an error that no backend gave: docs/envoy-defaults.md
says what contour sends instead. Here it is seen through a real Envoy."""
import contextlib
import json
import socket
import ssl
import threading
import time

import pytest
from conftest import next_pod_address
from features_support import ANNOTATION, Site, ingress, ingress_route, route, service, text
from harness.envoy import Envoy
from harness.process import free_port, wait_until

DELIVERIES = {"classic": (), "sharded": ("--delivery", "sharded"), "sharded-https": ("--delivery", "sharded-https")}
BIG = 8 << 20
KEEPALIVE_TIMER = "02"  # in /proc/net/tcp


class OddBackend:
    """A server for answers that the echo backend doesn't give: `/big` is long, `/headers/N` and `/sizes/N` have N headers or N KiB of
    them, `/after/N` is silent for N s before its end, `/tunnel` accepts any upgrade and echoes what comes."""

    def __init__(self, tls=None):
        self.address, self.port = next_pod_address(), 8080
        self._tls = tls
        self._server = socket.create_server((self.address, self.port))
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self._server.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._answer, args=(self._server.accept()[0],), daemon=True).start()

    def _answer(self, connection):
        with contextlib.suppress(OSError, ValueError, IndexError), contextlib.closing(
                self._tls.wrap_socket(connection, server_side=True) if self._tls else connection) as connection:
            file = connection.makefile("rb")
            while line := file.readline():
                method, path, _ = line.decode().split()
                headers = dict(header.decode().lower().strip().split(": ", 1) for header in iter(file.readline, b"\r\n"))
                kind, _, number = path[1:].partition("/")
                if kind == "tunnel":
                    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
                    while data := file.read1():
                        connection.sendall(data)
                    return
                body, more = f"{method} {headers['host']}".encode(), ""
                if kind == "big":
                    body = bytes(BIG)
                elif kind == "headers":
                    more = "".join(f"x-{n}: v\r\n" for n in range(int(number)))
                elif kind == "sizes":
                    more = "".join(f"x-{n}: {'v' * 1010}\r\n" for n in range(int(number)))
                connection.sendall(f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n{more}\r\n".encode() + body[:-1])
                if kind == "after":
                    time.sleep(float(number))
                connection.sendall(body[-1:])


@pytest.fixture(scope="module", params=DELIVERIES)
def site(request):
    with Site(f"envoy_defaults_{request.param}", *DELIVERIES[request.param]) as value, contextlib.closing(OddBackend()) as odd:
        value.odd = odd
        value.publish("a.yaml", service("odd", odd) + value.authority.secret("a", "a.test", "a.test.") + ingress_route(
            "a", "a.test", route("/", "odd"),
            route("/big", "odd", timeoutPolicy={"request": "infinity"}), route("/after", "odd", timeoutPolicy={"request": "infinity"}),
            route("/tunnel", "odd", enableWebsockets=True)) + ingress("tls", "tls.test", [("/", "Prefix", "odd")], tls_secret="tls")
            + value.authority.secret("tls", "tls.test"))
        value.wait_tls("tls.test").close()
        yield value


def send(site, request, port=None, timeout=10):
    connection = socket.create_connection((site.address, port or site.http_port), timeout)
    connection.sendall(request.replace("\n", "\r\n").encode())
    return connection


def answer(connection):
    """(status, body) of an answer with `content-length`. Envoy may wait for the client to close."""
    file = connection.makefile("rb")
    status, length = int(file.readline().split()[1]), 0
    for header in iter(file.readline, b"\r\n"):
        name, _, value = header.decode().partition(":")
        length = int(value) if name.lower() == "content-length" else length
    return status, file.read(length).decode()


@pytest.mark.parametrize("request_line", ["GET /big HTTP/1.0\nhost: a.test\n\n", "GET /big HTTP/1.1\nhost: a.test\nconnection: close\n\n"])
def test_a_reader_that_pauses_gets_the_whole_answer(site, request_line):
    """`delayed_close_timeout`. The pause begins when the backend has sent all and Envoy holds the rest; Envoy's default is 1 s."""
    active = "http.ingress_http.downstream_rq_active"
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.settimeout(20)
        connection.connect((site.address, site.http_port))
        connection.sendall(request_line.replace("\n", "\r\n").encode())
        got = connection.recv(65536)
        size = len(got) - got.index(b"\r\n\r\n") - 4
        while site.envoy.stat(active) > 0:
            size += len(connection.recv(65536))
        assert size < BIG - (1 << 20), "something is left to lose"
        time.sleep(3)
        while block := connection.recv(65536):
            size += len(block)
    assert size == BIG


def test_a_host_with_a_trailing_dot(site):
    """`strip_trailing_host_dot`. The backend sees the host without it, as the objects have it."""
    for host in ("a.test", "a.test.", "A.Test.", "a.test.:80"):
        with send(site, f"GET / HTTP/1.1\nhost: {host}\nconnection: close\n\n") as connection:
            status, body = answer(connection)
            assert status == 200 and body.lower() in ("get a.test", "get a.test:80"), host
    client = site.tls("tls.test")
    assert client.get("tls.test.").status == 200
    client.close()


def test_counts_and_sizes_of_headers(site):
    """`max_headers_count` of requests, and that and `max_response_headers_kb` of responses."""
    for path, status in (("/headers/5000", 200), ("/headers/11000", 502), ("/sizes/200", 200), ("/sizes/300", 502)):
        with send(site, f"GET {path} HTTP/1.1\nhost: a.test\nconnection: close\n\n") as connection:
            assert answer(connection)[0] == status, path
    for count, status in ((900, 200), (1100, 431)):
        with send(site, "GET / HTTP/1.1\nhost: a.test\nconnection: close\n" + "x: v\n" * count + "\n") as connection:
            assert answer(connection)[0] == status, count


def test_http_1_0_without_a_host(site):
    """`default_host_for_http_10`: the default backend takes it, as any host that nobody else has."""
    def ask():
        with send(site, "GET /x HTTP/1.0\n\n") as connection:
            return answer(connection)
    assert ask()[0] == 404
    site.publish("default.yaml", text({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "default", "namespace": "default"},
        "spec": {"defaultBackend": {"service": {"name": "odd", "port": {"number": 80}}}}}) + "---\n")
    try:
        assert ask() == (200, "GET host.invalid")
    finally:
        site.remove("default.yaml")
    wait_until(lambda: ask()[0] == 404, "no default backend", 10)


@pytest.mark.parametrize("offer", ["TLS/1.2", "h2c"])
def test_an_offer_to_change_the_protocol_is_ignored(site, offer):
    """`ignore_http_11_upgrade`: Envoy's default is 403 where nothing of the kind is configured (not for h2c)."""
    with send(site, f"GET / HTTP/1.1\nhost: a.test\nconnection: upgrade, close\nupgrade: {offer}\n\n") as connection:
        assert answer(connection) == (200, "GET a.test")


def timers(local_port=None, remote=None):
    """Yields (kind, seconds left) of the timers of TCP connections."""
    for name in ("tcp", "tcp6"):
        with open(f"/proc/self/net/{name}") as file:
            for line in list(file)[1:]:
                _, local, peer, state, _, timer = line.split()[:6]
                if state != "01" or (local_port and int(local.split(":")[1], 16) != local_port):
                    continue
                if remote and peer != "%s:%04X" % (socket.inet_aton(remote[0])[::-1].hex().upper(), remote[1]):
                    continue
                kind, left = timer.split(":")
                yield kind, int(left, 16) / 100


def test_tcp_keepalive_finds_peers_that_vanish(site):
    """`socket_options` of both listeners, which accepted connections inherit, and those of all connections to backends."""
    with contextlib.closing(site.tls("tls.test")) as client, send(site, "GET /after/2 HTTP/1.1\nhost: a.test\n\n") as connection:
        assert client.get("tls.test").status == 200
        time.sleep(0.5)  # until nothing else is timed
        for found in (timers(local_port=site.http_port), timers(local_port=site.https_port),
                      timers(remote=(site.odd.address, site.odd.port))):
            found = list(found)
            assert any(kind == KEEPALIVE_TIMER and 60 < left <= 120 for kind, left in found), found
        connection.recv(1000)


class ImpatientEnvoy:
    """A second Envoy with the listener and routes of the first, but with a `stream_idle_timeout` of 1 s.
    A stream that is cut off is seen after `delayed_close_timeout`, so that is 1 s too."""

    def __init__(self, site):
        dump = json.loads(site.envoy.admin("/config_dump?resource=dynamic_listeners"))
        listener = next(entry["active_state"]["listener"] for entry in dump["configs"] if entry["name"] == "ingress_http")
        del listener["@type"]
        self.port = listener["address"]["socket_address"]["port_value"] = free_port()
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        assert "stream_idle_timeout" not in manager
        manager["stream_idle_timeout"] = manager["delayed_close_timeout"] = "1s"
        admin_port = free_port()
        path = site.work_dir / f"impatient-{admin_port}.json"
        bootstrap = json.loads(site.contour.bootstrap(admin_port, site.mode).read_text())
        del bootstrap["dynamic_resources"]["lds_config"]
        bootstrap["static_resources"]["listeners"] = [listener]
        path.write_text(json.dumps(bootstrap))
        self.envoy = Envoy(path, site.work_dir, admin_port, name=f"impatient-{admin_port}")

    def __enter__(self):
        self.envoy.start().wait_live()
        return self

    def __exit__(self, *_):
        self.envoy.kill()


def test_silence_ends_only_streams_with_a_timeout(site):
    """`idle_timeout` of routes, where the listener ends silent streams after 1 s instead of 5 minutes."""
    with ImpatientEnvoy(site) as impatient:
        def ask(path, more=""):
            return send(site, f"GET {path} HTTP/1.1\nhost: a.test\n{more}\n", impatient.port)

        def served():
            with ask("/", "connection: close\n") as connection:
                return answer(connection)[0] == 200
        wait_until(served, "routes", 20)
        upgrade = "connection: upgrade\nupgrade: websocket\n"
        with ask("/tunnel", upgrade) as tunnel, ask("/after/3", "connection: close\n") as long:
            assert b" 101 " in tunnel.recv(1000)
            assert answer(long) == (200, "GET a.test")  # a route with timeout "infinity"
            tunnel.sendall(b"after a silence")
            assert tunnel.recv(1000) == b"after a silence"
        # Another route has 15 s, and its backend is silent.
        site.publish("b.yaml", ingress("b", "b.test", [("/", "Prefix", "odd")]))
        with send(site, "GET /after/6 HTTP/1.1\nhost: b.test\n\n", impatient.port) as connection:
            started, data = time.monotonic(), b""
            while block := connection.recv(1000):
                data += block
            assert not data.endswith(b"GET b.test") and time.monotonic() - started < 4


def test_a_reader_of_a_tcp_proxy_gets_everything():
    """Envoy's TCP proxy has no `delayed_close_timeout`."""
    with Site("envoy_defaults_tcp") as site, contextlib.closing(OddBackend()) as odd:
        site.publish("tcp.yaml", service("odd", odd) + site.authority.secret("tcp", "tcp.test") + ingress_route(
            "tcp", "tcp.test", tls={"secretName": "tcp"}, tcpproxy=[("odd", {})]))
        site.wait_tls("tcp.test").close()
        client = site.tls("tcp.test")
        with client._connect() as connection:
            connection.settimeout(20)
            connection.sendall(b"GET /big HTTP/1.1\r\nhost: tcp.test\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            size = len(connection.recv(65536))
            time.sleep(3)
            while block := connection.recv(65536):
                size += len(block)
        assert size > BIG


def test_a_tcp_proxy_tries_other_endpoints():
    """`max_connect_attempts`: Envoy's default closes the connection of every second client here."""
    with Site("envoy_defaults_attempts") as site, contextlib.closing(OddBackend()) as odd, contextlib.closing(OddBackend()) as gone:
        gone.close()
        site.publish("tcp.yaml", service("odd", odd, gone) + site.authority.secret("tcp", "tcp.test") + ingress_route(
            "tcp", "tcp.test", tls={"secretName": "tcp"}, tcpproxy=[("odd", {})]))
        site.wait_tls("tcp.test").close()
        for _ in range(10):
            with contextlib.closing(site.tls("tcp.test")) as client:
                assert client.get("tcp.test").status == 200


def test_backends_with_tls_1_3_alone():
    """`tls_maximum_protocol_version`: Envoy's default for upstreams is 1.2."""
    with Site("envoy_defaults_tls") as site:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*site.authority.sign("backend.test"))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        with contextlib.closing(OddBackend(context)) as odd:
            site.publish("new.yaml", service("new", odd, annotations={ANNOTATION + "upstream-protocol.tls": "80"})
                         + ingress("new", "new.test", [("/", "Prefix", "new")]))
            assert site.client.get("new.test").status == 200
