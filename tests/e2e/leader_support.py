# SPDX-License-Identifier: Apache-2.0
"""A fleet for the tests of the leader election: replicas of contour on pod addresses of their own, the address of the
Service that leads to them, and Envoys that connect to it. Replicas and Envoys have the arguments, the environment and the
configuration of the overlay `split`, or `split-all` where all replicas serve, but for what only a pod has: addresses, paths,
and the short times of the election."""
import json
import os
import signal
import time

import yaml
from conftest import CONTOUR_USER, ROOT, next_pod_address
from harness import manifests, render
from harness.client import Client, SteadyLoad
from harness.cluster import ApiError
from harness.contour import Contour, binary, run
from harness.envoy import Envoy
from harness.process import free_port, port_is_open, wait_until
from harness.service import ServiceAddress, slice_endpoints

NAMESPACE = "projectcontour"
LEASE = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "contour", "namespace": NAMESPACE}}
CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "contour", "namespace": NAMESPACE}}
SLICE = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
         "metadata": {"name": "contour-leader", "namespace": NAMESPACE}}
ANNOTATION = "control-plane.alpha.kubernetes.io/leader"
XDS_PORT = 8001


def install(cluster):
    """deploy/crds and deploy/rbac, and no trace of an earlier election."""
    api = cluster.api()
    for folder in ("crds", "rbac"):
        for path in sorted((ROOT / "deploy" / folder).glob("*.yaml")):
            api.apply_file(path)

    def served():
        try:
            return api.get("/apis/contour.heptio.com/v1beta1/ingressroutes")
        except ApiError:
            return None
    wait_until(served, "the kinds of deploy/crds", 20)
    for value in (LEASE, CONFIG_MAP, SLICE):
        try:
            api.delete(value)
        except ApiError as error:
            assert error.status == 404, error
    return cluster


class Replica(Contour):
    """One pod, whose name is its identity. Its times are short, so that tests are fast."""

    def __init__(self, fleet, name):
        self.pod_ip = next_pod_address()
        config = fleet.work_dir / f"{name}.yaml"
        config.write_text(yaml.safe_dump({"leaderelection": fleet.election}), encoding="utf-8")
        super().__init__(fleet.work_dir, name=name, xds_address=self.pod_ip, xds_port=XDS_PORT, **fleet.ports)
        self.arguments = [*map(str, (binary(), *render.arguments(fleet.objects, "Deployment", "contour", "contour", {
            "--incluster": None, "--xds-address": self.pod_ip, "--config-path": config,
            "--contour-cafile": fleet.certificates / "cacert.pem",
            "--contour-cert-file": fleet.certificates / "contourcert.pem",
            "--contour-key-file": fleet.certificates / "contourkey.pem"}),
            "--kubeconfig", fleet.kubeconfig, *self.port_flags()))]
        value = render.container(fleet.objects, "Deployment", "contour", "contour")
        self.env = {**os.environ, **render.environment(value, {
            "metadata.name": name, "metadata.namespace": NAMESPACE, "status.podIP": self.pod_ip})}

    def ready(self):
        return self.get("/readyz")[0] == 200

    def wait_ready(self, timeout=20.0):
        """Waits until it is ready, as the kubelet sees it: a standby is ready although its xDS port is closed."""
        self.wait(self.ready, "/readyz", timeout)
        return self

    def serves(self):
        return port_is_open(self.pod_ip, XDS_PORT)

    def role(self):
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith("contour_leader_role{") and line.endswith(" 1"):
                return line.split('"')[1]
        return None


