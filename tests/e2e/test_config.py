# SPDX-License-Identifier: Apache-2.0
"""Flags, environment and configuration file, as users see them."""
import os
import re
import subprocess

import pytest
import yaml
from harness.contour import Contour, binary, run
from harness.manifests import ConfigMapVolume, ingress, replace, service, write_in_place
from harness.process import wait_until

# The file that is documented in Contour 0.15, to the letter.
ANNOUNCED_ARGUMENTS = ["--incluster", "--enable-leader-election", "--xds-address=0.0.0.0", "--xds-port=8001"]
ANNOUNCED_CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: contour
  namespace: heptio-contour
data:
  contour.yaml: |
    # should contour expect to be running inside a k8s cluster
    # incluster: true
    #
    # path to kubeconfig (if not running inside a k8s cluster)
    # kubeconfig: /path/to/.kube/config
    #
    # disable ingressroute permitInsecure field
    # disablePermitInsecure: false
    tls:
      # minimum TLS version that Contour will negotiate
      # minimumProtocolVersion: "1.1"
    # The following config shows the defaults for the leader election.
    # leaderelection:
      # configmap-name: contour
      # configmap-namespace: leader-elect
"""


def in_force(*arguments, env=None):
    """setting → (value, where from), as `contour config` prints it."""
    result = subprocess.run([binary(), "config", *map(str, arguments)], capture_output=True, text=True, timeout=20,
                            check=False, env={**os.environ, **(env or {})})
    assert result.returncode == 0, result.stderr
    rows = [re.match(r"(\S+) +(\".*?\"|\S+) +(.*)$", line).groups() for line in result.stdout.splitlines()]
    return {name: (value.strip('"'), source) for name, value, source in rows}


@pytest.mark.parametrize("arguments, message", [
    (["bogus"], 'contour: error: expected command but got "bogus", try --help'),
    (["--nope"], "contour: error: unknown long flag '--nope', try --help"),
    (["serve", "--nope=1"], "contour: error: unknown long flag '--nope', try --help"),
    (["serve", "-x"], "contour: error: unknown short flag '-x', try --help"),
    (["serve", "what"], "contour: error: unexpected what, try --help"),
    (["cli"], "contour: error: must select a subcommand of 'cli', try --help"),
    (["cli", "bogus"], 'contour: error: expected command but got "bogus", try --help'),
    (["bootstrap"], "contour: error: required argument 'path' not provided, try --help"),
    (["serve", "--xds-port"], "contour: error: expected argument for flag '--xds-port', try --help"),
    (["serve", "--xds-port=http"],
     'contour: error: --xds-port: expected a number from 0 to 65535, got "http", try --help'),
    (["serve", "--no-debug=1"], "contour: error: --no-debug takes no value, try --help"),
    (["serve", "--debug=maybe"], 'contour: error: --debug: expected true or false, got "maybe", try --help'),
    (["serve", "-c", "/nowhere"], "contour: error: path '/nowhere' does not exist, try --help"),
    (["config", "@/nowhere"], "contour: error: /nowhere: can't be read, try --help"),
    (["help", "bogus"], 'contour: error: expected command but got "bogus", try --help'),
    # What isn't about the command line has no such frame.
    (["serve"], "no TLS parameters and --insecure not supplied. You must supply one or the other"),
    (["serve", "--contour-cafile=a", "--contour-key-file=b"],
     "you must supply all three TLS parameters - --contour-cafile, --contour-cert-file, --contour-key-file, or none of them"),
    (["cli", "cds", "--cafile=a"],
     "You must supply all three TLS parameters - --cafile, --cert-file, --key-file, or none of them."),
])
def test_errors(arguments, message):
    result = run(*arguments)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", message + "\n")


def test_usage_and_help():
    nothing = run()
    assert nothing.returncode == 0 and nothing.stdout == ""
    commands = ["serve", "bootstrap", "certgen", "config", "cli", "version"]
    for command in commands:
        assert re.search(rf"^  {command} ", nothing.stderr, re.M), nothing.stderr
        helped = run("help", command)
        assert helped.returncode == 0 and f"Usage: contour {command}" in helped.stdout
        assert helped.stdout == run(command, "--help").stdout
    everything = run("--help-long")
    assert everything.returncode == 0 and "--xds-port" in everything.stdout and "--cert-file" in everything.stdout


def test_the_man_page_is_one_and_names_everything():
    page = run("--help-man")
    assert page.returncode == 0
    for name in ("contour", "serve", "certgen", r"\-\-xds\-port", r"tls.minimumProtocolVersion", r"\-\-no\-incluster"):
        assert name in page.stdout, name
    # Lines that roff would take for commands of its own are those that are meant so.
    assert set(re.findall(r"^\.(\w+)", page.stdout, re.M)) == {"TH", "SH", "SS", "TP"}


def test_each_flag_without_a_value_has_a_negation():
    """--no-x after --x, for all that --help shows."""
    for command in ("serve", "certgen"):
        names = re.findall(r"--([\w-]+),--no-\1\b", run("help", command).stdout)
        assert names
        for name in names:
            result = run(command, f"--{name}", f"--no-{name}", "--nope")
            assert "unknown long flag '--nope'" in result.stderr, result.stderr


def test_arguments_of_a_file(work_dir):
    path = work_dir / "arguments"
    path.write_text("# the port\n--xds-port=9\n\n--kubeconfig\n/a b/c\n--no-incluster\n", encoding="utf-8")
    rows = in_force("--incluster", f"@{path}", "--http-port=10")
    assert rows["--xds-port"] == ("9", "flag --xds-port")
    assert rows["--kubeconfig"] == ("/a b/c", "flag --kubeconfig")
    assert rows["--incluster"] == ("false", "flag --incluster")
    assert rows["--http-port"] == ("10", "flag --http-port")


def test_documented_arguments():
    rows = in_force(*ANNOUNCED_ARGUMENTS)
    assert {name: row for name, row in rows.items() if row[1] != "default"} == {
        "--incluster": ("true", "flag --incluster"),
        "--enable-leader-election": ("true", "flag --enable-leader-election"),
        "--xds-address": ("0.0.0.0", "flag --xds-address"),
        "--xds-port": ("8001", "flag --xds-port"),
    }


def test_documented_config_map(work_dir):
    """It loads as printed, and with its settings uncommented, each alone (below its section) and all together."""
    defaults = in_force()
    lines = yaml.safe_load(ANNOUNCED_CONFIG_MAP)["data"]["contour.yaml"].splitlines()
    settings = {
        "# incluster: true": ("--incluster", "true"),
        "# kubeconfig: /path/to/.kube/config": ("--kubeconfig", "/path/to/.kube/config"),
        "# disablePermitInsecure: false": ("disablePermitInsecure", "false"),
        '# minimumProtocolVersion: "1.1"': ("tls.minimumProtocolVersion", "1.1"),
        "# configmap-name: contour": ("leaderelection.configmap-name", "contour"),
        "# configmap-namespace: leader-elect": ("leaderelection.configmap-namespace", "leader-elect"),
    }
    section = "# leaderelection:"

    def load(uncommented):
        path = work_dir / "contour.yaml"
        path.write_text("\n".join(line.replace("# ", "", 1) if line.strip() in uncommented else line for line in lines))
        rows = in_force("-c", path)
        del rows["--config-path"]
        return path, rows
    _, rows = load([])
    assert rows == {name: row for name, row in defaults.items() if name != "--config-path"}
    _, rows = load([section])
    assert rows == {name: row for name, row in defaults.items() if name != "--config-path"}
    for setting, (name, value) in settings.items():
        path, rows = load([setting, section] if "configmap" in setting else [setting])
        number = next(number for number, line in enumerate(lines, 1) if line.strip() == setting)
        assert rows[name][0] == value
        assert re.fullmatch(rf"{path}: line {number}, column \d", rows[name][1])
        assert [other for other, row in rows.items() if row[1] != "default"] == [name]
    _, rows = load([*settings, section])
    assert {name: row[0] for name, row in rows.items() if row[1] != "default"} == dict(settings.values())


def test_the_example_is_a_config_map_that_loads(work_dir):
    example = yaml.safe_load(run("config", "--example").stdout)
    assert (example["kind"], example["metadata"]["name"]) == ("ConfigMap", "contour")
    path = work_dir / "contour.yaml"
    path.write_text(example["data"]["contour.yaml"])
    rows = in_force("-c", path)
    assert {source for name, (_, source) in rows.items() if name != "--config-path"} == {"default"}


def test_precedence(work_dir):
    path = work_dir / "contour.yaml"
    path.write_text("incluster: true\nkubeconfig: /file\n")
    rows = in_force("-c", path, "--no-incluster", "--contour-key-file=/flag",
                    env={"CONTOUR_CAFILE": "/environment", "CONTOUR_KEY_FILE": "/environment", "CONTOUR_CERT_FILE": ""})
    assert rows["--incluster"] == ("false", "flag --incluster")
    assert rows["--kubeconfig"] == ("/file", f"{path}: line 2, column 1")
    assert rows["--contour-cafile"] == ("/environment", "environment CONTOUR_CAFILE")
    assert rows["--contour-key-file"] == ("/flag", "flag --contour-key-file")
    assert rows["--contour-cert-file"] == ("", "default")


@pytest.mark.parametrize("text, message", [
    ("incluster: true\ntls:\n  minimumProtocolVersoin: 1.2\n",
     "line 3, column 3: tls.minimumProtocolVersoin: unknown key, expected one of minimumProtocolVersion, "
     "minimum-protocol-version; the nearest known one is tls.minimumProtocolVersion"),
    ("incluster: 'yes'\n", 'line 1, column 1: incluster: expected true or false, got the text "yes"'),
    ("tls: {minimumProtocolVersion: 1.4}\n",
     'line 1, column 7: tls.minimumProtocolVersion: expected one of 1.1, 1.2, 1.3, got "1.4"'),
])
def test_a_wrong_file_stops_the_start(work_dir, text, message):
    path = work_dir / "contour.yaml"
    path.write_text(text)
    for command in ("serve", "config"):
        result = run(command, "-c", path)
        assert result.returncode == 1
        assert result.stderr == f"contour: error: {path}: {message}, try --help\n"


def test_tls_1_1_is_warned_about(work_dir):
    config = work_dir / "contour.yaml"
    config.write_text('tls:\n  minimumProtocolVersion: "1.1"\n')
    (work_dir / "manifests").mkdir()
    process = Contour(work_dir, "-c", config, "--manifests", work_dir / "manifests").start().wait_ready()
    assert re.search(r'level=warning msg="TLS 1\.1 is out of use', process.log())
    assert process.stop() == 0


@pytest.mark.parametrize("how", ["moved", "written", "mounted"])
def test_a_changed_file_is_noticed(work_dir, how):
    folder = work_dir / "config"
    folder.mkdir()
    path = folder / "contour.yaml"
    volume = ConfigMapVolume(folder)

    def write(text):
        if how == "mounted":
            volume.update({"contour.yaml": text})
        elif how == "moved":
            replace(path, text)
        else:
            write_in_place(path, text)
    write("debug: false\n")
    (work_dir / "manifests").mkdir()
    process = Contour(work_dir, "-c", path, "--manifests", work_dir / "manifests").start().wait_ready()

    def state():
        return process.metric("contour_config_file_wrong"), process.metric("contour_config_waiting_for_restart")
    assert state() == (0, 0)
    write("debug: true\nincluster: true\n")
    process.wait_log(r'level=info msg="a changed setting is in force" context=config setting=--debug value=true', 5)
    process.wait_log(r'level=warning msg="a changed setting needs a restart" context=config setting=--incluster value=true', 5)
    assert state() == (0, 1)
    write("debug: true\nincluster: maybe\n")
    process.wait_log(r"level=error .*what is in force stays.*line 2, column 1: incluster: expected true or false", 5)
    assert state()[0] == 1
    write("debug: false\n")
    process.wait_log(r'msg="a setting is again as the process was started with" context=config setting=--incluster', 5)
    process.wait_log(r'msg="a changed setting is in force" context=config setting=--debug value=false', 5)
    assert state() == (0, 0)
    assert process.running
    assert process.stop() == 0


def test_external_names_are_switched_by_the_file(work_dir):
    """A key that has no flag has its effect."""
    manifests = work_dir / "manifests"
    manifests.mkdir()
    (manifests / "all.yaml").write_text("""\
