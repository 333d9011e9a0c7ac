# SPDX-License-Identifier: Apache-2.0
"""Clients that read (probes, scrapers, people with a browser) and clients that disturb: slow and idle ones on every port that
contour opens, every signal that it can be sent, and debug pages read all the time at 10,000 hosts."""
import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import ssl
import threading
import time

import pytest
from harness import manifests
from harness.contour import ROOT, binary
from harness.process import Process, free_port, wait_until

resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
                                           resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

KUBELET = 1.0  # s, the time-out of a probe unless the pod says otherwise


def probe(port, path="/healthz"):
    """How long a probe on a connection of its own takes, as kubelet makes it."""
    begin = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        assert response.status == 200, (path, response.status, response.read())
        response.read()
    finally:
        connection.close()
    return time.monotonic() - begin


class Crowd:
    """Many clients of one port that all disturb in the same way."""

    def __init__(self, port, count, sent=b"", then=None, receive_buffer=None):
        self.sockets, self.then = [], then
        for _ in range(count):
            client = socket.socket()
            if receive_buffer:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            client.settimeout(5)
            client.connect(("127.0.0.1", port))
            self.sockets.append(client)
            with contextlib.suppress(OSError):
                client.sendall(sent)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.sockets:
            client.close()

    def go_on(self):
        """Sends what each sends now and then."""
        for client in self.sockets:
            with contextlib.suppress(OSError):
                client.sendall(self.then or b"")

    def ended(self):
        """How many of them the server has ended."""
        count = 0
        for client in self.sockets:
            client.setblocking(False)
            try:
                while client.recv(1 << 16):
                    pass
                count += 1
            except BlockingIOError:
                pass
            except OSError:
                count += 1
        return count


