# SPDX-License-Identifier: Apache-2.0
"""An Envoy's end: `contour envoy shutdown-manager` and `contour envoy shutdown`, as the hooks of its pod use them."""
import http.client
import os
import threading
import time

import pytest
from conftest import ROOT
from features_support import ingress, service
from harness import http2, render
from harness.client import Client, SteadyLoad
from harness.contour import Contour, binary, run
from harness.envoy import binary as envoy_binary
from harness.process import Process, free_port, wait_until


def healthy(port):
    """Whether Envoy's health check answers 200; readiness probes ask nothing else."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Node:
    """A contour with an Envoy and its shutdown manager: in a network namespace of one, ports stand for nodes."""

    def __init__(self, name, work_dir, manifests, admin_on_socket=True):
        self.name, self.work_dir = name, work_dir / name
        self.work_dir.mkdir()
        self.contour = Contour(self.work_dir, "--manifests", manifests).start().wait_ready()
        self.socket = f"/tmp/contour-{name}-{os.getpid()}.sock" if admin_on_socket else None
        self.admin_port = free_port()
        self.ready_file = self.work_dir / "ok"
        self.manager_port = free_port()
        self.number = 0
        self.envoy = self.manager = None
        self.start()

    @property
    def admin_flags(self):
        if self.socket:
            return ["--admin-address", self.socket]
        return ["--admin-address", "127.0.0.1", "--admin-port", self.admin_port]

    def start(self):
        self.number += 1
        bootstrap = self.work_dir / "bootstrap.json"
        result = run("bootstrap", bootstrap, "--xds-port", self.contour.xds_port, *self.admin_flags)
        assert result.returncode == 0, result.stderr
        # Without --service-node: who it is stands in the bootstrap.
        self.envoy = Process(f"envoy-{self.number}", [envoy_binary(), "-c", bootstrap, "--concurrency", "1",
                                                      "--disable-hot-restart"],
                             self.work_dir / f"envoy-{self.number}.log").start()
        self.manager = Process(f"manager-{self.number}", [
            binary(), "envoy", "shutdown-manager", "--serve-address", "127.0.0.1", "--serve-port", self.manager_port,
            "--ready-file", self.ready_file], self.work_dir / f"manager-{self.number}.log").start()
        wait_until(lambda: self.get("/healthz") == 200, "the shutdown manager", 5)
        wait_until(lambda: healthy(self.contour.stats_port), f"{self.name}: Envoy's health", 15)

    def get(self, path, timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", self.manager_port, timeout=timeout)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def shutdown(self, *flags):
        """Without the delays for balancers, unless `flags` have them."""
        given = " ".join(map(str, flags))
        delays = [f"{delay}=0s" for delay in ("--drain-delay", "--check-delay") if delay not in given]
        return run("envoy", "shutdown", *self.admin_flags, "--ready-file", self.ready_file, *delays, *flags, timeout=60)

    def end(self, *flags):
        """As a pod ends: the hooks of both containers run at once, each container gets SIGTERM after its own."""
        answers = []

        def hook():
            answers.append(self.get("/shutdown"))
            answers.append(self.envoy.stop(timeout=20))
        envoy_hook = threading.Thread(target=hook)
        envoy_hook.start()
        result = self.shutdown(*flags)
        assert result.returncode == 0, result.stderr
        assert self.manager.stop(timeout=10) == 0, self.manager.tail()
        envoy_hook.join()
        assert answers == [200, 0], f"{answers}\n{self.envoy.tail()}"

    def kill(self):
        for process in (self.envoy, self.manager, self.contour):
            if process is not None:
                process.kill()
        if self.socket and os.path.exists(self.socket):
            os.unlink(self.socket)


@pytest.fixture
def nodes(work_dir, backends):
    manifests = work_dir / "manifests"
    manifests.mkdir()
    (manifests / "www.yaml").write_text(service("www", backends("blue"))
                                        + ingress("www", "www.example", [("/", "Prefix", "www")]))
    made = []

    def make(name, **keywords):
        made.append(Node(name, work_dir, manifests, **keywords))
        return made[-1]
    yield make
    for node in made:
        node.kill()


class Balancer:
    """Connects to a node that is ready, as a load balancer in front of the fleet does: probed every 0.1 s."""

    def __init__(self, *fleet):
        self.fleet, self.ready, self._turn = fleet, list(fleet), 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._probe, daemon=True)

    def _probe(self):
        while not self._stop.wait(0.1):
            self.ready = [node for node in self.fleet if healthy(node.contour.stats_port)]

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def client(self):
        balancer = self

        class Balanced(Client):
            def _connect(self):
                balancer._turn += 1
                node = balancer.ready[balancer._turn % len(balancer.ready)]
                self.port = node.contour.ingress_http_port
                return super()._connect()
        return Balanced("127.0.0.1", 0)


def test_envoys_are_rolled_one_by_one_under_load(nodes, figure):
    """With the preStop hook that the manifests install."""
    hook = render.pre_stop(render.kustomize(ROOT / "deploy/overlays/split-all"), "DaemonSet", "envoy", "shutdown-manager")
    assert hook[:2] == ["envoy", "shutdown"]
    fleet = [nodes("north"), nodes("south", admin_on_socket=False)]
    for node in fleet:
        Client("127.0.0.1", node.contour.ingress_http_port).poll("www.example", "/", lambda answer: answer.status == 200)
    with Balancer(*fleet) as balancer, SteadyLoad(None, None, "www.example", client=balancer.client, per_second=200,
                                                  connections=8) as load:
        time.sleep(0.5)
        for node in fleet:
            started = time.monotonic()
            node.end(*hook[2:])
            figure(f"drained_and_ended_{node.name}", time.monotonic() - started, "s")
            assert node not in balancer.ready
            before = load.total
            time.sleep(0.3)
            assert load.total > before, "the other one goes on"
            node.start()
            wait_until(lambda node=node: node in balancer.ready, "ready again", 5)
    load.assert_clean(at_least=200)
    figure("requests_while_rolling", load.total)


def test_waits_for_a_request_under_way(nodes):
    node = nodes("north")
    client = Client("127.0.0.1", node.contour.ingress_http_port, timeout=10)
    client.poll("www.example", "/", lambda answer: answer.status == 200)
    answers = []
    slow = threading.Thread(target=lambda: answers.append(client.get("www.example", "/delay/2000").status))
    slow.start()
    time.sleep(0.2)
    started = time.monotonic()
    node.end("--check-interval", "100ms")
    assert time.monotonic() - started > 1.2, "it waited"
    slow.join()
    assert answers == [200]


def test_a_connection_that_stays_is_waited_for_only_so_long(nodes):
    node = nodes("north")
    client = Client("127.0.0.1", node.contour.ingress_http_port)
    client.poll("www.example", "/", lambda answer: answer.status == 200)
    assert client._connection is not None
    result = node.shutdown("--check-interval", "100ms", "--drain-timeout", "1s")
    assert result.returncode == 0
    assert "the time for draining is over" in result.stderr
    assert not healthy(node.contour.stats_port)
    # With the number that is left it ends by itself.
    node.ready_file.unlink()
    result = node.shutdown("--check-interval", "100ms", "--min-open-connections", "1")
    assert result.returncode == 0
    assert "drained" in result.stderr and node.ready_file.exists()
    client.close()


def test_the_manager_says_when_it_ends_first(nodes):
    node = nodes("north")
    node.ready_file.write_text("")  # of an earlier end
    answers = []
    node.shutdown("--check-interval", "100ms")
    assert node.get("/shutdown") == 200
    node.ready_file.unlink()
    waiting = threading.Thread(target=lambda: answers.append(node.get("/shutdown")))
    waiting.start()
    time.sleep(0.3)
    assert node.manager.stop(timeout=5) == 0
    waiting.join()
    assert answers == [503]


def test_an_envoy_that_is_away(work_dir):
    started = time.monotonic()
    result = run("envoy", "shutdown", "--drain-delay=0s", "--admin-address", work_dir / "nobody.sock", "--ready-file", work_dir / "ok",
                 timeout=30)
    assert result.returncode == 1
    assert "/healthcheck/fail: " in result.stderr
    assert time.monotonic() - started > 6, "four tries"
    assert not (work_dir / "ok").exists()
    result = run("envoy", "shutdown", "--check-interval", "soon")
    assert result.returncode == 1
    assert 'expected a duration like 5s or 1m30s, got "soon"' in result.stderr


def test_http2_clients_are_sent_away_with_goaway(nodes):
    node = nodes("north")
    Client("127.0.0.1", node.contour.ingress_http_port).poll("www.example", "/", lambda answer: answer.status == 200)
    with http2.Connection("127.0.0.1", node.contour.ingress_http_port, timeout=15) as connection:
        connection.read_until(lambda c: c.settings)
        connection.send(http2.request(1, "www.example", "/delay/1500"))
        time.sleep(0.2)
        ending = threading.Thread(target=node.end, args=("--check-interval", "100ms"))
        ending.start()
        # The second GOAWAY, after which Envoy waits for the client to close (`delayed_close_timeout`).
        connection.read_until(lambda c: c.count()[http2.GOAWAY] == 2)
        assert connection.goaway == 0, "no error"
        answered = [frame for frame in connection.frames if frame.kind == http2.HEADERS and frame.stream == 1]
        assert answered and answered[0].payload[0] == 0x88, ":status 200, entry 8 of the static table"
        assert connection.resets() == {}
    ending.join()
    assert not node.envoy.running
