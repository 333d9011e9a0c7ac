# SPDX-License-Identifier: Apache-2.0
"""Attacks of a hostile client: docs/hardening.md, line by line, against a real Envoy. Every flood is bounded, and while
it runs an honest client gets its answers."""
import contextlib
import json
import socket
import ssl
import struct
import time

import pytest
from features_support import Site, ingress, ingress_route, route, service
from harness import http2
from harness.client import SteadyLoad
from harness.contour import run
from harness.envoy import Envoy
from harness.process import free_port, wait_until

HOST = "www.example"


@pytest.fixture(scope="module")
def site():
    with Site("features_hardening") as value:
        value.publish("www.yaml", service("www", value.backend("blue")) + value.authority.secret("www", HOST)
                      + ingress("www", HOST, [("/", "Prefix", "www")], tls_secret="www"))
        value.wait_tls(HOST).close()
        yield value


@contextlib.contextmanager
def nobody_else_notices(site):
    with SteadyLoad(site.address, site.http_port, HOST, per_second=100) as load:
        time.sleep(0.2)
        yield
        time.sleep(0.2)
    load.assert_clean(at_least=20)
    assert site.envoy.running


@contextlib.contextmanager
def protocol_error(site):
    """Envoy ends the connection: it reads no further, and closes it when the client does, or after `delayed_close_timeout`."""
    counter = "http.ingress_http.downstream_cx_protocol_error"
    before = site.envoy.stat(counter)
    yield
    wait_until(lambda: site.envoy.stat(counter) == before + 1, "Envoy ends it", 5)


def test_settings_of_http2(site):
    with http2.Connection(site.address, site.http_port) as connection:
        connection.read_until(lambda c: c.settings)
        assert connection.settings[http2.MAX_CONCURRENT_STREAMS] == 100
        assert connection.settings[http2.INITIAL_WINDOW_SIZE] == 1024 * 1024


def test_more_streams_than_permitted(site):
    # RFC 9113, 5.1.2: the end of a connection that doesn't keep to what was agreed.
    with nobody_else_notices(site), http2.Connection(site.address, site.http_port) as connection, protocol_error(site):
        connection.read_until(lambda c: c.settings)
        for number in range(150):
            connection.send(http2.request(2 * number + 1, HOST, "/delay/1500"))
    assert wait_until(lambda: site.envoy.stat("http.ingress_http.downstream_cx_http2_active") == 0, "closed", 5)


def test_rapid_reset(site):
    """CVE-2023-44487: streams that are reset as soon as they are opened."""
    closed_before = site.envoy.stat("http.ingress_http.downstream_rq_too_many_premature_resets")
    with nobody_else_notices(site), http2.Connection(site.address, site.http_port) as connection:
        connection.read_until(lambda c: c.settings)
        sent = 0
        for number in range(5000):
            stream = 2 * number + 1
            data = http2.request(stream, HOST, "/delay/200") + http2.frame(
                http2.RST_STREAM, 0, stream, struct.pack(">I", 8))
            if not connection.send(data):
                break
            sent += 1
        connection.read_until(lambda c: c.goaway is not None)
        assert connection.goaway is not None or connection.closed
    assert site.envoy.stat("http.ingress_http.downstream_rq_too_many_premature_resets") > closed_before


FLOODS = {  # the frame, and Envoy's counter; of the first two its HTTP/2 library sees to it
    "pings": (http2.frame(http2.PING, 0, 0, b"12345678"), None),
    "settings": (http2.frame(http2.SETTINGS), None),
    "empty-data": (http2.frame(http2.DATA, 0, 1, b""), "inbound_empty_frames_flood"),
    "priorities": (http2.frame(http2.PRIORITY, 0, 1, struct.pack(">IB", 0, 1)), "inbound_priority_frames_flood"),
    "window-updates": (http2.frame(http2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)), "inbound_window_update_frames_flood"),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_floods_of_frames(site, kind):
    """CVE-2019-9512, 9515, 9518, 9513 and 9517: Envoy ends the connection. Nothing is read meanwhile, so that answers pile
    up. Envoy closes it at once if it notices the flood itself. If its HTTP/2 library does, it reads no further."""
    one, counter = FLOODS[kind]
    ends = [f"http.ingress_http.downstream_cx_{name}" for name in ("destroy_local_active_rq", "protocol_error")]
    before = site.envoy.stats()
    with nobody_else_notices(site), http2.Connection(site.address, site.http_port) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.send(http2.request(1, HOST, "/delay/3000", end=False, method="POST"))
        with contextlib.suppress(TimeoutError):
            for _ in range(400):  # of 500 frames each
                if not connection.send(one * 500):
                    break
        wait_until(lambda: any(site.envoy.stat(name) == before[name] + 1 for name in ends), "Envoy ends it", 5)
    if counter:
        assert site.envoy.stat(f"http2.{counter}") == before.get(f"http2.{counter}", 0) + 1


