# SPDX-License-Identifier: Apache-2.0
"""What a change costs at scale: a real kube-apiserver, a real Envoy, and a control plane between them, in a network
namespace of their own.

For each control plane (ours, and with --peer a Contour of the Go family) and each size N:
  N Services with one EndpointSlice each, N objects with a host and two routes; start; then
  30 times: create an object, ask for its host every 5 ms over a kept connection until 200, and count every other code;
  30 times: move a Service to the other backend, ask every 2 ms until that one answers;
  100 edits that change nothing (an annotation that nobody reads);
with resident and peak memory, CPU seconds per operation of the control plane and of Envoy, and bytes of xDS sent.

Prints one JSON line a run and a table with ratios. Every loop is bounded and ends by itself.

usage: scale.py [--n 1000,5000] [--kind ingress] [--peer PATH] [--skip-ours]
"""
import argparse
import concurrent.futures
import http.client
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from harness import netns  # noqa: E402
from harness.backend import Backend  # noqa: E402
from harness.client import Client  # noqa: E402
from harness.cluster import Cluster  # noqa: E402
from harness.contour import Contour  # noqa: E402
from harness.envoy import Envoy  # noqa: E402
from harness.process import Process, free_port, wait_until  # noqa: E402

REPEATS = 30
IDLE_EDITS = 100
BACKENDS = ("10.244.9.1", "10.244.9.2")


# ---- Objects ----------------------------------------------------------------------------------------------------------

def service(name):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
            "spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]}}


def endpoint_slice(name, address):
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": f"{name}-1", "namespace": "default", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}]}


def host(name):
    return f"{name}.example.com"


def ingress(name, backend):
    target = {"service": {"name": backend, "port": {"name": "http"}}}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name, "namespace": "default"},
            "spec": {"rules": [{"host": host(name), "http": {"paths": [
                {"path": path, "pathType": "Prefix", "backend": target} for path in ("/", "/blog")]}}]}}


def ingress_route(name, backend):
    return {"apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"virtualhost": {"fqdn": host(name)}, "routes": [
                {"match": path, "services": [{"name": backend, "port": 80}]} for path in ("/", "/blog")]}}


ROOTS = {"ingress": ingress, "ingressroute": ingress_route}


class Writer:
    """Writes objects over kept connections, one per thread: opening a connection costs more than the write."""

    def __init__(self, cluster):
        self._api = cluster.api()
        self._local = threading.local()

    def send(self, method, path, body=None, content_type="application/json"):
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPSConnection(self._api.address, self._api.port, context=self._api._context,
                                                     timeout=30)
            self._local.connection = connection
        connection.request(method, path, body=None if body is None else json.dumps(body),
                           headers={"authorization": f"Bearer {self._api.token}", "content-type": content_type})
        response = connection.getresponse()
        text = response.read()
        if not 200 <= response.status < 300:
            raise RuntimeError(f"{method} {path}: {response.status} {text[:300]!r}")

    def create(self, value):
        self.send("POST", self._api.collection(value), value)

    def patch(self, value, patch):
        self.send("PATCH", self._api.path(value), patch, "application/merge-patch+json")

    def delete(self, value):
        self.send("DELETE", self._api.path(value))

    def create_all(self, values):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(self.create, values))


# ---- Measuring --------------------------------------------------------------------------------------------------------

