# SPDX-License-Identifier: Apache-2.0
"""The deployments of the manifests: the containers of the rendered templates run with their arguments, mounts,
service accounts, users and probes (harness/pods.py), against a real API server."""
import itertools
import threading
import time

import pytest
import yaml
from conftest import ROOT, next_pod_address
from harness import manifests, pods, render
from harness.backend import Backend
from harness.client import Client, SteadyLoad
from harness.process import port_is_open, wait_until

NAMESPACE = "projectcontour"
UID = 65532


class Deployment:
    """One overlay, installed in the cluster, and its pods."""

    def __init__(self, cluster, overlay, work_dir):
        self.api = cluster.api()
        self.work_dir = work_dir
        self.objects = render.kustomize(ROOT / "deploy/overlays" / overlay)
        self.network = pods.PodNetwork(cluster)
        self.started = []
        for value in self.objects:
            if render.pod_template(value) is None:
                self.api.apply(value)

    def pod(self, kind, owner, name):
        template = render.pod_template(render.find(self.objects, kind, owner))
        pod = pods.Pod(self.network, self.work_dir, template, name, NAMESPACE)
        self.started.append(pod)
        return pod.start()

    def secrets(self):
        found = self.api.get(f"/api/v1/namespaces/{NAMESPACE}/secrets")["items"]
        return {secret["metadata"]["name"]: secret for secret in found}

    def publish(self, service, contours):
        """The endpoints of a Service with a selector: what a controller of Kubernetes does."""
        selector = render.find(self.objects, "Service", service)["spec"]["selector"]
        ready = [pod for pod in contours if selector.items() <= pod.metadata["labels"].items() and pod.ready()]
        self.api.apply({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": f"{service}-1", "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": service}},
            "endpoints": [{"addresses": [pod.address], "conditions": {"ready": True}} for pod in ready],
            "ports": [{"name": "xds", "port": 8001, "protocol": "TCP"}]})

    def close(self):
        for pod in self.started:
            pod.kill()
        self.network.close()
        for value in self.objects:
            # The namespace and the definitions belong to other tests as well; a Service that goes takes its EndpointSlices
            # along only where there are controllers.
            if value["kind"] in ("Service", "ConfigMap"):
                self.api.delete(value)
        for name in self.secrets():
            self.api.request("DELETE", f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}")
        for path in sorted((ROOT / "deploy/rbac").glob("*.yaml")):  # an overlay may have changed the rights of other tests
            self.api.apply_file(path)
        self.api.request("DELETE", f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices")
        self.api.request("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases")


@pytest.fixture
def deployment(cluster, work_dir):
    started = []

    def install(overlay):
        started.append(Deployment(cluster, overlay, work_dir))
        return started[-1]
    yield install
    for value in started:
        value.close()


@pytest.fixture
def route(cluster, work_dir):
    """An Ingress for www.example.com and a backend `blue`."""
    api = cluster.api()
    backend = Backend("blue", work_dir, next_pod_address(), 8080).start()
    values = [value for value in yaml.safe_load_all(
        manifests.service("blue", backend.address, backend.port) + manifests.ingress("www", "www.example.com", "blue")) if value]
    for value in values:
        api.apply(value)
    yield backend
    for value in values:
        api.delete(value)
    backend.kill()


@pytest.mark.parametrize("overlay", ["split", "split-all"])
def test_split(deployment, route, overlay):
    installed = deployment(overlay)

    # The Job makes the certificates; the CronJob finds nothing to renew, and touches none.
    job = installed.pod("Job", "contour-certgen", "contour-certgen-1")
    assert job.wait_exit() == 0, job.log("contour")
    made = installed.secrets()
    assert {"cacert", "contourcert", "envoycert", "cakey"} == set(made)
    again = installed.pod("CronJob", "contour-certgen", "contour-certgen-2")
    assert again.wait_exit() == 0, again.log("contour")
    assert {name: secret["metadata"]["resourceVersion"] for name, secret in installed.secrets().items()} == \
        {name: secret["metadata"]["resourceVersion"] for name, secret in made.items()}

    # Both replicas become ready; the leader alone opens the port, or both do.
    contours = [installed.pod("Deployment", "contour", f"contour-{number}").wait_ready() for number in (1, 2)]
    for pod in contours:
        assert pods.status_of(pod.containers["contour"]) == (UID, 0, 1), "uid, capabilities, no_new_privs"

    def serving():
        return [pod for pod in contours if port_is_open(pod.address, 8001)]
    endpoint = installed.network.service(NAMESPACE, "contour", 8001)
    if overlay == "split":
        wait_until(lambda: endpoint() is not None, "EndpointSlice of the leader", 20)
        leader = wait_until(serving, "the leader's port", 20)
        assert [(pod.address, 8001) for pod in leader] == [endpoint()]
    else:
        wait_until(lambda: len(serving()) == 2, "both ports", 20)
        installed.publish("contour", contours)

    # Envoy finds it, is let in by its certificate, and gets what the Ingress means.
    proxy = installed.pod("DaemonSet", "envoy", "envoy-1").wait_ready()
    assert pods.status_of(proxy.containers["envoy"]) == (UID, 0, 1)
    client = Client(proxy.address, 8080)
    client.poll("www.example.com", "/", lambda answer: answer.status == 200 and answer.backend == "blue")
    assert client.get("elsewhere.example.com", "/").status == 404
    client.close()

    # The end of a pod: hooks, then SIGTERM. The leader that goes is replaced.
    assert proxy.terminate()["envoy"] == 0
    first, second = (contours if overlay != "split" or endpoint()[0] == contours[0].address else reversed(contours))
    assert first.terminate() == {"contour": 0}
    if overlay == "split":
        wait_until(lambda: endpoint() == (second.address, 8001) and port_is_open(second.address, 8001), "the other leads", 20)
    assert second.ready()


class Balancer:
    """Leads each new connection to the next pod of its pool; a thread keeps the pool."""

    def __init__(self):
        self.pods, self._turn = [], 0
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def client(self):
        """One connection for each request, to whichever pod is next."""
        balancer = self

        class OneShot(Client):
            def _connect(self):
                with balancer._lock:
                    balancer._turn += 1
                    self.address = balancer.pods[balancer._turn % len(balancer.pods)].address
                return super()._connect()

            def get(self, *arguments, **keywords):
                try:
                    return super().get(*arguments, **keywords)
                finally:
                    self.close()
        return OneShot("balancer", 8080)


class ByEndpoints(Balancer):
    """A balancer like kube-proxy: a pod whose deletion has begun leaves the pool some time later, whatever its readiness."""

    LAG = 2.0  # seconds for the EndpointSlice, its controller and the nodes

    def __init__(self):
        super().__init__()
        self._added, self._removed = [], {}

    def add(self, pod):
        self._added.append(pod)

    def remove(self, pod):
        self._removed[pod] = time.monotonic() + self.LAG

    def _run(self):
        while not self._stop.wait(0.05):
            now = time.monotonic()
            self.pods = [pod for pod in self._added if now < self._removed.get(pod, now + 1)]


class ByProbes(Balancer):
    """A balancer outside of Kubernetes: two failed probes of Envoy's health in a row, a second apart, take a pod out."""

    def __init__(self):
        super().__init__()
        self._failed = {}

    def add(self, pod):
        self._failed[pod] = 0

    def remove(self, pod):
        """Removes the pod; the balancer isn't informed."""

    def _run(self):
        while not self._stop.wait(1.0):
            for pod in list(self._failed):
                self._failed[pod] = 0 if pod.probe("envoy", "readinessProbe") else self._failed[pod] + 1
            self.pods = [pod for pod, failed in self._failed.items() if failed < 2]


@pytest.mark.parametrize("overlay, kind, owner", [
    ("split-all", "DaemonSet", "envoy"), pytest.param("combined", "Deployment", "contour", marks=pytest.mark.long)])
def test_envoys_are_rolled_with_one_connection_per_request(deployment, route, figure, overlay, kind, owner):
    """Most of the time no connection is open, so that an Envoy could end as soon as it is asked to; balancers still send it
    connections for some seconds."""
    installed = deployment(overlay)
    if overlay != "combined":
        assert installed.pod("Job", "contour-certgen", "contour-certgen-1").wait_exit() == 0
        contour = installed.pod("Deployment", "contour", "contour-1").wait_ready()
        installed.network.service(NAMESPACE, "contour", 8001)
        wait_until(lambda: port_is_open(contour.address, 8001), "contour's port", 20)
        installed.publish("contour", [contour])
    numbers = itertools.count(1)

    def start():
        pod = installed.pod(kind, owner, f"{owner}-of-traffic-{next(numbers)}").wait_ready()
        Client(pod.address, 8080).poll("www.example.com", "/", lambda answer: answer.status == 200)
        for balancer in (endpoints, probes):
            balancer.add(pod)
        return pod
    with ByEndpoints() as endpoints, ByProbes() as probes:
        fleet = [start(), start()]
        wait_until(lambda: len(endpoints.pods) == len(probes.pods) == 2, "both in the pools", 10)
        with SteadyLoad(None, None, "www.example.com", client=endpoints.client, per_second=60, connections=2) as by_endpoints, \
                SteadyLoad(None, None, "www.example.com", client=probes.client, per_second=60, connections=2) as by_probes:
            for old in fleet:
                new = start()
                wait_until(lambda new=new: new in endpoints.pods and new in probes.pods, "the new one in the pools", 10)
                endpoints.remove(old)
                started = time.monotonic()
                codes = old.terminate()
                figure(f"{overlay}_{old.name}_ended_after", time.monotonic() - started, "s")
                assert codes["envoy"] == 0
                wait_until(lambda old=old: old not in endpoints.pods and old not in probes.pods, "the old one out of them", 10)
    for name, load in (("endpoints", by_endpoints), ("probes", by_probes)):
        figure(f"{overlay}_requests_by_{name}_while_rolling", load.total)
        load.assert_clean(at_least=300)


def test_combined(deployment, route):
    """contour and Envoy in one pod; no certificates."""
    installed = deployment("combined")
    pod = installed.pod("Deployment", "contour", "contour-1").wait_ready()
    assert not port_is_open(pod.address, 8001), "xDS without TLS is reachable from other pods"
    client = Client(pod.address, 8080)
    client.poll("www.example.com", "/", lambda answer: answer.status == 200 and answer.backend == "blue")
    client.close()
    codes = pod.terminate()
    assert (codes["contour"], codes["envoy"]) == (0, 0)


def test_the_log_names_variables_that_a_pod_lacks(deployment):
    """A template that was written by hand and has no `env`."""
    installed = deployment("combined")
    container = render.container(installed.objects, "Deployment", "contour", "contour")
    assert {entry["name"] for entry in container["env"]} == {"CONTOUR_NAMESPACE", "POD_NAME"}
    whole = installed.pod("Deployment", "contour", "contour-1").wait_ready()
    del container["env"]
    bare = installed.pod("Deployment", "contour", "contour-2").wait_ready()
    for words in ("POD_NAME is not set", 'CONTOUR_NAMESPACE is not the namespace that this pod runs in" context=config '
                                         'taken=heptio-contour pod=projectcontour'):
        assert words in bare.log("contour") and words not in whole.log("contour")


def test_root_namespaces(deployment, cluster):
    """With the rights to Secrets of the root namespace only, contour becomes ready; it has no others."""
    installed = deployment("split-root-namespaces")
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
        "user": "system:serviceaccount:projectcontour:contour",
        "resourceAttributes": {"verb": "list", "resource": "secrets", "namespace": "default"}}}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    assert not installed.api.request("POST", path, review)["status"]["allowed"]
    review["spec"]["resourceAttributes"]["namespace"] = "roots"
    assert installed.api.request("POST", path, review)["status"]["allowed"]
    job = installed.pod("Job", "contour-certgen", "contour-certgen-1")
    assert job.wait_exit() == 0, job.log("contour")
    pod = installed.pod("Deployment", "contour", "contour-1").wait_ready()
    assert "kind=Secret namespace=roots" in pod.log("contour")
