# SPDX-License-Identifier: Apache-2.0
"""contour serve --kubeconfig on a real API server, with the rights of deploy/rbac and no more."""
import collections
import re
import statistics
import time

import pytest
import yaml
from conftest import CONTOUR_USER, ROOT
from harness import manifests
from harness.client import Client, SteadyLoad
from harness.cluster import ApiError
from harness.process import wait_until

CHANGES = 10


@pytest.fixture(scope="module")
def installed(cluster):
    """The cluster with deploy/crds and deploy/rbac applied."""
    api = cluster.api()
    for folder in ("crds", "rbac"):
        for path in sorted((ROOT / "deploy" / folder).glob("*.yaml")):
            api.apply_file(path)
    for plural in ("ingressroutes", "tlscertificatedelegations"):
        def served(path=f"/apis/contour.heptio.com/v1beta1/{plural}"):
            try:
                return api.get(path)
            except ApiError:
                return None
        wait_until(served, plural, 20)
    return cluster


@pytest.fixture
def namespace(installed, request):
    """A namespace of this test's own; its objects go when the test ends, as nothing here collects garbage."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_")).strip("-")
    api = installed.api()
    api.create_namespace(name)
    yield name
    for path in (f"/apis/networking.k8s.io/v1/namespaces/{name}/ingresses",
                 f"/apis/contour.heptio.com/v1beta1/namespaces/{name}/ingressroutes",
                 f"/apis/discovery.k8s.io/v1/namespaces/{name}/endpointslices"):
        api.request("DELETE", path, timeout=60)  # of 5,000 objects, too
    for service in api.get(f"/api/v1/namespaces/{name}/services")["items"]:
        api.request("DELETE", f"/api/v1/namespaces/{name}/services/{service['metadata']['name']}")


def apply(api, text):
    for value in yaml.safe_load_all(text):
        if value:
            api.apply(value)


class World:
    def __init__(self, installed, contour, envoy, namespace):
        self.namespace = namespace
        self.api = installed.api()
        self.contour = contour("--kubeconfig", installed.kubeconfig(CONTOUR_USER))
        self.envoy = envoy(self.contour)
        self.client = Client(self.contour.ingress_address, self.contour.ingress_http_port)

    def apply_service(self, name, backend):
        apply(self.api, manifests.service(name, backend.address, backend.port, namespace=self.namespace))

    def apply_ingress(self, name, host, service):
        apply(self.api, manifests.ingress(name, host, service, namespace=self.namespace))

    def wait_for(self, host, backend):
        return self.client.poll(host, "/", lambda answer: answer.status == 200 and answer.backend == backend)


@pytest.fixture
def world(installed, contour, envoy, namespace):
    return World(installed, contour, envoy, namespace)


def test_created_objects_are_served(world, backends, figure):
    """An Ingress and an IngressRoute, created one after the other: 404, then 200, and nothing between."""
    blue = backends("blue")
    for number in range(CHANGES):
        world.apply_service(f"service-{number}", blue)
    # Kinds arrive by watches of their own, in no common order; of one kind in the order of creation. So when the last
    # Service and its slice are there, all are, and what follows depends on contour alone.
    world.apply_service("last", blue)
    world.apply_ingress("last", "last.example.com", "last")
    world.wait_for("last.example.com", "blue")
    times, between = [], collections.Counter()
    for number in range(CHANGES):
        host = f"host-{number}.example.com"
        started = time.monotonic()
        if number % 2:
            world.apply_ingress(f"host-{number}", host, f"service-{number}")
        else:
            apply(world.api, manifests.ingress_route(f"host-{number}", host, {f"service-{number}": None},
                                                     namespace=world.namespace))
        _, seen = world.wait_for(host, "blue")
        times.append((time.monotonic() - started) * 1000)
        between.update(seen)
    figure("object_created_to_answer_median", statistics.median(times), "ms")
    assert set(between) <= {404}, dict(between)
    world.envoy.assert_nothing_rejected()


def test_endpoints_follow_the_slice(world, backends):
    blue, green = backends("blue", "green")
    world.apply_service("web", blue)
    world.apply_ingress("web", "web.example.com", "web")
    world.wait_for("web.example.com", "blue")
    with SteadyLoad("127.0.0.1", world.contour.ingress_http_port, "web.example.com") as load:
        world.apply_service("web", green)
        world.wait_for("web.example.com", "green")
        time.sleep(0.2)
    load.assert_clean()


def test_traffic_outlives_the_api_server(world, backends, installed):
    """The API server goes and comes back: no request notices, and changes are followed again."""
    blue, green = backends("blue", "green")
    world.apply_service("blue", blue)
    world.apply_service("green", green)
    world.apply_ingress("web", "outlive.example.com", "blue")
    world.wait_for("outlive.example.com", "blue")
    updated = world.envoy.last_updated()
    with SteadyLoad("127.0.0.1", world.contour.ingress_http_port, "outlive.example.com") as load:
        installed.apiserver.kill()
        time.sleep(1.5)
        installed.start_apiserver()
        assert world.envoy.last_updated() == updated, "an outage changes nothing"
        world.apply_ingress("web", "outlive.example.com", "green")
        world.client.poll("outlive.example.com", "/", lambda answer: answer.backend == "green", timeout=30)
    load.assert_clean()


def test_rights_suffice(world):
    """Nothing that contour asks for is forbidden to its service account."""
    log = world.contour.log()
    assert "forbidden" not in log.lower(), log