def cpu_seconds(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(process, field):
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return 0.0


class Cpu:
    """with Cpu(contour, envoy) as cpu: …; cpu.used → seconds of each."""

    def __init__(self, *processes):
        self._processes = processes

    def __enter__(self):
        self._before = [cpu_seconds(process) for process in self._processes]
        return self

    def __exit__(self, *_):
        time.sleep(0.3)  # what is still on its way counts too
        self.used = [cpu_seconds(process) - before for process, before in zip(self._processes, self._before)]


def median_ms(seconds):
    return statistics.median(seconds) * 1000


# ---- The control planes -----------------------------------------------------------------------------------------------

class Peer(Process):
    """A Contour of the Go family (1.33), with the flags that make it watch the same objects."""

    def __init__(self, path, work_dir, kubeconfig):
        self.xds_port, self.http_port, self.stats_port = free_port(), free_port(), free_port()
        self.ingress_address, self.ingress_http_port = "127.0.0.1", free_port()
        self.path = path
        self.work_dir = work_dir
        super().__init__("peer", [
            path, "serve", "--insecure", "--kubeconfig", kubeconfig, "--kubernetes-client-qps=500",
            "--kubernetes-client-burst=1000", "--leader-election-resource-namespace=default",
            f"--xds-port={self.xds_port}", "--http-address=127.0.0.1", f"--http-port={self.http_port}",
            "--health-address=127.0.0.1", f"--health-port={self.http_port}", "--stats-address=127.0.0.1",
            f"--stats-port={self.stats_port}", "--envoy-service-http-address=127.0.0.1",
            f"--envoy-service-http-port={self.ingress_http_port}", "--envoy-service-https-address=127.0.0.1",
            f"--envoy-service-https-port={free_port()}", f"--debug-http-port={free_port()}",
        ], pathlib.Path(work_dir) / "peer.log", env={**os.environ, "CONTOUR_NAMESPACE": "default"})

    def bootstrap(self, admin_port, _mode=None):
        path = self.work_dir / "peer-bootstrap.json"
        subprocess.run([self.path, "bootstrap", path, f"--xds-port={self.xds_port}",
                        f"--admin-address={self.work_dir}/admin.sock"], check=True, capture_output=True)
        bootstrap = json.loads(path.read_text(encoding="utf-8"))
        bootstrap["admin"]["address"] = {"socket_address": {"address": "127.0.0.1", "port_value": admin_port}}
        path.write_text(json.dumps(bootstrap), encoding="utf-8")
        return path

    def metric(self, _name):
        return None


def install_peer_kinds(cluster):
    """Its informers want their kinds to exist; nothing of their fields is used here."""
    for kind, plural, version in (("HTTPProxy", "httpproxies", "v1"),
                                  ("TLSCertificateDelegation", "tlscertificatedelegations", "v1"),
                                  ("ExtensionService", "extensionservices", "v1alpha1"),
                                  ("ContourConfiguration", "contourconfigurations", "v1alpha1")):
        cluster.api().create({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.projectcontour.io"},
            "spec": {"group": "projectcontour.io", "scope": "Namespaced",
                     "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                     "versions": [{"name": version, "served": True, "storage": True, "subresources": {"status": {}},
                                   "schema": {"openAPIV3Schema": {"type": "object",
                                                                  "x-kubernetes-preserve-unknown-fields": True}}}]}})


def install_own_kinds(cluster):
    for path in sorted((ROOT / "deploy/crds").glob("*.yaml")):
        cluster.api().apply_file(path)


# ---- One run ----------------------------------------------------------------------------------------------------------

def say(text):
    print(text, file=sys.stderr, flush=True)


