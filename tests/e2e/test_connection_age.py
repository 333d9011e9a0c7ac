# SPDX-License-Identifier: Apache-2.0
"""Connections of Envoys that end by their age, so that Envoys spread over all replicas again: --xds-connection-age."""
import time

import pytest
from harness import manifests
from harness.client import Client, SteadyLoad


def connections(process):
    """Connections to contour that the Envoy has made so far."""
    return sum(int(line.rsplit("::", 1)[1]) for line in process.admin("/clusters").splitlines()
               if line.startswith("contour::") and "::cx_total::" in line)


@pytest.mark.parametrize("mode", ["delta-ads", "sotw-ads", "delta", "sotw"])
def test_an_envoy_connects_again_and_loses_no_request(mode, work_dir, contour, envoy, backends):
    folder = work_dir / "manifests"
    folder.mkdir()
    blue, green = backends("blue", "green")
    services = manifests.service("blue", blue.address, 8080) + manifests.service("green", green.address, 8080)
    manifests.replace(folder / "services.yaml", services)
    manifests.replace(folder / "route.yaml", manifests.ingress("web", "web.example.com", "blue"))
    server = contour("--manifests", folder, "--xds-connection-age", "2s")
    process = envoy(server, mode)
    client = Client("127.0.0.1", server.ingress_http_port)
    client.poll("web.example.com", "/", lambda answer: answer.backend == "blue")

    with SteadyLoad("127.0.0.1", server.ingress_http_port, "web.example.com") as load:
        before = connections(process)
        deadline = time.monotonic() + 30
        while connections(process) < before + 3 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert connections(process) >= before + 3, "it connects again and again"
        manifests.replace(folder / "route.yaml", manifests.ingress("web", "web.example.com", "green"))
        client.poll("web.example.com", "/", lambda answer: answer.backend == "green", timeout=30)
    load.assert_clean(at_least=200)
    process.assert_nothing_rejected()


def test_without_the_flag_a_connection_stays(work_dir, contour, envoy, backends):
    folder = work_dir / "manifests"
    folder.mkdir()
    blue = backends("blue")
    manifests.replace(folder / "all.yaml", manifests.service("blue", blue.address, 8080) +
                      manifests.ingress("web", "web.example.com", "blue"))
    server = contour("--manifests", folder)
    process = envoy(server, "delta-ads")
    Client("127.0.0.1", server.ingress_http_port).poll("web.example.com", "/", lambda answer: answer.backend == "blue")
    time.sleep(6)
    assert connections(process) == 1


def test_an_age_that_is_too_short_is_refused(work_dir, contour):
    folder = work_dir / "manifests"
    folder.mkdir()
    server = contour("--manifests", folder, "--xds-connection-age", "20ms", ready=False)
    assert server.wait_exit(10) != 0
    assert "--xds-connection-age: 20ms is too short; give at least 1s, or 0 for no limit" in server.log()
