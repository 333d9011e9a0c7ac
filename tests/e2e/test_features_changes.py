# SPDX-License-Identifier: Apache-2.0
"""Changes under steady load, in each xDS mode: no request gets anything but the old answer or the new one."""
import collections
import contextlib
import socket
import statistics
import threading
import time

import pytest
from conftest import next_pod_address
from features_support import ANNOTATION, Site, ingress, ingress_route, route, service
from harness.client import Client, SteadyLoad

MODES = ["delta-ads", "sotw-ads", "delta", "sotw"]
in_each_mode = pytest.mark.parametrize("mode", MODES)


@pytest.fixture(scope="module")
def sites():
    """A site for each mode, with a host www.example that everybody's load goes to."""
    with contextlib.ExitStack() as stack:
        found = {}
        for mode in MODES:
            site = found[mode] = stack.enter_context(Site(f"features_changes_{mode}", mode=mode))
            site.publish("www.yaml", limited(site, 100) + ingress("www", "www.example", [("/", "Prefix", "www")]))
        yield found


def limited(site, connections):
    return service("www", site.backends["marker"], annotations={ANNOTATION + "max-connections": str(connections)})


def load(site, **keywords):
    return SteadyLoad(site.address, site.http_port, "www.example", **keywords)


def routes_come_and_go(site, count):
    """(times of adding, times of removing) in ms. Every answer on the way is the old one or the new one."""
    client = Client(site.address, site.http_port)
    added, removed = [], []
    with load(site) as steady:
        for number in range(count):
            host, name = f"host-{number}.example", f"host-{number}"
            started = time.monotonic()
            site.put(f"{name}.yaml", service(name, site.backends["marker"]) + ingress(name, host, [("/", "Prefix", name)]))
            _, seen = client.poll(host, "/", lambda answer: answer.status == 200)
            added.append((time.monotonic() - started) * 1000)
            assert set(seen) <= {404}, f"adding route {number}: {dict(seen)}"
            again = collections.Counter(client.get(host).status for _ in range(5))
            assert again == {200: 5}, f"route {number} after its first answer: {dict(again)}"

            started = time.monotonic()
            site.remove(f"{name}.yaml")
            _, seen = client.poll(host, "/", lambda answer: answer.status == 404)
            removed.append((time.monotonic() - started) * 1000)
            assert set(seen) <= {200}, f"removing route {number}: {dict(seen)}"
    steady.assert_clean(at_least=20)
    return added, removed


@in_each_mode
@pytest.mark.parametrize("count", [40, pytest.param(200, marks=pytest.mark.long)])
def test_routes_come_and_go(sites, mode, count, figure):
    added, removed = routes_come_and_go(sites[mode], count)
    for what, times in (("added", added), ("removed", removed)):
        figure(f"{count}_routes_{what}_median_{mode}", statistics.median(times), "ms")
        figure(f"{count}_routes_{what}_max_{mode}", max(times), "ms")


@pytest.mark.parametrize("changes", [5, pytest.param(30, marks=pytest.mark.long)])
def test_limits_change_every_second(sites, changes, figure):
    """A changed circuit breaker is a changed cluster, which Envoy warms beside the old one. In all modes at once."""
    with contextlib.ExitStack() as stack:
        loads = {mode: stack.enter_context(load(site, per_second=100)) for mode, site in sites.items()}
        before = {mode: site.envoy.stat("cluster_manager.cluster_modified") for mode, site in sites.items()}
        for number in range(changes):
            for site in sites.values():
                # The contour of the site has a Service of its own, its other objects stay.
                site.put("www.yaml", limited(site, 101 + number) + ingress("www", "www.example", [("/", "Prefix", "www")]))
            time.sleep(1.0)
    for mode, steady in loads.items():
        steady.assert_clean(at_least=50 * changes)
        modified = sites[mode].envoy.stat("cluster_manager.cluster_modified") - before[mode]
        assert modified >= changes, f"{mode}: only {modified} changes reached Envoy"
        figure(f"requests_during_{changes}_changed_limits_{mode}", steady.total)


class Silence:
    """A server that takes connections and never says a word."""

    def __init__(self):
        self.address, self.port = next_pod_address(), 8080
        self._server = socket.create_server((self.address, self.port), backlog=64)
        self._kept = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self):
        with contextlib.suppress(OSError):
            while True:
                self._kept.append(self._server.accept()[0])

    def stop(self):
        self._server.close()
        for connection in self._kept:
            connection.close()


@in_each_mode
def test_a_health_check_without_answer_delays_nobody_else(sites, mode, figure):
    site = sites[mode]
    silence = Silence()
    check = {"path": "/healthz", "intervalSeconds": 60, "timeoutSeconds": 60}
    client = Client(site.address, site.http_port)
    try:
        with load(site) as steady:
            site.put("silent.yaml", service("silent", silence)
                     + ingress_route("silent", "silent.example", route("/", ("silent", {"healthCheck": check}))))
            time.sleep(0.3)
            times = []
            for number in range(5):
                name, host = f"beside-{number}", f"beside-{number}.example"
                started = time.monotonic()
                site.put(f"{name}.yaml", service(name, site.backends["marker"]) + ingress(name, host, [("/", "Prefix", name)]))
                _, seen = client.poll(host, "/", lambda answer: answer.status == 200)
                times.append((time.monotonic() - started) * 1000)
                assert set(seen) <= {404}, dict(seen)
        steady.assert_clean(at_least=5)
        figure(f"new_route_beside_a_silent_health_check_max_{mode}", max(times), "ms")
        assert max(times) < 1000, times
        assert client.get("silent.example").status in (404, 503)
    finally:
        silence.stop()
        for name in ("silent", *(f"beside-{number}" for number in range(5))):
            with contextlib.suppress(FileNotFoundError):
                site.remove(f"{name}.yaml")