apiVersion: v1
kind: Service
metadata: {name: outside, namespace: default}
spec:
  type: ExternalName
  externalName: outside.example
  ports: [{port: 80}]
---
apiVersion: contour.heptio.com/v1beta1
kind: IngressRoute
metadata: {name: outside, namespace: default}
spec:
  virtualhost: {fqdn: outside.example}
  routes:
  - match: /
    services: [{name: outside, port: 80}]
""")
    config = work_dir / "contour.yaml"

    def clusters(text, name):
        config.write_text(text)
        process = Contour(work_dir, "-c", config, "--manifests", manifests, name=name).start().wait_ready()
        shown = run("cli", "cds", "--contour", f"127.0.0.1:{process.xds_port}", "--once", "-o", "json")
        assert process.stop() == 0
        assert shown.returncode == 0, shown.stderr
        return shown.stdout
    assert "default/outside" in clusters("enableExternalNameService: true\n", "with")
    assert "default/outside" not in clusters("enableExternalNameService: false\n", "without")


@pytest.mark.parametrize("text, wanted", [
    ("accesslog-format: json\njson-fields: ['method', 'team=%REQ(X-TEAM)%']\n", ["json_format", "%REQ(X-TEAM)%"]),
    ("accesslog-format-string: \"%RESPONSE_CODE% here\\n\"\n", ["%RESPONSE_CODE% here"]),
    ("accesslog-level: critical\n", ["contour.accesslog.filter.status_code"]),
    ("listener: {http2-max-concurrent-streams: 1077001}\n", ["max_concurrent_streams", "1077001"]),
])
def test_settings_of_the_listeners_are_in_the_listeners(work_dir, text, wanted):
    manifests = work_dir / "manifests"
    manifests.mkdir()
    (manifests / "all.yaml").write_text(service("blue", "127.0.0.1", 80) + ingress("www", "www.example", "blue"))
    config = work_dir / "contour.yaml"
    shown = []
    for content in ("", text):
        config.write_text(content)
        process = Contour(work_dir, "-c", config, "--manifests", manifests).start().wait_ready()
        listeners = run("cli", "lds", "--contour", f"127.0.0.1:{process.xds_port}", "--once", "-o", "json")
        assert process.stop() == 0
        assert listeners.returncode == 0, listeners.stderr
        shown.append(listeners.stdout)
    assert all(part in shown[1] for part in wanted), shown[1]
    assert not all(part in shown[0] for part in wanted), "by default it is otherwise"


@pytest.mark.parametrize("flags, message", [
    (["--envoy-service-http-address=localhost"], '--envoy-service-http-address: expected an IP address, got "localhost"'),
    (["--envoy-service-https-address=10.0.0.256"], '--envoy-service-https-address: expected an IP address, got "10.0.0.256"'),
    (["--stats-address=[::]"], '--stats-address: expected an IP address, got "[::]"'),
    (["--envoy-service-https-port=8080"], "--envoy-service-https-port: 0.0.0.0:8080 is the address of --envoy-service-http-port too"),
    (["--stats-port=8443"], "--stats-port: 0.0.0.0:8443 is the address of --envoy-service-https-port too"),
    (["--xds-address=192.0.2.1"], "--xds-address, --xds-port: can't listen on 192.0.2.1:8001: Cannot assign requested address"),
    (["--xds-address=nowhere.invalid"], "--xds-address, --xds-port: can't listen on nowhere.invalid:8001: "),
])
def test_addresses_that_nobody_could_listen_on_stop_the_start(work_dir, flags, message):
    """An Envoy would NACK such a listener, and a standby would notice only when it leads that its xDS port can't be opened."""
    result = run("serve", "--insecure", "--manifests", work_dir, *flags)
    assert result.returncode == 1 and message in result.stderr, result.stderr


@pytest.mark.parametrize("text, message", [
    ('accesslog-format-string: "no end"\n', "invalid access log format: must end in newline"),
    ("accesslog-format: json\njson-fields: [nonsense]\n", "invalid JSON log field name nonsense"),
])
def test_a_wrong_access_log_stops_the_start(work_dir, text, message):
    config = work_dir / "contour.yaml"
    config.write_text(text)
    result = run("serve", "--insecure", "-c", config, "--manifests", work_dir)
    assert result.returncode == 1 and message in result.stderr
