# SPDX-License-Identifier: Apache-2.0
"""`contour bootstrap` against contour's port with TLS: who can connect, and that certificates can be renewed on both sides
while traffic flows. And `contour cli`."""
import http.client
import json
import os
import re
import signal
import socket
import ssl
import time

import pytest
from features_support import Authority, ingress, service
from harness import envoy as envoy_module
from harness.client import Client, SteadyLoad
from harness.contour import Contour, run
from harness.envoy import Envoy
from harness.manifests import ConfigMapVolume, replace
from harness.process import free_port, port_is_open, wait_until

REFRESH = 1  # seconds: how often contour looks at its certificates


class Pair:
    """contour with TLS on its port and an Envoy that has its certificates by files. `contour_folder` and `envoy_folder` hold
    ca.crt, tls.crt, tls.key, mounted as Secrets are (`..data`), or plain files if `mounted` is false."""

    def __init__(self, work_dir, backend, authority, mounted=True, mode="delta-ads", server_name="contour"):
        self.work_dir, self.mounted, self.mode = work_dir, mounted, mode
        self.folders = {side: work_dir / f"{side}-certificates" for side in ("contour", "envoy")}
        self.volumes = {side: ConfigMapVolume(folder) for side, folder in self.folders.items()}
        self.renew("contour", authority.certificate, authority.sign(server_name))
        self.renew("envoy", authority.certificate, authority.sign("envoy"))
        self.manifests = work_dir / "manifests"
        self.manifests.mkdir()
        self.backend = backend
        self.route("www", "www.example")
        flags = []
        for flag, name in (("cafile", "ca.crt"), ("cert-file", "tls.crt"), ("key-file", "tls.key")):
            flags += [f"--contour-{flag}", self.folders["contour"] / name]
        self.contour = Contour(work_dir, "--manifests", self.manifests, *flags)
        self.contour.arguments.remove("--insecure")
        self.contour.start().wait_ready()
        self.envoys = []

    def route(self, name, host):
        replace(self.manifests / f"{name}.yaml",
                service(f"service-{name}", self.backend) + ingress(name, host, [("/", "Prefix", f"service-{name}")]))

    def renew(self, side, ca, pair):
        """ca: a file, or several, all of which are trusted from now on."""
        authorities = ca if isinstance(ca, list) else [ca]
        files = {"ca.crt": "".join(path.read_text() for path in authorities),
                 "tls.crt": pair[0].read_text(), "tls.key": pair[1].read_text()}
        if self.mounted:
            self.volumes[side].update(files)
        else:
            for name in ("ca.crt", "tls.key", "tls.crt"):
                replace(self.folders[side] / name, files[name])

    def bootstrap(self, admin_port, folder=None, resources=True, tls=True, admin_address="127.0.0.1", ca_name="ca.crt"):
        folder = folder or self.folders["envoy"]
        path = self.work_dir / f"bootstrap-{admin_port}.json"
        flags = ["--xds-mode", self.mode, "--xds-port", self.contour.xds_port, "--admin-address", admin_address,
                 "--admin-port", admin_port]
        if tls:
            flags += ["--envoy-cafile", folder / ca_name, "--envoy-cert-file", folder / "tls.crt",
                      "--envoy-key-file", folder / "tls.key"]
        if resources:
            flags += ["--resources-dir", self.work_dir / f"resources-{admin_port}"]
        result = run("bootstrap", path, *flags)
        assert result.returncode == 0, result.stderr
        return path

    def envoy(self, **keywords):
        admin_port = free_port()
        process = Envoy(self.bootstrap(admin_port, **keywords), self.work_dir, admin_port, name=f"envoy-{admin_port}")
        self.envoys.append(process)
        return process.start()

    def answers(self, host="www.example"):
        return Client("127.0.0.1", self.contour.ingress_http_port).poll(host, "/", lambda answer: answer.status == 200)

    def stop(self):
        for process in (*self.envoys, self.contour):
            process.kill()


