# SPDX-License-Identifier: Apache-2.0
"""A kind that isn't known never counts as empty: rights that are lost, discovery that fails, and others that answer for the API
server, at a start and while running. A real Envoy is asked all the time, and no request of a route that was there fails."""
import contextlib
import json
import time

import pytest
from conftest import CONTOUR_USER
from harness import manifests
from harness.client import Client, SteadyLoad
from harness.faulty_api import Fault, FaultyApi
from harness.process import wait_until
from kube_support import ingress_route
from test_kubernetes import apply

HOST = "steady.example.com"
FORBIDDEN = Fault(status=403, body=json.dumps({
    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Forbidden", "code": 403,
    "message": "forbidden by the test"}).encode())


def answer(status, text, content_type="application/json"):
    return Fault(status=status, body=text if isinstance(text, bytes) else text.encode(), headers={"content-type": content_type})


# What answers for an API server that a balancer can't reach, or that isn't one.
OTHERS = {
    "html-200": answer(200, "<html><body><h1>It works!</h1></body></html>\n", "text/html"),
    "404": answer(404, "default backend - 404", "text/plain"),
    "503": answer(503, "<html><body>503 Service Unavailable</body></html>", "text/html"),
    "status-200": answer(200, '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"}\n'),
    "another-list": answer(200, '{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"999999"},"items":[]}\n'),
    "null-items": answer(200, '{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"999999"},"items":null}\n'),
    "empty-200": answer(200, ""),
    "forbidden": FORBIDDEN,
}


def of_kind(*plurals):
    """True of a request for objects of these kinds."""
    return lambda request: request.path.rsplit("/", 1)[-1] in plurals


class Site:
    """A contour behind a way to the API server, an Envoy, and one IngressRoute."""

    def __init__(self, cluster, way, contour, envoy, backends, work_dir):
        self.cluster, self.way, self.api = cluster, way, cluster.api()
        self._contour, self._envoy, self._count, self.process = contour, envoy, 0, None
        self.backend = backends("blue")
        self.file = work_dir / "snapshot"
        self.flags = ("--kubeconfig", cluster.kubeconfig(CONTOUR_USER, path=work_dir / "kubeconfig", server=way.url),
                      "--snapshot-file", self.file)
        for value in self.api.get("/apis/contour.heptio.com/v1beta1/ingressroutes")["items"]:
            self.api.delete(value | {"apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute"})
        self.add("steady")
        self.start()
        self.envoy = envoy(self.process)
        self.served("steady")
        wait_until(lambda: self.status("steady") == "valid", "the status", 20)

    def start(self, *more, ready=True):
        """The next process, on the ports of the one before."""
        ports = {}
        if self.process is not None:
            for name in ("xds_port", "http_port", "stats_port", "ingress_http_port", "ingress_https_port"):
                ports[name] = getattr(self.process, name)
        self._count += 1
        self.process = self._contour(*self.flags, *more, name=f"contour-{self._count}", ready=ready, **ports)
        return self.process

    def stop(self):
        # What was served last is to be in the file.
        assert self.process.stop(timeout=10) == 0

    def add(self, name):
        apply(self.api, manifests.service(name, self.backend.address, self.backend.port))
        apply(self.api, manifests.ingress_route(name, f"{name}.example.com", {name: None}))

    def client(self):
        return Client("127.0.0.1", self.process.ingress_http_port)

    def served(self, name, timeout=30):
        self.client().poll(f"{name}.example.com", "/", lambda got: got.status == 200, timeout=timeout)

    def status(self, name):
        return self.api.read(ingress_route(name)).get("status", {}).get("currentStatus")

    def writes(self):
        return [request.path for request in self.way.requests if request.is_write]

    def unknown(self, kind):
        for line in self.process.get("/metrics")[1].splitlines():
            if line.startswith(f'contour_kube_unknown_seconds{{kind="{kind}"}} '):
                return float(line.split()[1])
        return None

    @contextlib.contextmanager
    def load(self):
        with SteadyLoad("127.0.0.1", self.process.ingress_http_port, HOST) as load:
            yield load
            time.sleep(0.3)
        load.assert_clean()
        self.envoy.assert_nothing_rejected()


