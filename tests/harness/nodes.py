# SPDX-License-Identifier: Apache-2.0
"""Nodes with Envoys, each in a network namespace of its own, so that one of them can lack what the others have: a free
port, a log folder that can be written, IPv6.

network = NodeNetwork()
node = network.node("one", work_dir)
node.take_port(8080)                       # before its Envoy starts
node.start_envoy(contour, mode)            # its bootstrap names an address of contour that belongs to this node
node.cut(); node.join()                    # takes that address away and gives it back
node.address                               # where its Envoy listens, from outside
"""
import itertools
import os
import pathlib
import sys

from . import netns
from .bridge import Bridge
from .contour import run
from .envoy import binary
from .process import Process, free_port, port_is_open, wait_until

GATEWAY = "10.246.0.1"
_HERE = pathlib.Path(__file__).parent


class NodeNetwork:
    """A bridge between the nodes and this process."""

    def __init__(self):
        self.nodes = []
        self._numbers = itertools.count(2)
        self._bridge = Bridge("nodes", GATEWAY)

    def node(self, name, work_dir):
        self.nodes.append(Node(name, work_dir, next(self._numbers), self._bridge))
        return self.nodes[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            node.close()
        self._bridge.close()


class Node:
    def __init__(self, name, work_dir, number, bridge):
        self.name, self.work_dir = name, pathlib.Path(work_dir)
        self.address = f"10.246.0.{number}"
        self.contour_address = f"10.246.1.{number}"  # of contour, for this node alone
        self.envoy = None
        self._others = []
        self._prefix = []  # of the Envoy's command
        self._xds_port = None  # of what stands between its Envoy and contour; None: nothing does
        self._joined = False
        self._namespace = self._others_start("netns", ["unshare", "--net", "sleep", "infinity"])
        wait_until(lambda: os.readlink(f"/proc/{self._namespace.pid}/ns/net") != os.readlink("/proc/self/ns/net"),
                   "network namespace", 5)
        bridge.join(self._namespace.pid, f"node{number}", self.address)
        self.join()

    def _others_start(self, what, arguments):
        process = Process(f"{self.name}-{what}", arguments, self.work_dir / f"{self.name}-{what}.log").start()
        self._others.append(process)
        return process

    def inside(self, *command):
        return ["nsenter", f"--net=/proc/{self._namespace.pid}/ns/net", *map(str, command)]

    # ---- Faults of the node; to be set before its Envoy starts

    def take_port(self, port):
        """Starts and returns another process that listens there. When it ends, the port is free."""
        code = f"import socket, time; s = socket.create_server(('0.0.0.0', {port})); time.sleep(1e6)"
        process = self._others_start(f"port-{port}", self.inside(sys.executable, "-c", code))
        wait_until(lambda: port_is_open(self.address, port), f"port {port}", 10)
        return process

    def forbid_writing(self, folder):
        """Makes the folder one that can't be written on this node."""
        self._prefix += ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o ro tmpfs "$1"; shift; exec "$@"', "sh", folder]

    def remove_ipv6(self):
        self._prefix += [sys.executable, _HERE / "no_ipv6.py"]

    def damage_certificates(self, contour):
        """Its Envoy gets each certificate damaged, and refuses it."""
        self._xds_port = free_port()
        self._others_start("proxy", [sys.executable, _HERE / "damaging_proxy.py", self._xds_port, contour.xds_port])
        wait_until(lambda: port_is_open(GATEWAY, self._xds_port), "the proxy", 20)

    # ---- Its Envoy

    def start_envoy(self, contour, mode, *arguments):
        path = self.work_dir / f"{self.name}-bootstrap.json"
        result = run("bootstrap", path, "--xds-address", self.contour_address, "--xds-port", self._xds_port or contour.xds_port,
                     "--admin-address", "127.0.0.1", "--admin-port", free_port(), "--xds-mode", mode)
        assert result.returncode == 0, result.stderr
        self.envoy = Process(self.name, self.inside(
            *self._prefix, binary(), "-c", path, "--concurrency", "1", "--disable-hot-restart", "--log-level", "info",
            "--service-node", self.name, "--service-cluster", "contour", *arguments), self.work_dir / f"{self.name}.log")
        self.envoy.start()
        return self

    def cut(self):
        """Cuts its Envoy off from contour."""
        if self._joined:
            netns.remove_address(self.contour_address)
        self._joined = False

    def join(self):
        if not self._joined:
            netns.add_address(self.contour_address)
        self._joined = True

    def close(self):
        self.cut()
        for process in (self.envoy, *self._others):
            if process is not None:
                process.kill()
