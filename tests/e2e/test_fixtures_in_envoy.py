# SPDX-License-Identifier: Apache-2.0
"""Every fixture of tests/fixtures, loaded by a real Envoy in each xDS mode and in two delivery modes: it must NACK
nothing, and the answers to the requests that a fixture is about are the same in all of them.

One contour and one Envoy of a mode for all fixtures: the objects of a fixture take the place of those before, together
with a route of our own whose answer shows that Envoy has got that far. The fixtures' options.yaml don't matter here.
"""
import contextlib
import http.client
import json
import pathlib
import re
import shutil
import ssl
import time

import pytest
import yaml
from conftest import LOGS, ROOT, next_pod_address
from harness import manifests
from harness.backend import Backend
from harness.client import Client, TLSClient
from harness.cluster import make_ca, make_certificate
from harness.contour import Contour
from harness.envoy import Envoy
from harness.process import free_port

FIXTURES = ROOT / "tests/fixtures"
CASES = sorted(path.parent for path in FIXTURES.rglob("in.yaml"))

MARKER_PORT = 8087  # of no endpoint of a fixture: these must answer alike, so none does


class Placeholders:
    """`{{certificate NAME}}`, `{{key NAME}}`, `{{other key NAME}}`: pairs made as they are asked for."""

    def __init__(self, folder):
        self.folder = folder
        make_ca(folder / "ca.crt", folder / "ca.key", "fixtures")

    def _read(self, match):
        kind, name = match.group(1), match.group(2)
        path = self.folder / (f"other-{name}" if kind == "other key" else name)
        certificate, key = path.with_suffix(".crt"), path.with_suffix(".key")
        if not certificate.exists():
            make_certificate(certificate, key, self.folder / "ca.crt", self.folder / "ca.key", "/CN=fixture.example",
                             ["DNS:fixture.example"])
        return json.dumps((certificate if kind == "certificate" else key).read_text())

    def expand(self, text):
        return re.sub(r"\{\{(other key|certificate|key) (\w+)\}\}", self._read, text)


class Loader:
    def __init__(self, work_dir, mode="delta-ads", *flags):
        self.folder = work_dir / "manifests"
        self.folder.mkdir(parents=True)
        (work_dir / "pki").mkdir()
        self.placeholders = Placeholders(work_dir / "pki")
        self.number = 0
        self.marker = Backend("marker", work_dir, next_pod_address(), MARKER_PORT).start()
        self._write("")
        self.contour = Contour(work_dir, "--manifests", self.folder, *flags).start().wait_ready()
        admin_port = free_port()
        self.envoy = Envoy(self.contour.bootstrap(admin_port, mode), work_dir, admin_port).start().wait_live()
        self.client = Client("127.0.0.1", self.contour.ingress_http_port)

    def _write(self, text):
        host = f"marker-{self.number}.fixture.example"
        marker = manifests.service("marker", self.marker.address, self.marker.port, namespace="fixture-marker")
        marker += manifests.ingress("marker", host, "marker", namespace="fixture-marker")
        manifests.replace(self.folder / "all.yaml", marker + "\n---\n" + text)
        return host

    def read(self, case):
        return self.placeholders.expand((case / "in.yaml").read_text(encoding="utf-8"))

    def load(self, text):
        """Returns when Envoy has these objects."""
        self.number += 1
        host = self._write(text)
        try:
            self.client.poll(host, "/", lambda answer: answer.backend == "marker", timeout=5)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.contour.tail()}\n{self.envoy.tail()}") from None
        time.sleep(0.1)  # secrets may come after the routes
        self.client.close()

    def stop(self):
        for process in (self.envoy, self.contour, self.marker):
            process.kill()


@pytest.fixture(scope="module")
def loader():
    path = pathlib.Path(LOGS) / "fixtures_in_envoy"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    value = Loader(path)
    yield value
    value.stop()


@pytest.mark.parametrize("case", CASES, ids=[str(path.relative_to(FIXTURES)) for path in CASES])
def test_nothing_is_refused(loader, case):
    before = loader.envoy.rejections()
    loader.load(loader.read(case))
    after = loader.envoy.rejections()
    assert after == before, f"{set(after.items()) - set(before.items())}\n{loader.envoy.tail()}"
    assert loader.contour.running and loader.envoy.running


# ---- The modes agree ------------------------------------------------------------------------------------------------

MODES = {mode: (mode,) for mode in ("delta-ads", "sotw-ads", "delta", "sotw")}
MODES["sharded"] = "delta-ads", "--delivery", "sharded"
MODES["sharded-https"] = "delta-ads", "--delivery", "sharded-https"
SAMPLE = 8  # one fixture in so many is in the short run, and
SHORT = {"ingress/force-ssl-redirect"}  # for its redirects
# The backend speaks no TLS, so that each request is answered after two seconds, when the connection is given up.
SLOW = {"service/upstream-protocols", "ingressroute/upstream-validation", "ingressroute/upstream-validation-added"}
PORT = 8088


@pytest.fixture(scope="module")
def loaders():
    """A loader for each mode, and a backend on every pod address that says which one was asked."""
    path = pathlib.Path(LOGS) / "fixtures_in_all_modes"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        stack.callback(Backend("everywhere", path, "0.0.0.0", PORT).start().kill)
        found = {}
        for mode, arguments in MODES.items():
            loader = found[mode] = Loader(path / mode, *arguments)
            stack.callback(loader.stop)
        yield found


