# SPDX-License-Identifier: Apache-2.0
"""A fault of one node costs the Envoys of the other nodes nothing: before, during and after restarts of contour, whichever
Envoy comes back first. Each Envoy runs in a network namespace of its own."""
import contextlib
import itertools
import os
import shutil

import pytest
from conftest import LOGS, next_pod_address
from features_support import Authority, ingress, ingress_route, service
from harness import manifests
from harness.backend import Backend
from harness.client import Client, SteadyLoad, TLSClient, tls_context
from harness.contour import Contour
from harness.nodes import NodeNetwork
from harness.process import wait_until

MODES = ["delta-ads", "sotw-ads", "delta", "sotw"]
HTTP_PORT, HTTPS_PORT, STATS_PORT = 8080, 8443, 8002


class Fleet:
    """contour and one Envoy on each of three nodes; the first is broken, the others are not."""

    def __init__(self, name, mode, *flags, listen="0.0.0.0", names=("broken", "good-1", "good-2")):
        self.mode = mode
        self.refuses_again = True  # after a restart of contour
        self.work_dir = LOGS / name
        shutil.rmtree(self.work_dir, ignore_errors=True)
        self.folder = self.work_dir / "manifests"
        self.folder.mkdir(parents=True)
        self.logs = self.work_dir / "access"
        self.logs.mkdir()
        self.authority = Authority(self.work_dir)
        self.stack = contextlib.ExitStack()
        try:
            self._start(names, listen, flags)
        except BaseException:
            self.stack.close()
            raise

    def _start(self, names, listen, flags):
        self.network = self.stack.enter_context(NodeNetwork())
        self.nodes = [self.network.node(node, self.work_dir) for node in names]
        self.broken, *self.good = self.nodes
        self.backend = Backend("blue", self.work_dir, next_pod_address(), 8080).start()
        self.stack.callback(self.backend.kill)
        self.put("blue.yaml", service("blue", self.backend) + ingress("a", "a.example", [("/", "Prefix", "blue")]))
        self.contour = Contour(
            self.work_dir, "--manifests", self.folder, "--envoy-service-http-address", listen,
            "--envoy-service-https-address", listen, "--stats-address", "0.0.0.0", "--stats-port", str(STATS_PORT), *flags,
            xds_address="0.0.0.0", ingress_http_port=HTTP_PORT, ingress_https_port=HTTPS_PORT)
        self.stack.callback(self.contour.kill)
        self.contour.start().wait_ready()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stack.__exit__(*exception)

    def put(self, name, objects):
        manifests.replace(self.folder / name, objects)

    def envoys(self):
        return self.contour.metric("contour_xds_envoys")

    def wait_for(self, node, host, status=200):
        client = Client(node.address, HTTP_PORT)
        client.poll(host, "/", lambda answer: answer.status == status, timeout=30)
        client.close()

    def add_host(self, name):
        self.put(f"{name}.yaml", ingress(name, f"{name}.example", [("/", "Prefix", "blue")]))

    def loads(self):
        stack = contextlib.ExitStack()
        found = [stack.enter_context(SteadyLoad(node.address, HTTP_PORT, "a.example", per_second=50)) for node in self.good]
        return stack, found

    def restart(self, order):
        """contour restarts, and the Envoys come back in this order, each when the one before has sent its NACKs."""
        for node in self.nodes:
            node.cut()
        self.contour.kill()
        self.contour.start().wait_ready()
        for count, node in enumerate(order, 1):
            node.join()
            wait_until(lambda count=count: self.envoys() >= count, f"{node.name} connected", 60)
            rejections = 'contour_xds_rejections_total{type="LDS"}'
            if node is self.broken and self.refuses_again:
                wait_until(lambda: self.contour.metric(rejections) or self.contour.metric("contour_xds_node_faults"),
                           "what it refuses", 30)

    def readiness(self, node):
        client = Client(node.address, STATS_PORT)
        try:
            return client.get("stats", "/healthz").status
        finally:
            client.close()


def try_all(fleet, orders, check=lambda: None):
    """Under load on the good nodes: a change, then for each order a restart of contour and a change; a check after each."""
    for node in fleet.good:
        fleet.wait_for(node, "a.example")
    stack, loads = fleet.loads()
    with stack:
        fleet.add_host("before")
        for node in fleet.good:
            fleet.wait_for(node, "before.example")
        check()
        for number, order in enumerate(orders):
            fleet.restart(order)
            fleet.add_host(f"after-{number}")
            for node in fleet.good:
                fleet.wait_for(node, f"after-{number}.example")
            check()
        assert fleet.contour.metric("contour_xds_quarantined_fleet") == 0
    for load in loads:
        load.assert_clean()


def broken_first(fleet):
    return [[fleet.broken, *fleet.good]]