@pytest.fixture
def site(own_cluster, contour, envoy, backends, work_dir):
    with FaultyApi(own_cluster) as way:
        value = Site(own_cluster, way, contour, envoy, backends, work_dir)
        yield value
        way.fault = lambda request: None


def not_ready(process, *texts):
    status, text = process.get("/readyz")
    assert status == 503, text
    for one in texts:
        assert one in text, text


def test_endpoint_slices_forbidden_at_a_restart_leave_the_endpoints(site):
    forbidden = of_kind("endpointslices")
    with site.load():
        site.stop()
        site.way.fault = lambda request: FORBIDDEN if forbidden(request) else None
        process = site.start(ready=False)
        process.wait_log("no permission to read a kind.*kind=EndpointSlice.*verb=watch.*resource=endpointslices.*"
                         "group=discovery.k8s.io.*namespace=all", 10)
        end = time.monotonic() + 8
        while time.monotonic() < end:
            not_ready(process, "objects are not synced yet: EndpointSlice: HTTP 403 Forbidden",
                      "missing right: watch endpointslices.discovery.k8s.io in all namespaces")
            time.sleep(0.5)
        site.way.fault = lambda request: None
        process.wait_ready(60)
        wait_until(lambda: process.metric("contour_xds_envoys") == 1, "the Envoy is back", 30)
        time.sleep(1)
        assert process.get("/readyz") == (200, "OK\n")


def test_services_forbidden_at_a_restart_make_no_status_invalid(site):
    forbidden = of_kind("services")
    with site.load():
        site.stop()
        before = len(site.writes())
        site.way.fault = lambda request: FORBIDDEN if forbidden(request) else None
        process = site.start(ready=False)
        time.sleep(8)
        not_ready(process, "Service: HTTP 403 Forbidden")
        assert site.status("steady") == "valid"
        assert site.writes()[before:] == []
        site.way.fault = lambda request: None
        process.wait_ready(60)
        time.sleep(1)
        assert site.status("steady") == "valid"
        assert site.writes()[before:] == []


def test_everything_forbidden_at_a_restart_serves_the_snapshot_file_and_keeps_it(site, envoy):
    site.stop()
    good = site.file.read_bytes()
    site.way.fault = lambda request: FORBIDDEN
    process = site.start(ready=False)
    process.wait_log("serving from the snapshot file until the objects are read.*reason=.*HTTP 403", 20)
    fresh = envoy(process)  # one that had nothing
    with site.load():
        end = time.monotonic() + 12
        while time.monotonic() < end:
            not_ready(process, "HTTP 403 Forbidden", "missing right: watch services in all namespaces")
            assert site.file.read_bytes() == good
            time.sleep(0.5)
        assert process.metric("contour_serving_from_snapshot_file") == 1
        site.way.fault = lambda request: None
        process.wait_ready(60)
        wait_until(lambda: process.metric("contour_serving_from_snapshot_file") == 0, "the live build", 30)
        time.sleep(0.5)
    fresh.assert_nothing_rejected()
    site.stop()
    assert len(site.file.read_bytes()) >= len(good), "it is not replaced by less"


def test_one_answer_of_a_balancer_at_a_restart_takes_no_host_away(site):
    """The first request of each kind is answered `default backend - 404`, then the API server answers."""
    seen = set()

    def fault(request):
        if request.path in seen:
            return None
        seen.add(request.path)
        return OTHERS["404"]
    with site.load():
        site.stop()
        site.way.fault = fault
        process = site.start()
        assert len(seen) >= 7
        wait_until(lambda: process.metric("contour_xds_envoys") == 1, "the Envoy is back", 30)
        time.sleep(1)
        site.served("steady", 1)


def test_three_answers_of_a_balancer_while_running_remove_nothing(site):
    with site.load():
        site.way.fault = lambda request: OTHERS["404"]
        site.way.cut()
        count = len(site.way.requests)
        wait_until(lambda: sum(request.path.endswith("/ingressroutes") for request in site.way.requests[count:]) >= 4,
                   "four answers", 30)
        site.served("steady", 1)
        site.way.fault = lambda request: None
        site.add("after")
        site.served("after", 60)


