#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the fuzzers' seeds from the fixtures: none of them is kept in the tree.

usage: corpus.py DESTINATION
Writes DESTINATION/<target>/<seed>, a folder for each target that has seeds.
"""
import json
import pathlib
import re
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = sorted((ROOT / "tests/fixtures").rglob("in*.yaml"))

KUBECONFIG = """apiVersion: v1
kind: Config
current-context: one
clusters:
- {name: here, cluster: {server: "https://127.0.0.1:6443", certificate-authority: ca.crt, tls-server-name: kubernetes}}
users:
- {name: me, user: {tokenFile: token}}
- {name: plugin, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: get-token, args: [a], env: [{name: A, value: b}], interactiveMode: Never}}}
contexts:
- {name: one, context: {cluster: here, user: me, namespace: default}}
- {name: two, context: {cluster: here, user: plugin}}
"""
CREDENTIAL = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
              "status": {"token": "t", "expirationTimestamp": "2030-01-01T00:00:00Z"}}
# A configuration file, then arguments, each behind a zero byte.
CONFIGURATIONS = [
    "incluster: false\nkubeconfig: /path/to/.kube/config\ndisablePermitInsecure: false\n"
    "tls:\n  minimumProtocolVersion: \"1.1\"\nleaderelection:\n  configmap-name: contour\n  configmap-namespace: leader-elect\n",
    "tls:\n  minimum-protocol-version: 1.3\nleaderelection:\n  lease-name: a\n  lease-namespace: b\n  lease-duration: 15s\n"
    "  renew-deadline: 10s\n  retry-period: 2s\n  xds: all\n\0--enable-leader-election",
    "tls:\naccesslog-format: json\njson-fields: [\"@timestamp\", authority, a=b]\n\0--debug\0--no-insecure\0--xds-port=1",
    '{"accesslog-format-string": "%PROTOCOL%\\n", "accesslog-level": "error", "delivery": "sharded", "listener": {"http2-max-concurrent-streams": 5}}',
    "? [a]\n: {b: &c !!binary aGk=, d: *c}\n---\n...\n\0-d\0-c\0x\0--watch-namespaces\0a,b\0--watch-namespaces=c",
    "unknown: 1\n", "tls: 3\n", "debug: yes\n", "debug: true\ndebug: false\n",
]
DURATIONS = ["0", "0s", "1m30s", "250ms", "-1.5h", "1h1m1s1ms1us1ns", "9223372036854775807ns", "infinity", ".5s", "1.s"]


def pair(*key_options):
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", *key_options, "-nodes", "-keyout", "-", "-subj", "/CN=seed", "-days", "30"],
        check=True, capture_output=True, text=True).stdout
    start = made.index("-----BEGIN CERTIFICATE-----")
    return made[start:], made[:start]


def with_pairs(text, certificate, key, other_key):
    """A fixture with a pair in place of {{certificate NAME}}, {{key NAME}}, {{other key NAME}}."""
    for kind, value in (("certificate", certificate), ("key", key), ("other key", other_key)):
        text = re.sub(r"\{\{" + kind + r" \w+\}\}", lambda match, value=value: json.dumps(value), text)
    return text


def objects_of(text):
    return [value for value in yaml.safe_load_all(text) if isinstance(value, dict)]


def main():
    destination = pathlib.Path(sys.argv[1])

    def write(target, name, data):
        folder = destination / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())

    certificate, key = pair("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    rsa_certificate, rsa_key = pair("rsa:2048")
    write("graph_certificate_fuzz", "ecdsa", certificate + "\0" + key)
    write("graph_certificate_fuzz", "rsa", rsa_certificate + "\0" + rsa_key)
    write("graph_certificate_fuzz", "bundle", certificate + rsa_certificate)

    watch = []
    for path in FIXTURES:
        name = "-".join(path.relative_to(ROOT / "tests/fixtures").with_suffix("").parts)
        text = with_pairs(path.read_text(encoding="utf-8"), certificate, key, rsa_key)
        write("tests_objects_fuzz", name, text)
        for delivery in ("sharded", "sharded-https"):
            write("tests_objects_fuzz", f"{name}-{delivery}", f"#{delivery}\n{text}")
        write("file_manifest_fuzz", name, b"\0" + text.encode())
        try:
            objects = objects_of(text)
        except yaml.YAMLError:
            continue  # a fixture about bad YAML
        for number, value in enumerate(objects):
            value = json.dumps(value)
            write("api_parse_fuzz", f"{name}-{number}", value)
            watch.append('{"type":"ADDED","object":' + value + "}\n")
    for number in range(0, len(watch), 20):
        write("kube_line_framer_fuzz", str(number), "\x07\x03" + "".join(watch[number:number + 3]))
    write("kube_line_framer_fuzz", "gone", '\x01\x01{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}\n')
    write("kube_line_framer_fuzz", "bookmark",
          '\x01\x01{"type":"BOOKMARK","object":{"kind":"Service","metadata":{"resourceVersion":"7","annotations":'
          '{"k8s.io/initial-events-end":"true"}}}}\n')
    write("kube_kubeconfig_fuzz", "kubeconfig", KUBECONFIG)
    write("kube_kubeconfig_fuzz", "credential", json.dumps(CREDENTIAL))
    for number, text in enumerate(CONFIGURATIONS):
        write("config_file_fuzz", str(number), text)
    for number, text in enumerate(DURATIONS):
        write("base_duration_fuzz", str(number), text)


if __name__ == "__main__":
    main()
