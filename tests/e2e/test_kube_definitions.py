# SPDX-License-Identifier: Apache-2.0
"""The definitions of deploy/crds: what they accept, keep and refuse."""
import copy
import http.client
import json

import pytest
from harness.cluster import ApiError
from kube_support import apply_deployment, ingress_route

HEALTH_CHECK = {"path": "/healthy", "host": "h", "intervalSeconds": 5, "timeoutSeconds": 2, "unhealthyThresholdCount": 3,
                "healthyThresholdCount": 2}
SERVICE = {"name": "web", "port": 80, "weight": 10, "strategy": "Cookie", "healthCheck": HEALTH_CHECK,
           "validation": {"caSecret": "ca", "subjectName": "web.example.com"}}
EVERYTHING = {
    "virtualhost": {"fqdn": "www.example.com",
                    "tls": {"secretName": "certs/www", "minimumProtocolVersion": "1.2", "passthrough": False}},
    "strategy": "Random", "healthCheck": HEALTH_CHECK,
    "routes": [
        {"match": "/", "services": [SERVICE], "enableWebsockets": True, "permitInsecure": True, "prefixRewrite": "/x",
         "timeoutPolicy": {"request": "1m30s"}, "retryPolicy": {"count": 3, "perTryTimeout": "500ms"}},
        {"match": "/team", "delegate": {"name": "team.one", "namespace": "team"}},
    ],
    "tcpproxy": {"services": [SERVICE], "delegate": {"name": "tcp", "namespace": "team"}},
}


@pytest.fixture(scope="module")
def api(cluster):
    apply_deployment(cluster.api())
    return cluster.api()


def dry_run(api, value):
    """What would be stored."""
    return api.request("POST", api.collection(value) + "?dryRun=All", value)


def test_every_field_is_kept(api):
    route = ingress_route("whole")
    route["spec"] = EVERYTHING
    assert dry_run(api, route)["spec"] == EVERYTHING


def test_status_is_a_subresource(api):
    route = ingress_route("status")
    route["status"] = {"currentStatus": "valid"}
    stored = api.create(route)
    try:
        assert "status" not in stored
        status = {"currentStatus": "invalid", "description": "words"}
        stored = api.patch(route, {"status": status}, subresource="/status")
        assert stored["status"] == status
        with pytest.raises(ApiError) as error:  # the precondition
            api.patch(route, {"metadata": {"resourceVersion": "1"}, "status": status}, subresource="/status")
        assert error.value.status == 409
    finally:
        api.delete(route)


def changed(path, value):
    """The whole object with another value at a path such as routes.0.match."""
    spec = copy.deepcopy(EVERYTHING)
    *way, last = path.split(".")
    place = spec
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    place[int(last) if last.isdigit() else last] = value
    return spec


@pytest.mark.parametrize("path,value", [
    ("virtualhost.fqdn", "*.example.com"),  # said in the status, not here
    ("virtualhost.fqdn", "a b.example.com"),
    ("virtualhost.fqdn", "WWW.example.com"),
    ("virtualhost.fqdn", "localhost"),
    ("virtualhost.tls.secretName", "www.example.com"),
    ("routes", []),
    ("routes", None),
    ("routes.0.services", []),
    ("routes.0.services.0.port", 0),
    ("routes.0.services.0.port", 70000),
    ("routes.0.services.0.weight", -1),
    ("routes.0.timeoutPolicy.request", "words"),
    ("virtualhost", {}),
    ("tcpproxy", {}),
])
def test_accepted(api, path, value):
    route = ingress_route("accepted")
    route["spec"] = changed(path, value)
    assert dry_run(api, route)["spec"] == route["spec"]


@pytest.mark.parametrize("path,value", [
    ("virtualhost.fqdn", 1),
    ("virtualhost.fqdn", "example.COM."),
    ("virtualhost.tls.secretName", "UPPER"),
    ("virtualhost.tls.secretName", ""),
    ("virtualhost.tls.minimumProtocolVersion", "1.0"),
    ("virtualhost.tls.passthrough", "yes"),
    ("strategy", "Sometimes"),
    ("healthCheck", {"host": "h"}),
    ("routes.0.match", "no-slash"),
    ("routes.0", {"services": [SERVICE]}),
    ("routes.0.services.0", {"name": "web"}),
    ("routes.0.services.0", {"port": 80}),
    ("routes.0.services.0.name", "Web"),
    ("routes.0.services.0.name", "1web"),
    ("routes.0.services.0.port", "80"),
    ("routes.0.services.0.port", 80.5),
    ("routes.0.services.0.strategy", "roundrobin"),
    ("routes.0.services.0.healthCheck.path", "healthy"),
    ("routes.0.services.0.healthCheck.intervalSeconds", "5"),
    ("routes.0.retryPolicy.count", "3"),
    ("routes.1.delegate", {"namespace": "team"}),
    ("routes.1.delegate.name", "Team"),
    ("routes.1.delegate.namespace", "a.b"),
    ("tcpproxy.services.0.port", "80"),
    ("tcpproxy.delegate.name", "-"),
])
def test_refused(api, path, value):
    route = ingress_route("refused")
    route["spec"] = changed(path, value)
    with pytest.raises(ApiError) as error:
        dry_run(api, route)
    assert error.value.status == 422


def test_columns(api):
    route = ingress_route("columns")
    route["spec"] = EVERYTHING
    api.create(route)
    try:
        api.patch(route, {"status": {"currentStatus": "valid", "description": "valid IngressRoute"}}, subresource="/status")
        table = table_of(api, route)
        names = [column["name"] for column in table["columnDefinitions"]]
        cells = dict(zip(names, table["rows"][0]["cells"]))
        assert {name: cells[name] for name in ("FQDN", "TLS Secret", "First route", "Status", "Status Description")} == {
            "FQDN": "www.example.com", "TLS Secret": "certs/www", "First route": "/", "Status": "valid",
            "Status Description": "valid IngressRoute"}
    finally:
        api.delete(route)


def table_of(api, value):
    connection = http.client.HTTPSConnection(api.address, api.port, context=api._context, timeout=10)
    connection.request("GET", api.path(value), headers={
        "authorization": f"Bearer {api.token}", "accept": "application/json;as=Table;g=meta.k8s.io;v=v1"})
    table = json.loads(connection.getresponse().read())
    connection.close()
    return table


def test_delegations(api):
    good = {"apiVersion": "contour.heptio.com/v1beta1", "kind": "TLSCertificateDelegation",
            "metadata": {"name": "d", "namespace": "default"},
            "spec": {"delegations": [{"match": "x", "secretName": "s", "targetNamespaces": ["*", "team"]}]}}
    assert dry_run(api, good)["spec"] == good["spec"]
    for bad in ({"secretName": "s"}, {"targetNamespaces": []}, {"secretName": 1, "targetNamespaces": []},
                {"secretName": "s", "targetNamespaces": "team"}):
        with pytest.raises(ApiError) as error:
            dry_run(api, {**good, "spec": {"delegations": [bad]}})
        assert error.value.status == 422