class Kubelet:
    """Readiness probes as the Deployment has them (three failures in a row, Kubernetes' default, take a replica out), and the
    addresses that a Service with a selector would have by them."""

    FAILURES = 3
    WHILE_NOT_READY = 0.2  # seconds between two probes: a start is seen soon

    def __init__(self, fleet):
        probe = render.container(fleet.objects, "Deployment", "contour", "contour")["readinessProbe"]
        self._path, self._period = probe["httpGet"]["path"], probe["periodSeconds"]
        self._timeout = probe.get("timeoutSeconds", 1)
        self._fleet, self._failed, self._next = fleet, {}, {}

    def endpoints(self):
        for replica in list(self._fleet.replicas):
            if time.monotonic() < self._next.get(replica, 0.0):
                continue
            failed = 0 if self._passes(replica) else self._failed.get(replica, self.FAILURES) + 1
            self._failed[replica] = failed
            self._next[replica] = time.monotonic() + (self._period if failed < self.FAILURES else self.WHILE_NOT_READY)
        return [(replica.pod_ip, XDS_PORT) for replica, failed in self._failed.items() if failed < self.FAILURES]

    def _passes(self, replica):
        try:
            return replica.running and replica.request("GET", self._path, timeout=self._timeout)[0] == 200
        except OSError:
            return False