@pytest.mark.long
@pytest.mark.parametrize("name", OTHERS)
def test_others_answer_for_the_api_server_at_a_restart(site, name):
    with site.load():
        site.stop()
        good = site.file.read_bytes()
        before = len(site.writes())
        site.way.fault = lambda request: OTHERS[name]
        process = site.start(ready=False)
        process.wait_log("serving from the snapshot file until the objects are read", 20)
        not_ready(process, "objects are not synced yet: ")
        assert site.file.read_bytes() == good
        assert site.writes()[before:] == []
        site.served("steady", 1)
        site.way.fault = lambda request: None
        process.wait_ready(60)
        wait_until(lambda: process.metric("contour_serving_from_snapshot_file") == 0, "the live build", 30)
        time.sleep(1)
    assert site.status("steady") == "valid"


@pytest.mark.long
@pytest.mark.parametrize("name", OTHERS)
def test_others_answer_for_the_api_server_while_running(site, name):
    """For twelve seconds; new objects of that time are served when the API server is back."""
    with site.load():
        good = site.file.read_bytes()
        site.way.fault = lambda request: OTHERS[name]
        site.way.cut()
        wait_until(lambda: (site.unknown("IngressRoute") or 0) > 6, "it is told", 30)
        status, text = site.process.get("/readyz")
        assert status == 200 and "not known now, what was known stays: " in text and "IngressRoute: " in text, text
        time.sleep(6)
        assert site.unknown("IngressRoute") > 10, "for as long as it takes, not since the last answer"
        assert site.file.read_bytes() == good
        site.served("steady", 1)
        site.add("after")
        site.way.fault = lambda request: None
        site.served("after", 60)
        wait_until(lambda: site.unknown("IngressRoute") == 0, "it is known again", 30)
        wait_until(lambda: site.process.get("/readyz") == (200, "OK\n"), "without a remark", 30)
    wait_until(lambda: site.status("after") == "valid", "the status", 30)


