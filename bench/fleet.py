# SPDX-License-Identifier: Apache-2.0
"""What a fleet costs the control plane: many simulated Envoys (bench/envoys.cc) on one contour that reads manifests.

For each shape of delivery:
  N hosts, each with a Service, its endpoints and an Ingress; contour starts; the Envoys connect;
  then files change at an even pace, and each change is timed from the rename of its file until the first and until the last
  Envoy has it; meanwhile CPU and memory of contour are read.

Prints one JSON line a run. Every loop is bounded and ends by itself.

usage: fleet.py [--n 10000] [--envoys 200] [--delivery classic,sharded] [--change endpoints:20:10,routes:2:10]
  --change KIND:PER_SECOND:SECONDS, several separated by commas; KIND endpoints or routes
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
from harness.contour import Contour  # noqa: E402
from scale import cpu_seconds, memory_mib, prefer, say  # noqa: E402

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


def run(delivery, n, envoys, changes, program, work_dir, nice):
    prefer(nice, os.getpid())
    shutil.rmtree(work_dir, ignore_errors=True)
    folder = work_dir / "manifests"
    write_manifests(folder, n)
    started = time.monotonic()
    contour = Contour(work_dir, "--manifests", folder, "--delivery", delivery).start()
    prefer(nice, contour.pid)
    try:
        contour.wait_ready(timeout=300)
        base = {"delivery": delivery, "n": n, "envoys": envoys, "ready_s": time.monotonic() - started,
                "memory_alone_mib": memory_mib(contour, "VmRSS")}
        for kind, per_second, seconds in changes:
            cpu = cpu_seconds(contour)
            simulated = subprocess.Popen(
                [program, str(contour.xds_port), str(envoys), str(n), folder, kind, str(per_second), str(seconds)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            try:
                for line in simulated.stderr:
                    if line == "ready\n":
                        break
                    say(line.rstrip())
                connected = cpu_seconds(contour)
                time.sleep(20)  # what was freed is given back by then
                memory, quiet = memory_mib(contour, "VmRSS"), cpu_seconds(contour)
                simulated.stdin.write("\n")
                simulated.stdin.flush()
                seen = json.loads(simulated.stdout.readline())
                count = per_second * seconds
                result = {
                    **base, "change": kind, "per_second": per_second, "seconds": seconds, **seen,
                    "connect_cpu_s_per_envoy": (connected - cpu) / envoys,
                    "memory_connected_mib": memory, "memory_after_mib": memory_mib(contour, "VmRSS"),
                    "memory_peak_mib": memory_mib(contour, "VmHWM"), "memory_kib_per_envoy": (memory - base["memory_alone_mib"]) * 1024 / envoys,
                    "cpu_ms_per_change": (cpu_seconds(contour) - quiet) * 1000 / count,
                    "cpu_us_per_change_and_envoy": (cpu_seconds(contour) - quiet) * 1e6 / count / envoys,
                    "bytes_per_change_and_envoy": seen["bytes"] / count / envoys,
                }
                print(json.dumps(result), flush=True)
            finally:
                try:
                    simulated.communicate("\n", timeout=20)
                except (subprocess.TimeoutExpired, BrokenPipeError):
                    simulated.kill()
                    simulated.wait()
    finally:
        contour.kill()


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
    options = parser.parse_args()
    changes = [change(text) for text in options.change.split(",")]
    program = pathlib.Path(os.environ["CONTOUR_BINARY"]).parent.parent / "bench/envoys"
    netns.enter()
    for delivery in options.delivery.split(","):
        run(delivery, options.n, options.envoys, changes, program, ROOT / "build/log/fleet", options.nice)


if __name__ == "__main__":
    main()