@pytest.fixture
def pair(work_dir, backends):
    made = []

    def make(**keywords):
        authority = Authority(work_dir)
        made.append(Pair(work_dir, backends("blue"), authority, **keywords))
        made[0].authority = authority
        return made[0]
    yield make
    for value in made:
        assert value.contour.stop(timeout=10) == 0, value.contour.tail()
        value.stop()


@pytest.mark.parametrize("resources", [True, False], ids=["by-files", "in-the-bootstrap"])
def test_accepted_with_the_right_certificate(pair, resources):
    p = pair()
    envoy = p.envoy(resources=resources).wait_live()
    p.answers()
    assert envoy.stat("cluster.heptio-contour_contour_%d.ssl.handshake" % p.contour.xds_port) >= 1
    envoy.assert_nothing_rejected()


def test_statistics_are_of_the_moment_when_they_are_asked_for(pair):
    """Envoy gathers them then and at no other time (`stats_flush_on_admin`); histograms would show nothing without it."""
    p = pair()
    envoy = p.envoy().wait_live()
    p.answers()

    def requests():
        text = envoy.admin("/stats/prometheus?filter=ingress_http.downstream_rq_time")
        found = re.search(r"^envoy_http_downstream_rq_time_count\{[^}]*\} (\d+)$", text, re.M)
        return int(found[1]) if found else 0
    before = requests()
    client = Client("127.0.0.1", p.contour.ingress_http_port)
    for number in range(1, 4):
        assert client.get("www.example", "/").status == 200
        wait_until(lambda want=before + number: requests() == want, "the request to be counted", 1)


# What can be wrong with the files: (file, its content in the place of a good one, what is said).
BAD_FILES = [("tls.crt", "garbage", "no certificate in PEM"), ("tls.key", "garbage", "no private key in PEM"),
             ("tls.key", None, "does not belong to the certificate"), ("ca.crt", "garbage", "no certificate in PEM"),
             ("tls.crt", "", "no certificate in PEM")]
BAD_IDS = ["garbage-certificate", "garbage-key", "another-key", "garbage-ca", "empty-certificate"]


def bad_content(p, content):
    return p.authority.sign("contour")[1].read_text() if content is None else content


@pytest.mark.parametrize("file, content, reason", BAD_FILES, ids=BAD_IDS)
def test_files_that_cannot_be_used_keep_contour_from_being_ready(pair, file, content, reason):
    p = pair(mounted=False)
    assert p.contour.stop() == 0
    path = p.folders["contour"] / file
    good = path.read_text()
    replace(path, bad_content(p, content))
    p.contour.start()
    p.contour.wait(lambda: f"{path}: " in p.contour.get("/readyz")[1], "the reason", 10)
    status, text = p.contour.get("/readyz")
    assert status == 503 and reason in text
    assert p.contour.get("/healthz")[0] == 200 and not port_is_open("127.0.0.1", p.contour.xds_port)
    assert p.contour.metric("contour_own_certificate_usable") == 0
    assert re.search(rf"level=error msg=\"the TLS files of the xDS port can't be used\".*{re.escape(str(path))}", p.contour.log())
    replace(path, good)
    p.contour.wait_ready(10)
    assert p.contour.metric("contour_own_certificate_usable") == 1
    p.envoy().wait_live()
    p.answers()


@pytest.mark.parametrize("file, content, reason", BAD_FILES, ids=BAD_IDS)
def test_good_files_that_turn_bad_stay_in_use(pair, file, content, reason):
    p = pair()
    before = p.envoy().wait_live()
    p.answers()
    good = {path.name: path.read_text() for path in p.folders["contour"].iterdir() if path.is_file()}
    p.volumes["contour"].update({**good, file: bad_content(p, content)})
    p.contour.wait(lambda: reason in p.contour.get("/readyz")[1], "the remark", REFRESH * 3 + 5)
    assert p.contour.get("/readyz")[0] == 200 and p.contour.metric("contour_own_certificate_usable") == 0
    p.envoy().wait_live()  # one that comes anew is let in by the last good files
    p.route("later", "later.example")
    p.answers("later.example")
    renewed = p.authority.sign("contour")
    p.renew("contour", p.authority.certificate, renewed)
    p.contour.wait(lambda: p.contour.metric("contour_own_certificate_usable") == 1, "good ones", REFRESH * 3 + 5)
    p.contour.wait(lambda: shown_serial(p) == serial(renewed[0]), "the renewed certificate", 5)
    before.assert_nothing_rejected()


