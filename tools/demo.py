#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo: contour on a scratch copy of examples/quickstart, a real Envoy, two echo backends, all on loopback.

Prints what to try with curl and runs until Ctrl-C. With --check it makes these requests itself and exits 0 only if each
answer is right. `./dev demo` builds what is needed and calls this.
"""
import argparse
import collections
import pathlib
import shutil
import signal
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from harness import manifests  # noqa: E402
from harness.backend import Backend  # noqa: E402
from harness.client import Client  # noqa: E402
from harness.contour import Contour  # noqa: E402
from harness.envoy import Envoy  # noqa: E402
from harness.process import free_port, port_is_open  # noqa: E402

SPLIT_REQUESTS = 300


def preferred_port(port):
    """This port if it is free, else any: a demo reads better with the same numbers every time."""
    return port if not port_is_open("127.0.0.1", port) else free_port()


class Demo:
    def __init__(self, scratch):
        self.scratch = scratch
        self.manifests = scratch / "manifests"
        self.statuses = scratch / "status"
        self.started = []

    def start(self):
        shutil.copytree(ROOT / "examples/quickstart", self.manifests)
        self.statuses.mkdir()
        text = (self.manifests / "backends.yaml").read_text(encoding="utf-8")
        for name, written in (("blue", 9101), ("green", 9102)):
            port = preferred_port(written)
            text = text.replace(f"ort: {written}", f"ort: {port}")
            print(f"demo: backend {name} on 127.0.0.1:{port}", flush=True)
            self._keep(Backend(name, self.scratch, "127.0.0.1", port))
        (self.manifests / "backends.yaml").write_text(text, encoding="utf-8")

        print("demo: contour", flush=True)
        contour = self._keep(Contour(
            self.scratch, "--manifests", self.manifests, "--status-dir", self.statuses,
            xds_port=preferred_port(8001), http_port=preferred_port(8000), stats_port=preferred_port(8002),
            ingress_http_port=preferred_port(8080), ingress_https_port=preferred_port(8443)))
        contour.wait_ready()
        print("demo: Envoy", flush=True)
        admin_port = preferred_port(9001)
        envoy = self._keep(Envoy(contour.bootstrap(admin_port), self.scratch, admin_port))
        envoy.wait_live()
        self.contour, self.envoy = contour, envoy
        envoy.wait(lambda: port_is_open("127.0.0.1", contour.ingress_http_port), "its HTTP listener", 10)

    def _keep(self, process):
        self.started.append(process)
        return process.start()

    def stop(self):
        """Envoy and contour are asked, the backends are ended. Returns contour's exit code."""
        code = None
        for process in reversed(self.started):
            if process.running and isinstance(process, (Contour, Envoy)):
                result = process.stop()
                code = result if isinstance(process, Contour) else code
            process.kill()
        return code

    def explain(self):
        url = f"http://127.0.0.1:{self.contour.ingress_http_port}"
        route = self.manifests / "route.yaml"
        print(f"""
It runs. Envoy answers on {url}; in another terminal try:

  A route: the Ingress in route.yaml sends www.example.com to the backend `blue`.
    curl -s -H 'Host: www.example.com' {url}/

  A weighted split: of ten requests nine reach `blue`, one `green` (the IngressRoute in split.yaml).
    for i in $(seq 20); do curl -s -o /dev/null -D - -H 'Host: split.example.com' {url}/ | grep x-backend; done

  A path of its own, and one that is rewritten on the way (the backend sees /hello).
    curl -s -H 'Host: split.example.com' {url}/green
    curl -s -H 'Host: split.example.com' {url}/api/hello

  A change while it runs: the next request is answered by `green`.
    sed -i 's/name: blue/name: green/' {route}
    curl -s -H 'Host: www.example.com' {url}/

  What became of the objects, contour's own view, and Envoy's:
    head {self.statuses}/*/*/*.yaml
    curl -s http://127.0.0.1:{self.contour.http_port}/metrics
    curl -s http://127.0.0.1:{self.envoy.admin_port}/config_dump

The manifests are a scratch copy in {self.manifests}, the logs are beside it.
Ctrl-C stops it.""", flush=True)

    def check(self):
        """Tries everything that explain() says. Raises AssertionError for the first wrong answer."""
        client = Client("127.0.0.1", self.contour.ingress_http_port)

        def step(text):
            print(f"demo: ok: {text}", flush=True)

        client.poll("www.example.com", "/", lambda answer: answer.status == 200)
        answer = client.get("www.example.com", "/hello")
        assert (answer.status, answer.backend) == (200, "blue"), f"www.example.com: {answer}"
        assert answer.json["path"] == "/hello" and answer.json["host"] == "www.example.com", f"{answer.json}"
        step("www.example.com is answered by blue")

        answer = client.get("nobody.example.com", "/")
        assert answer.status == 404, f"an unknown host: {answer}"
        step("an unknown host is answered 404")

        client.poll("split.example.com", "/", lambda answer: answer.status == 200)
        shares = collections.Counter(client.get("split.example.com", "/").backend for _ in range(SPLIT_REQUESTS))
        share = shares["green"] / SPLIT_REQUESTS
        assert 0.02 < share < 0.25 and set(shares) == {"blue", "green"}, f"split 90:10 gave {dict(shares)}"
        step(f"split.example.com: {shares['blue']} requests to blue, {shares['green']} to green")

        assert client.get("split.example.com", "/green").backend == "green"
        answer = client.get("split.example.com", "/api/hello")
        assert (answer.backend, answer.json["path"]) == ("blue", "/hello"), f"/api/hello: {answer.json}"
        step("/green and the rewritten /api/hello")

        route = self.manifests / "route.yaml"
        text = route.read_text(encoding="utf-8")
        manifests.replace(route, text.replace("name: blue", "name: green"))
        seconds, seen = client.poll("www.example.com", "/", lambda answer: answer.backend == "green")
        assert set(seen) <= {200}, f"statuses while the route changed: {dict(seen)}"
        step(f"route.yaml changed: answered by green after {seconds * 1000:.0f} ms, no other status between")

        status = self.statuses / "ingressroute/quickstart/split.yaml"
        self.contour.wait(status.exists, f"{status}", 5)
        assert "valid" in status.read_text(encoding="utf-8"), status.read_text(encoding="utf-8")
        step("the IngressRoute's status says that it is valid")

        self.envoy.assert_nothing_rejected()
        step("Envoy refused nothing")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="try it unattended; exit code 0: every answer was right")
    arguments = parser.parse_args()
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    scratch = pathlib.Path(tempfile.mkdtemp(prefix="contour-demo-"))
    demo = Demo(scratch)
    failed = False
    try:
        demo.start()
        if arguments.check:
            demo.check()
        else:
            demo.explain()
            while not stop.wait(0.5):
                for process in demo.started:
                    assert process.running, f"{process.name} ended\n{process.tail()}"
    except (AssertionError, OSError) as error:
        failed = True
        print(f"demo: FAILED: {error}\ndemo: the logs are in {scratch}", file=sys.stderr, flush=True)
    code = demo.stop()
    if not failed and code != 0:
        failed = True
        print(f"demo: FAILED: contour stopped with exit code {code}; the logs are in {scratch}", file=sys.stderr)
    if failed:
        return 1
    shutil.rmtree(scratch)
    print("demo: passed, everything stopped" if arguments.check else "\ndemo: stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
