# SPDX-License-Identifier: Apache-2.0
"""The fault suite on an API server: it is slow, sends wrong or old state, or its users do odd things. Always under steady load
through a real Envoy, of which no request may fail."""
import base64
import contextlib
import json
import signal
import threading
import time

import pytest
from conftest import CONTOUR_USER
from harness import manifests
from harness.client import Client, SteadyLoad, TLSClient, tls_context
from harness.cluster import ApiError, make_ca, make_certificate
from harness.faulty_api import Fault, FaultyApi
from harness.process import wait_until
from kube_support import apply_deployment, bulk, ingress_route
from test_kubernetes import apply

pytestmark = pytest.mark.long


class World:
    """A contour behind a faulty way to the API server, an Envoy, and one route under load."""

    def __init__(self, cluster, way, contour, envoy, backend, work_dir):
        self.cluster, self.way, self.backend = cluster, way, backend
        self.api = cluster.api()
        for value in self.api.get("/apis/contour.heptio.com/v1beta1/ingressroutes")["items"]:
            self.api.delete(value | {"apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute"})
        self.add("steady")
        self.kubeconfig = cluster.kubeconfig(CONTOUR_USER, path=work_dir / "kubeconfig", server=way.url)
        self.contour = contour("--kubeconfig", self.kubeconfig)
        self.envoy = envoy(self.contour)
        self.client = Client("127.0.0.1", self.contour.ingress_http_port)
        self.served("steady")

    def add(self, name):
        apply(self.api, manifests.service(name, self.backend.address, self.backend.port))
        apply(self.api, manifests.ingress_route(name, f"{name}.example.com", {name: None}))

    def served(self, name, timeout=30):
        self.client.poll(f"{name}.example.com", "/", lambda answer: answer.status == 200, timeout=timeout)

    def status(self, name):
        return self.api.read(ingress_route(name)).get("status", {}).get("currentStatus")

    @contextlib.contextmanager
    def load(self):
        before = self.envoy.stat("listener_manager.listener_removed"), self.envoy.stat("cluster_manager.cluster_removed")
        with SteadyLoad("127.0.0.1", self.contour.ingress_http_port, "steady.example.com") as load:
            yield load
            time.sleep(0.3)
        load.assert_clean()
        after = self.envoy.stat("listener_manager.listener_removed"), self.envoy.stat("cluster_manager.cluster_removed")
        assert after[0] == before[0], "a listener was removed"
        self.envoy.assert_nothing_rejected()


@pytest.fixture
def world(own_cluster, contour, envoy, backends, work_dir):
    with FaultyApi(own_cluster) as way:
        value = World(own_cluster, way, contour, envoy, backends("blue"), work_dir)
        yield value
        way.fault = lambda request: None
        assert value.contour.stop(timeout=10) == 0


def test_slow_api_server(world):
    """Five seconds for each request that isn't an open watch: changes still come at once, statuses late but right."""
    with world.load():
        world.way.fault = lambda request: None if request.is_watch else Fault(delay=5)
        world.add("slow")
        begin = time.monotonic()
        world.served("slow", 3)
        assert time.monotonic() - begin < 3, "an open watch has nothing to do with slow requests"
        wait_until(lambda: world.status("slow") == "valid", "the status", 20)


def test_start_on_a_slow_api_server(world, contour):
    world.way.fault = lambda request: Fault(delay=5)
    started = time.monotonic()
    other = contour("--kubeconfig", world.kubeconfig, ready=False, name="other")
    other.wait_ready(40)
    assert time.monotonic() - started < 30, "kinds are listed side by side, not one after the other"


@pytest.mark.parametrize("fault", [Fault(status=500), Fault(status=429, headers={"retry-after": "1"}), Fault(status=503)],
                         ids=["500", "429", "503"])
def test_refusing_api_server(world, fault):
    with world.load():
        world.way.fault = lambda request: fault
        world.way.cut()
        time.sleep(4)
        count = len(world.way.requests)
        time.sleep(4)
        assert len(world.way.requests) - count < 120, "backs off"
        assert world.contour.get("/readyz")[0] == 200, "what was once synced is still good"
        world.add("late")
        world.way.fault = lambda request: None
        world.served("late", 60)
        wait_until(lambda: world.status("late") == "valid", "the status", 30)


def lists_again(world):
    """Makes every kind be listed anew: watches end with 410."""
    gone = json.dumps({"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "status": "Failure",
                                                   "reason": "Expired", "code": 410, "message": "too old"}}).encode() + b"\n"
    return lambda request: Fault(status=200, body=gone) if request.is_watch and "sendInitialEvents" not in request.query else None


def is_fresh(request):
    """A list, by pages or as the beginning of a watch."""
    return request.is_list or "sendInitialEvents" in request.query


