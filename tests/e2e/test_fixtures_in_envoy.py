# SPDX-License-Identifier: Apache-2.0
"""Every fixture of tests/fixtures, loaded by a real Envoy: not one resource may be refused.

One contour and one Envoy for all: the objects of a fixture take the place of the one before, together with a route of our own
whose answer shows that Envoy has got that far. The fixtures' options.yaml don't matter here.
"""
import json
import pathlib
import re
import shutil
import time

import pytest
from conftest import LOGS, ROOT, next_pod_address
from harness import manifests
from harness.backend import Backend
from harness.client import Client
from harness.cluster import make_ca, make_certificate
from harness.contour import Contour
from harness.envoy import Envoy
from harness.process import free_port

FIXTURES = ROOT / "tests/fixtures"
CASES = sorted(path.parent for path in FIXTURES.rglob("in.yaml"))


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
    def __init__(self, work_dir):
        self.folder = work_dir / "manifests"
        self.folder.mkdir(parents=True)
        (work_dir / "pki").mkdir()
        self.placeholders = Placeholders(work_dir / "pki")
        self.number = 0
        self.marker = Backend("marker", work_dir, next_pod_address(), 8080).start()
        self._write("")
        self.contour = Contour(work_dir, "--manifests", self.folder).start().wait_ready()
        admin_port = free_port()
        self.envoy = Envoy(self.contour.bootstrap(admin_port), work_dir, admin_port).start().wait_live()
        self.client = Client("127.0.0.1", self.contour.ingress_http_port)

    def _write(self, text):
        host = f"marker-{self.number}.fixture.example"
        marker = manifests.service("marker", self.marker.address, self.marker.port, namespace="fixture-marker")
        marker += manifests.ingress("marker", host, "marker", namespace="fixture-marker")
        manifests.replace(self.folder / "all.yaml", marker + "\n---\n" + text)
        return host

    def load(self, case):
        """Returns when Envoy has the objects of this case."""
        self.number += 1
        host = self._write(self.placeholders.expand((case / "in.yaml").read_text(encoding="utf-8")))
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
    loader.load(case)
    after = loader.envoy.rejections()
    assert after == before, f"{set(after.items()) - set(before.items())}\n{loader.envoy.tail()}"
    assert loader.contour.running and loader.envoy.running
