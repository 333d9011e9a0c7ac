# SPDX-License-Identifier: Apache-2.0
"""A long run of mixed random change with random faults: real kube-apiserver, a real Envoy with hosts under steady load that
nobody edits, and other Envoys, in every xDS mode, that come and go.

What must hold: no request to those hosts fails; resident memory is flat; at the end, what is served equals what a fresh
process serves for the same objects, name by name and version by version.

  changes, some four a second: routes and Services come, go and are edited, endpoints move, certificates are renewed, bad
  objects appear, statuses are overwritten by somebody else, annotations that nobody reads change
  faults, every 45 s or so: contour killed, stopped or frozen, the API server unreachable or silent, another Envoy
  coming and dying, a Secret turned to garbage; in the last half of the run no restarts of contour, so that its memory
  can be judged

Prints a line every minute, then a JSON summary; writes the samples and, with --plot, a picture (SVG).

usage: soak.py [--minutes 45] [--hosts 5000] [--seed 1] [--samples FILE] [--plot FILE]
Exits with 1 if one of the three doesn't hold.
"""
import argparse
import base64
import collections
import http.client
import json
import pathlib
import random
import shutil
import signal
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "tests/e2e"))
sys.path.insert(0, str(ROOT / "bench"))

import grpc  # noqa: E402
from harness import netns  # noqa: E402
from harness.backend import Backend  # noqa: E402
from harness.client import Client, SteadyLoad  # noqa: E402
from harness.cluster import ApiError, Cluster, make_ca, make_certificate  # noqa: E402
from harness.contour import Contour  # noqa: E402
from harness.envoy import Envoy  # noqa: E402
from harness.process import free_port, wait_until  # noqa: E402
from kube_support import Forwarder, apply_deployment  # noqa: E402
from scale import Writer, endpoint_slice, host, ingress, ingress_route, service  # noqa: E402

SERVICES = 250
ADDRESSES = [f"10.244.9.{number}" for number in range(1, 9)]
STEADY = ("steady-0", "steady-1", "steady-2")
SAMPLE_SECONDS = 5
CHANGE_SECONDS = 0.25
TYPES = ("cluster.v3.Cluster", "endpoint.v3.ClusterLoadAssignment", "listener.v3.Listener", "route.v3.RouteConfiguration")