@pytest.mark.parametrize("file, content, reason", BAD_FILES, ids=BAD_IDS)
def test_the_bootstrap_says_which_of_envoys_files_cannot_be_used(pair, work_dir, file, content, reason):
    p = pair(mounted=False)
    path = p.folders["envoy"] / file
    flags = []
    for flag, name in (("cafile", "ca.crt"), ("cert-file", "tls.crt"), ("key-file", "tls.key")):
        flags += [f"--envoy-{flag}", p.folders["envoy"] / name]
    assert run("bootstrap", work_dir / "good.json", *flags).stderr == ""
    replace(path, bad_content(p, content))
    result = run("bootstrap", work_dir / "bad.json", *flags)
    assert result.returncode == 0 and f"{path}: can't be used: " in result.stderr and reason in result.stderr
    path.unlink()  # it may be written elsewhere
    result = run("bootstrap", work_dir / "elsewhere.json", *flags)
    assert result.returncode == 0 and str(path) not in result.stderr


def test_a_missing_file_is_waited_for(pair):
    p = pair(mounted=False)
    assert p.contour.stop() == 0
    path = p.folders["contour"] / "tls.crt"
    good = path.read_text()
    path.unlink()
    p.contour.start()
    p.contour.wait(lambda: "No such file" in p.contour.get("/readyz")[1], "the reason", 10)
    replace(path, good)
    p.contour.wait_ready(10)


def test_what_grpc_logs_comes_through_our_log(pair, work_dir):
    """Handshakes of foreign clients give a line in the form of our log, and not one for each."""
    p = pair()
    certificate, key = Authority(work_dir, "foreign").sign("envoy")
    context = ssl.create_default_context(cafile=str(p.authority.certificate))
    context.load_cert_chain(certificate, key)

    def first_byte():
        """Returns the first byte that the server sends to every client that it accepts."""
        try:
            with socket.create_connection(("127.0.0.1", p.contour.xds_port), 2) as connection:
                with context.wrap_socket(connection, server_hostname="contour") as tls:
                    return tls.recv(1)
        except (ssl.SSLError, OSError):
            return b""
    assert [first_byte() for _ in range(5)] == [b""] * 5
    p.contour.wait_log(r"^time=\S+ level=warning msg=\"Handshake failed.*context=grpc", 5)
    lines = p.contour.log().splitlines()
    assert all(line.startswith("time=") for line in lines), [line for line in lines if not line.startswith("time=")]
    assert sum("Handshake failed" in line for line in lines) == 1


def test_the_ca_is_taken_under_the_name_of_cert_manager(pair, work_dir):
    """Manifests say cacert.pem; cert-manager's Secrets have ca.crt. Both sides take either, and log nothing if the flag names the file."""
    p = pair()
    assert p.contour.stop() == 0
    place = p.contour.arguments.index("--contour-cafile") + 1
    p.contour.arguments[place] = str(p.folders["contour"] / "cacert.pem")
    p.contour.start().wait_ready()
    p.envoy(ca_name="cacert.pem").wait_live()
    p.answers()
    # Both are there and differ: the one that the flag names counts, and it is said.
    foreign = Authority(work_dir, "foreign")
    files = {path.name: path.read_text() for path in p.folders["contour"].iterdir() if path.is_file()}
    p.volumes["contour"].update({**files, "cacert.pem": foreign.certificate.read_text()})
    p.contour.wait_log(r"there are two files of the CA of the xDS port, and they differ\".* used=\S*/cacert\.pem "
                       r"passed_over=\S*/ca\.crt", REFRESH * 3 + 5)
    files = {path.name: path.read_text() for path in p.folders["envoy"].iterdir() if path.is_file()}
    p.volumes["envoy"].update({**files, "cacert.pem": foreign.certificate.read_text()})
    result = run("bootstrap", work_dir / "both.json", "--envoy-cafile", p.folders["envoy"] / "cacert.pem", "--envoy-cert-file",
                 p.folders["envoy"] / "tls.crt", "--envoy-key-file", p.folders["envoy"] / "tls.key")
    assert result.returncode == 0 and "cacert.pem is used" in result.stderr and "ca.crt differs" in result.stderr
    assert "cacert.pem" in (work_dir / "both.json").read_text()


