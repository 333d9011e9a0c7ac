# SPDX-License-Identifier: Apache-2.0
"""Attacks by an author of objects, which must fail: docs/threat-model.md names these tests."""
import json

import pytest
from conftest import next_pod_address
from harness import manifests
from harness.backend import Backend
from harness.client import Client

# Ways to write this host, as the resolvers of C libraries and of Envoy take them.
OURSELVES = ["127.0.0.1", "localhost", "LOCALHOST", "foo.localhost", "localhost.", "127.1", "0x7f000001", "2130706433",
             "017700000001", "0.0.0.0", "0", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fe80::1", "ip6-localhost",
             "contour", "contour.heptio-contour", "envoy.heptio-contour.svc.cluster.local"]  # of the default namespace


@pytest.fixture
def site(work_dir, contour, envoy):
    folder = work_dir / "manifests"
    folder.mkdir()
    backend = Backend("blue", work_dir, next_pod_address(), 8080).start()
    server = contour("--manifests", folder)
    manifests.replace(folder / "0.yaml", manifests.service("blue", backend.address, 8080) +
                      manifests.ingress("blue", "blue.example.com", "blue"))
    client = Client("127.0.0.1", server.ingress_http_port)
    proxy = envoy(server)
    client.poll("blue.example.com", "/", lambda answer: answer.status == 200)

    def write(text):
        manifests.replace(folder / "1.yaml", text + manifests.ingress("marker", "marker.example.com", "blue"))
        client.poll("marker.example.com", "/", lambda answer: answer.status == 200)
    yield server, proxy, client, write
    backend.kill()


def test_no_object_reaches_the_admin_page(site):
    """By the name of an ExternalName Service: none of the spellings of this host gets there."""
    _, proxy, client, write = site
    text = ""
    for number, name in enumerate(OURSELVES):
        text += (f"apiVersion: v1\nkind: Service\nmetadata: {{name: way-{number}, namespace: default}}\n"
                 f"spec: {{type: ExternalName, externalName: {json.dumps(name)}, ports: [{{port: {proxy.admin_port}}}]}}\n---\n"
                 f"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: way-{number}, namespace: default}}\n"
                 f"spec: {{rules: [{{host: way-{number}.example.com, http: {{paths: [{{path: /, pathType: Prefix, backend: "
                 f"{{service: {{name: way-{number}, port: {{number: {proxy.admin_port}}}}}}}}}]}}}}]}}\n---\n")
    write(text)
    assert b"concurrency" in proxy.admin("/server_info").encode(), "what must not be seen"
    for number, name in enumerate(OURSELVES):
        answer = client.get(f"way-{number}.example.com", "/server_info")
        assert answer.status in (404, 503) and b"concurrency" not in answer.body, (name, answer)
        assert not proxy.stats(f"cluster.default_way-{number}_"), f"{name}: a cluster was made"


def test_what_envoy_would_expand_stays_text(site):
    """Substitution operators, line ends and quotes in fields of objects reach nothing but the place that they are for."""
    server, proxy, client, write = site
    odd = "/%REQ(authorization)%/%ENVIRONMENT(PATH)%/\\\"quoted\\\"/a%0d%0ax-injected:1"
    write("apiVersion: contour.heptio.com/v1beta1\nkind: IngressRoute\nmetadata: {name: odd, namespace: default}\n"
          "spec:\n  virtualhost: {fqdn: odd.example.com}\n  routes:\n"
          f"  - {{match: /from, prefixRewrite: \"{odd}\", services: [{{name: blue, port: 80, healthCheck: "
          "{path: \"/healthz\\r\\nx-injected: 1\", host: \"a b\\r\\n\"}}]}\n---\n")
    answer = client.get("odd.example.com", "/from", headers={"authorization": "secret-of-the-client"})
    assert "x-injected" not in answer.headers
    if answer.status == 200:  # served: then literally
        assert b"%REQ(authorization)%" in answer.body
        assert "secret-of-the-client" not in answer.json.get("path", "")
    proxy.assert_nothing_rejected()
    assert server.running


def test_a_regular_expression_costs_what_it_costs_re2(site):
    """The nested repetition that takes back-tracking engines minutes is answered as quickly as any other path."""
    _, proxy, client, write = site
    write(manifests.ingress("regex", "regex.example.com", "blue", path="/(a+)+b$").replace(
        "pathType: Prefix", "pathType: ImplementationSpecific"))
    seconds, _ = client.poll("regex.example.com", "/" + "a" * 4000, lambda answer: answer.status in (200, 404), timeout=2)
    assert seconds < 1
    proxy.assert_nothing_rejected()