class Soak:
    def __init__(self, work_dir, hosts, seed):
        self.work_dir, self.hosts = work_dir, hosts
        self.random = random.Random(seed)
        self.counts = collections.Counter()
        self.samples = []
        self.started = time.monotonic()
        self.number = 0  # of other Envoys

    # ---- The world --------------------------------------------------------------------------------------------------

    def start(self):
        self.backend = Backend("soak", self.work_dir, "0.0.0.0", 8080).start()
        self.cluster = Cluster(self.work_dir / "cluster").start()
        apply_deployment(self.cluster.api())
        self.writer = Writer(self.cluster)
        self.certificates()
        self.writer.create_all(value for number in range(SERVICES)
                               for value in (service(f"s{number}"), endpoint_slice(f"s{number}", self.random.choice(ADDRESSES))))
        for name in STEADY:
            self.writer.create_all([service(name), endpoint_slice(name, ADDRESSES[0]), ingress_route(name, name, False)])
        self.present = {}
        roots = []
        for number in range(self.hosts):
            kind = ingress if number % 2 else ingress_route
            roots.append(self.root(f"h{number}", kind, secure=number % 100 == 0))
            self.present[f"h{number}"] = roots[-1]
        self.writer.create_all(roots)
        self.next_host = self.hosts
        self.way = Forwarder((self.cluster.address, self.cluster.port)).start()
        self.kubeconfig = self.cluster.kubeconfig(path=self.work_dir / "kubeconfig",
                                                  server=f"https://127.0.0.1:{self.way.port}")
        self.contour = Contour(self.work_dir, "--kubeconfig", self.kubeconfig).start().wait_ready(120)
        port = free_port()
        self.envoy = Envoy(self.contour.bootstrap(port), self.work_dir, port).start().wait_live(120)
        client = Client("127.0.0.1", self.contour.ingress_http_port)
        for name in STEADY:
            client.poll(host(name), "/", lambda answer: answer.status == 200, timeout=120)

    def stop(self):
        for process in (self.envoy, self.contour, self.backend):
            process.kill()
        self.way.stop()
        self.cluster.stop()

    def certificates(self):
        ca, key = self.work_dir / "ca.crt", self.work_dir / "ca.key"
        make_ca(ca, key, "soak")
        self.pairs = []
        for number in range(4):
            paths = self.work_dir / f"{number}.crt", self.work_dir / f"{number}.key"
            make_certificate(*paths, ca, key, "/CN=soak", ["DNS:*.example.com"])
            self.pairs.append(tuple(base64.b64encode(path.read_bytes()).decode() for path in paths))
        self.writer.create(self.secret(self.pairs[0]))

    @staticmethod
    def secret(pair):
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pair", "namespace": "default"},
                "type": "kubernetes.io/tls", "data": {"tls.crt": pair[0], "tls.key": pair[1]}}

    def root(self, name, kind, secure=False):
        value = kind(name, f"s{self.random.randrange(SERVICES)}", False)
        if secure:
            if kind is ingress:
                value["spec"]["tls"] = [{"hosts": [host(name)], "secretName": "pair"}]
            else:
                value["spec"]["virtualhost"]["tls"] = {"secretName": "pair"}
        return value

    # ---- Changes ----------------------------------------------------------------------------------------------------

    def change(self):
        name = self.random.choice(list(self.present))
        value = self.present[name]
        what = self.random.choices(("add", "remove", "edit", "endpoints", "renew", "bad", "tamper", "idle", "service"),
                                   (10, 10, 30, 30, 2, 3, 5, 10, 5))[0]
        if what == "add":
            new = f"h{self.next_host}"
            self.next_host += 1
            self.present[new] = self.root(new, self.random.choice((ingress, ingress_route)))
            self.writer.create(self.present[new])
        elif what == "remove" and len(self.present) > self.hosts * 0.95:
            self.writer.delete(value)
            del self.present[name]
        elif what == "edit":
            target = f"s{self.random.randrange(SERVICES)}"
            if value["kind"] == "Ingress":
                patch = {"spec": {"rules": ingress(name, target, False)["spec"]["rules"]}}
            else:
                patch = {"spec": {"routes": ingress_route(name, target, False)["spec"]["routes"]}}
            self.writer.patch(value, patch)
        elif what == "endpoints":
            count = self.random.choice((1, 1, 2, 3))
            self.writer.patch(endpoint_slice(f"s{self.random.randrange(SERVICES)}", ""), {"endpoints": [
                {"addresses": [address], "conditions": {"ready": True}}
                for address in self.random.sample(ADDRESSES, count)]})
        elif what == "renew":
            self.writer.patch(self.secret(("", "")), {"data": self.secret(self.random.choice(self.pairs))["data"]})
        elif what == "bad" and value["kind"] == "IngressRoute":
            self.writer.patch(value, {"spec": {"routes": [{"match": "/", "services": [{"name": "none", "port": 1}]}]}})
        elif what == "tamper" and value["kind"] == "IngressRoute":
            self.writer.send("PATCH", self.cluster.api().path(value) + "/status",
                             {"status": {"currentStatus": "odd", "description": str(self.random.random())}},
                             "application/merge-patch+json")
        elif what == "idle":
            self.writer.patch(value, {"metadata": {"annotations": {"example.com/note": str(self.random.random())}}})
        elif what == "service":
            self.writer.patch(service(f"s{self.random.randrange(SERVICES)}"), {"metadata": {"annotations": {
                "contour.heptio.com/max-requests": str(self.random.randrange(1000, 2000))}}})
        self.counts[f"change {what}"] += 1

    # ---- Faults -----------------------------------------------------------------------------------------------------

    def fault(self, restarts):
        kinds = ["unreachable", "silent", "garbage", "other-envoy"]
        if restarts:
            kinds += ["kill", "stop", "freeze"] * 2
        what = self.random.choice(kinds)
        self.counts[f"fault {what}"] += 1
        if what in ("kill", "stop"):
            if what == "kill":
                self.contour.kill()
            elif self.contour.stop() != 0:
                raise AssertionError("contour stopped with an error")
            time.sleep(self.random.uniform(0, 3))
            self.contour.start().wait_ready(120)
        elif what == "freeze":
            self.contour.signal(signal.SIGSTOP)
            time.sleep(self.random.uniform(1, 8))
            self.contour.signal(signal.SIGCONT)
        elif what == "unreachable":
            port = self.way.port
            self.way.stop()
            time.sleep(self.random.uniform(1, 15))
            self.way = Forwarder((self.cluster.address, self.cluster.port), port=port).start()
        elif what == "silent":
            self.way.stall()
        elif what == "garbage":
            self.writer.patch(self.secret(("", "")), {"data": {"tls.crt": "Z2FyYmFnZQ==", "tls.key": "Z2FyYmFnZQ=="}})
            time.sleep(2)
            self.writer.patch(self.secret(("", "")), {"data": self.secret(self.pairs[0])["data"]})
        elif what == "other-envoy":
            other = self.other_envoy()
            time.sleep(self.random.uniform(0, 2))
            other.kill()

    def other_envoy(self):
        """An Envoy that comes and goes, in another mode, on ports that it can't have: it takes everything but traffic."""
        self.number += 1
        port = free_port()
        mode = self.random.choice(("delta-ads", "sotw-ads", "delta", "sotw"))
        return Envoy(self.contour.bootstrap(port, mode), self.work_dir, port, name=f"other-{self.number}",
                     arguments=["--base-id", str(10 + self.number % 20)]).start()

    # ---- Measuring --------------------------------------------------------------------------------------------------

    def sample(self, load):
        self.samples.append({
            "seconds": round(time.monotonic() - self.started, 1),
            "contour_mib": self.contour.resident_kib() / 1024 if self.contour.running else None,
            "envoy_mib": self.envoy.resident_kib() / 1024,
            "requests": load.total, "failed": load.total - load.statuses[200], "hosts": len(self.present),
        })

    def run(self, minutes):
        end = self.started + minutes * 60
        half = self.started + minutes * 30
        next_sample = next_fault = next_line = 0.0
        loads = [SteadyLoad("127.0.0.1", self.contour.ingress_http_port, host(name), per_second=30, connections=2) for name in STEADY]
        for load in loads:
            load.__enter__()
        whole = _Sum(loads)
        try:
            while (now := time.monotonic()) < end:
                try:
                    self.change()
                except (RuntimeError, OSError, http.client.HTTPException, ApiError) as error:
                    self.counts["writes that the API server refused"] += 1
                    print(f"refused: {str(error)[:200]}", flush=True)
                if now > next_sample:
                    self.sample(whole)
                    next_sample = now + SAMPLE_SECONDS
                if now > next_line:
                    print(json.dumps(self.samples[-1]), flush=True)
                    next_line = now + 60
                if now > next_fault:
                    if next_fault:
                        self.fault(now < half)
                    next_fault = time.monotonic() + self.random.uniform(20, 70)
                time.sleep(CHANGE_SECONDS)
        finally:
            for load in loads:
                load.__exit__()
        self.errors = [error for load in loads for error in load.errors][:5]
        self.statuses = sum((load.statuses for load in loads), collections.Counter())
        self.total = whole.total

    def differences(self):
        """Between what is served and what a fresh process serves, once nothing moves any more."""
        wait_until(lambda: self.contour.metric("contour_status_waiting") == 0, "statuses", 120)
        fresh = Contour(self.work_dir, "--kubeconfig", self.cluster.kubeconfig(), name="fresh",
                        ingress_http_port=self.contour.ingress_http_port,
                        ingress_https_port=self.contour.ingress_https_port, stats_port=self.contour.stats_port)
        fresh.start().wait_ready(120)
        try:
            def different():
                found = {}
                for name in TYPES:
                    ours, theirs = (set(resources(one, name).items()) for one in (self.contour, fresh))
                    if ours != theirs:
                        found[name] = {"only here": sorted(ours - theirs)[:5], "only fresh": sorted(theirs - ours)[:5],
                                       "number": len(ours ^ theirs)}
                return found
            end = time.monotonic() + 200  # a silent watch is given up after 150 s
            while (found := different()) and time.monotonic() < end:
                time.sleep(2)
            return found
        finally:
            fresh.kill()


