# SPDX-License-Identifier: Apache-2.0
"""Metrics, debug pages and logs of a running contour with a real Envoy: their content, and that they show no secret."""
import base64
import json
import re
import shutil
import subprocess
import urllib.parse

import pytest
import yaml
from conftest import CONTOUR_USER, ROOT
from harness import manifests
from harness.process import wait_until
from test_kubernetes import apply, installed, namespace  # noqa: F401  (fixtures)

HOST, TLS_HOST, BAD_HOST = "debug.example.com", "secure.example.com", "bad.example.com"


def key_pair(folder, host):
    """(certificate, key) as PEM."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={host}",
                    "-keyout", folder / "key.pem", "-out", folder / "certificate.pem"], check=True, capture_output=True)
    return (folder / "certificate.pem").read_text(), (folder / "key.pem").read_text()


def tls_secret(name, certificate, key, namespace="default"):  # noqa: F811
    data = {"tls.crt": base64.b64encode(certificate.encode()).decode(), "tls.key": base64.b64encode(key.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": name, "namespace": namespace}, "data": data}


def secure_route(name, host, secret, service, namespace="default"):  # noqa: F811
    return {"apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"virtualhost": {"fqdn": host, "tls": {"secretName": secret}},
                     "routes": [{"match": "/", "services": [{"name": service, "port": 80}]}]}}


def traces(key):
    """What of a PEM key may appear nowhere: its lines, and those as they stand in a Secret."""
    body = [line for line in key.splitlines() if not line.startswith("-----")]
    encoded = base64.b64encode(key.encode()).decode()
    return [line for line in body if len(line) > 20] + [encoded[i:i + 60] for i in range(60, len(encoded) - 60, 60)]


def pages(contour):
    """Every page that contour has for people and machines: path → text."""
    paths = ["/metrics", "/readyz", "/healthz", "/debug/", "/debug/dag", "/debug/dag?format=json", "/debug/xds?all=1",
             "/debug/log-level", "/debug/pprof/cmdline", "/debug/pprof/threads"]
    paths += [f"/debug/explain?host={host}" for host in (HOST, TLS_HOST, BAD_HOST)]
    found = {path: contour.get(path) for path in paths}
    assert {status for status, _ in found.values()} == {200}, {path: status for path, (status, _) in found.items()}
    return {path: text for path, (_, text) in found.items()}


@pytest.fixture
def site(work_dir, backends, contour, envoy):
    """contour on a folder with a host, a host with TLS and one whose key doesn't match; an Envoy; (contour, envoy, keys)."""
    folder = work_dir / "manifests"
    folder.mkdir()
    blue = backends("blue")
    certificate, key = key_pair(work_dir / "good", TLS_HOST)
    other_certificate, other_key = key_pair(work_dir / "bad", BAD_HOST)
    (folder / "services.yaml").write_text(manifests.service("blue", blue.address, blue.port))
    (folder / "plain.yaml").write_text(manifests.ingress_route("plain", HOST, {"blue": None}))
    (folder / "tls.yaml").write_text(yaml.safe_dump_all([
        tls_secret("good", certificate, key), tls_secret("mixed", other_certificate, key),
        secure_route("secure", TLS_HOST, "good", "blue"), secure_route("bad", BAD_HOST, "mixed", "blue")]))
    process = contour("--manifests", folder, "--debug", "--log-format", "json")
    return process, envoy(process), [key, other_key]


def test_pages_explain_an_object(site):
    contour, envoy, _ = site
    wait_until(lambda: contour.metric("contour_xds_envoys") == 1, "the Envoy", 10)
    graph = contour.get("/debug/dag")[1]
    for label in ("{listener|:80}", "{listener|:443}", f"{{http://{HOST}}}", f"{{https://{TLS_HOST}}}", "{prefix|/}",
                  "{httpservice|default/blue:80}", "{secret|default/good}"):
        assert f'label="{label}"' in graph, label
    assert re.search(r'label="\{cluster\|\{default/blue/80/da39a3ee5e\|weight\\ \d+\}\}"', graph)
    assert HOST not in contour.get(f"/debug/dag?host={TLS_HOST}")[1]
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tsvg"], input=graph, text=True, check=True, capture_output=True)

    def explained(query):
        status, text = contour.get("/debug/explain?" + urllib.parse.urlencode(query))
        assert status == 200, text
        return json.loads(text)

    def acknowledged():
        host = explained({"object": "Service/default/blue"})["objects"][0]["hosts"]
        found = [resource for each in host if each["host"] == HOST for resource in each["resources"]]
        return {resource["type"] for resource in found if resource["envoys"] == {"acknowledged": 1}} >= {"CDS", "EDS", "RDS"}
    wait_until(acknowledged, "everything of the host acknowledged by the Envoy", 10)
    bad = explained({"object": "default/bad"})["objects"][0]
    assert bad["status"]["currentStatus"] == "invalid"
    assert "Secret/default/mixed" in bad["hosts"][0]["read"]
    assert contour.get("/debug/explain?object=default/nobody")[0] == 404
    ledger = json.loads(contour.get("/debug/xds")[1])["envoys"]
    assert len(ledger) == 1 and ledger[0]["types"]["CDS"]["acknowledged"] == ledger[0]["types"]["CDS"]["resources"] > 0


