# SPDX-License-Identifier: Apache-2.0
"""--snapshot-file: a contour that starts while the API server is away serves what it served last."""
import datetime
import os
import stat
import time

import pytest
from conftest import CONTOUR_USER
from harness import manifests
from harness.client import Client, SteadyLoad
from harness.cluster import ApiError
from harness.contour import run as contour_run
from harness.process import port_is_open, wait_until
from test_kubernetes import apply, installed, namespace  # noqa: F401  (fixtures)


class Site:
    """A contour with a snapshot file, restarted on the same ports."""

    def __init__(self, installed, contour, namespace, work_dir):  # noqa: F811
        self.cluster, self.namespace, self.api = installed, namespace, installed.api()
        self.file = work_dir / "snapshot"
        self.flags = ()
        self._contour, self._count, self.process = contour, 0, None

    def start(self, ready=True):
        ports = {}
        if self.process is not None:
            for name in ("xds_port", "http_port", "stats_port", "ingress_http_port", "ingress_https_port"):
                ports[name] = getattr(self.process, name)
        self._count += 1
        self.process = self._contour("--kubeconfig", self.cluster.kubeconfig(CONTOUR_USER), "--snapshot-file", self.file,
                                     *self.flags, name=f"contour-{self._count}", ready=ready, **ports)
        return self.process

    def apply(self, name, backend):
        apply(self.api, manifests.service(name, backend.address, backend.port, namespace=self.namespace))
        apply(self.api, manifests.ingress(name, f"{name}.example.com", name, namespace=self.namespace))

    def client(self):
        return Client(self.process.ingress_address, self.process.ingress_http_port)

    def wait_for(self, name, backend):
        return self.client().poll(f"{name}.example.com", "/",
                                  lambda answer: answer.status == 200 and answer.backend == backend)

    def from_file(self):
        return self.process.metric("contour_serving_from_snapshot_file")


@pytest.fixture
def site(installed, contour, namespace, work_dir):  # noqa: F811
    value = Site(installed, contour, namespace, work_dir)
    yield value
    if not installed.apiserver.running:  # for the tests that follow
        installed.start_apiserver()


def responses(process):
    return sum(float(line.split()[-1]) for line in process.get("/metrics")[1].splitlines()
               if line.startswith("contour_xds_responses_total{"))


def test_what_was_served_last_is_served_without_the_api_server(site, envoy, backends):
    """Restart while the API server is away, under load; a new Envoy comes; then the API server is back."""
    blue, green = backends("blue", "green")
    first = site.start()
    site.apply("web", blue)
    old = envoy(first)
    site.wait_for("web", "blue")
    with SteadyLoad(first.ingress_address, first.ingress_http_port, "web.example.com") as load:
        assert first.stop() == 0
        assert stat.S_IMODE(os.stat(site.file).st_mode) == 0o600
        site.cluster.apiserver.kill()

        started = time.monotonic()
        second = site.start()
        assert time.monotonic() - started < 5
        assert site.from_file() == 1
        second.wait_log("serving from the snapshot file until the objects are read.*", 5)
        status, text = second.get("/readyz")
        assert status == 200 and "serving from the snapshot file, written 20" in text
        wait_until(lambda: second.metric("contour_xds_envoys") == 1, "the Envoy is back", 20)
        # It has all of it already; the two are the answers to its wildcards (clusters, listeners), which are empty.
        time.sleep(0.3)
        assert responses(second) == 2

        site.cluster.start_apiserver()
        wait_until(lambda: site.from_file() == 0, "the live build", 60)
        time.sleep(0.5)
        assert responses(second) == 2, "the live build is equal to the file"
        assert second.get("/readyz") == (200, "OK\n")
        site.apply("later", green)
        site.wait_for("later", "green")
    load.assert_clean()
    old.assert_nothing_rejected()


def test_a_new_envoy_without_the_api_server_and_changes_meanwhile(site, envoy, backends):
    """Hosts that only the file has go; hosts that the live build has too stay without a gap."""
    blue, green = backends("blue", "green")
    first = site.start()
    for name in ("stays", "goes"):
        site.apply(name, blue)
    wait_until(lambda: first.metric("contour_snapshot_file_writes_total") >= 1, "the file", 10)
    time.sleep(1)  # the objects come from several watches
    assert first.stop() == 0
    # The object goes while nobody looks.
    site.api.request("DELETE", f"/apis/networking.k8s.io/v1/namespaces/{site.namespace}/ingresses/goes")
    site.apply("came", green)
    site.cluster.apiserver.kill()
    second = site.start()
    new = envoy(second)
    site.wait_for("stays", "blue")
    site.wait_for("goes", "blue")
    with SteadyLoad(second.ingress_address, second.ingress_http_port, "stays.example.com") as load:
        site.cluster.start_apiserver()
        site.wait_for("came", "green")
        site.client().poll("goes.example.com", "/", lambda answer: answer.status == 404)
    load.assert_clean()
    new.assert_nothing_rejected()
    assert second.stop() == 0
    assert "the objects are read; serving from the snapshot file ends" in second.log(whole=True)


