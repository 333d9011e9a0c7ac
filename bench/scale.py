# SPDX-License-Identifier: Apache-2.0
"""Measures what a change costs at scale: a real kube-apiserver, a real Envoy, and a control plane between them, in a network
namespace of their own.

For each control plane (ours in each delivery mode, and with --peer Contour 1.33) and each size N:
  N Services with one EndpointSlice each, N objects with a host and two routes (with --tls each, also a Secret of its own);
  start, until the first, middle and last host answer, and until every object has its status;
  30 times: create an object, ask for its host every 5 ms over a kept connection until 200, and count every other code;
  30 times: move a Service to the other backend, ask every 2 ms until that one answers;
  100 edits that change nothing (an annotation that nobody reads);
with resident and peak memory, CPU seconds per operation of the control plane and of Envoy, and bytes of xDS sent.

With --kind ingressroute Contour 1.33 gets the same hosts and routes as HTTPProxies, which it knows instead.
With --tls each the probes go to port 443, each new host with a TLS handshake until there is one. All Secrets hold the same
certificate, under N names. (The delivery mode for that is sharded-https.)

Prints one JSON line a run and a table with ratios. Every loop is bounded and ends by itself. Of several rounds (--rounds) the
table shows the least of each figure, since other work on the machine only ever adds.

usage: scale.py [--n 1000,5000] [--kind ingress|ingressroute] [--tls none|each] [--delivery classic,sharded] [--peer PATH]
"""
import argparse
import base64
import concurrent.futures
import http.client
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from harness import netns  # noqa: E402
from harness.backend import Backend  # noqa: E402
from harness.client import Client, TLSClient, tls_context  # noqa: E402
from harness.cluster import Cluster, make_ca, make_certificate  # noqa: E402
from harness.contour import Contour, binary as contour_binary  # noqa: E402
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


def secret(name, pair):
    certificate, key = (base64.b64encode(path.read_bytes()).decode() for path in pair)
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "default"},
            "type": "kubernetes.io/tls", "data": {"tls.crt": certificate, "tls.key": key}}


def ingress(name, backend, tls):
    target = {"service": {"name": backend, "port": {"name": "http"}}}
    spec = {"rules": [{"host": host(name), "http": {"paths": [
        {"path": path, "pathType": "Prefix", "backend": target} for path in ("/", "/blog")]}}]}
    if tls:
        spec["tls"] = [{"hosts": [host(name)], "secretName": name}]
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name, "namespace": "default"},
            "spec": spec}


def virtual_host(name, tls):
    return {"fqdn": host(name), **({"tls": {"secretName": name}} if tls else {})}


def ingress_route(name, backend, tls):
    return {"apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"virtualhost": virtual_host(name, tls), "routes": [
                {"match": path, "services": [{"name": backend, "port": 80}]} for path in ("/", "/blog")]}}


def http_proxy(name, backend, tls):
    return {"apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy", "metadata": {"name": name, "namespace": "default"},
            "spec": {"virtualhost": virtual_host(name, tls), "routes": [
                {"conditions": [{"prefix": path}], "services": [{"name": backend, "port": 80}]} for path in ("/", "/blog")]}}


KINDS = ("ingress", "ingressroute")


def root_of(control, kind):
    """Makes the objects of this kind that the control plane knows."""
    return ingress if kind == "ingress" else http_proxy if control == "peer" else ingress_route


def has_status(value, kind):
    status = value.get("status") or {}
    if kind == "Ingress":
        return bool((status.get("loadBalancer") or {}).get("ingress"))
    return status.get("currentStatus") == "valid"


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
        return text

    def list(self, value, limit=500):
        """All objects of the kind of `value`, in pieces."""
        found, rest = [], ""
        while True:
            page = json.loads(self.send("GET", f"{self._api.collection(value)}?limit={limit}{rest}"))
            found += page["items"]
            token = page["metadata"].get("continue")
            if not token:
                return found
            rest = "&continue=" + urllib.parse.quote(token)

    def get(self, value):
        return json.loads(self.send("GET", self._api.path(value)))

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


def prefer(nice, *pids):
    """Lets these programs go before other work on the machine: each is a session, which Linux gives an equal share. Root only."""
    for pid in pids if nice else ():
        pathlib.Path(f"/proc/{pid}/autogroup").write_text(str(nice), encoding="ascii")