def test_headers_without_end(site):
    """CVE-2024-27919, CONTINUATION frames for ever; and more headers than are taken."""
    with nobody_else_notices(site), http2.Connection(site.address, site.http_port) as connection, protocol_error(site):
        fields = http2.request_headers(HOST)
        connection.send(http2.frame(http2.HEADERS, 0, 1, fields))
        more = b"".join(http2.frame(http2.CONTINUATION, 0, 1, http2._literal(f"x-{number}", "v" * 100) * 50)
                        for number in range(20))
        with pytest.raises(TimeoutError):
            for _ in range(200):  # 20 MB
                connection.send(more)
    for count, status in ((900, 200), (1100, 431)):
        with socket.create_connection((site.address, site.http_port), 5) as connection:
            headers = "".join(f"x-{number}: v\r\n" for number in range(count))
            connection.sendall(f"GET / HTTP/1.1\r\nhost: {HOST}\r\n{headers}\r\n".encode())
            assert int(connection.recv(100).split()[1]) == status
    for size, status in ((50, 200), (70, 431)):
        with socket.create_connection((site.address, site.http_port), 5) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\nhost: {HOST}\r\nx: {'v' * size * 1024}\r\n\r\n".encode())
            assert int(connection.recv(100).split()[1]) == status


def test_paths_are_normalized_and_clients_are_who_they_are(site):
    site.publish("paths.yaml", ingress_route("paths", "paths.example", route("/", "www"), route("/admin", "www", prefixRewrite="/denied")))
    assert site.client.get("paths.example", "/a/../admin/x").json["path"] == "/denied/x"
    assert site.client.get("paths.example", "/a/%2e%2e/admin/x").json["path"] == "/denied/x"
    # What is left as it was written, as in Contour 0.15.
    assert site.client.get("paths.example", "/a%2Fb//c").json["path"] == "/a%2Fb//c"
    told = site.client.get("paths.example", headers={"x-forwarded-for": "198.51.100.9", "x-envoy-internal": "true",
                                                     "x-under_score": "kept"}).json["headers"]
    assert told["x-forwarded-for"] == "198.51.100.9,127.0.0.1"
    assert told["x-under_score"] == "kept"


def test_smuggling(site):
    """Two lengths, and a length beside chunks: refused, and nothing of it is taken for a request."""
    for lines in ("content-length: 5\r\ncontent-length: 6", "content-length: 5\r\ntransfer-encoding: chunked"):
        with socket.create_connection((site.address, site.http_port), 5) as connection:
            connection.sendall(f"POST / HTTP/1.1\r\nhost: {HOST}\r\n{lines}\r\n\r\n0\r\n\r\n".encode())
            assert b" 400 " in connection.recv(200).split(b"\r\n")[0], lines


@pytest.mark.long
def test_slow_clients(site):
    """A handshake that isn't finished in 15 s; headers that aren't there in 60 s although a byte comes now and then."""
    handshake = socket.create_connection((site.address, site.https_port), 30)
    context = site.tls(HOST).context
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=HOST).do_handshake()
    handshake.sendall(outgoing.read())  # a whole ClientHello, and then nothing
    dribble = socket.create_connection((site.address, site.http_port), 30)
    dribble.sendall(b"GET / HTTP/1.1\r\nhost: www.example\r\nx: ")
    started = time.monotonic()
    handshake.settimeout(25)
    while handshake.recv(65536):
        pass
    assert 13 < time.monotonic() - started < 20
    dribble.settimeout(0.5)
    answer = b""
    while time.monotonic() - started < 75:
        with contextlib.suppress(TimeoutError):
            if answer := dribble.recv(1000):
                break
        with contextlib.suppress(OSError):
            dribble.sendall(b"v")
    assert answer.startswith(b"HTTP/1.1 408"), answer
    assert 58 < time.monotonic() - started < 70


def test_connections_have_a_limit_that_spares_health_and_admin():
    limit = 20
    with Site("features_connection_limit") as site:
        site.publish("www.yaml", ingress("www", HOST, [("/", "Prefix", "marker")]))
        path = site.work_dir / "limited.json"
        admin_port = free_port()
        result = run("bootstrap", path, "--xds-port", site.contour.xds_port, "--admin-port", admin_port,
                     "--overload-downstream-max-conn", limit, "--overload-max-heap", 1 << 30)
        assert result.returncode == 0, result.stderr
        assert site.envoy.stop() == 0
        site.envoy = Envoy(path, site.work_dir, admin_port, name="envoy-limited").start().wait_live()
        site.client.poll(HOST, "/", lambda answer: answer.status == 200)
        site.client.close()
        wait_until(lambda: site.envoy.stat("http.ingress_http.downstream_cx_active") == 0, "no connections", 5)
        with contextlib.ExitStack() as stack:
            kept = [stack.enter_context(socket.create_connection((site.address, site.http_port), 5)) for _ in range(limit + 10)]
            wait_until(lambda: site.envoy.stat("http.ingress_http.downstream_cx_active") == limit, "the limit", 5)
            closed = 0
            for connection in kept:
                connection.settimeout(0.2)
                with contextlib.suppress(TimeoutError):
                    try:
                        closed += connection.recv(1) == b""
                    except ConnectionResetError:
                        closed += 1
            assert closed == 10
            with socket.create_connection((site.address, site.contour.stats_port), 5) as health:
                health.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
                assert b" 200 " in health.recv(200)
        wait_until(lambda: site.envoy.stat("http.ingress_http.downstream_cx_active") == 0, "room again", 5)
        site.client.poll(HOST, "/", lambda answer: answer.status == 200)
        runtime = json.loads(site.envoy.admin("/runtime"))["entries"]
        assert float(runtime["re2.max_program_size.error_level"]["final_value"]) > 1e6
