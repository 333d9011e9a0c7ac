# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the end-to-end tests.

Each pytest process, of a run or of one of its workers (`-n 2`), moves into a network namespace of its own as it starts
(harness/netns.py), so the tests talk to Envoy, contour and the API server as if all were on this machine, and several runs
at once don't meet. Free ports are taken; pod addresses are 10.244.x.y, one `pod_address` per use.

Logs of everything that ran lie in build/log/e2e_dev/<test>/; those of the cluster in build/log/e2e_dev/cluster/ (with
workers cluster-gw0/ and so on).
"""
import itertools
import os
import pathlib
import re
import shutil
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from harness import netns  # noqa: E402
from harness.backend import Backend  # noqa: E402
from harness.cluster import Cluster, service_account  # noqa: E402
from harness.contour import Contour  # noqa: E402
from harness.envoy import Envoy  # noqa: E402
from harness.process import free_port  # noqa: E402

LOGS = pathlib.Path(os.environ.get("CONTOUR_E2E_LOGS", ROOT / "build/log/e2e_dev"))


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes more than some seconds (faults, load); not part of ./dev test")
    if not config.option.collectonly:
        netns.enter()


def pytest_terminal_summary(terminalreporter):
    # By way of the tests' reports, which come from the workers too.
    entries = [entry for group in terminalreporter.stats.values() for entry in group]
    figures = [text for entry in entries if getattr(entry, "when", None) == "teardown"
               for name, text in entry.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("figures")
        for text in figures:
            terminalreporter.write_line(f"figure {text}")


@pytest.fixture
def figure(request):
    """figure("name", value, "unit"): a measured number, printed at the end of the run."""
    def note(name, value, unit=""):
        request.node.user_properties.append(("figure", f"{name} = {value:.1f} {unit}".rstrip()))
    return note


@pytest.fixture
def work_dir(request):
    """A folder of this test's own, with the logs of what it starts."""
    name = re.sub(r"[^\w.-]+", "-", request.node.nodeid.split("/")[-1]).strip("-")
    path = LOGS / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


_pod_numbers = itertools.count(1)


def next_pod_address():
    number = next(_pod_numbers)
    return f"10.244.{number // 250}.{number % 250 + 1}"


@pytest.fixture
def pod_address():
    """pod_address() → an address 10.244.x.y that nobody else uses."""
    return next_pod_address


@pytest.fixture
def backends(work_dir):
    """backends("blue", "green") → running echo backends by these names, each with an address of its own, port 8080."""
    started = []

    def start(*names):
        new = [Backend(name, work_dir, next_pod_address(), 8080).start() for name in names]
        started.extend(new)
        return new[0] if len(new) == 1 else new
    yield start
    for backend in started:
        backend.kill()


@pytest.fixture
def contour(work_dir):
    """contour("--manifests", folder) → a running contour that is ready.

    If it still runs at the end of the test, it must stop cleanly, and no sanitizer may have reported anything.
    """
    started = []

    def start(*flags, ready=True, **keywords):
        process = Contour(work_dir, *flags, **keywords)
        started.append(process)
        process.start()
        return process.wait_ready() if ready else process
    yield start
    faults = []
    for process in started:
        if process.running and (code := process.stop(timeout=10)) != 0:
            faults.append(f"contour stopped with exit code {code}\n{process.tail(60)}")
        process.kill()
        if "Sanitizer" in process.log(whole=True):
            faults.append(process.tail(60))
    assert not faults, "\n".join(faults)


@pytest.fixture
def envoy(work_dir):
    """envoy(contour, xds_mode="delta-ads") → a running Envoy that has its configuration from that contour."""
    started = []

    def start(source, xds_mode=None, live=True, **keywords):
        admin_port = free_port()
        process = Envoy(source.bootstrap(admin_port, xds_mode), work_dir, admin_port, **keywords)
        started.append(process)
        process.start()
        return process.wait_live() if live else process
    yield start
    for process in started:
        process.kill()


CONTOUR_USER = service_account("projectcontour", "contour")
USER_WITHOUT_RIGHTS = service_account("projectcontour", "nobody")


@pytest.fixture(scope="session")
def cluster():
    """A Kubernetes API, the same for the whole run (or worker). Tests make namespaces of their own in it."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    path = LOGS / (f"cluster-{worker}" if worker else "cluster")
    shutil.rmtree(path, ignore_errors=True)
    value = Cluster(path, users=[CONTOUR_USER, USER_WITHOUT_RIGHTS])
    try:
        yield value.start()
    finally:
        value.stop()


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory):
    """A cluster of the module's own, with our definitions and rights: it is killed, filled, cut off."""
    from kube_support import apply_deployment  # which stands on this file
    value = Cluster(tmp_path_factory.mktemp("cluster"), users=[CONTOUR_USER])
    try:
        value.start()
        apply_deployment(value.api())
        yield value
    finally:
        value.stop()