def test_truncated_list(world):
    """A list that breaks off is no list: nothing that it lacks is taken away."""
    with world.load():
        again = lists_again(world)
        world.way.fault = lambda request: Fault(cut_after=600) if is_fresh(request) else again(request)
        world.way.cut()
        time.sleep(6)
        assert any(is_fresh(request) for request in world.way.requests[-200:])
        world.served("steady", 1)
        world.way.fault = lambda request: None
        world.add("after")
        world.served("after", 60)


def test_half_an_event(world):
    """The watch breaks in the middle of a line: nothing lost, nothing half understood."""
    with world.load():
        for size in (1, 50, 333, 1000):
            world.way.fault = lambda request, size=size: Fault(cut_after=size) if request.is_watch and not is_fresh(request) else None
            world.way.cut()
            time.sleep(0.5)
            world.add(f"half-{size}")
            time.sleep(1)
            world.way.fault = lambda request: None
            world.way.cut()
            world.served(f"half-{size}", 30)


def test_older_resource_version(world):
    """A watch that sends old events again, as a cache that lags does: the newer state stays."""
    world.add("older")
    world.served("older")
    old = world.api.read(ingress_route("older"))
    changed = json.loads(json.dumps(old))
    changed["spec"]["virtualhost"]["fqdn"] = "newer.example.com"
    world.api.replace(changed)
    world.served("newer")
    event = json.dumps({"type": "MODIFIED", "object": old}).encode() + b"\n"
    with world.load():
        told = threading.Event()

        def fault(request):
            if request.is_watch and request.path.endswith("/ingressroutes"):
                told.set()
                return Fault(status=200, body=event)
            return None
        world.way.fault = fault
        world.way.cut()
        assert told.wait(20)
        time.sleep(1)
        told.clear()
        assert told.wait(20), "it asks again"
        assert world.client.get("newer.example.com").status == 200
        assert world.client.get("older.example.com").status == 404


def test_definition_deleted_and_put_back(world):
    """Without the CRD its objects are gone, and their routes with them; the rest lives; put back, all is as new."""
    apply(world.api, manifests.ingress("kept", "kept.example.com", "steady"))
    world.served("kept")
    definition = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                  "metadata": {"name": "ingressroutes.contour.heptio.com"}}
    with SteadyLoad("127.0.0.1", world.contour.ingress_http_port, "kept.example.com") as load:
        world.api.delete(definition)
        world.client.poll("steady.example.com", "/", lambda answer: answer.status == 404, timeout=60)
        world.contour.wait(lambda: world.contour.get("/readyz")[0] == 200, "ready without the kind", 10)
        apply_deployment(world.api)

        def put_back():
            try:
                world.add("steady")
                return True
            except ApiError:
                return False
        wait_until(put_back, "the kind", 30)
        world.served("steady", 60)
    load.assert_clean()


def test_namespace_of_5000_objects_deleted_at_once(world, figure):
    count = 5000
    try:
        world.api.create_namespace("mass")
    except ApiError:
        pass
    bulk(world.cluster, [("POST", "/apis/contour.heptio.com/v1beta1/namespaces/mass/ingressroutes",
                          ingress_route(f"mass-{number}", "mass", f"mass-{number}.example.com")) for number in range(count)])
    world.contour.wait(lambda: world.contour.metric("contour_status_waiting") == 0, "statuses", 120)
    with world.load():
        begin = time.monotonic()
        bulk(world.cluster, [("DELETE", "/apis/contour.heptio.com/v1beta1/namespaces/mass/ingressroutes", None)])
        figure("faults: 5,000 IngressRoutes deleted in one request", time.monotonic() - begin, "s")
        world.add("after-mass")
        world.served("after-mass", 60)
        figure("faults: … and a new route served", time.monotonic() - begin, "s")
    wait_until(lambda: world.contour.metric("contour_status_waiting") == 0, "no status waits for what is gone", 30)