def all_orders(fleet):
    return [list(order) for order in itertools.permutations(fleet.nodes)]


def start(fleet, *arguments):
    """Starts the broken one first: it is alone with contour until it has NACKed what it can't take."""
    fleet.broken.start_envoy(fleet.contour, fleet.mode, *arguments)
    wait_until(lambda: fleet.contour.metric("contour_xds_node_faults") or fleet.contour.metric("contour_xds_quarantined"),
               "what it refuses", 30)
    for node in fleet.good:
        node.start_envoy(fleet.contour, fleet.mode)
    return fleet


def taken_port(mode, orders):
    with Fleet(f"node_port_{mode}", mode) as fleet:
        holder = fleet.broken.take_port(HTTP_PORT)
        start(fleet)
        assert "Envoy can't take a resource because of its node" in fleet.contour.log(whole=True)
        assert fleet.contour.metric("contour_xds_quarantined") == 0
        try_all(fleet, orders(fleet))
        assert fleet.contour.metric("contour_xds_node_faults") == 1
        # The port becomes free: the listener comes by itself.
        holder.kill()
        wait_until(lambda: fleet.contour.metric("contour_xds_node_faults") == 0, "the port taken", 120)
        fleet.wait_for(fleet.broken, "a.example")


def stats_port(mode, orders):
    with Fleet(f"node_stats_{mode}", mode) as fleet:
        fleet.broken.take_port(STATS_PORT)
        start(fleet)
        try_all(fleet, orders(fleet))
        for node in fleet.good:
            assert fleet.readiness(node) == 200
        fleet.wait_for(fleet.broken, "a.example")  # its other listeners serve


def unwritable_log(mode, orders):
    name = f"node_log_{mode}"
    path = LOGS / name / "access" / "http.log"
    with Fleet(name, mode, "--envoy-http-access-log", path) as fleet:
        fleet.broken.forbid_writing(fleet.logs)
        start(fleet)
        try_all(fleet, orders(fleet))
        assert fleet.contour.metric("contour_xds_node_faults") == 1
        assert os.path.getsize(path) > 0


def no_ipv6(mode, orders):
    with Fleet(f"node_ipv6_{mode}", mode, listen="::") as fleet:
        fleet.broken.remove_ipv6()
        start(fleet)
        try_all(fleet, orders(fleet))
        assert fleet.contour.metric("contour_xds_node_faults") == 1


def refused_certificate(mode, orders):
    """A certificate is damaged on the way to one Envoy: it is refused there, and nobody else loses it."""
    with Fleet(f"node_certificate_{mode}", mode) as fleet:
        fleet.refuses_again = False  # Envoy acks a secret that equals the last one, even if it refused that
        fleet.put("tls.yaml", fleet.authority.secret("s", "s.example") + ingress(
            "s", "s.example", [("/", "Prefix", "blue")], tls_secret="s"))
        fleet.broken.damage_certificates(fleet.contour)
        start(fleet)
        assert fleet.contour.metric("contour_xds_quarantined") == 1
        clients = [TLSClient(node.address, HTTPS_PORT, "s.example", tls_context(fleet.authority.certificate)) for node in fleet.good]

        def check():
            for client in clients:
                client.poll("s.example", "/", lambda answer: answer.status == 200, timeout=30)
        check()
        try_all(fleet, orders(fleet), check)
        fleet.wait_for(fleet.broken, "a.example")  # plain HTTP serves there all the same
        log = fleet.contour.log(whole=True)
        assert "kept_from=\"this node's Envoys\"" in log and "kept_from=\"all Envoys\"" not in log


def older_envoy(mode, orders):
    """Makes an Envoy without an extension that a passthrough host needs: a fault of this Envoy, not of its node."""
    with Fleet(f"node_older_{mode}", mode) as fleet:
        fleet.put("tcp.yaml", fleet.authority.secret("t", "t.example") + ingress_route(
            "t", "t.example", tls={"passthrough": True}, tcpproxy=[("blue", {})]))
        start(fleet, "--disable-extensions", "envoy.filters.network/envoy.filters.network.tcp_proxy")
        try_all(fleet, orders(fleet))
        log = fleet.contour.log(whole=True)
        assert "kept_from=\"this node's Envoys\"" in log and "kept_from=\"all Envoys\"" not in log


FAULTS = [taken_port, stats_port, unwritable_log, no_ipv6, refused_certificate, older_envoy]


@pytest.mark.parametrize("fault", [taken_port, no_ipv6, refused_certificate])
def test_one_nodes_fault_costs_the_others_nothing(fault):
    fault("delta-ads", broken_first)


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", FAULTS)
def test_one_nodes_fault_costs_the_others_nothing_in_any_order(fault, mode):
    fault(mode, all_orders)
