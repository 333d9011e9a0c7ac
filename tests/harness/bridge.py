# SPDX-License-Identifier: Apache-2.0
"""A bridge between this process and the network namespaces of processes that a test starts.

bridge = Bridge("pods", "10.245.0.1")     # this process has the gateway's address, of a /16
bridge.join(pid, "v0x2", "10.245.0.2")    # gives the namespace of the process `pid` this address; "v0x2" names the link here
bridge.close()
"""
import contextlib
import subprocess


def ip(*arguments, pid=None):
    """ip(8), in the network namespace of the process `pid` if it is given."""
    enter = ["nsenter", f"--net=/proc/{pid}/ns/net"] if pid else []
    subprocess.run([*enter, "ip", *map(str, arguments)], check=True, capture_output=True)


class Bridge:
    def __init__(self, name, gateway):
        self.name, self.gateway = name, gateway
        self._links = []
        ip("link", "add", name, "type", "bridge")
        ip("address", "add", f"{gateway}/16", "dev", name)
        ip("link", "set", name, "up")

    def join(self, pid, link, address):
        ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pid)
        self._links.append(link)
        ip("link", "set", link, "master", self.name, "up")
        ip("link", "set", "lo", "up", pid=pid)
        ip("address", "add", f"{address}/16", "dev", "eth0", pid=pid)
        ip("link", "set", "eth0", "up", pid=pid)
        ip("route", "add", "default", "via", self.gateway, pid=pid)

    def close(self):
        # The kernel removes the links of a namespace some time after its last process; the next test may want their names.
        for link in self._links:
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("link", "delete", link)
        ip("link", "delete", self.name)