@pytest.mark.parametrize("what", ["garbage", "key-of-another", "empty"])
def test_secret_replaced_by_something_bad(world, what, work_dir):
    """The route on HTTP stays, the host beside it on HTTPS too, and the status says so; repaired, all is as before."""
    make_ca(work_dir / "ca.crt", work_dir / "ca.key", "test")
    for name in ("one", "two"):
        make_certificate(work_dir / f"{name}.crt", work_dir / f"{name}.key", work_dir / "ca.crt", work_dir / "ca.key",
                         f"/CN={name}", [f"DNS:{name}.example.com"])

    def secret(certificate, key):
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pair", "namespace": "default"},
                "type": "kubernetes.io/tls",
                "data": {"tls.crt": base64.b64encode(certificate).decode(), "tls.key": base64.b64encode(key).decode()}}
    good = secret((work_dir / "one.crt").read_bytes(), (work_dir / "one.key").read_bytes())
    bad = {"garbage": secret(b"garbage", b"garbage"),
           "key-of-another": secret((work_dir / "one.crt").read_bytes(), (work_dir / "two.key").read_bytes()),
           "empty": secret(b"", b"")}[what]
    neighbour_secret = secret((work_dir / "two.crt").read_bytes(), (work_dir / "two.key").read_bytes())
    neighbour_secret["metadata"]["name"] = "neighbour"
    neighbour = ingress_route("neighbour", fqdn="two.example.com", services=[{"name": "steady", "port": 80}])
    neighbour["spec"]["virtualhost"]["tls"] = {"secretName": "neighbour"}
    for value in (good, neighbour_secret, neighbour):
        world.api.apply(value)
    secure = TLSClient("127.0.0.1", world.contour.ingress_https_port, "two.example.com", tls_context(work_dir / "ca.crt"))
    secure.poll("two.example.com", "/", lambda answer: answer.status == 200)
    route = ingress_route("tls", fqdn="tls.example.com", services=[{"name": "steady", "port": 80}])
    route["spec"]["virtualhost"]["tls"] = {"secretName": "pair"}
    route["spec"]["routes"][0]["permitInsecure"] = True
    world.api.apply(route)
    world.served("tls")
    wait_until(lambda: world.status("tls") == "valid", "valid", 10)
    with world.load():
        world.api.apply(bad)
        wait_until(lambda: world.status("tls") == "invalid", "invalid", 10)
        world.served("tls", 2)
        secure.close()  # a new handshake
        assert secure.get("two.example.com").status == 200
        world.api.apply(good)
        wait_until(lambda: world.status("tls") == "valid", "valid again", 10)
    for value in (route, neighbour, good, neighbour_secret):
        world.api.delete(value)


def test_sigterm_in_every_phase_of_the_start(world, contour, figure):
    """However far the start has got, it ends soon, with 0, and logs nothing odd."""
    slowest = 0.0
    for wait in (0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5):
        world.way.fault = lambda request: Fault(delay=0.4)  # stretches the phases
        other = contour("--kubeconfig", world.kubeconfig, ready=False, name=f"phase-{wait}")
        time.sleep(wait)
        begin = time.monotonic()
        other.signal(signal.SIGTERM)
        code = other.wait_exit(10)
        slowest = max(slowest, time.monotonic() - begin)
        # Before main() has begun, and with it the log, nobody can catch the signal.
        assert code == 0 or (code == -signal.SIGTERM and not other.log()), (wait, code, other.tail())
    figure("faults: slowest stop during the start", slowest, "s")
    assert slowest < 6


def test_two_contours_with_different_objects(world, contour, envoy, work_dir):
    """One sees one namespace, one another: an Envoy that changes from one to the other gets exactly the hosts that that one knows."""
    try:
        world.api.create_namespace("elsewhere")
    except ApiError:
        pass
    apply(world.api, manifests.service("far", world.backend.address, world.backend.port, namespace="elsewhere"))
    apply(world.api, manifests.ingress_route("far", "far.example.com", {"far": None}, namespace="elsewhere"))
    first = contour("--kubeconfig", world.kubeconfig, "--watch-namespaces", "default", name="first")
    one = envoy(first, name="envoy-of-both")
    client = Client("127.0.0.1", first.ingress_http_port)
    client.poll("steady.example.com", "/", lambda answer: answer.status == 200)
    assert client.get("far.example.com").status == 404
    assert first.stop() == 0
    assert client.get("steady.example.com").status == 200, "without any contour the last state serves"
    ports = {"xds_port": first.xds_port, "ingress_http_port": first.ingress_http_port,
             "ingress_https_port": first.ingress_https_port, "stats_port": first.stats_port}
    contour("--kubeconfig", world.kubeconfig, "--watch-namespaces", "elsewhere", name="second", **ports)
    client.poll("far.example.com", "/", lambda answer: answer.status == 200, timeout=20)
    client.poll("steady.example.com", "/", lambda answer: answer.status == 404, timeout=20)
    one.assert_nothing_rejected()


def test_secret_values_stay_out_of_the_log(world, work_dir):
    log = world.contour.log(whole=True)
    assert "PRIVATE KEY" not in log and "contour-token" not in log


def test_service_without_endpoints_then_with(world):
    """From nothing to something and back, a hundred times as fast as the API server takes it: the last state counts."""
    apply(world.api, manifests.service("flicker", world.backend.address, world.backend.port))
    apply(world.api, manifests.ingress_route("flicker", "flicker.example.com", {"flicker": None}))
    world.served("flicker")
    name = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/flicker-1"
    original = world.api.get(name)
    with world.load():
        for number in range(100):
            current = world.api.get(name)
            current["endpoints"] = original["endpoints"] if number % 2 else []
            world.api.request("PUT", name, current)
        world.served("flicker", 5)