def test_the_log_level_changes_at_run_time(site):
    contour, _, _ = site
    assert contour.request("PUT", "/debug/log-level", "warning") == (200, b"warning\n")
    assert contour.get("/debug/log-level") == (200, "warning\n")
    assert contour.request("PUT", "/debug/log-level", "chatty")[0] == 400


def test_a_cpu_profile_is_one_of_pprof(site, work_dir):
    contour, _, _ = site
    status, profile = contour.request("GET", "/debug/pprof/profile?seconds=1")
    if status == 501:
        pytest.skip("a build with sanitizers has no profiler")
    assert status == 200
    words = [int.from_bytes(profile[i:i + 8], "little") for i in range(0, 40, 8)]
    assert words == [0, 3, 0, 10000, 0]
    assert b"contour" in profile  # the mappings at its end


def test_every_line_of_the_log_is_an_object(site):
    contour, _, _ = site
    lines = contour.log(whole=True).splitlines()
    assert len(lines) > 5
    for line in lines:
        entry = json.loads(line)
        assert {"time", "level", "msg", "context"} <= entry.keys(), line
        if entry["msg"] == "status":
            assert {"kind", "namespace", "name"} <= entry.keys(), line


def test_no_page_and_no_line_of_the_log_gives_a_key_away(site):
    contour, _, keys = site
    wait_until(lambda: '"name":"bad"' in contour.log(whole=True), "the log about the pair that doesn't match", 10)
    shown = {**pages(contour), "the log": contour.log(whole=True)}
    assert "default/good" in shown["/debug/dag"]
    for where, text in shown.items():
        assert "PRIVATE KEY" not in text, where
        for key in keys:
            assert not [trace for trace in traces(key) if trace in text], where


def declared():
    """name → where it is present, of docs/metrics.md, which a unit test holds against the program."""
    found = {}
    for line in (ROOT / "docs/metrics.md").read_text(encoding="utf-8").splitlines():
        if row := re.match(r"\| `(\w+)` \| (?:counter|gauge|summary|histogram) \| [^|]*\| ([^|]+) \|", line):
            found[row.group(1)] = row.group(2)
    return found


def check_families(contour, presences):
    shown, known = contour.metric_families(), declared()
    assert shown <= known.keys()
    missing = {name for name, presence in known.items() if presence in presences} - shown
    assert not missing


def test_metrics_are_the_declared_ones_with_manifests(site):
    contour, _, _ = site
    check_families(contour, {"always", "with `--manifests`"})
    text = contour.get("/metrics")[1]
    assert f'contour_ingressroute_valid_total{{namespace="default",vhost="{HOST}"}} 1' in text
    assert 'contour_ingressroute_root_total{namespace="default"} 3' in text
    assert re.search(r'^contour_ingressroute_invalid_total\{namespace="default",vhost="[^"]*"\} 1$', text, re.MULTILINE)
    assert contour.metric("contour_core_derive_seconds_count") >= 1


def test_metrics_and_secrets_with_a_cluster(installed, namespace, contour, work_dir):  # noqa: F811
    config = work_dir / "kubeconfig"  # the harness names its own by the token
    shutil.copy(installed.kubeconfig(CONTOUR_USER), config)
    user = yaml.safe_load(config.read_text(encoding="utf-8"))["users"][0]["user"]
    credentials = [value for value in user.values() if isinstance(value, str) and len(value) > 20]
    assert credentials
    process, api = contour("--kubeconfig", config, "--debug"), installed.api()
    certificate, key = key_pair(work_dir / "pair", TLS_HOST)
    api.apply(tls_secret("pair", certificate, key, namespace))
    apply(api, yaml.safe_dump(secure_route("secure", TLS_HOST, "pair", "none", namespace)))
    series = f'contour_ingressroute_invalid_total{{namespace="{namespace}",vhost=""}} 1\n'
    wait_until(lambda: series in process.get("/metrics")[1], series, 10)
    check_families(process, {"always", "with an API server"})
    shown = {**pages(process), "the log": process.log(whole=True)}
    for where, text in shown.items():
        assert not [secret for secret in traces(key) + credentials if secret in text], where
    api.request("DELETE", f"/apis/contour.heptio.com/v1beta1/namespaces/{namespace}/ingressroutes/secure")
    wait_until(lambda: f'namespace="{namespace}"' not in process.get("/metrics")[1], "the series gone", 10)
