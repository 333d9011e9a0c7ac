# SPDX-License-Identifier: Apache-2.0
"""Measures what many Envoys cost the control plane: simulated Envoys (bench/envoys.cc) on one contour that reads manifests.

For each delivery mode:
  N hosts, each with a Service, its endpoints and an Ingress; contour starts; one Envoy connects, then all at once; then contour
  is started again and all come back at once; then files change at an even pace, and each change is timed from the rename of its
  file until the first and until the last Envoy has it. Meanwhile CPU and memory of contour are read.

Prints one JSON line for the cost of the connections, and one for each kind of change. Every loop is bounded and ends by itself.

With --peer Contour 1.33 is measured in the same run. It reads the same hosts from a real API server, and its
Envoys open a stream for each type, in state of the world, since that is what it serves; file changes are not for it.

usage: fleet.py [--n 10000] [--envoys 200] [--delivery classic,sharded] [--change endpoints:20:10,routes:2:10] [--peer PATH]
  --change KIND:PER_SECOND:SECONDS, several separated by commas; KIND endpoints or routes; empty: none
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "bench"))

from harness import netns  # noqa: E402
from harness.cluster import Cluster  # noqa: E402
from harness.contour import Contour  # noqa: E402
from harness.process import port_is_open, wait_until  # noqa: E402
from scale import (Peer, Writer, cpu_seconds, endpoint_slice, ingress, install_own_kinds, install_peer_kinds,  # noqa: E402
                   memory_mib, prefer, say, service, warm_up)

SERVICE = """apiVersion: v1
kind: Service
metadata: {{name: host-{i}, namespace: default}}
spec: {{ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
"""
ENDPOINTS = """apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: host-{i}-1, namespace: default, labels: {{kubernetes.io/service-name: host-{i}}}}}
addressType: IPv4
ports: [{{name: http, port: 8080, protocol: TCP}}]
endpoints: [{{addresses: [{marker}], conditions: {{ready: true}}}}]
"""
INGRESS = """apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: host-{i}, namespace: default}}
spec:
  rules:
  - host: host-{i}.example.com
    http:
      paths:
      - {{path: /, pathType: Prefix, backend: {{service: {{name: host-{i}, port: {{name: http}}}}}}}}
      - {{path: {marker}, pathType: Prefix, backend: {{service: {{name: host-{i}, port: {{name: http}}}}}}}}
