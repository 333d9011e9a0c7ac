# SPDX-License-Identifier: Apache-2.0
"""Objects change while contour is away: its Envoys resume with clusters that the new snapshot lacks and their routes name."""
import time

import pytest
from conftest import CONTOUR_USER
from harness import manifests
from harness.client import Client, SteadyLoad
from test_kubernetes import apply, installed, namespace  # noqa: F401  (fixtures)

MODES = ["delta-ads", "sotw-ads", "delta", "sotw"]
OTHERS = 200  # hosts beside the one that is looked at, each with a cluster of its own


def restart(server, envoy, mode, switch):
    """The host `moved` goes from Service blue to green while contour is stopped. Returns the requests to it."""
    process = envoy(server, mode)
    client = Client("127.0.0.1", server.ingress_http_port)
    client.poll("moved.example.com", "/", lambda answer: answer.backend == "blue")
    client.poll(f"other-{OTHERS - 1}.example.com", "/", lambda answer: answer.status == 200)
    time.sleep(0.5)
    with SteadyLoad("127.0.0.1", server.ingress_http_port, "moved.example.com", per_second=1000) as load:
        assert server.stop() == 0
        switch()
        server.start()
        client.poll("moved.example.com", "/", lambda answer: answer.backend == "green", timeout=60)
        time.sleep(1)
    process.assert_nothing_rejected()
    assert load.total > 100
    return load


def services(blue, green, ns="default"):
    return (manifests.service("blue", blue.address, 8080, namespace=ns) +
            manifests.service("green", green.address, 8080, namespace=ns))


def others(blue, ns="default"):
    return "".join(manifests.service(f"other-{number}", blue.address, 8080, namespace=ns) +
                   manifests.ingress(f"other-{number}", f"other-{number}.example.com", f"other-{number}", namespace=ns)
                   for number in range(OTHERS))


def moved(service, ns="default"):
    return manifests.ingress("moved", "moved.example.com", service, namespace=ns)


@pytest.mark.parametrize("mode", MODES)
def test_a_switched_route(mode, work_dir, contour, envoy, backends, figure):
    """An incremental Envoy names the clusters that it has, so they stay. In state of the world it names a version that is unknown now."""
    folder = work_dir / "manifests"
    folder.mkdir()
    blue, green = backends("blue", "green")
    manifests.replace(folder / "all.yaml", services(blue, green) + others(blue))
    manifests.replace(folder / "moved.yaml", moved("blue"))
    load = restart(contour("--manifests", folder), envoy, mode,
                    lambda: manifests.replace(folder / "moved.yaml", moved("green")))
    if mode.startswith("delta"):
        load.assert_clean()
        return
    figure(f"switched while away, {mode}: requests that failed", len(load.failed), f"of {load.total}")
    figure(f"switched while away, {mode}: from the first to the last", load.failed_milliseconds, "ms")
    assert {status for _, _, status in load.failed} <= {503}
    assert load.failed_milliseconds < 10_000, "longer than streams take to come back and a host waits for its clusters"


@pytest.mark.parametrize("mode", MODES)
def test_a_switched_route_with_a_snapshot_file(mode, installed, namespace, work_dir,  # noqa: F811
                                               contour, envoy, backends):
    """The file says what the version means, so that the clusters stay until the routes that name them are replaced."""
    blue, green = backends("blue", "green")
    api = installed.api()
    apply(api, services(blue, green, namespace) + others(blue, namespace) + moved("blue", namespace))
    server = contour("--kubeconfig", installed.kubeconfig(CONTOUR_USER), "--snapshot-file", work_dir / "snapshot")
    restart(server, envoy, mode, lambda: apply(api, moved("green", namespace))).assert_clean()