class _Sum:
    def __init__(self, loads):
        self._loads = loads

    @property
    def total(self):
        return sum(load.total for load in self._loads)

    @property
    def statuses(self):
        return sum((load.statuses for load in self._loads), collections.Counter())


def resources(contour, name):
    """Versions by name, as a new Envoy would get them."""
    from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
    url = f"type.googleapis.com/envoy.config.{name}"
    with grpc.insecure_channel(f"127.0.0.1:{contour.xds_port}", options=[("grpc.max_receive_message_length", -1)]) as channel:
        request = discovery_pb2.DeltaDiscoveryRequest(type_url=url)
        request.node.id = "comparison"
        request.resource_names_subscribe.append("*")
        hold = []

        def requests():
            yield request
            while not hold:
                time.sleep(0.05)
        stream = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel).DeltaAggregatedResources(requests(), timeout=60)
        response = next(stream)
        hold.append(True)
        stream.cancel()
        return {resource.name: resource.version for resource in response.resources}


def plot(samples, counts, path):
    """Memory and errors over time, as SVG."""
    width, height, left, top = 900, 420, 60, 30
    last = max(sample["seconds"] for sample in samples)
    highest = max(max(sample["envoy_mib"], sample["contour_mib"] or 0) for sample in samples) * 1.1
    most = max(1, max(sample["failed"] for sample in samples))

    def line(key, scale, colour):
        pieces, piece = [], []
        for sample in samples:
            if sample[key] is None:
                pieces, piece = [*pieces, piece], []
                continue
            x = left + sample["seconds"] / last * (width - left - 20)
            y = top + (height - top - 50) * (1 - sample[key] / scale)
            piece.append(f"{x:.1f},{y:.1f}")
        return "".join(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{" ".join(points)}"/>'
                       for points in [*pieces, piece] if points)
    text = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
            f'<rect width="{width}" height="{height}" fill="white"/>']
    for step in range(6):
        y = top + (height - top - 50) * (1 - step / 5)
        text.append(f'<line x1="{left}" y1="{y:.0f}" x2="{width - 20}" y2="{y:.0f}" stroke="#ddd"/>'
                    f'<text x="{left - 8}" y="{y + 4:.0f}" text-anchor="end">{highest * step / 5:.0f}</text>')
    for step in range(10):
        x = left + step / 9 * (width - left - 20)
        text.append(f'<text x="{x:.0f}" y="{height - 32}" text-anchor="middle">{last / 60 * step / 9:.0f} min</text>')
    text += [line("contour_mib", highest, "#0366d6"), line("envoy_mib", highest, "#28a745"), line("failed", most, "#d73a49")]
    text.append(f'<text x="{left}" y="18"><tspan fill="#0366d6">contour, MiB resident</tspan>   <tspan fill="#28a745" dx="20">'
                f'Envoy, MiB resident</tspan><tspan fill="#d73a49" dx="20">failed requests (scale 0 to {most})</tspan></text>')
    changes = sum(value for key, value in counts.items() if key.startswith("change"))
    faults = sum(value for key, value in counts.items() if key.startswith("fault"))
    text.append(f'<text x="{left}" y="{height - 10}">{samples[-1]["hosts"]} hosts, {changes} changes, {faults} faults, '
                f'{samples[-1]["requests"]} requests, {samples[-1]["failed"]} failed</text></svg>')
    pathlib.Path(path).write_text("\n".join(text) + "\n", encoding="utf-8")