@pytest.mark.long
def test_an_envoy_that_is_busy_for_long_keeps_its_connection(pair):
    """While Envoy's main thread builds a large listener it neither answers contour's pings nor sees the answers to its own. Here
    it is stopped for longer than both intervals and Envoy's time-out together."""
    p = pair()
    envoy = p.envoy().wait_live()
    p.answers()
    before = {name: failures(envoy, p.contour.xds_port, name) for name in ("upstream_cx_total", "upstream_rq_total")}
    assert before["upstream_cx_total"] == 1
    envoy.signal(signal.SIGSTOP)
    time.sleep(100)
    p.route("later", "later.example")
    time.sleep(1)
    assert p.contour.metric("contour_xds_envoys") == 1
    envoy.signal(signal.SIGCONT)
    p.answers("later.example")
    assert {name: failures(envoy, p.contour.xds_port, name) for name in before} == before
    assert failures(envoy, p.contour.xds_port, "http2.keepalive_timeout") == 0


@pytest.mark.parametrize("mode", ["delta-ads", "sotw-ads", "delta", "sotw"])
def test_envoy_pings_contour_and_is_answered(pair, mode):
    """In every xDS mode, contour's gRPC neither refuses so many pings nor leaves them unanswered."""
    p = pair(mode=mode)
    envoy = p.envoy().wait_live()
    p.answers()
    name = f"cluster.heptio-contour_contour_{p.contour.xds_port}.http2"
    options = json.loads(p.bootstrap(free_port()).read_text())["static_resources"]["clusters"][0]
    protocol = options["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
    keepalive = protocol["explicit_http_config"]["http2_protocol_options"]["connection_keepalive"]
    assert keepalive == {"interval": "5s", "timeout": "10s"}
    time.sleep(5 * 1.15 + 1)  # one ping at least has gone out
    assert envoy.stat(f"{name}.keepalive_timeout") == 0 and envoy.stat(f"{name}.goaway_sent") == 0
    assert failures(envoy, p.contour.xds_port, "upstream_cx_destroy") == 0


def failures(envoy, port, name):
    return envoy.stat(f"cluster.heptio-contour_contour_{port}.{name}")


def test_refused_without_and_with_a_foreign_certificate(pair, work_dir):
    p = pair()
    foreign = Authority(work_dir, "foreign")
    folders = {name: work_dir / f"{name}-certificates" for name in ("of-foreign-ca", "trusts-foreign-ca")}
    for name, ca, (certificate, key) in (
            ("of-foreign-ca", p.authority.certificate, foreign.sign("envoy")),
            ("trusts-foreign-ca", foreign.certificate, p.authority.sign("envoy"))):
        folders[name].mkdir()
        for file, source in (("ca.crt", ca), ("tls.crt", certificate), ("tls.key", key)):
            (folders[name] / file).write_bytes(source.read_bytes())
    without = p.envoy(tls=False)
    of_foreign = p.envoy(folder=folders["of-foreign-ca"])
    trusts_foreign = p.envoy(folder=folders["trusts-foreign-ca"])
    port = p.contour.xds_port
    for envoy in (without, of_foreign, trusts_foreign):
        wait_until(lambda envoy=envoy: failures(envoy, port, "upstream_cx_total") >= 3, "attempts", 15)
        assert envoy.stat("control_plane.connected_state") == 0 or envoy.stat("listener_manager.listener_added") == 0
        assert not envoy.listeners(), "it has got nothing"
    assert failures(trusts_foreign, port, "ssl.fail_verify_error") >= 1
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", p.contour.ingress_http_port), 1)
    assert p.contour.metric("contour_xds_envoys") == 0


def test_a_server_with_another_name_is_refused(pair):
    """Whoever has a certificate of the CA is not yet contour."""
    p = pair(server_name="not-contour")
    envoy = p.envoy()
    wait_until(lambda: failures(envoy, p.contour.xds_port, "ssl.fail_verify_san") >= 2, "refusals", 15)
    assert not envoy.listeners()


def serials(envoy):
    """Serial numbers of the certificates that Envoy has in use."""
    return {re.sub("^0+", "", entry["serial_number"].lower()) for certificate in json.loads(envoy.admin("/certs"))["certificates"]
            for entry in certificate.get("cert_chain", []) + certificate.get("ca_cert", [])}


def serial(path):
    decoded = ssl._ssl._test_decode_cert(str(path))
    return re.sub("^0+", "", decoded["serialNumber"].lower())


def shown_serial(p):
    """The serial number of the certificate that contour shows now."""
    certificate, key = p.authority.sign("probe")
    context = ssl.create_default_context(cafile=str(p.authority.certificate))
    context.load_cert_chain(certificate, key)
    with socket.create_connection(("127.0.0.1", p.contour.xds_port), 2) as connection:
        with context.wrap_socket(connection, server_hostname="contour") as tls:
            return re.sub("^0+", "", tls.getpeercert()["serialNumber"].lower())


@pytest.mark.parametrize("mounted", [True, False], ids=["mounted-secret", "renamed-files"])
def test_certificates_are_renewed_on_both_sides(pair, work_dir, mounted, figure):
    """From one CA to another in three steps, contour started again after each so that Envoy must connect anew."""
    p = pair(mounted=mounted)
    envoy = p.envoy().wait_live()
    p.answers()
    old, new = p.authority, Authority(work_dir, "new-authority")
    both = [old.certificate, new.certificate]
    old_contour, old_envoy = (old.sign("contour"), old.sign("envoy"))
    new_contour, new_envoy = (new.sign("contour"), new.sign("envoy"))
    steps = [(both, old_contour, old_envoy), (both, new_contour, new_envoy), (new.certificate, new_contour, new_envoy)]
    with SteadyLoad("127.0.0.1", p.contour.ingress_http_port, "www.example") as load:
        for number, (ca, contour_pair, envoy_pair) in enumerate(steps):
            started = time.monotonic()
            p.renew("contour", ca, contour_pair)
            p.renew("envoy", ca, envoy_pair)
            wait_until(lambda wanted=serial(envoy_pair[0]): wanted in serials(envoy), "Envoy has the renewed certificate", 5)
            figure(f"renewed_certificate_in_envoy_{number}", (time.monotonic() - started) * 1000, "ms")
            assert p.contour.stop() == 0
            p.contour.start().wait_ready()
            p.route(f"step-{number}", f"step-{number}.example")
            p.answers(f"step-{number}.example")
            time.sleep(0.3)
    load.assert_clean(at_least=100)
    assert serial(old.certificate) not in serials(envoy), "the old CA is out"
    envoy.assert_nothing_rejected()


def test_contour_takes_over_its_renewed_certificate_without_a_restart(pair):
    p = pair()
    envoy = p.envoy().wait_live()
    p.answers()
    streams = envoy.stat(f"cluster.heptio-contour_contour_{p.contour.xds_port}.upstream_rq_total")
    renewed = p.authority.sign("contour")
    assert shown_serial(p) != serial(renewed[0])
    with SteadyLoad("127.0.0.1", p.contour.ingress_http_port, "www.example") as load:
        p.renew("contour", p.authority.certificate, renewed)
        wait_until(lambda: shown_serial(p) == serial(renewed[0]), "contour shows the renewed certificate", REFRESH + 5)
    load.assert_clean()
    assert envoy.stat(f"cluster.heptio-contour_contour_{p.contour.xds_port}.upstream_rq_total") == streams, "streams went on"


@pytest.mark.parametrize("mode", ["delta-ads", pytest.param("sotw-ads", marks=pytest.mark.long)])
def test_envoy_is_back_soon_after_a_restart(pair, mode, figure):
    """Back-off of 0.2 to 2 s: Envoy's own would be 0.5 to 30 s."""
    p = pair(mode=mode)
    envoy = p.envoy().wait_live()
    p.answers()
    assert p.contour.stop() == 0
    time.sleep(3.0)
    p.contour.start().wait_ready()
    started = time.monotonic()
    p.route("later", "later.example")
    p.answers("later.example")
    elapsed = time.monotonic() - started
    figure(f"reconnected_after_3_s_away_{mode}", elapsed * 1000, "ms")
    assert elapsed < 3
    envoy.assert_nothing_rejected()


def api_sources(node):
    if isinstance(node, dict):
        if "api_config_source" in node:
            yield node["api_config_source"]
        for value in node.values():
            yield from api_sources(value)
    elif isinstance(node, list):
        for value in node:
            yield from api_sources(value)


@pytest.mark.parametrize("mode", ["delta-ads", "sotw-ads", "delta", "sotw"])
def test_back_off_in_everything_that_opens_a_stream(pair, mode):
    p = pair(mode=mode)
    path = p.bootstrap(free_port())
    envoy = p.envoy().wait_live()
    p.answers()
    resources = json.loads(path.read_text())["dynamic_resources"]
    wanted = {"base_interval": "0.200s", "max_interval": "2s"}
    streams = [*([resources["ads_config"]] if "ads_config" in resources else []), *api_sources(resources)]
    assert streams
    for source in [*streams, *api_sources([config for config in envoy.config_dump() if "Bootstrap" not in config["@type"]])]:
        assert source["grpc_services"][0]["envoy_grpc"]["retry_policy"]["retry_back_off"] == wanted, source


# ---- The admin interface --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("address", ["0.0.0.0", "10.244.0.1", "::", "localhost", "admin.sock"])
def test_admin_address_for_everybody_is_refused(work_dir, address):
    path = work_dir / "bootstrap.json"
    path.write_text("as before")
    result = run("bootstrap", path, "--admin-address", address)
    assert result.returncode == 1
    assert f'--admin-address: expected a loopback address (127.0.0.1, ::1) or the absolute path of a Unix socket, got "{address}"' \
        in result.stderr
    assert path.read_text() == "as before"


class SocketConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("admin")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def test_admin_on_a_unix_socket(contour, work_dir):
    (work_dir / "manifests").mkdir()
    c = contour("--manifests", work_dir / "manifests")
    admin = f"/tmp/contour-admin-{os.getpid()}.sock"  # the path of a socket is short
    path = work_dir / "bootstrap.json"
    result = run("bootstrap", path, "--xds-port", c.xds_port, "--admin-address", admin)
    assert result.returncode == 0, result.stderr
    assert envoy_module.validate(path) is None

    class SocketEnvoy(Envoy):
        def admin(self, path, method="GET"):
            connection = SocketConnection(admin)
            connection.request(method, path)
            response = connection.getresponse()
            return response.read().decode()
    envoy = SocketEnvoy(path, work_dir, None)
    try:
        envoy.start().wait_live()
        envoy.assert_nothing_rejected()
        stats = http.client.HTTPConnection("127.0.0.1", c.stats_port, timeout=5)
        wait_until(lambda: envoy.listeners(), "the listener of statistics", 5)
        stats.request("GET", "/stats")
        assert "server.live: 1" in stats.getresponse().read().decode(), "statistics come through the socket"
    finally:
        envoy.kill()
        if os.path.exists(admin):
            os.unlink(admin)


def test_resource_files_are_replaced_whole(work_dir):
    flags = ["--envoy-cafile", "/certs/ca.crt", "--envoy-cert-file", "/certs/tls.crt", "--envoy-key-file", "/certs/tls.key"]
    resources = work_dir / "resources"
    for _ in range(2):
        assert run("bootstrap", work_dir / "bootstrap.json", *flags, "--resources-dir", resources).returncode == 0
    assert sorted(path.name for path in (resources / "sds").iterdir()) == ["xds-tls-certificate.json", "xds-validation-context.json"]
    (work_dir / "file").write_text("")
    result = run("bootstrap", work_dir / "other.json", *flags, "--resources-dir", work_dir / "file/resources")
    assert result.returncode == 1
    assert "xds-tls-certificate.json: can't be written" in result.stderr
    assert not (work_dir / "other.json").exists()


# ---- contour cli ----------------------------------------------------------------------------------------------------

CLI_NAMES = {"cds": "default/service-www/80/da39a3ee5e", "eds": "default/service-www", "lds": "ingress_http",
             "rds": "ingress_https", "sds": "default/www"}


@pytest.fixture
def served(pair):
    p = pair()
    replace(p.manifests / "secret.yaml", p.authority.secret("www", "www.example"))
    replace(p.manifests / "www.yaml", service("service-www", p.backend)
            + ingress("www", "www.example", [("/", "Prefix", "service-www")], tls_secret="www"))
    return p


def cli(p, *arguments, tls=True):
    folder = p.folders["envoy"]
    flags = ["--cafile", folder / "ca.crt", "--cert-file", folder / "tls.crt", "--key-file", folder / "tls.key"] if tls else []
    return run("cli", *arguments, "--once", "--contour", f"127.0.0.1:{p.contour.xds_port}", *flags)


def test_cli_prints_each_type(served):
    wait_until(lambda: "default/www" in cli(served, "sds").stdout, "the secret", 5)
    for kind, name in CLI_NAMES.items():
        result = cli(served, kind, "--output", "json")
        assert result.returncode == 0, (kind, result.stderr)
        resources = json.loads(result.stdout)["resources"]
        assert name in [resource.get("name", resource.get("cluster_name")) for resource in resources], kind
        assert name in cli(served, kind).stdout, kind


def test_cli_takes_names(served):
    result = cli(served, "rds", "ingress_https", "-o", "json")
    assert [resource["name"] for resource in json.loads(result.stdout)["resources"]] == ["ingress_https"]


def test_cli_says_what_is_wrong(served):
    some = run("cli", "cds", "--once", "--cafile", served.folders["envoy"] / "ca.crt")
    assert some.returncode == 1
    assert "You must supply all three TLS parameters - --cafile, --cert-file, --key-file, or none of them." in some.stderr
    assert cli(served, "cds", tls=False).returncode == 1, "no certificate"
    nobody = run("cli", "cds", "--once", "--contour", f"127.0.0.1:{free_port()}")
    assert nobody.returncode == 1
    assert re.search(r"127\.0\.0\.1:\d+: .*[Cc]onnect", nobody.stderr), nobody.stderr


def test_cli_follows_changes(served, work_dir):
    from harness.process import Process
    from harness.contour import binary
    folder = served.folders["envoy"]
    follower = Process("cli", [binary(), "cli", "cds", "--contour", f"127.0.0.1:{served.contour.xds_port}", "--cafile",
                               folder / "ca.crt", "--cert-file", folder / "tls.crt", "--key-file", folder / "tls.key"],
                       work_dir / "cli.log").start()
    try:
        follower.wait_log("default/service-www/80", 5)
        assert "default/service-more" not in follower.log()
        served.route("more", "more.example")
        follower.wait_log("default/service-more/80", 5)
    finally:
        follower.kill()
