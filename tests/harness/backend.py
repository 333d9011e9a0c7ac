# SPDX-License-Identifier: Apache-2.0
"""Starts echo backends (echo.py, grpc_echo.py) as processes of their own."""
import pathlib
import sys

from .process import Process, port_is_open

TESTS = pathlib.Path(__file__).resolve().parent.parent


class Backend(Process):
    """`Backend("blue", log_dir, address="10.244.0.1", port=8080).start()`; answers name themselves `blue`.

    protocol: `http`, `tcp`, or `grpc` (HTTP/2, as h2c without a certificate).
    """

    def __init__(self, name, log_dir, address, port, certificate=None, key=None, protocol="http"):
        self.address, self.port = address, port
        module = "harness.grpc_echo" if protocol == "grpc" else "harness.echo"
        arguments = [sys.executable, "-m", module, "--name", name, "--address", address, "--port", port]
        if certificate:
            arguments += ["--certificate", certificate, "--key", key]
        if protocol == "tcp":
            arguments += ["--protocol", "tcp"]
        super().__init__(f"backend {name}", arguments, pathlib.Path(log_dir) / f"backend-{name}.log", cwd=TESTS)

    def start(self):
        super().start()
        self.wait(lambda: port_is_open(self.address, self.port), "its port", 10)
        return self