def test_with_the_api_server_the_file_is_not_served(site, envoy, backends):
    blue = backends("blue")
    first = site.start()
    site.apply("web", blue)
    envoy(first)
    site.wait_for("web", "blue")
    assert first.stop() == 0
    before = site.file.stat().st_mtime_ns
    second = site.start()
    assert site.from_file() == 0
    assert second.stop() == 0
    assert "serving from the snapshot file until" not in second.log(whole=True)
    assert site.file.stat().st_mtime_ns == before, "nothing changed, nothing is written"


def test_a_damaged_file_is_passed_over(site):
    site.file.write_bytes(b"contour snapshot\n\1\0\0\0 and then something else")
    process = site.start()
    process.wait_log(f"the snapshot file can't be used and is passed over.*{site.file}", 5)
    assert site.from_file() == 0
    wait_until(lambda: process.metric("contour_snapshot_file_writes_total") == 1, "it is written anew", 10)
    assert stat.S_IMODE(site.file.stat().st_mode) == 0o600


def test_without_file_and_api_server_nothing_is_served(site):
    site.cluster.apiserver.kill()
    process = site.start(ready=False)
    process.wait_log("no snapshot file yet", 5)
    time.sleep(3)
    status, text = process.get("/readyz")
    assert status == 503 and "not synced" in text
    assert not site.file.exists()


@pytest.fixture
def lock(installed, work_dir):  # noqa: F811
    """A Lease that contour contends for, as `projectcontour/contour`; gone at the end."""
    value = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
             "metadata": {"name": "contour", "namespace": "projectcontour"}}
    config = work_dir / "contour.yaml"
    config.write_text("leaderelection:\n  lease-name: contour\n  lease-namespace: projectcontour\n")

    class Lock:
        flags = ("--enable-leader-election", "--config-path", config)
        api = installed.api()

        def hold(self, holder):
            now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            self.api.apply({**value, "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "acquireTime": now,
                                              "renewTime": now, "leaseTransitions": 1}})

        def release(self):
            try:
                self.api.delete(value)
            except ApiError as error:
                if error.status != 404:
                    raise
    yield Lock()
    if not installed.apiserver.running:
        installed.start_apiserver()
    Lock().release()


def test_in_leader_mode_the_port_closes_when_another_leads(site, lock, backends):
    site.flags = lock.flags
    first = site.start()
    site.apply("web", backends("blue"))
    time.sleep(0.3)
    assert first.stop() == 0
    lock.hold("another")
    site.cluster.apiserver.kill()
    second = site.start()
    assert site.from_file() == 1
    assert port_is_open(second.xds_address, second.xds_port)
    site.cluster.start_apiserver()
    wait_until(lambda: not port_is_open(second.xds_address, second.xds_port), "the port is closed", 30)
    wait_until(lambda: site.from_file() == 0, "the live build", 30)
    assert not port_is_open(second.xds_address, second.xds_port)
    assert second.get("/readyz") == (200, "OK\n"), "a standby is ready"


def test_in_leader_mode_the_port_stays_open_when_nobody_leads(site, lock, envoy, backends):
    blue, green = backends("blue", "green")
    site.flags = lock.flags
    first = site.start()
    site.apply("web", blue)
    first_envoy = envoy(first)
    site.wait_for("web", "blue")
    assert first.stop() == 0  # which gives the lock back
    site.cluster.apiserver.kill()
    second = site.start()
    wait_until(lambda: second.metric("contour_xds_envoys") == 1, "the Envoy is back", 20)
    with SteadyLoad(second.ingress_address, second.ingress_http_port, "web.example.com") as load:
        site.cluster.start_apiserver()
        site.apply("later", green)
        site.wait_for("later", "green")
    load.assert_clean()
    assert second.log(whole=True).count("xDS server listening") == 1, "the streams were not ended"
    first_envoy.assert_nothing_rejected()


def test_it_is_for_clusters(tmp_path):
    result = contour_run("serve", "--insecure", "--manifests", tmp_path, "--snapshot-file", tmp_path / "snapshot")
    assert result.returncode == 1
    assert "--snapshot-file" in result.stderr and "--manifests" in result.stderr
