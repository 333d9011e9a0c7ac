# SPDX-License-Identifier: Apache-2.0
"""The split deployment as its manifests say it: the containers of the rendered templates run with their arguments, mounts,
service accounts, users and probes (harness/pods.py), against a real API server."""
import pytest
import yaml
from conftest import ROOT, next_pod_address
from harness import manifests, pods, render
from harness.backend import Backend
from harness.client import Client
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