def with_endpoints(text):
    """The text, with an address of its own for each Service that has none in the fixture."""
    objects = [value for value in yaml.safe_load_all(text) if isinstance(value, dict)]

    def key(value, name=None):
        return value["metadata"].get("namespace", "default"), name or value["metadata"]["name"]
    has = {key(value, (value["metadata"].get("labels") or {}).get("kubernetes.io/service-name"))
           for value in objects if value["kind"] in ("EndpointSlice", "Endpoints")}
    slices = []
    for number, value in enumerate(value for value in objects if value["kind"] == "Service"):
        namespace, name = key(value)
        ports = value.get("spec", {}).get("ports")
        if (namespace, name) in has or not ports:
            continue
        slices.append({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": f"{name[:40]}-everywhere", "namespace": namespace,
                         "labels": {"kubernetes.io/service-name": name}},
            "endpoints": [{"addresses": [f"10.244.200.{number + 1}"]}],
            "ports": [{"port": PORT, "protocol": "TCP", **({"name": port["name"]} if "name" in port else {})} for port in ports],
        })
    return text + "".join("\n---\n" + yaml.safe_dump(value) for value in slices)


def requests_of(text):
    """(host, path, whether chance decides which Service answers) for all that the objects speak of, and a little beside it."""
    found = {}
    for value in yaml.safe_load_all(text):
        spec = value.get("spec") if isinstance(value, dict) else None
        if not isinstance(spec, dict):
            continue
        hosts, paths, chance = [], ["/"], False
        if value["kind"] == "Ingress":
            for rule in spec.get("rules") or []:
                hosts.append(rule.get("host"))
                paths += [path.get("path") for path in (rule.get("http") or {}).get("paths") or []]
            hosts += [None] * ("defaultBackend" in spec)
        elif value["kind"] == "IngressRoute":
            hosts.append((spec.get("virtualhost") or {}).get("fqdn"))
            for entry in spec.get("routes") or []:
                paths.append(entry.get("match"))
                chance |= len(entry.get("services") or []) > 1
        for host in hosts or [None]:
            host = host if isinstance(host, str) and host.isascii() and host.isprintable() and host else "unlisted.example"
            for name in {host.replace("*", "a"), host.replace("*", "a.b")}:
                entry = found.setdefault(name.lower(), [set(), False])
                entry[0] |= {path for path in paths if isinstance(path, str) and re.fullmatch(r"/[!-~]*", path)}
                entry[1] |= chance
    # A child's paths are asked of every host: it may be delegated to from any of them.
    every_path = set().union(*(paths for paths, _ in found.values())) if found else {"/"}
    chance = any(entry[1] for entry in found.values())
    for host in found or ["unlisted.example"]:
        for path in sorted(every_path):
            yield host, path, chance
            yield host, path.rstrip("/") + "/below", chance
            yield host, path + "x", chance


def answer(client, host, path, chance):
    try:
        got = client.get(host, path)
    except (OSError, http.client.HTTPException) as error:
        client.close()
        # The delivery modes refuse an unknown server name differently: before the handshake, or by an alert.
        return "closed" if isinstance(error, (ssl.SSLError, ConnectionResetError)) else type(error).__name__
    if got.backend is None:
        return got.status, got.headers.get("location")
    told = got.json
    return got.status, told["path"], None if chance else told["address"]


def answers(loader, asked):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    found = {}
    client = Client("127.0.0.1", loader.contour.ingress_http_port)
    for host, path, chance in asked:
        found["http", host, path] = answer(client, host, path, chance)
    client.close()
    for name in {host for host, _, _ in asked}:
        client = TLSClient("127.0.0.1", loader.contour.ingress_https_port, name, context)
        for host, path, chance in asked:
            if host == name:
                found["https", host, path] = answer(client, host, path, chance)
                if isinstance(found["https", host, path], str):
                    break  # the name isn't served
        client.close()
    return found


def sampled(number, path):
    name = str(path.relative_to(FIXTURES))
    marks = [] if (number % SAMPLE == 0 or name in SHORT) and name not in SLOW else [pytest.mark.long]
    return pytest.param(path, marks=marks, id=name)


@pytest.mark.parametrize("case", [sampled(number, path) for number, path in enumerate(CASES)])
def test_modes_agree(loaders, case):
    text = with_endpoints(loaders["delta-ads"].read(case))
    asked = list(dict.fromkeys(requests_of(text)))
    before = {mode: loader.envoy.rejections() for mode, loader in loaders.items()}
    for loader in loaders.values():
        loader.load(text)
    deadline = time.monotonic() + 8
    while True:  # until what comes in its own time (health checks, certificates) is there in all of them
        found = {mode: answers(loader, asked) for mode, loader in loaders.items()}
        differences = {(key, mode): (value, found[mode].get(key)) for key, value in found["delta-ads"].items() for mode in MODES
                       if found[mode].get(key) != value}
        if not differences or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    assert not differences, differences
    assert len(asked) > 0
    for mode, loader in loaders.items():
        assert loader.envoy.rejections() == before[mode], f"{mode}\n{loader.envoy.tail()}"
        assert loader.contour.running and loader.envoy.running, mode
    ANSWERS.update(str(value[0]) for value in found["delta-ads"].values() if isinstance(value, tuple))


ANSWERS = set()


def test_the_comparison_saw_answers_of_all_sorts():
    """Else it compares nothing: routes of the backend, redirects, hosts that aren't there."""
    if not ANSWERS:
        pytest.skip("no comparison ran")
    assert {"200", "301", "404"} <= ANSWERS, ANSWERS
