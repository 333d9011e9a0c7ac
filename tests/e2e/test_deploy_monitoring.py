# SPDX-License-Identifier: Apache-2.0
"""deploy/monitoring: the alerts by promtool, and that every metric they and the dashboard ask for is really there: contour's by
docs/metrics.md (which a unit test holds against the program), Envoy's by a running one."""
import json
import re
import shutil
import subprocess

import pytest
import yaml
from conftest import ROOT
from harness import manifests
from harness.client import Client

MONITORING = ROOT / "deploy/monitoring"
ENVOY_METRICS_OF_HISTOGRAMS = ("_bucket", "_sum", "_count")


def promtool(*arguments):
    assert shutil.which("promtool"), "no promtool: ./dev setup installs it (Debian's prometheus)"
    return subprocess.run(["promtool", *arguments], cwd=MONITORING, capture_output=True, text=True, timeout=300, check=False)


def rules():
    groups = yaml.safe_load((MONITORING / "rules.yaml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard():
    return json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))


def queries():
    """(where, PromQL) of every alert and every panel."""
    found = [(f"alert {rule['alert']}", rule["expr"]) for rule in rules()]
    for panel in dashboard()["panels"]:
        found += [(f"panel {panel['title']}", target["expr"]) for target in panel.get("targets", [])]
    return found


def metric_names(query):
    query = re.sub(r'"[^"]*"', "", query)
    return set(re.findall(r"\b(?:contour|envoy|process)_\w+\b(?!\s*=[~\"])", re.sub(r"\b(?:by|on|without|ignoring)\s*\([^)]*\)", "", query)))


def documented():
    """name → (type, labels) of docs/metrics.md."""
    found = {}
    for line in (ROOT / "docs/metrics.md").read_text(encoding="utf-8").splitlines():
        row = re.match(r"\| `(\w+)` \| (counter|gauge|summary|histogram) \| ([^|]*)\|", line)
        if row:
            found[row.group(1)] = (row.group(2), set(re.findall(r"`(\w+)`", row.group(3))))
    assert len(found) > 20
    return found


def test_promtool_takes_the_rules():
    result = promtool("check", "rules", "rules.yaml")
    assert result.returncode == 0, result.stdout + result.stderr


def test_alerts_fire_when_they_should_and_not_else():
    result = promtool("test", "rules", "rules_test.yaml")
    assert result.returncode == 0, result.stdout + result.stderr


def test_each_alert_is_tried():
    tests = yaml.safe_load((MONITORING / "rules_test.yaml").read_text(encoding="utf-8"))["tests"]
    tried = {re.search(r'alertname="(\w+)"', sample["labels"]).group(1)
             for test in tests for expression in test["promql_expr_test"] for sample in expression["exp_samples"]}
    assert tried == {rule["alert"] for rule in rules()}
    healthy = {re.match(r"\w+", series["series"]).group() for series in tests[0]["input_series"]}
    assert tests[0]["promql_expr_test"][0]["exp_samples"] == []
    for rule in rules():
        needed = {name for name in metric_names(rule["expr"])}
        if rule["alert"] != "ContourMetricsLeftOut":  # when all is well there is no such series
            assert needed <= healthy, f"{rule['alert']} is not tried while all is well: {needed - healthy}"


@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
def test_alerts_say_what_to_do(severity):
    chosen = [rule for rule in rules() if rule["labels"]["severity"] == severity]
    assert chosen
    for rule in chosen:
        assert len(rule["annotations"]["summary"]) > 10 and len(rule["annotations"]["description"]) > 20, rule["alert"]


def test_metrics_of_contour_are_real():
    known = documented()
    for where, query in queries():
        for name in metric_names(query):
            if name.startswith("envoy_"):
                continue
            base = name
            for suffix in ENVOY_METRICS_OF_HISTOGRAMS:
                if name.endswith(suffix) and known.get(name.removesuffix(suffix), ("",))[0] in ("histogram", "summary"):
                    base = name.removesuffix(suffix)
            assert base in known, f"{where}: {name} is not in docs/metrics.md"
            kind = known[base][0]
            if re.search(rf"(rate|increase)\({base}\b", query):
                assert kind == "counter", f"{where}: rate of the {kind} {name}"


def test_labels_of_alerts_are_real():
    """What a text names by $labels comes from the metrics of the expression, or from Prometheus."""
    known = documented()
    for rule in rules():
        labels = {"instance", "job"}
        for name in metric_names(rule["expr"]):
            labels |= known.get(name, ("", set()))[1] if not name.startswith("envoy_") else {"envoy_cluster_name"}
        used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
        assert used <= labels, f"{rule['alert']}: {used - labels}"


def test_metrics_of_envoy_are_real(contour, envoy, backends, work_dir):
    folder = work_dir / "manifests"
    folder.mkdir()
    backend = backends("blue")
    (folder / "all.yaml").write_text(
        manifests.service("blue", backend.address, backend.port) + manifests.ingress("www", "www.example.com", "blue"))
    process = contour("--manifests", folder)
    proxy = envoy(process)
    client = Client("127.0.0.1", process.ingress_http_port)
    client.poll("www.example.com", "/", lambda answer: answer.status == 200)
    shown = Client("127.0.0.1", process.stats_port).get("envoy", "/stats/prometheus").body.decode()
    assert proxy.running
    there = set(re.findall(r"^(envoy_\w+)", shown, re.M))
    asked = {name for _, query in queries() for name in metric_names(query) if name.startswith("envoy_")}
    assert asked and asked <= there, f"Envoy has no {sorted(asked - there)}"


def test_dashboard_is_whole():
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        if panel["type"] == "row":
            continue
        assert panel["targets"] and panel["description"], panel["title"]
        position = panel["gridPos"]
        assert position["x"] + position["w"] <= 24, panel["title"]


def test_queries_of_the_dashboard_parse(tmp_path):
    """promtool parses expressions of rules; each query becomes one."""
    texts = [query.replace("$__rate_interval", "5m") for where, query in queries() if where.startswith("panel")]
    assert len(texts) > 20
    path = tmp_path / "queries.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": [
        {"record": f"panel:query{number}", "expr": text} for number, text in enumerate(texts)]}]}), encoding="utf-8")
    result = promtool("check", "rules", str(path))
    assert result.returncode == 0, result.stdout + result.stderr