NUISANCES = {
    "that say nothing": {},
    "that send a byte now and then": {"sent": b"GET /healthz HTTP/1.1\r\nx: ", "then": b"v"},
    "that keep their connections": {"sent": b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"},
    "that don't read": {"sent": b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n" * 200, "receive_buffer": 2048},
    "that send a body a byte at a time": {
        "sent": b"PUT /debug/log-level HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5000\r\n\r\n", "then": b"v"},
}


@pytest.fixture
def served(work_dir, backends, contour):
    folder = work_dir / "manifests"
    folder.mkdir()
    blue = backends("blue")
    (folder / "blue.yaml").write_text(manifests.service("blue", blue.address, blue.port)
                                      + manifests.ingress("blue", "blue.example.com", "blue"))
    return contour("--manifests", folder)


@pytest.mark.parametrize("nuisance", NUISANCES)
def test_probes_are_answered_whatever_other_clients_do(served, nuisance, figure):
    """200 such clients on the port of the probes, twice as many as it takes: each probe within the second of kubelet."""
    took = []
    with Crowd(served.http_port, 200, **NUISANCES[nuisance]) as crowd:
        for _ in range(10):
            took += [probe(served.http_port), probe(served.http_port, "/readyz")]
            crowd.go_on()
            time.sleep(0.05)
    assert max(took) < KUBELET, took
    figure(f"slowest probe beside 200 clients {nuisance}", 1000 * max(took), "ms")
    assert len(os.listdir(f"/proc/{served.pid}/task")) < 150  # threads


@pytest.mark.parametrize("nuisance", NUISANCES)
def test_debug_pages_are_answered_whatever_other_clients_do(served, nuisance):
    with Crowd(served.debug_port, 60, **NUISANCES[nuisance]) as crowd:
        for _ in range(5):
            assert probe(served.debug_port, "/debug/log-level") < KUBELET
            crowd.go_on()
    assert probe(served.http_port) < KUBELET


def test_slow_and_idle_clients_are_ended(served):
    """Without anybody who needs their place: 5 s without a request, 10 s for a whole one."""
    with Crowd(served.http_port, 3) as silent, \
            Crowd(served.http_port, 3, b"GET /healthz HTTP/1.1\r\nx: ", b"v") as slow, \
            Crowd(served.debug_port, 3, b"GET /debug/ HTTP/1.1\r\nx: ", b"v") as slow_debug:
        begin = time.monotonic()
        wait_until(lambda: silent.ended() == 3, "the silent ones are ended", 8)
        while time.monotonic() - begin < 9:
            for crowd in (slow, slow_debug):
                crowd.go_on()
            time.sleep(0.5)
        assert slow.ended() == 0
        wait_until(lambda: (slow.go_on(), slow.ended() == 3)[1], "the slow ones are ended", 4)
        wait_until(lambda: slow_debug.ended() == 3, "the slow ones of the debug port are ended", 4)


def test_the_health_port_with_descriptors_above_1024(served):
    """As with a thousand Envoys: select() takes no descriptor above 1,023."""
    hard = resource.prlimit(served.pid, resource.RLIMIT_NOFILE)[1]
    if hard < 4096:
        pytest.skip(f"no more than {hard} descriptors")
    resource.prlimit(served.pid, resource.RLIMIT_NOFILE, (4096, hard))
    with Crowd(served.xds_port, 1100):
        wait_until(lambda: len(os.listdir(f"/proc/{served.pid}/fd")) > 1100, "the connections", 10)
        for path in ("/healthz", "/readyz", "/metrics"):
            assert probe(served.http_port, path) < KUBELET
        assert served.get("/debug/xds")[0] == 200


def test_a_clean_stop_waits_for_no_client(served):
    with Crowd(served.http_port, 5, b"GET /he"), Crowd(served.debug_port, 5, b"GET /debug/xds HTTP/1.1\r\nhost: localhost\r\n\r\n"
                                                        * 100, receive_buffer=2048):
        begin = time.monotonic()
        assert served.stop() == 0
        assert time.monotonic() - begin < 5


# ---- The shutdown manager ----

@pytest.fixture
def manager(work_dir):
    ready_file = work_dir / "ok"
    process = Process("manager", [binary(), "envoy", "shutdown-manager", "--serve-address", "127.0.0.1", "--serve-port",
                                  port := free_port(), "--ready-file", ready_file], work_dir / "manager.log").start()
    process.port, process.ready_file = port, ready_file
    wait_until(lambda: probe(port) < KUBELET, "the manager", 10)
    yield process
    if process.running:
        process.stop()


@pytest.mark.parametrize("nuisance", [*NUISANCES, "that wait for a drained Envoy"])
def test_the_shutdown_manager_answers_whatever_other_clients_do(manager, nuisance):
    """Its liveness, and the hook of Envoy's pod, which comes from another address."""
    kinds = {**NUISANCES, "that wait for a drained Envoy": {"sent": b"GET /shutdown HTTP/1.1\r\nhost: x\r\n\r\n"}}
    with Crowd(manager.port, 150, **kinds[nuisance]) as crowd:
        for _ in range(5):
            assert probe(manager.port) < KUBELET
            crowd.go_on()
        hook = http.client.HTTPConnection("127.0.0.1", manager.port, timeout=10, source_address=("127.0.0.9", 0))
        hook.request("GET", "/shutdown")
        time.sleep(0.3)
        crowd.go_on()
        manager.ready_file.write_text("OK\n")
        assert hook.getresponse().status == 200
        hook.close()


# ---- The xDS port ----

def half_a_handshake():
    """The first half of a ClientHello, as bytes."""
    context, outgoing = ssl.create_default_context(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="contour").do_handshake()
    hello = outgoing.read()
    return hello[:len(hello) // 2]


@pytest.mark.parametrize("sent", [b"", b"PRI * HTTP/2.0\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", half_a_handshake()],
                         ids=["nothing", "half a preface", "a preface", "half a handshake"])
def test_connections_to_the_xds_port_that_come_to_nothing(served, envoy, sent):
    """500 of them: Envoys come and are served, probes are answered, and after ten seconds they are gone."""
    before = len(os.listdir(f"/proc/{served.pid}/fd"))
    with Crowd(served.xds_port, 500, sent):
        begin = time.monotonic()
        envoy(served)
        wait_until(lambda: served.metric("contour_xds_envoys") == 1, "the Envoy", 5)
        assert probe(served.http_port) < KUBELET
        wait_until(lambda: len(os.listdir(f"/proc/{served.pid}/fd")) < before + 50, "they are ended", 20)
        assert time.monotonic() - begin < 20


# ---- Signals ----

STOPS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}
FATAL = {signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV, signal.SIGSYS,
         signal.SIGXCPU, signal.SIGKILL}
PAUSES = {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGSTOP}


def test_signals_that_stop(served):
    for number in sorted(STOPS):
        if not served.running:
            served.start().wait_ready()
        served.signal(number)
        assert served.wait_exit(10) == 0, number
        assert "stopped" in served.log()


def test_signals_that_change_nothing(served):
    """All but those that stop, pause, or say that the process is at fault; then SIGTERM stops it as ever."""
    for number in sorted(set(signal.valid_signals()) - STOPS - FATAL - PAUSES):
        for _ in range(3):
            os.kill(served.pid, number)
    time.sleep(0.5)
    assert served.running
    assert probe(served.http_port, "/readyz") < KUBELET
    for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM"):
        served.wait_log(f"signal ignored.*{name}", 5)
    served.signal(signal.SIGTERM)
    assert served.wait_exit(10) == 0


def test_the_profiler_and_its_signal(served):
    """SIGPROF from outside before, during and after a profile harms nobody."""
    os.kill(served.pid, signal.SIGPROF)
    taken = []
    thread = threading.Thread(target=lambda: taken.append(served.request("GET", "/debug/pprof/profile?seconds=1")))
    thread.start()
    for _ in range(10):
        os.kill(served.pid, signal.SIGPROF)
        time.sleep(0.1)
    thread.join()
    if taken[0][0] == 501:
        pytest.skip("a build with sanitizers has no profiler")
    assert taken[0][0] == 200 and len(taken[0][1]) > 100
    os.kill(served.pid, signal.SIGPROF)
    assert served.request("GET", "/debug/pprof/profile?seconds=1")[0] == 200
    assert served.stop() == 0


def test_signals_of_the_shutdown_manager(manager):
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGALRM):
        os.kill(manager.pid, number)
    time.sleep(0.2)
    assert probe(manager.port) < KUBELET
    assert manager.stop() == 0


# ---- Many hosts ----

ENVOYS = ROOT / "build/dev/bench/envoys"


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


@pytest.mark.long
def test_pages_read_every_second_at_10000_hosts_under_changes(work_dir, contour, envoy, backends, figure):
    """A real Envoy, a change every 100 ms, and every page every second: changes reach the Envoy as fast as without readers,
    probes are answered within the second of kubelet, and a page takes no memory worth the name."""
    folder = work_dir / "manifests"
    folder.mkdir()
    blue = backends("blue")
    (folder / "blue.yaml").write_text(manifests.service("blue", blue.address, blue.port))
    for part in range(100):
        (folder / f"hosts-{part}.yaml").write_text("".join(
            manifests.ingress(f"host-{part}-{n}", f"host-{part}-{n}.example.com", "blue") for n in range(100)))
    server = contour("--manifests", folder)
    proxy = envoy(server)
    wait_until(lambda: server.metric("contour_xds_envoys") == 1, "the Envoy", 30)

    def changes(seconds, prefix):
        """Hosts that come, each as soon as the one before is served: how long each takes."""
        took, end, number = [], time.monotonic() + seconds, 0
        while time.monotonic() < end:
            host = f"{prefix}-{number}.example.com"
            number += 1
            text = manifests.ingress(f"{prefix}-{number}", host, "blue")
            (folder / f".{prefix}").write_text(text)
            begin = time.monotonic()
            os.replace(folder / f".{prefix}", folder / f"{prefix}-{number}.yaml")
            wait_until(lambda: proxy_status(server, host) == 200, host, 20, 0.002)
            took.append(time.monotonic() - begin)
            time.sleep(0.1)
        return took

    def proxy_status(server, host):
        connection = http.client.HTTPConnection(server.ingress_address, server.ingress_http_port, timeout=5)
        try:
            connection.request("GET", "/", headers={"Host": host})
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    alone = changes(20, "alone")
    resting = server.resident_kib()
    done = threading.Event()
    pages = ["/metrics", "/debug/xds", "/debug/xds?all=1", "/debug/xds?all=1&type=RDS&limit=10000", "/debug/dag",
             "/debug/explain?host=host-5-5.example.com", "/debug/explain?object=Service/default/blue"]
    read, probes, failures = {page: [] for page in pages}, [], []

    def reader(page):
        while not done.wait(1):
            begin = time.monotonic()
            status, _ = server.request("GET", page, timeout=30)
            read[page].append(time.monotonic() - begin)
            if status not in (200, 503):
                failures.append((page, status))

    def prober():
        while not done.wait(0.25):
            probes.append(probe(server.http_port))

    threads = [threading.Thread(target=reader, args=(page,)) for page in pages] + [threading.Thread(target=prober)]
    for thread in threads:
        thread.start()
    try:
        watched = changes(30, "watched")
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert proxy.running
    grown = server.resident_kib() - resting
    figure("change to Envoy at 10,000 hosts, nobody looks, median", 1000 * percentile(alone, 0.5), "ms")
    figure("… slowest", 1000 * max(alone), "ms")
    figure("… every page read every second, median", 1000 * percentile(watched, 0.5), "ms")
    figure("… slowest", 1000 * max(watched), "ms")
    figure("slowest probe meanwhile", 1000 * max(probes), "ms")
    for page in pages:
        assert len(read[page]) >= 10, (page, len(read[page]))
        figure(f"slowest {page}", 1000 * max(read[page]), "ms")
    figure("memory that the pages left", grown / 1024, "MiB")
    assert max(probes) < KUBELET
    assert max(watched) < max(0.5, 5 * max(alone))
    assert grown < 40 * 1024


@pytest.mark.long
def test_a_page_about_many_envoys_is_small_and_holds_nobody_up(work_dir, contour, figure):
    """50 Envoys with 10,000 hosts each: no page takes more memory than it shows, and each comes within some seconds."""
    if not ENVOYS.exists():
        pytest.skip("needs the simulated Envoys: ./dev build dev envoys")
    folder = work_dir / "manifests"
    folder.mkdir()
    for part in range(100):
        (folder / f"hosts-{part}.yaml").write_text("".join(
            manifests.service(f"s-{part}-{n}", "10.0.0.1", 80) + manifests.ingress(
                f"host-{part}-{n}", f"host-{part}-{n}.example.com", f"s-{part}-{n}") for n in range(100)))
    server = contour("--manifests", folder)
    fleet = Process("envoys", [ENVOYS, server.xds_port, 50, 10_000, folder, "routes", 1, 60],
                    work_dir / "envoys.log").start()
    try:
        def complete():
            shown = json.loads(server.get("/debug/xds?envoys=1000")[1])["envoys"]
            return sum(one["types"]["CDS"]["acknowledged"] >= 10_000 <= one["types"]["EDS"]["acknowledged"]
                       for one in shown) == 50
        wait_until(complete, "50 Envoys with everything", 120, 1)

        def peak():
            with open(f"/proc/{server.pid}/status", encoding="ascii") as status:
                return {line.split()[0]: int(line.split()[1]) for line in status if line.startswith("VmHWM")}["VmHWM:"]
        for page in ("/metrics", "/debug/xds", "/debug/xds?all=1", "/debug/explain?host=host-5-5.example.com",
                     "/debug/explain?object=Service/default/s-5-5"):
            with open(f"/proc/{server.pid}/clear_refs", "w", encoding="ascii") as clear:
                clear.write("5")  # the peak begins anew
            before, begin = peak(), time.monotonic()
            status, body = server.request("GET", page, timeout=30)
            took = time.monotonic() - begin
            assert status == 200, (page, body[:200])
            figure(f"{page} with 50 Envoys of 10,000 hosts", 1000 * took, "ms")
            figure("… its memory at most", (peak() - before) / 1024, "MiB")
            assert took < 10
            assert peak() - before < 30 * 1024 + 10 * len(body) // 1024
        shown = json.loads(server.get("/debug/xds?all=1")[1])["envoys"]
        assert len(shown) == 50
        assert sum(len(one["resources"]) for one in shown) == 1000
    finally:
        fleet.stop()