@pytest.mark.long
def test_truncated_lists_at_a_restart_and_while_running(site):
    """Half a list is none, by pages or as a stream."""
    def half(request):
        if request.is_watch:
            return Fault(status=500) if "sendInitialEvents" in request.query else None
        return Fault(rewrite=lambda text: text[:len(text) // 2])
    with site.load():
        site.stop()
        site.way.fault = half
        process = site.start(ready=False)
        time.sleep(6)
        not_ready(process, "objects are not synced yet: ", "not JSON")
        site.way.fault = lambda request: None
        process.wait_ready(60)
        site.way.fault = half
        site.way.cut()
        time.sleep(5)
        site.served("steady", 1)


@pytest.mark.long
def test_rights_lost_and_regained(site):
    """The API server itself refuses, as the binding of the role is gone: while running and at a start."""
    binding = site.api.read({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                             "metadata": {"name": "contour"}})
    bare = {key: value for key, value in binding.items() if key != "metadata"} | {"metadata": {"name": "contour"}}
    with site.load():
        try:
            site.api.delete(binding)
            time.sleep(1)
            site.way.cut()
            site.process.wait_log("no permission to read a kind.*kind=Secret.*verb=watch.*resource=secrets", 30)
            wait_until(lambda: (site.unknown("Secret") or 0) > 6, "it is told", 30)
            assert "missing right: watch secrets in all namespaces" in site.process.get("/readyz")[1]
            site.add("meanwhile")
            site.stop()
            process = site.start(ready=False)
            process.wait_log("serving from the snapshot file until the objects are read", 20)
            not_ready(process, "missing right: ")
            site.served("steady", 1)
        finally:
            site.api.create(bare)
        site.process.wait_ready(60)
        site.served("meanwhile", 60)
    wait_until(lambda: site.status("meanwhile") == "valid", "the status", 30)


@pytest.mark.long
@pytest.mark.parametrize("name", ["404", "503", "html-200", "status-200", "forbidden"])
def test_discovery_fails(site, name):
    """The lists of a custom kind answer 404, and discovery something that proves nothing."""
    def fault(request):
        if request.path.endswith(("/ingressroutes", "/tlscertificatedelegations")):
            return OTHERS["404"]
        return OTHERS[name] if request.path.startswith("/apis") and request.path.count("/") <= 3 else None
    with site.load():
        site.way.fault = fault
        site.way.cut()
        time.sleep(8)
        site.served("steady", 1)
        site.stop()
        process = site.start(ready=False)
        time.sleep(7)
        not_ready(process, "IngressRoute: HTTP 404: default backend - 404; discovery")
        site.way.fault = lambda request: None
        process.wait_ready(60)
        time.sleep(1)


@pytest.mark.long
def test_no_status_is_invalid_because_of_a_kind_that_is_not_known_now(site):
    """A Service that comes while Services can't be read is unknown, not missing."""
    forbidden = of_kind("services")
    with site.load():
        site.way.fault = lambda request: FORBIDDEN if forbidden(request) else None
        site.way.cut()
        wait_until(lambda: (site.unknown("Service") or 0) > 0, "Services are unknown", 30)
        site.add("late")
        time.sleep(5)
        assert site.status("late") in (None, "")
        site.way.fault = lambda request: None
        site.served("late", 60)
    wait_until(lambda: site.status("late") == "valid", "the status", 30)


STREAM_ENDS = {
    "405": Fault(status=405), "500": Fault(status=500), "501": Fault(status=501),
    "error-event": answer(200, '{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure",'
                               '"reason":"InternalError","message":"no","code":500}}\n'),
    "empty": answer(200, ""),
    "no-bookmark": Fault(keep=lambda line: b"initial-events-end" not in line),
}


@pytest.mark.long
@pytest.mark.parametrize("name", STREAM_ENDS)
def test_a_streaming_list_that_fails_is_made_of_pages(site, name, figure):
    site.stop()
    site.way.fault = lambda request: STREAM_ENDS[name] if "sendInitialEvents" in request.query else None
    started = time.monotonic()
    site.start()
    figure(f"streaming list fails ({name}) → ready", time.monotonic() - started, "s")
    # Of a stream without its end only silence tells.
    assert time.monotonic() - started < (18 if name == "no-bookmark" else 8)
    site.served("steady")


def test_without_a_kind_statuses_that_depend_on_it_are_unknown(site):
    forbidden = of_kind("secrets")
    site.stop()
    before = len(site.way.requests)
    site.way.fault = lambda request: FORBIDDEN if forbidden(request) else None
    process = site.start("--without", "Secret")
    apply(site.api, manifests.service("tls", site.backend.address, site.backend.port))
    route = ingress_route("tls", fqdn="tls.example.com", services=[{"name": "tls", "port": 80}])
    route["spec"]["virtualhost"]["tls"] = {"secretName": "certificate"}
    site.api.apply(route)
    wait_until(lambda: site.status("tls") == "unknown", "the status", 20)
    assert "Secrets are not read" in site.api.read(route)["status"]["description"]
    assert not any(forbidden(request) for request in site.way.requests[before:])
    site.served("steady")
    assert process.get("/readyz") == (200, "OK\n")


def test_a_manifest_that_cannot_be_read_at_a_restart_is_waited_for(contour, envoy, backends, work_dir):
    """An I/O error isn't an empty file: the Envoy keeps its route, and contour says what it waits for."""
    folder = work_dir / "manifests"
    folder.mkdir()
    blue = backends("blue")
    (folder / "service.yaml").write_text(manifests.service("web", blue.address, blue.port))
    (folder / "route.yaml").write_text(manifests.ingress_route("web", HOST, {"web": None}))
    first = contour("--manifests", folder)
    there = envoy(first)
    Client("127.0.0.1", first.ingress_http_port).poll(HOST, "/", lambda got: got.status == 200)
    ports = {name: getattr(first, name) for name in ("xds_port", "http_port", "stats_port", "ingress_http_port",
                                                     "ingress_https_port")}
    with SteadyLoad("127.0.0.1", first.ingress_http_port, HOST) as load:
        assert first.stop(timeout=10) == 0
        (folder / "route.yaml").rename(work_dir / "route.yaml")
        (folder / "route.yaml").symlink_to("/proc/self/mem")  # a regular file that gives an error when read, also to root
        second = contour("--manifests", folder, name="second", ready=False, **ports)
        second.wait_log("manifest not read.*route.yaml", 10)
        time.sleep(2)
        not_ready(second, "objects are not synced yet: ", "route.yaml: Input/output error")
        (folder / "route.yaml").unlink()
        (work_dir / "route.yaml").rename(folder / "route.yaml")
        second.wait_ready(20)
        wait_until(lambda: second.metric("contour_xds_envoys") == 1, "the Envoy is back", 30)
        time.sleep(1)
    load.assert_clean()
    there.assert_nothing_rejected()
