# SPDX-License-Identifier: Apache-2.0
"""contour serve --manifests: from a file to the answer of a real Envoy, in both aggregated xDS modes."""
import collections
import json
import re
import signal
import statistics
import time

import pytest
import yaml
from harness import manifests
from harness.client import Client, SteadyLoad
from harness.contour import ROOT, run
from harness.process import port_is_open, wait_until

MODES = ["delta-ads", "sotw-ads"]
CHANGES = 20
MEDIAN_LIMIT_MS = 100


class Site:
    """A folder with two Services (blue, green), contour on it, an Envoy, and a client of that Envoy.

    way: how `put` changes a file: `rename` (atomic), `in_place` (truncated and written), `config_map` (the folder is a
    volume as kubelet mounts it).
    """

    def __init__(self, work_dir, backends, contour, envoy, files=None, mode="delta-ads", way="rename"):
        self.folder = work_dir / "manifests"
        self.status_dir = work_dir / "status"
        self.status_dir.mkdir()
        self.way = way
        self.volume = manifests.ConfigMapVolume(self.folder)
        self.blue, self.green = backends("blue", "green")
        services = manifests.service("blue", self.blue.address, self.blue.port)
        services += manifests.service("green", self.green.address, self.green.port)
        self.files = {"services.yaml": services, **(files or {})}
        if way == "config_map":
            self.volume.update(self.files)
        else:
            for name, text in self.files.items():
                (self.folder / name).write_text(text)
        self.contour = contour("--manifests", self.folder, "--status-dir", self.status_dir)
        self.envoy = envoy(self.contour, mode)
        self.client = Client(self.contour.ingress_address, self.contour.ingress_http_port)

    def put(self, name, text):
        self.files[name] = text
        if self.way == "config_map":
            self.volume.update(self.files)
        elif self.way == "in_place":
            manifests.write_in_place(self.folder / name, text)
        else:
            manifests.replace(self.folder / name, text)

    def remove(self, name):
        del self.files[name]
        (self.folder / name).unlink()

    def wait_for(self, host, backend, path="/"):
        """(seconds until that backend answers, the statuses seen before)"""
        return self.client.poll(host, path, lambda answer: answer.status == 200 and answer.backend == backend)

    def load(self, host, **keywords):
        return SteadyLoad(self.contour.ingress_address, self.contour.ingress_http_port, host, **keywords)


@pytest.fixture
def site(work_dir, backends, contour, envoy):
    def make(files=None, **keywords):
        return Site(work_dir, backends, contour, envoy, files, **keywords)
    return make


in_both_modes = pytest.mark.parametrize("mode", MODES)


def www(service):
    return manifests.ingress("www", "www.example.com", service)


@in_both_modes
def test_routes_answer(site, mode):
    s = site({"www.yaml": www("blue"), "api.yaml": manifests.ingress_route("api", "api.example.com", {"green": None})}, mode=mode)
    s.wait_for("www.example.com", "blue", "/any/path?x=1")
    s.wait_for("api.example.com", "green")
    answer = s.client.get("www.example.com", "/hello")
    assert answer.json["path"] == "/hello"
    assert answer.json["host"] == "www.example.com"
    assert re.fullmatch(r"t=\d+\.\d{3}", answer.json["headers"]["x-request-start"])
    assert s.client.get("nobody.example.com").status == 404
    assert s.client.get("www.example.com:8080").backend == "blue", "the port of the Host header doesn't matter"
    s.envoy.assert_nothing_rejected()


def test_quickstart_manifests(site):
    """The shipped example is good, whatever its endpoints."""
    files = {path.name: path.read_text() for path in (ROOT / "examples/quickstart").glob("*.yaml")}
    s = site(files)
    wait_until(lambda: s.client.get("www.example.com").status in (200, 503), "www.example.com")
    wait_until(lambda: s.client.get("split.example.com").status in (200, 503), "split.example.com")
    wait_until((s.status_dir / "ingressroute/quickstart/split.yaml").exists, "its status")
    assert "valid IngressRoute" in (s.status_dir / "ingressroute/quickstart/split.yaml").read_text()
    s.envoy.assert_nothing_rejected()


@in_both_modes
def test_weighted_split(site, mode):
    s = site({"split.yaml": manifests.ingress_route("split", "split.example.com", {"blue": 75, "green": 25})}, mode=mode)
    s.client.poll("split.example.com", "/", lambda answer: answer.status == 200)
    total = 1000
    answers = [s.client.get("split.example.com") for _ in range(total)]
    assert {answer.status for answer in answers} == {200}
    shares = collections.Counter(answer.backend for answer in answers)
    assert set(shares) == {"blue", "green"}
    assert abs(shares["blue"] / total - 0.75) < 0.06, dict(shares)  # four standard deviations