"""


def write_manifests(folder, n):
    """Files of one object each for what will change, and a pattern of each beside them."""
    patterns = folder.parent / "patterns"
    folder.mkdir(parents=True)
    patterns.mkdir()
    (folder / "services.yaml").write_text("".join(SERVICE.format(i=i) for i in range(n)), encoding="ascii")
    for i in range(n):
        for stem, text, first in (("endpoints", ENDPOINTS, "10.244.9.1"), ("root", INGRESS, "/blog")):
            (folder / f"{stem}-{i}.yaml").write_text(text.format(i=i, marker=first), encoding="ascii")
            (patterns / f"{stem}-{i}").write_text(text.format(i=i, marker="{marker}"), encoding="ascii")


class Simulated:
    """The simulated Envoys."""

    def __init__(self, program, control, envoys, n, *arguments):
        per_type = ["--per-type"] if isinstance(control, Peer) else []
        self._process = subprocess.Popen(
            [program, *per_type, str(control.xds_port), str(envoys), str(n), *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self._process.communicate("\n\n\n", timeout=30)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self._process.kill()
            self._process.wait()

    def wait_for(self, reached):
        for line in self._process.stderr:
            if line.rstrip() == reached:
                return
            say(line.rstrip())
        raise RuntimeError(f"the simulated Envoys ended before they said: {reached}")

    def go_on(self):
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def result(self):
        return json.loads(self._process.stdout.readline())


def forget_peak(contour):
    """From here on VmHWM is the peak since now."""
    pathlib.Path(f"/proc/{contour.pid}/clear_refs").write_text("5", encoding="ascii")


def settled_mib(contour):
    time.sleep(20)  # what was freed is given back by then
    return memory_mib(contour, "VmRSS")


class Watched:
    """CPU and memory of a control plane while its Envoys connect."""

    def __init__(self, control):
        forget_peak(control)
        self._control, self._cpu = control, cpu_seconds(control)

    def figures(self, envoys):
        """Returns what was used since the start, and the memory once it has settled."""
        cpu, peak = cpu_seconds(self._control) - self._cpu, memory_mib(self._control, "VmHWM")
        rest = settled_mib(self._control)
        return {"cpu_ms_per_envoy": cpu * 1000 / envoys, "memory_peak_mib": peak, "memory_rest_mib": rest,
                "peak_to_rest": peak / rest}


def start_ours(work_dir, delivery, nice, xds_port=None):
    flags = ["--manifests", work_dir / "manifests", "--delivery", delivery]
    started = time.monotonic()
    contour = Contour(work_dir, *flags, xds_port=xds_port).start()
    prefer(nice, contour.pid)
    contour.wait_ready(timeout=300)
    return contour, time.monotonic() - started


def start_peer(program, work_dir, kubeconfig, nice, xds_port=None):
    peer = Peer(program, work_dir, kubeconfig, xds_port=xds_port)
    started = time.monotonic()
    peer.start()
    prefer(nice, peer.pid)
    wait_until(lambda: port_is_open("127.0.0.1", peer.xds_port), "the port of the peer's xDS", 900, interval=0.2)
    return peer, time.monotonic() - started


def connections(control, start, n, envoys, program):
    """All connect, and connect again to another process, which is returned with the figures. `start`(xDS port) makes it."""
    alone = settled_mib(control)
    with Simulated(program, control, envoys, n, "restart") as simulated:
        simulated.wait_for("one is complete")
        with_one = settled_mib(control)
        watched = Watched(control)
        simulated.go_on()
        simulated.wait_for("all are complete")
        used = watched.figures(envoys - 1)
        simulated.go_on()
        used["kib_per_envoy"] = (used["memory_rest_mib"] - alone) * 1024 / envoys
        figures = {"memory_alone_mib": alone, "memory_with_one_mib": with_one, "connect": {**simulated.result(), **used}}
        simulated.wait_for("ready to reconnect")
        control.stop()
        control, _ = start(control.xds_port)
        figures["memory_after_restart_mib"] = settled_mib(control)
        watched = Watched(control)
        simulated.go_on()
        simulated.wait_for("reconnected")
        figures["reconnect"] = {**simulated.result(), **watched.figures(envoys)}
    return control, figures


def changes_of(contour, change, n, envoys, program, work_dir):
    kind, per_second, seconds = change
    with Simulated(program, contour, envoys, n, work_dir / "manifests", kind, per_second, seconds) as simulated:
        simulated.wait_for("one is complete")
        simulated.go_on()
        simulated.wait_for("all are complete")
        memory, quiet = settled_mib(contour), cpu_seconds(contour)
        simulated.go_on()
        seen = simulated.result()
        count = per_second * seconds
        return {
            "change": kind, "per_second": per_second, "seconds": seconds, **seen,
            "memory_connected_mib": memory, "memory_after_mib": memory_mib(contour, "VmRSS"),
            "cpu_ms_per_change": (cpu_seconds(contour) - quiet) * 1000 / count,
            "cpu_us_per_change_and_envoy": (cpu_seconds(contour) - quiet) * 1e6 / count / envoys,
            "bytes_per_change_and_envoy": seen["bytes"] / count / envoys,
        }


def run(delivery, n, envoys, changes, program, work_dir, nice):
    prefer(nice, os.getpid())
    shutil.rmtree(work_dir, ignore_errors=True)
    write_manifests(work_dir / "manifests", n)
    contour, ready = start_ours(work_dir, delivery, nice)
    base = {"delivery": delivery, "n": n, "envoys": envoys}
    try:
        contour, figures = connections(contour, lambda port: start_ours(work_dir, delivery, nice, port), n, envoys, program)
        print(json.dumps({**base, "ready_s": ready, **figures}), flush=True)
        for change in changes:
            print(json.dumps({**base, **changes_of(contour, change, n, envoys, program, work_dir)}), flush=True)
    finally:
        contour.kill()


def run_peer(path, n, envoys, program, work_dir, nice):
    shutil.rmtree(work_dir, ignore_errors=True)
    work_dir.mkdir(parents=True)
    cluster = Cluster(work_dir / "cluster").start()
    peer = None
    try:
        install_peer_kinds(cluster)
        install_own_kinds(cluster)
        writer = Writer(cluster)
        for make in (service, lambda name: endpoint_slice(name, "10.244.9.1"), lambda name: ingress(name, name, False)):
            writer.create_all([make(f"host-{i}") for i in range(n)])
        warm_up(writer)
        say(f"peer: created {n} hosts")
        peer, ready = start_peer(path, work_dir, cluster.kubeconfig(), nice)
        peer, figures = connections(
            peer, lambda port: start_peer(path, work_dir, cluster.kubeconfig(), nice, port), n, envoys, program)
        print(json.dumps({"delivery": "peer", "n": n, "envoys": envoys, "ready_s": ready, **figures}), flush=True)
    finally:
        if peer is not None:
            peer.kill()
        cluster.stop()


def change(text):
    kind, per_second, seconds = text.split(":")
    if kind not in ("endpoints", "routes"):
        raise argparse.ArgumentTypeError(f"{text}: endpoints or routes")
    return kind, float(per_second), float(seconds)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench fleet")
    parser.add_argument("--n", type=int, default=10000)
    parser.add_argument("--envoys", type=int, default=200)
    parser.add_argument("--delivery", default="classic,sharded")
    parser.add_argument("--change", default="endpoints:20:10,routes:2:10")
    parser.add_argument("--nice", type=int, default=0, help="for all that takes part, below 0 as root, on a busy machine")
    parser.add_argument("--peer", type=pathlib.Path, help="Contour 1.33, to measure beside ours")
    options = parser.parse_args()
    changes = [change(text) for text in options.change.split(",") if text]
    program = pathlib.Path(os.environ["CONTOUR_BINARY"]).parent.parent / "bench/envoys"
    netns.enter()
    for delivery in filter(None, options.delivery.split(",")):
        run(delivery, options.n, options.envoys, changes, program, ROOT / "build/log/fleet", options.nice)
    if options.peer:
        run_peer(options.peer.resolve(), options.n, options.envoys, program, ROOT / "build/log/fleet", options.nice)


if __name__ == "__main__":
    main()