def median_ms(seconds):
    return statistics.median(seconds) * 1000


# ---- The control planes -----------------------------------------------------------------------------------------------

class Peer(Process):
    """Contour 1.33, with the flags that make it watch the same objects."""

    def __init__(self, path, work_dir, kubeconfig, *flags, xds_port=None):
        self.xds_port, self.http_port, self.stats_port = xds_port or free_port(), free_port(), free_port()
        self.ingress_address, self.ingress_http_port = "127.0.0.1", free_port()
        self.ingress_https_port = free_port()
        self.path = path
        self.work_dir = work_dir
        super().__init__("peer", [
            path, "serve", "--insecure", "--kubeconfig", kubeconfig, "--kubernetes-client-qps=500",
            "--kubernetes-client-burst=1000", "--leader-election-resource-namespace=default",
            f"--xds-port={self.xds_port}", "--http-address=127.0.0.1", f"--http-port={self.http_port}",
            "--health-address=127.0.0.1", f"--health-port={self.http_port}", "--stats-address=127.0.0.1",
            f"--stats-port={self.stats_port}", "--envoy-service-http-address=127.0.0.1",
            f"--envoy-service-http-port={self.ingress_http_port}", "--envoy-service-https-address=127.0.0.1",
            f"--envoy-service-https-port={self.ingress_https_port}", f"--debug-http-port={free_port()}", *flags,
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


STATUS_ADDRESS = "--ingress-status-address"


def address_flags(program, kind):
    """Returns the flags that give Ingresses, whose status is an address, one to be written."""
    if kind != "ingress":
        return []
    told = subprocess.run([program, "serve", "--help"], capture_output=True, text=True, check=False, timeout=20)
    return [f"{STATUS_ADDRESS}=192.0.2.10"] if STATUS_ADDRESS in told.stdout + told.stderr else []


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


def warm_up(writer):
    """Lists every kind once: until the first list of a new kind an API server answers `storage is (re)initializing`, come again."""
    groups = {"contour.heptio.com/v1beta1": ("IngressRoute", "TLSCertificateDelegation"),
              "projectcontour.io/v1": ("HTTPProxy", "TLSCertificateDelegation"),
              "projectcontour.io/v1alpha1": ("ExtensionService", "ContourConfiguration"),
              "networking.k8s.io/v1": ("IngressClass",), "v1": ("Secret",)}
    for group, kinds in groups.items():
        for kind in kinds:
            sample = {"apiVersion": group, "kind": kind, "metadata": {"namespace": "default"}}

            def listed(sample=sample):
                try:
                    return writer.list(sample) is not None
                except RuntimeError:
                    return False
            wait_until(listed, f"a list of {kind}", 30, interval=0.2)


class Probe:
    """Asks for hosts as a client does: over plain HTTP, or with --tls each over TLS with the host as server name."""

    def __init__(self, control, context):
        self._address, self._control, self._context = control.ingress_address, control, context
        self._plain = Client(self._address, control.ingress_http_port)

    def of(self, name):
        if self._context is None:
            return self._plain
        return TLSClient(self._address, self._control.ingress_https_port, host(name), self._context)


class Statuses(threading.Thread):
    """When all of `samples` have their status: `seconds` since `started`, None if that took longer than `limit`.

    Reading thousands of objects again and again would take the API server's time from those whose writes are waited for, so a
    few are asked for one by one, and all are read only when each of these has its status.
    """

    def __init__(self, writer, samples, started, limit):
        super().__init__(daemon=True)
        self._arguments = writer, samples, started, limit
        self.seconds, self.found = None, 0

    def run(self):
        writer, samples, started, limit = self._arguments
        kind = samples[0]["kind"]
        few = random.Random(1).sample(samples, min(40, len(samples)))
        while time.monotonic() - started < limit:
            few = [value for value in few if not has_status(writer.get(value), kind)]
            if not few:
                right = {value["metadata"]["name"] for value in writer.list(samples[0]) if has_status(value, kind)}
                self.found = len(right)
                if self.found >= len(samples):
                    self.seconds = time.monotonic() - started
                    return
                few = [value for value in samples if value["metadata"]["name"] not in right][:40]
            time.sleep(0.1)


class Bytes:
    """with Bytes(control) as sent: …; sent.bytes → of xDS, None where that isn't counted."""

    def __init__(self, control):
        self._control = control

    def _read(self):
        return self._control.metric("contour_xds_sent_bytes_total")

    def __enter__(self):
        self._before = self._read()
        return self

    def __exit__(self, *_):
        after = self._read()
        self.bytes = None if after is None or self._before is None else after - self._before


def run(name, make, n, options, work_dir):
    make_root = root_of(name, options.kind)
    tls = options.tls == "each"
    prefer(options.nice, os.getpid())
    shutil.rmtree(work_dir, ignore_errors=True)
    work_dir.mkdir(parents=True)
    cluster = Cluster(work_dir / "cluster").start()
    stop = [cluster.stop]
    prefer(options.nice, cluster.etcd.pid, cluster.apiserver.pid)
    try:
        install_peer_kinds(cluster)
        install_own_kinds(cluster)
        for backend_name, address in zip(("blue", "green"), BACKENDS):
            backend = Backend(backend_name, work_dir, address, 8080).start()
            stop.append(backend.kill)
            prefer(options.nice, backend.pid)
        context, pair = None, None
        if tls:
            make_ca(work_dir / "ca.crt", work_dir / "ca.key", "bench")
            pair = work_dir / "host.crt", work_dir / "host.key"
            make_certificate(*pair, work_dir / "ca.crt", work_dir / "ca.key", "/CN=bench", ["DNS:*.example.com"])
            context = tls_context(work_dir / "ca.crt")
        writer = Writer(cluster)
        names = [f"host-{i}" for i in range(n)]

        def objects_of(x):
            secrets = [secret(x, pair)] if tls else []
            return [service(x), endpoint_slice(x, BACKENDS[0]), *secrets, make_root(x, x, tls)]
        say(f"{name} n={n}: creating {n} hosts")
        writer.create_all([value for x in names for value in objects_of(x)])
        warm_up(writer)
        time.sleep(1)

        started = time.monotonic()
        control = make(work_dir, cluster.kubeconfig()).start()
        stop.append(control.kill)
        prefer(options.nice, control.pid)
        statuses = Statuses(writer, [make_root(x, x, tls) for x in names], started, limit=options.status_limit)
        admin_port = free_port()
        envoy = Envoy(control.bootstrap(admin_port), work_dir, admin_port)
        stop.append(envoy.kill)
        wait_until(lambda: control.running, "the control plane", 5)
        envoy.start()
        prefer(options.nice, envoy.pid)
        probe = Probe(control, context)
        for x in (names[0], names[n // 2], names[-1]):
            probe.of(x).poll(host(x), "/", lambda answer: answer.status == 200, timeout=300, interval=0.01)
        result = {"control": name, "kind": options.kind, "tls": options.tls, "n": n}
        result["start_s"] = time.monotonic() - started
        result["start_cpu_control_s"], result["start_cpu_envoy_s"] = cpu_seconds(control), cpu_seconds(envoy)
        say(f"{name} n={n}: all served after {result['start_s']:.1f} s")
        if options.status_limit and (options.kind != "ingress" or control.arguments[-1].startswith(STATUS_ADDRESS)):
            statuses.start()
            statuses.join()
            result["status_s"] = statuses.seconds
            say(f"{name} n={n}: {statuses.found} statuses" + (f" after {statuses.seconds:.1f} s" if statuses.seconds else ""))
        time.sleep(3)

        # New objects.
        times, codes = [], {}
        with Bytes(control) as sent, Cpu(control, envoy) as cpu:
            for i in range(REPEATS):
                for value in objects_of(f"new-{i}"):
                    writer.create(value)
                seconds, seen = probe.of(f"new-{i}").poll(host(f"new-{i}"), "/", lambda answer: answer.status == 200,
                                                          timeout=60, interval=0.005)
                times.append(seconds)
                for code, count in seen.items():
                    codes[code] = codes.get(code, 0) + count
        result["create_ms"] = median_ms(times)
        result["create_max_ms"] = max(times) * 1000
        result["codes"] = {str(code): count for code, count in sorted(codes.items())}
        # 0: with TLS, before the host has a certificate, there is nothing to talk to.
        result["other_codes"] = sum(count for code, count in codes.items() if code not in (404, 0))
        result["create_cpu_control_s"], result["create_cpu_envoy_s"] = (used / REPEATS for used in cpu.used)
        result["create_bytes"] = sent.bytes and sent.bytes / REPEATS

        # Endpoints that change.
        times = []
        client = probe.of(names[0])
        with Bytes(control) as sent, Cpu(control, envoy) as cpu:
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
        result["endpoint_bytes"] = sent.bytes and sent.bytes / REPEATS

        # Edits that mean nothing.
        with Bytes(control) as sent, Cpu(control, envoy) as cpu:
            for i in range(IDLE_EDITS):
                value = make_root(names[i % n], names[i % n], tls)
                writer.patch(value, {"metadata": {"annotations": {"example.com/note": f"{i}-{time.time()}"}}})
        result["idle_cpu_control_s"] = cpu.used[0]
        result["idle_bytes"] = sent.bytes

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
        ("endpoint_bytes", "xDS bytes per endpoint change", "{:.0f}"),
        ("idle_cpu_control_s", "CPU for 100 edits without effect (s)", "{:.3f}"),
        ("idle_bytes", "xDS bytes for these", "{:.0f}"),
        ("memory_mib", "resident memory (MiB)", "{:.0f}"),
        ("memory_peak_mib", "peak memory (MiB)", "{:.0f}"),
        ("envoy_memory_mib", "Envoy's memory (MiB)", "{:.0f}"),
        ("start_s", "start → probes of N routes served (s)", "{:.1f}"),
        ("start_cpu_control_s", "  control-plane CPU until then (s)", "{:.1f}"),
        ("start_cpu_envoy_s", "  Envoy CPU until then (s)", "{:.1f}"),
        ("status_s", "start → all N statuses right (s)", "{:.1f}"))


def least(results):
    """Of several rounds of one run: the least of each figure, and of codes that shouldn't be the most."""
    merged = dict(results[0])
    for key, _, _ in ROWS:
        values = [result[key] for result in results if result.get(key) is not None]
        merged[key] = (max if key == "other_codes" else min)(values) if values else None
    return merged


def table(results):
    """A table for each size: a column for each control plane, and the ratio of Contour 1.33's figure to ours."""
    for n in sorted({result["n"] for result in results}):
        names = list(dict.fromkeys(result["control"] for result in results if result["n"] == n))
        of = {name: least([result for result in results if result["n"] == n and result["control"] == name]) for name in names}
        ratios = [name for name in names if name != "peer"] if "peer" in names else []
        print(f"\nn = {n}".ljust(45) + "".join(f"{name:>12}" for name in names)
              + "".join(f"{'peer/' + name:>14}" for name in ratios))
        for key, text, form in ROWS:
            line = f"{text:44}"
            for name in names:
                line += f"{'–' if of[name].get(key) is None else form.format(of[name][key]):>12}"
            for name in ratios:
                ours, peer = of[name].get(key), of["peer"].get(key)
                line += f"{f'{peer / ours:.1f}' if ours and peer else '–':>14}"
            print(line)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench scale")
    parser.add_argument("--n", default="1000", help="sizes, separated by commas")
    parser.add_argument("--kind", choices=KINDS, default="ingress")
    parser.add_argument("--tls", choices=("none", "each"), default="none", help="each: every host has a Secret of its own")
    parser.add_argument("--delivery", default="classic,sharded", help="delivery modes to measure, separated by commas")
    parser.add_argument("--peer", type=pathlib.Path, help="Contour 1.33, to measure beside ours")
    parser.add_argument("--skip-ours", action="store_true", help="measure the peer only")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--nice", type=int, default=0, help="for all that takes part, below 0 as root, on a busy machine")
    parser.add_argument("--status-limit", type=float, default=120, help="seconds to wait for the statuses; 0: don't")
    options = parser.parse_args()
    netns.enter()
    work_dir = ROOT / "build/log/scale"
    results = []
    for n in map(int, options.n.split(",")):
        for _ in range(options.rounds):
            for delivery in [] if options.skip_ours else options.delivery.split(","):
                def make_ours(folder, kubeconfig, delivery=delivery):
                    return Contour(folder, "--kubeconfig", kubeconfig, "--delivery", delivery,
                                   *address_flags(contour_binary(), options.kind))
                results.append(run(delivery, make_ours, n, options, work_dir))
            if options.peer:
                peer = options.peer.resolve()

                def make_peer(folder, kubeconfig):
                    return Peer(peer, folder, kubeconfig, *address_flags(peer, options.kind))
                results.append(run("peer", make_peer, n, options, work_dir))
    table(results)


if __name__ == "__main__":
    main()