@in_both_modes
@pytest.mark.parametrize("way", ["rename", "in_place", "config_map"])
def test_change_of_a_file(site, mode, way, figure):
    """20 changes under steady load: how long until the new answer, and that nobody noticed anything else."""
    s = site({"www.yaml": www("blue")}, mode=mode, way=way)
    s.wait_for("www.example.com", "blue")
    times = []
    with s.load("www.example.com", per_second=200) as load:
        for number in range(CHANGES):
            backend = ("green", "blue")[number % 2]
            started = time.monotonic()
            s.put("www.yaml", www(backend))
            _, seen = s.wait_for("www.example.com", backend)
            times.append((time.monotonic() - started) * 1000)
            assert set(seen) <= {200}, f"change {number}: statuses {dict(seen)}"
            time.sleep(0.05)
    median = statistics.median(times)
    figure(f"manifest_change_to_answer_median_{way}_{mode}", median, "ms")
    figure(f"manifest_change_to_answer_max_{way}_{mode}", max(times), "ms")
    assert median < MEDIAN_LIMIT_MS, [f"{value:.0f}" for value in times]
    load.assert_clean(at_least=100)
    s.envoy.assert_nothing_rejected()


@in_both_modes
def test_endpoints_follow(site, mode):
    """An EndpointSlice that changes moves the traffic without an error."""
    s = site({"www.yaml": www("blue")}, mode=mode)
    s.wait_for("www.example.com", "blue")
    with s.load("www.example.com") as load:
        services = manifests.service("blue", s.green.address, s.green.port)
        services += manifests.service("green", s.green.address, s.green.port)
        s.put("services.yaml", services)
        s.wait_for("www.example.com", "green")
        time.sleep(0.2)
    load.assert_clean()


@pytest.mark.parametrize("mode", [*MODES, "delta", "sotw"])
def test_a_port_gets_another_name(site, mode):
    """The cluster keeps its name and takes its endpoints from another assignment: at no moment it is without."""
    s = site({"www.yaml": www("blue")}, mode=mode)
    s.wait_for("www.example.com", "blue")
    services = s.files["services.yaml"]
    with s.load("www.example.com", per_second=2000) as load:
        for number in range(10):
            s.put("services.yaml", re.sub(r"( *)- port:", rf"\1- name: http-{number}\n\1  port:", services))
            time.sleep(0.1)
        load.until(500)
    load.assert_clean()
    s.envoy.assert_nothing_rejected()


@in_both_modes
def test_new_hosts_come_without_errors(site, mode, figure):
    """A new host with a new cluster answers 404, then 200, and nothing between."""
    s = site({"www.yaml": www("blue")}, mode=mode)
    s.wait_for("www.example.com", "blue")
    times, between = [], collections.Counter()
    for number in range(CHANGES):
        host = f"host-{number}.example.com"
        text = manifests.service(f"service-{number}", s.blue.address, s.blue.port)
        text += manifests.ingress(f"host-{number}", host, f"service-{number}")
        started = time.monotonic()
        s.put(f"host-{number}.yaml", text)
        _, seen = s.wait_for(host, "blue")
        times.append((time.monotonic() - started) * 1000)
        between.update(seen)
    figure(f"new_host_to_answer_median_{mode}", statistics.median(times), "ms")
    assert set(between) <= {404}, dict(between)


@in_both_modes
def test_removed_file_removes_its_routes(site, mode):
    s = site({"www.yaml": www("blue"), "other.yaml": manifests.ingress("other", "other.example.com", "green")}, mode=mode)
    s.wait_for("other.example.com", "green")
    with s.load("www.example.com") as load:
        s.remove("other.yaml")
        s.client.poll("other.example.com", "/", lambda answer: answer.status == 404)
    load.assert_clean(at_least=1)
    s.wait_for("www.example.com", "blue")


BROKEN = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: www
  namespace: default
