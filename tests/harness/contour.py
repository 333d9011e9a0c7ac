# SPDX-License-Identifier: Apache-2.0
"""Starts the program under test."""
import http.client
import os
import pathlib
import subprocess

from .process import Process, free_port, port_is_open

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def binary():
    path = pathlib.Path(os.environ.get("CONTOUR_BINARY", ROOT / "build/dev/bin/contour"))
    if not path.exists():
        raise FileNotFoundError(f"no {path}: build it first (./dev build)")
    return path


def run(*arguments, timeout=20, env=None):
    """Runs a subcommand that ends by itself, with `env` added to the environment."""
    return subprocess.run([binary(), *map(str, arguments)], capture_output=True, text=True, timeout=timeout, check=False,
                          env={**os.environ, **(env or {})})


class Contour(Process):
    """`contour serve` with ports of its own and the given flags.

    contour = Contour(work_dir, "--manifests", folder).start().wait_ready()
    """

    def __init__(self, work_dir, *flags, name="contour", xds_address="127.0.0.1", xds_port=None, http_port=None,
                 stats_port=None, ingress_http_port=None, ingress_https_port=None, ingress_address="127.0.0.1"):
        self.work_dir = pathlib.Path(work_dir)
        self.xds_address, self.xds_port = xds_address, xds_port or free_port()
        self.http_port = http_port or free_port()
        self.debug_port = free_port()
        self.stats_port = stats_port or free_port()
        self.ingress_address = ingress_address
        self.ingress_http_port = ingress_http_port or free_port()
        self.ingress_https_port = ingress_https_port or free_port()
        super().__init__(name, [
            binary(), "serve", "--insecure", "--xds-address", self.xds_address, "--xds-port", self.xds_port,
            *self.port_flags(), *flags,
        ], self.work_dir / f"{name}.log")

    def port_flags(self):
        """Returns the flags that give it and its Envoys ports of their own, without the xDS port."""
        address = self.ingress_address
        return ["--http-address", "127.0.0.1", "--http-port", self.http_port,
                "--debug-http-port", self.debug_port,
                "--stats-address", "127.0.0.1", "--stats-port", self.stats_port,
                "--envoy-service-http-address", address, "--envoy-service-http-port", self.ingress_http_port,
                "--envoy-service-https-address", address, "--envoy-service-https-port", self.ingress_https_port]

    def get(self, path):
        """Returns (status, text) of its HTTP ports: /healthz, /readyz, /metrics; /debug/…"""
        status, body = self.request("GET", path)
        return status, body.decode()

    def request(self, method, path, body=None, timeout=10):
        """Returns (status, bytes)."""
        port = self.debug_port if path.startswith("/debug") else self.http_port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def wait_ready(self, timeout=20.0):
        """Waits until it is ready and its xDS port is open, that is, until its first complete build."""
        self.wait(lambda: self.get("/readyz")[0] == 200, "/readyz", timeout)
        self.wait(lambda: port_is_open(self.xds_address, self.xds_port), "its xDS port", timeout)
        return self

    def metric(self, name):
        """Returns the value of a metric without labels, or None."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        return None

    def metric_families(self):
        """Returns the names of all metrics that it shows now."""
        return {line.split()[2] for line in self.get("/metrics")[1].splitlines() if line.startswith("# TYPE ")}

    def bootstrap(self, admin_port, xds_mode=None):
        """Writes the bootstrap for an Envoy of this contour and returns its path."""
        path = self.work_dir / f"bootstrap-{admin_port}.json"
        flags = ["--xds-mode", xds_mode] if xds_mode else []
        result = run("bootstrap", path, "--xds-address", self.xds_address, "--xds-port", self.xds_port,
                     "--admin-address", "127.0.0.1", "--admin-port", admin_port, *flags)
        assert result.returncode == 0, f"contour bootstrap: {result.stdout}{result.stderr}"
        return path
