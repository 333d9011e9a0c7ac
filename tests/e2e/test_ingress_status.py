# SPDX-License-Identifier: Apache-2.0
"""status.loadBalancer of Ingresses on a real API server, with the rights of deploy/rbac and no more."""
import time

import pytest
from conftest import CONTOUR_USER
from harness import manifests
from harness.contour import run as contour_run
from harness.process import wait_until
from test_kubernetes import apply, installed, namespace  # noqa: F401  (fixtures)


def reference(kind, ns, name, group="v1"):
    return {"apiVersion": group, "kind": kind, "metadata": {"name": name, "namespace": ns}}


class Ingresses:
    def __init__(self, api, ns):
        self.api, self.namespace = api, ns

    def apply(self, name, class_name=None):
        apply(self.api, manifests.ingress(name, f"{name}.example.com", "none", namespace=self.namespace))
        if class_name is not None:
            self.api.patch(self.reference(name), {"spec": {"ingressClassName": class_name}})

    def reference(self, name):
        return reference("Ingress", self.namespace, name, "networking.k8s.io/v1")

    def addresses(self, name):
        return self.api.read(self.reference(name))["status"]["loadBalancer"].get("ingress", [])

    def wait(self, name, addresses):
        wait_until(lambda: self.addresses(name) == addresses, f"{name}: {addresses}", 5)

    def version(self, name):
        return self.api.read(self.reference(name))["metadata"]["resourceVersion"]


class EnvoyService:
    def __init__(self, api, ns):
        self.api, self.reference = api, reference("Service", ns, "envoy")
        api.create({**self.reference, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}})

    def set(self, *addresses):
        self.api.patch(self.reference, {"status": {"loadBalancer": {"ingress": list(addresses)}}}, "/status")

    def delete(self):
        self.api.delete(self.reference)


@pytest.fixture
def ingresses(installed, namespace):  # noqa: F811
    return Ingresses(installed.api(), namespace)


@pytest.fixture
def start(installed, contour, namespace):  # noqa: F811
    """start(*flags, name=…) → a contour whose Envoys' Service is `envoy` in the test's namespace."""
    def run(*flags, **keywords):
        return contour("--kubeconfig", installed.kubeconfig(CONTOUR_USER), "--envoy-service-namespace", namespace,
                       *flags, **keywords)
    return run


def test_the_addresses_are_those_of_envoys_service(ingresses, start):
    ingresses.apply("before")
    service = EnvoyService(ingresses.api, ingresses.namespace)
    process = start()
    service.set({"ip": "192.0.2.7"})
    ingresses.wait("before", [{"ip": "192.0.2.7"}])
    ingresses.apply("after", "contour")
    ingresses.wait("after", [{"ip": "192.0.2.7"}])

    service.set({"hostname": "lb.example.com"}, {"ip": "192.0.2.8"})
    both = [{"hostname": "lb.example.com"}, {"ip": "192.0.2.8"}]
    ingresses.wait("before", both)
    ingresses.wait("after", both)
    # The order isn't meaning.
    writes = process.metric("contour_status_written_total")
    versions = [ingresses.version(name) for name in ("before", "after")]
    service.set({"ip": "192.0.2.8"}, {"hostname": "lb.example.com"})
    time.sleep(0.5)
    assert process.metric("contour_status_written_total") == writes
    assert [ingresses.version(name) for name in ("before", "after")] == versions

    service.delete()
    ingresses.wait("before", [])
    ingresses.wait("after", [])


def test_only_our_ingresses_are_touched(ingresses, start):
    service = EnvoyService(ingresses.api, ingresses.namespace)
    service.set({"ip": "192.0.2.7"})
    ingresses.apply("foreign", "nginx")
    theirs = [{"ip": "203.0.113.1"}]
    ingresses.api.patch(ingresses.reference("foreign"), {"status": {"loadBalancer": {"ingress": theirs}}}, "/status")
    ingresses.apply("ours")
    start()
    ingresses.wait("ours", [{"ip": "192.0.2.7"}])
    # One that ceases to be ours keeps what it has, for its new controller to change.
    ingresses.api.patch(ingresses.reference("ours"), {"spec": {"ingressClassName": "nginx"}})
    service.set({"ip": "192.0.2.8"})
    ingresses.apply("last")
    ingresses.wait("last", [{"ip": "192.0.2.8"}])
    assert ingresses.addresses("ours") == [{"ip": "192.0.2.7"}]
    assert ingresses.addresses("foreign") == theirs


def test_without_envoys_service_nothing_is_touched(ingresses, start):
    ingresses.apply("web")
    theirs = [{"ip": "203.0.113.1"}]
    ingresses.api.patch(ingresses.reference("web"), {"status": {"loadBalancer": {"ingress": theirs}}}, "/status")
    process = start()
    time.sleep(0.5)
    assert ingresses.addresses("web") == theirs
    assert process.metric("contour_status_written_total") == 0


def test_configured_addresses_and_a_restart(ingresses, start):
    ingresses.apply("web")
    flags = ("--ingress-status-address", "192.0.2.9,lb.example.org")
    addresses = [{"hostname": "lb.example.org"}, {"ip": "192.0.2.9"}]
    first = start(*flags)
    ingresses.wait("web", addresses)
    # Somebody else's change is put right within a second, once.
    started = time.monotonic()
    ingresses.api.patch(ingresses.reference("web"), {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}},
                        "/status")
    ingresses.wait("web", addresses)
    assert time.monotonic() - started < 1.0
    version = ingresses.version("web")
    assert first.stop() == 0
    second = start(*flags, name="second")
    time.sleep(0.7)
    assert second.metric("contour_status_written_total") == 0
    assert ingresses.version("web") == version


def test_a_bad_address_is_refused(tmp_path, installed):  # noqa: F811
    result = contour_run("serve", "--insecure", "--kubeconfig", installed.kubeconfig(CONTOUR_USER),
                         "--ingress-status-address", "192.0.2.1:80")
    assert result.returncode == 1
    assert '--ingress-status-address: expected an IP address or a host name, got "192.0.2.1:80"' in result.stderr