spec:
  rules:
  - host: www.example.com
    http: {paths: [
"""


@in_both_modes
def test_broken_manifest_changes_nothing(site, mode):
    s = site({"www.yaml": www("blue")}, mode=mode)
    s.wait_for("www.example.com", "blue")
    before = s.envoy.last_updated()
    with s.load("www.example.com") as load:
        s.put("www.yaml", BROKEN)
        line = s.contour.wait_log(r"^.*www\.yaml.*$", 5).group(0)
        time.sleep(0.5)
    load.assert_clean()
    assert re.search(r"line \d+, column \d+", line), f"no line and column in: {line}"
    assert s.envoy.last_updated() == before
    assert s.contour.get("/readyz")[0] == 200

    s.put("www.yaml", www("green"))
    s.wait_for("www.example.com", "green")


def test_broken_manifest_hurts_only_itself(site):
    """One bad file beside good ones, there from the start."""
    s = site({"www.yaml": www("blue"), "broken.yaml": BROKEN.replace("www", "broken")})
    s.wait_for("www.example.com", "blue")
    assert re.search(r"broken\.yaml.*line \d+, column \d+", s.contour.log())


def read_status(site, kind, name):
    path = site.status_dir / kind / "default" / f"{name}.yaml"
    return yaml.safe_load(path.read_text()) if path.exists() else None


def test_statuses_are_written(site):
    s = site({
        "good.yaml": manifests.ingress_route("good", "good.example.com", {"blue": None}),
        "missing.yaml": manifests.ingress_route("missing", "missing.example.com", {"absent": None}),
    })

    def words(name):
        value = read_status(s, "ingressroute", name)
        return json.dumps(value) if value else ""
    wait_until(lambda: "valid IngressRoute" in words("good"), "status of good", 5)
    wait_until(lambda: "Service [absent:80] is invalid or missing" in words("missing"), "status of missing", 5)
    assert '"currentStatus": "valid"' in words("good")
    assert '"currentStatus": "invalid"' in words("missing")

    text = manifests.service("absent", s.blue.address, s.blue.port)
    s.put("absent.yaml", text)
    wait_until(lambda: "valid IngressRoute" in words("missing"), "status after the Service came", 5)
    s.wait_for("missing.example.com", "blue")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_stop_is_clean(site, number, figure):
    s = site({"www.yaml": www("blue")})
    s.wait_for("www.example.com", "blue")
    started = time.monotonic()
    s.contour.signal(number)
    assert s.contour.wait_exit(10) == 0
    figure(f"stop_with_an_open_stream_{number.name}", (time.monotonic() - started) * 1000, "ms")
    assert not port_is_open("127.0.0.1", s.contour.xds_port)
    assert s.client.get("www.example.com").backend == "blue", "Envoy goes on without its control plane"


@in_both_modes
def test_restart_reloads_nothing(site, mode):
    s = site({"www.yaml": www("blue"), "api.yaml": manifests.ingress_route("api", "api.example.com",
                                                                           {"blue": 90, "green": 10})}, mode=mode)
    s.wait_for("www.example.com", "blue")
    s.client.poll("api.example.com", "/", lambda answer: answer.status == 200)
    updated, reloads = s.envoy.last_updated(), s.envoy.reloads()
    assert any(kind.endswith("ListenersConfigDump") or "istener" in kind for kind, _ in updated), updated
    with s.load("www.example.com") as load:
        assert s.contour.stop() == 0
        wait_until(lambda: s.envoy.stat("control_plane.connected_state") == 0, "Envoy sees that it is gone")
        s.contour.start()
        s.contour.wait_ready()
        wait_until(lambda: s.envoy.stat("control_plane.connected_state") == 1, "Envoy is connected again", 30)
        time.sleep(1.0)
    load.assert_clean()
    assert s.envoy.last_updated() == updated
    assert s.envoy.reloads() == reloads
    s.envoy.assert_nothing_rejected()

    # And it follows changes as before.
    s.put("www.yaml", www("green"))
    s.wait_for("www.example.com", "green")


def test_restart_with_a_bad_folder_says_why(work_dir):
    result = run("serve", "--insecure", "--manifests", work_dir / "absent")
    assert result.returncode == 1
    assert "absent" in result.stderr


def test_bootstrap_is_good(work_dir):
    from harness import envoy as envoy_module
    for mode in ("delta-ads", "sotw-ads", "delta", "sotw"):
        path = work_dir / f"{mode}.json"
        result = run("bootstrap", path, "--xds-mode", mode, "--xds-port", 18001, "--admin-port", 19001)
        assert result.returncode == 0, result.stderr
        assert envoy_module.validate(path) is None
        text = path.read_text()
        assert json.loads(text)["admin"]["address"]["socket_address"]["port_value"] == 19001
        assert "18001" in text
    to_stdout = run("bootstrap", "-")
    assert to_stdout.returncode == 0
    assert json.loads(to_stdout.stdout)["static_resources"]


def test_version():
    result = run("version")
    assert result.returncode == 0
    assert re.search(r"\d+\.\d+\.\d+", result.stdout)


def test_readiness_and_metrics(site):
    s = site({"www.yaml": www("blue")})
    assert s.contour.get("/healthz")[0] == 200
    assert s.contour.get("/readyz")[0] == 200
    status, text = s.contour.get("/metrics")
    assert status == 200
    assert re.search(r"^contour_\w+", text, re.MULTILINE), text[:300]
