# SPDX-License-Identifier: Apache-2.0
"""The test cluster itself, which the other tests need."""
import pytest
from conftest import USER_WITHOUT_RIGHTS
from harness.cluster import ApiError


def ingress(name):
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name, "namespace": "default"},
        "spec": {"rules": [{"host": "www.example.com", "http": {
            "paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]},
    }


def test_version(cluster):
    assert cluster.api().get("/version")["major"] == "1"


def test_ingress_is_stored(cluster):
    api = cluster.api()
    wanted = ingress("smoke")
    api.create(wanted)
    stored = api.read(wanted)
    assert stored["spec"]["rules"] == wanted["spec"]["rules"]
    assert stored["metadata"]["resourceVersion"]
    api.delete(wanted)
    with pytest.raises(ApiError) as error:
        api.read(wanted)
    assert error.value.status == 404


def test_bad_object_is_refused(cluster):
    bad = ingress("bad")
    bad["spec"]["rules"][0]["http"]["paths"][0]["pathType"] = "Sometimes"
    with pytest.raises(ApiError) as error:
        cluster.api().create(bad)
    assert error.value.status == 422


def test_loopback_endpoints_are_refused(cluster, pod_address):
    """Why the tests need addresses of their own."""
    slice_ = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
              "metadata": {"name": "loopback", "namespace": "default"}, "ports": [{"port": 80}],
              "endpoints": [{"addresses": ["127.0.0.1"]}]}
    with pytest.raises(ApiError):
        cluster.api().create(slice_)
    slice_["endpoints"][0]["addresses"] = [pod_address()]
    cluster.api().create(slice_)
    cluster.api().delete(slice_)


def test_rights_are_enforced(cluster):
    """A user without a role may read the version, and nothing else."""
    assert USER_WITHOUT_RIGHTS.name.startswith("system:serviceaccount:")
    with pytest.raises(ApiError) as error:
        cluster.api(USER_WITHOUT_RIGHTS).get("/apis/networking.k8s.io/v1/ingresses")
    assert error.value.status == 403


def test_restart_keeps_objects(cluster):
    wanted = ingress("kept")
    cluster.api().create(wanted)
    cluster.apiserver.kill()
    with pytest.raises(OSError):
        cluster.api().get("/version")
    cluster.start_apiserver()
    assert cluster.api().read(wanted)["spec"]
    cluster.api().delete(wanted)