def run(name, make, n, kind, work_dir):
    make_root = ROOTS[kind]
    shutil.rmtree(work_dir, ignore_errors=True)
    work_dir.mkdir(parents=True)
    cluster = Cluster(work_dir / "cluster").start()
    stop = [cluster.stop]
    try:
        install_peer_kinds(cluster)
        install_own_kinds(cluster)
        for backend_name, address in zip(("blue", "green"), BACKENDS):
            backend = Backend(backend_name, work_dir, address, 8080).start()
            stop.append(backend.kill)
        writer = Writer(cluster)
        names = [f"host-{i}" for i in range(n)]
        say(f"{name} n={n}: creating {3 * n} objects")
        writer.create_all([service(x) for x in names] + [endpoint_slice(x, BACKENDS[0]) for x in names]
                          + [make_root(x, x) for x in names])
        time.sleep(1)

        started = time.monotonic()
        control = make(work_dir, cluster.kubeconfig()).start()
        stop.append(control.kill)
        admin_port = free_port()
        envoy = Envoy(control.bootstrap(admin_port), work_dir, admin_port)
        stop.append(envoy.kill)
        wait_until(lambda: control.running, "the control plane", 5)
        envoy.start()
        client = Client(control.ingress_address, control.ingress_http_port)
        for probe in (names[0], names[n // 2], names[-1]):
            client.poll(host(probe), "/", lambda answer: answer.status == 200, timeout=300, interval=0.01)
        start_seconds = time.monotonic() - started
        say(f"{name} n={n}: all served after {start_seconds:.1f} s")
        time.sleep(3)

        result = {"control": name, "kind": kind, "n": n, "start_s": start_seconds}
        before = control.metric("contour_xds_sent_bytes_total")

        # New objects. Their Service exists already: the route alone is new.
        times, codes = [], {}
        with Cpu(control, envoy) as cpu:
            for i in range(REPEATS):
                writer.create(service(f"new-{i}"))
                writer.create(endpoint_slice(f"new-{i}", BACKENDS[0]))
                writer.create(make_root(f"new-{i}", f"new-{i}"))
                seconds, seen = client.poll(host(f"new-{i}"), "/", lambda answer: answer.status == 200, timeout=60,
                                            interval=0.005)
                times.append(seconds)
                for code, count in seen.items():
                    codes[code] = codes.get(code, 0) + count
        result["create_ms"] = median_ms(times)
        result["create_max_ms"] = max(times) * 1000
        result["codes"] = {str(code): count for code, count in sorted(codes.items())}
        result["other_codes"] = sum(count for code, count in codes.items() if code != 404)
        result["create_cpu_control_s"], result["create_cpu_envoy_s"] = (used / REPEATS for used in cpu.used)
        after = control.metric("contour_xds_sent_bytes_total")
        result["create_bytes"] = None if after is None else (after - before) / REPEATS

        # Endpoints that change.
        times = []
        with Cpu(control, envoy) as cpu:
            for i in range(REPEATS):
                target = i % 2 == 0
                backend_name = "green" if target else "blue"
                changed = endpoint_slice(names[0], BACKENDS[1 if target else 0])
                writer.patch(changed, {"endpoints": changed["endpoints"]})
                seconds, _ = client.poll(host(names[0]), "/", lambda answer: answer.backend == backend_name, timeout=60,
                                         interval=0.002)
                times.append(seconds)
        result["endpoint_ms"] = median_ms(times)
        result["endpoint_cpu_control_s"], result["endpoint_cpu_envoy_s"] = (used / REPEATS for used in cpu.used)

        # Edits that mean nothing.
        before = control.metric("contour_xds_sent_bytes_total")
        with Cpu(control, envoy) as cpu:
            for i in range(IDLE_EDITS):
                value = make_root(names[i % n], names[i % n])
                writer.patch(value, {"metadata": {"annotations": {"example.com/note": f"{i}-{time.time()}"}}})
        result["idle_cpu_control_s"] = cpu.used[0]
        after = control.metric("contour_xds_sent_bytes_total")
        result["idle_bytes"] = None if after is None else after - before

        result["memory_mib"] = memory_mib(control, "VmRSS")
        result["memory_peak_mib"] = memory_mib(control, "VmHWM")
        result["envoy_memory_mib"] = memory_mib(envoy, "VmRSS")
        result["envoy_rejections"] = sum(envoy.rejections().values())
        print(json.dumps(result), flush=True)
        return result
    finally:
        for end in reversed(stop):
            end()


ROWS = (("create_ms", "object created → 200, median (ms)", "{:.1f}"),
        ("create_max_ms", "  slowest of 30 (ms)", "{:.1f}"),
        ("other_codes", "other codes than 404 on the way", "{:.0f}"),
        ("create_cpu_control_s", "control-plane CPU per route (s)", "{:.4f}"),
        ("create_cpu_envoy_s", "Envoy CPU per route (s)", "{:.4f}"),
        ("create_bytes", "xDS bytes per route", "{:.0f}"),
        ("endpoint_ms", "endpoint changed → served, median (ms)", "{:.1f}"),
        ("endpoint_cpu_control_s", "control-plane CPU per endpoint change (s)", "{:.4f}"),
        ("idle_cpu_control_s", "CPU for 100 edits without effect (s)", "{:.3f}"),
        ("idle_bytes", "xDS bytes for these", "{:.0f}"),
        ("memory_mib", "resident memory (MiB)", "{:.0f}"),
        ("memory_peak_mib", "peak memory (MiB)", "{:.0f}"),
        ("envoy_memory_mib", "Envoy's memory (MiB)", "{:.0f}"),
        ("start_s", "start → probes of N routes served (s)", "{:.1f}"))


def table(results):
    for n in sorted({result["n"] for result in results}):
        of_size = {result["control"]: result for result in results if result["n"] == n}
        ours, peer = of_size.get("ours"), of_size.get("peer")
        print(f"\nn = {n}{'':32} {'ours':>12} {'peer':>12} {'ours/peer':>10}")
        for key, text, form in ROWS:
            cells = [form.format(side[key]) if side and side.get(key) is not None else "–" for side in (ours, peer)]
            ratio = "–"
            if ours and peer and ours.get(key) is not None and peer.get(key):
                ratio = f"{ours[key] / peer[key]:.3f}"
            print(f"{text:44} {cells[0]:>12} {cells[1]:>12} {ratio:>10}")


def main():
    parser = argparse.ArgumentParser(prog="./dev bench scale")
    parser.add_argument("--n", default="1000", help="sizes, separated by commas")
    parser.add_argument("--kind", choices=sorted(ROOTS), default="ingress")
    parser.add_argument("--peer", type=pathlib.Path, help="a contour of the Go family to measure beside ours")
    parser.add_argument("--skip-ours", action="store_true", help="measure the peer only")
    options = parser.parse_args()
    if options.peer and options.kind == "ingressroute":
        parser.error("--peer knows no IngressRoute: use --kind ingress")
    netns.enter()
    work_dir = ROOT / "build/log/scale"
    results = []
    for n in map(int, options.n.split(",")):
        if not options.skip_ours:
            def make_ours(folder, kubeconfig):
                return Contour(folder, "--kubeconfig", kubeconfig)
            results.append(run("ours", make_ours, n, options.kind, work_dir))
        if options.peer:
            peer = options.peer.resolve()

            def make_peer(folder, kubeconfig):
                return Peer(peer, folder, kubeconfig)
            results.append(run("peer", make_peer, n, options.kind, work_dir))
    table(results)


if __name__ == "__main__":
    main()