def flat(samples):
    """Whether the memory of the last quarter is that of the quarter before, in which contour wasn't restarted either."""
    known = [sample["contour_mib"] for sample in samples if sample["contour_mib"]]
    quarter = len(known) // 4
    before, after = known[-2 * quarter:-quarter], known[-quarter:]
    return sum(after) / len(after) / (sum(before) / len(before))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--hosts", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--samples")
    parser.add_argument("--plot")
    parser.add_argument("--work-dir", default=str(ROOT / "build/soak"))
    options = parser.parse_args()
    netns.enter()
    work_dir = pathlib.Path(options.work_dir)
    shutil.rmtree(work_dir, ignore_errors=True)
    work_dir.mkdir(parents=True)
    soak = Soak(work_dir, options.hosts, options.seed)
    soak.start()
    try:
        soak.run(options.minutes)
        different = soak.differences()
        rejected = soak.envoy.rejections()
    finally:
        soak.stop()
    growth = flat(soak.samples)
    summary = {"minutes": options.minutes, "seed": options.seed, "requests": soak.total, "statuses": dict(soak.statuses),
               "broken connections": len(soak.errors), "memory, last quarter to the one before": round(growth, 3),
               "types that differ from a fresh process": different, "refused by Envoy": rejected, **dict(soak.counts)}
    print(json.dumps(summary, indent=1))
    if options.samples:
        pathlib.Path(options.samples).write_text("".join(json.dumps(sample) + "\n" for sample in soak.samples), encoding="utf-8")
    if options.plot:
        plot(soak.samples, soak.counts, options.plot)
    good = set(soak.statuses) == {200} and not soak.errors and not different and growth < 1.05
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