class Fleet:
    """fleet = Fleet(cluster, work_dir); a, b, c = fleet.start("a", "b", "c"); fleet.envoys(3); fleet.stop()"""

    def __init__(self, cluster, work_dir, user=CONTOUR_USER, **election):
        self.cluster, self.work_dir = cluster, work_dir
        self.api = cluster.api()
        self.kubeconfig = cluster.kubeconfig(user)
        self.objects = render.kustomize(ROOT / "deploy/overlays" / ("split-all" if election.get("xds") == "all" else "split"))
        config = yaml.safe_load(render.find(self.objects, "ConfigMap", "contour")["data"]["contour.yaml"])
        self.election = {**config["leaderelection"], "lease-duration": "3s", "renew-deadline": "2s", "retry-period": "500ms",
                         **election}
        self.certificates = work_dir / "certificates"
        if not self.certificates.exists():  # a second fleet of a test has the same
            made = run("certgen", self.certificates, "--pem", "--namespace", NAMESPACE)
            assert made.returncode == 0, made.stderr
        # Of Envoys' listeners, which all replicas describe alike.
        self.ports = {"stats_port": free_port(), "ingress_http_port": free_port(), "ingress_https_port": free_port()}
        self.replicas, self.proxies = [], []
        has_selector = "selector" in render.find(self.objects, "Service", "contour")["spec"]
        self._kubelet = Kubelet(self) if has_selector else None
        named = slice_endpoints(self.api, NAMESPACE, "contour-leader")
        read = (lambda: self._kubelet.endpoints() + named()) if has_selector else named
        self.service = ServiceAddress(read, next_pod_address(), XDS_PORT).start()

    def make(self, name):
        replica = Replica(self, name)
        self.replicas.append(replica)
        return replica

    def add(self, name):
        return self.make(name).start()

    def start(self, *names):
        """The first named leads."""
        started = []
        for name in names:
            started.append(self.add(name).wait_ready())
            if len(started) == 1:
                self.wait_leader(started[0])
        return started

    def envoys(self, number):
        """They share the ports of their listeners: the kernel spreads connections over them."""
        for i in range(number):
            admin_port = free_port()
            path = self.work_dir / f"bootstrap-{i}.json"
            value = render.container(self.objects, "DaemonSet", "envoy", "bootstrap")
            result = run(*render.arguments(self.objects, "DaemonSet", "envoy", "bootstrap", {
                "/config/envoy.json": path, "--xds-address": self.service.address, "--admin-address": "127.0.0.1",
                "--resources-dir": self.work_dir / f"resources-{i}",
                "--envoy-cafile": self.certificates / "cacert.pem",
                "--envoy-cert-file": self.certificates / "envoycert.pem",
                "--envoy-key-file": self.certificates / "envoykey.pem"}),
                "--admin-port", admin_port, env=render.environment(value, {"metadata.namespace": NAMESPACE}))
            assert result.returncode == 0, result.stdout + result.stderr
            envoy = Envoy(path, self.work_dir, admin_port, name=f"envoy-{i}")
            self.proxies.append(envoy)
            envoy.start().wait_live()
        return self.proxies

    def stop(self):
        faults = []
        for replica in self.replicas:
            if replica.running:
                replica.signal(signal.SIGCONT)  # a test that failed may have left it frozen
            if replica.running and (code := replica.stop(timeout=15)) != 0:
                faults.append(f"{replica.name} stopped with exit code {code}\n{replica.tail(40)}")
            replica.kill()
            if "Sanitizer" in replica.log(whole=True):
                faults.append(replica.tail(60))
        for envoy in self.proxies:
            envoy.kill()
        self.service.stop()
        assert not faults, "\n".join(faults)

    def holder(self):
        """Returns the holder of the lock on the API server; "": nobody."""
        try:
            return self.api.read(LEASE)["spec"].get("holderIdentity", "")
        except ApiError as error:
            if error.status == 404:
                return ""
            raise OSError(str(error)) from None  # just starting

    def wait_leader(self, replica, timeout=10.0):
        """Waits until it serves and the Service leads to it; returns the seconds."""
        started = time.monotonic()
        wait_until(lambda: replica.serves() and self.service.endpoints == [(replica.pod_ip, XDS_PORT)],
                   f"{replica.name} serves", timeout, interval=0.005)
        return time.monotonic() - started

    def wait_another(self, *before, timeout=10.0):
        """Returns the first of the other replicas to serve, and the seconds that it took."""
        started = time.monotonic()

        def found():
            for replica in self.replicas:
                if replica not in before and replica.running and self.service.endpoints == [(replica.pod_ip, XDS_PORT)]:
                    return replica if replica.serves() else None
            return None
        return wait_until(found, "another leader", timeout, interval=0.005), time.monotonic() - started

    def events(self):
        """Returns the messages of the election's Events, oldest first."""
        items = self.api.get(f"/api/v1/namespaces/{NAMESPACE}/events")["items"]
        chosen = [item for item in items if item["reason"] == "LeaderElection"]
        return [item["message"] for item in sorted(chosen, key=lambda item: item["metadata"]["name"])]

    # What Envoys do.

    def apply(self, text):
        for value in yaml.safe_load_all(text):
            if value:
                self.api.apply(value)

    def serve_host(self, host, backend, namespace, name=None):
        name = name or host.split(".")[0]
        self.apply(manifests.service(name, backend.address, backend.port, namespace=namespace))
        self.apply(manifests.ingress_route(name, host, {name: None}, namespace=namespace))

    def route_status(self, name, namespace):
        value = self.api.read({"apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute",
                               "metadata": {"name": name, "namespace": namespace}})
        return value.get("status", {}).get("currentStatus")

    def client(self):
        return Client("127.0.0.1", self.ports["ingress_http_port"])

    def wait_answer(self, host, backend, timeout=15.0):
        """Waits until each Envoy gives that answer; a connection may reach any of them."""
        deadline = time.monotonic() + timeout
        right = 0
        while right < 12 * max(1, len(self.proxies)):
            client = self.client()
            try:
                answer = client.get(host)
                right = right + 1 if answer.status == 200 and answer.backend == backend else 0
            finally:
                client.close()
            if not right:
                assert time.monotonic() < deadline, f"{host}: not {backend} within {timeout:g} s"
                time.sleep(0.02)

    def load(self, host):
        return SteadyLoad("127.0.0.1", self.ports["ingress_http_port"], host, per_second=240, connections=12)

    def envoys_connected(self):
        """Returns the number of Envoys that have a stream to contour now."""
        return sum(envoy.stat("control_plane.connected_state") for envoy in self.proxies)

    def wait_connected(self, timeout=30.0):
        wait_until(lambda: self.envoys_connected() == len(self.proxies), "all Envoys are connected", timeout, interval=0.05)

    def assert_all_asked(self):
        """Asserts that the load reached every Envoy, and that none NACKed anything."""
        for envoy in self.proxies:
            assert envoy.stat("http.ingress_http.downstream_rq_2xx") > 0, f"{envoy.name} got no request"
            envoy.assert_nothing_rejected()


def record(value):
    """Returns the record of a ConfigMap lock."""
    return json.loads(value["metadata"]["annotations"][ANNOTATION])
