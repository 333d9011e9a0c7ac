# SPDX-License-Identifier: Apache-2.0
"""TLS on both sides and TCP behind it: each feature seen by a client of a real Envoy."""
import collections
import http.client
import socket
import ssl
import subprocess
import threading

import pytest
from features_support import (ANNOTATION, Authority, Site, ca_secret, ingress, ingress_route, route, service, text)
from harness.client import tls_context
from harness.process import wait_until

V1_1, V1_2, V1_3 = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module")
def site():
    with Site("features_tls") as value:
        blue, green = value.backend("blue"), value.backend("green")
        value.put("services.yaml", service("blue", blue) + service("green", green))
        value.publish("first.yaml", value.authority.secret("first", "first.example")
                      + ingress("first", "first.example", [("/", "Prefix", "blue")], tls_secret="first"))
        value.wait_tls("first.example").close()
        yield value


def redirected(site, host, path="/"):
    answer = site.client.get(host, path)
    return answer.status, answer.headers.get("location")


# ---- HTTP beside HTTPS ----------------------------------------------------------------------------------------------

def test_ingress_with_tls_answers_on_both(site):
    assert site.client.get("first.example").backend == "blue"
    answer = site.wait_tls("first.example").get("first.example", "/x")
    assert answer.backend == "blue"
    assert answer.json["headers"]["x-forwarded-proto"] == "https"


def test_force_ssl_redirect(site):
    site.publish("force.yaml", site.authority.secret("force", "force.example") + ingress(
        "force", "force.example", [("/", "Prefix", "blue")], {"ingress.kubernetes.io/force-ssl-redirect": "true"}, "force"))
    assert redirected(site, "force.example", "/a?b=c") == (301, "https://force.example/a?b=c")
    assert site.wait_tls("force.example").get("force.example").backend == "blue"


def test_ingress_route_redirects_except_where_insecure_is_permitted(site):
    site.publish("route.yaml", site.authority.secret("route", "route.example") + ingress_route(
        "route", "route.example", route("/", "blue"), route("/open", "green", permitInsecure=True),
        tls={"secretName": "route"}))
    assert redirected(site, "route.example", "/a") == (301, "https://route.example/a")
    assert site.client.get("route.example", "/open/x").backend == "green"
    client = site.wait_tls("route.example")
    assert client.get("route.example", "/a").backend == "blue"
    assert client.get("route.example", "/open").backend == "green"


def test_allow_http_false(site):
    site.publish("only.yaml", site.authority.secret("only", "only.example") + ingress(
        "only", "only.example", [("/", "Prefix", "blue")], {"kubernetes.io/ingress.allow-http": "false"}, "only"))
    assert site.wait_tls("only.example").get("only.example").backend == "blue"
    assert site.client.get("only.example").status == 404


# ---- Certificates ---------------------------------------------------------------------------------------------------

def certificate_names(site, server_name):
    with socket.create_connection((site.address, site.https_port), 5) as connection:
        with site.tls(server_name).context.wrap_socket(connection, server_hostname=server_name) as tls:
            return [name for _, name in tls.getpeercert()["subjectAltName"]]


def test_each_server_name_has_its_certificate(site):
    names = ["one.example", "two.example", "three.example"]
    site.publish("names.yaml", "".join(
        site.authority.secret(f"cert-{name[:3]}", name, f"alias-of-{name}")
        + ingress(f"name-{name[:3]}", name, [("/", "Prefix", "blue")], tls_secret=f"cert-{name[:3]}") for name in names))
    for name in names:
        site.wait_tls(name).close()
        assert certificate_names(site, name) == [name, f"alias-of-{name}"]
    for name in ("unknown.example", "x.one.example"):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            certificate_names(site, name)


def handshake_error(site, server_name, version):
    """None, or why the server ended the handshake of a client that knows only this version."""
    with socket.create_connection((site.address, site.https_port), 5) as connection:
        try:
            context = tls_context(site.authority.certificate, minimum=version, maximum=version)
            context.wrap_socket(connection, server_hostname=server_name).close()
        except ssl.SSLError as error:
            return error.reason
    return None


def test_versions_of_tls(site):
    annotation = {ANNOTATION + "tls-minimum-protocol-version": "1.3"}
    site.publish("versions.yaml", site.authority.secret("versions", "new.example", "newest.example") + ingress(
        "new", "new.example", [("/", "Prefix", "blue")], annotation, "versions") + ingress_route(
        "newest", "newest.example", route("/", "blue"), tls={"secretName": "versions", "minimumProtocolVersion": "1.3"}))
    site.wait_tls("new.example").close()
    site.wait_tls("newest.example").close()
    refused = "TLSV1_ALERT_PROTOCOL_VERSION"  # the alert of the server, no excuse of the client's library
    got = {(name, version.name): handshake_error(site, name, version)
           for name in ("first.example", "new.example", "newest.example") for version in (V1_1, V1_2, V1_3)}
    assert got == {
        ("first.example", "TLSv1_1"): refused, ("first.example", "TLSv1_2"): None, ("first.example", "TLSv1_3"): None,
        ("new.example", "TLSv1_1"): refused, ("new.example", "TLSv1_2"): refused, ("new.example", "TLSv1_3"): None,
        ("newest.example", "TLSv1_1"): refused, ("newest.example", "TLSv1_2"): refused, ("newest.example", "TLSv1_3"): None,
    }


def test_secrets_that_arrive_late(site):
    """First the objects that name them; each is served on what it may without a certificate."""
    site.publish("late.yaml", ingress("late", "late.example", [("/", "Prefix", "blue")], tls_secret="late")
                 + ingress_route("later", "later.example", route("/", "blue"), tls={"secretName": "later"}))
    assert site.client.get("late.example").backend == "blue"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        certificate_names(site, "late.example")
    site.put("late-secrets.yaml", site.authority.secret("late", "late.example")
             + site.authority.secret("later", "later.example"))
    assert site.wait_tls("late.example").get("late.example").backend == "blue"
    assert site.wait_tls("later.example").get("later.example").backend == "blue"
    assert redirected(site, "later.example") == (301, "https://later.example/")


def test_a_certificate_of_another_namespace_by_delegation(site):
    shared = site.authority.secret("shared", "shared.example").replace("namespace: default", "namespace: certificates")
    host = ingress_route("shared", "shared.example", route("/", "blue"), tls={"secretName": "certificates/shared"})
    site.publish("shared.yaml", shared + host)
    with pytest.raises(OSError):
        site.tls("shared.example").get("shared.example")
    site.put("shared-delegation.yaml", text({
        "apiVersion": "contour.heptio.com/v1beta1", "kind": "TLSCertificateDelegation",
        "metadata": {"name": "shared", "namespace": "certificates"},
        "spec": {"delegations": [{"secretName": "shared", "targetNamespaces": ["default"]}]}}))
    site.wait_tls("shared.example").close()
    site.remove("shared-delegation.yaml")

    def is_refused():
        try:
            site.tls("shared.example").get("shared.example")
        except OSError:
            return True
        return False
    wait_until(is_refused, "the certificate withdrawn", 10)


def test_renewed_certificate_drops_no_connection(site, figure):
    renewals = 5
    site.put("renewed-secret.yaml", site.authority.secret("renewed", "renewed.example"))
    site.publish("renewed.yaml", ingress("renewed", "renewed.example", [("/", "Prefix", "blue")], tls_secret="renewed"))
    kept = site.wait_tls("renewed.example")
    kept.get("renewed.example")
    connection = kept._connection
    updates = site.envoy.stat("listener_manager.listener_modified")
    counts, stop = collections.Counter(), threading.Event()

    def new_connections():
        while not stop.is_set():
            client = site.tls("renewed.example")
            try:
                counts[client.get("renewed.example").status] += 1
            except (OSError, http.client.HTTPException) as error:
                counts[repr(error)] += 1
            client.close()
    threads = [threading.Thread(target=new_connections) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(renewals):
            alias = f"renewal-{number}.example"
            site.put("renewed-secret.yaml", site.authority.secret("renewed", "renewed.example", alias))
            wait_until(lambda: alias in certificate_names(site, "renewed.example"), "the new certificate", 5)
            assert kept.get("renewed.example").status == 200
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert kept._connection is connection, "the kept connection was closed"
    assert set(counts) == {200}, dict(counts)
    assert counts[200] > 20
    figure("new_tls_connections_during_renewals", counts[200])
    assert site.envoy.stat("listener_manager.listener_modified") == updates, "a renewal must not touch the listener"


# ---- TLS to the backends --------------------------------------------------------------------------------------------

def test_tls_to_the_backend_and_its_verification(site):
    """Accepted; refused by Envoy (another CA, another name); and 503 where there is nothing to verify with (S13, S14)."""
    certificate, key = site.authority.sign("upstream.example")
    secure = site.backend("secure", certificate=certificate, key=key)
    other = Authority(site.work_dir, "other")

    def validation(ca, name="upstream.example"):
        return ("secure", {"validation": {"caSecret": ca, "subjectName": name}})
    site.publish("upstream.yaml", service("secure", secure, annotations={ANNOTATION + "upstream-protocol.tls": "80"})
                 + service("cleartext", secure) + ca_secret("ca", site.authority.certificate)
                 + ca_secret("other-ca", other.certificate)
                 + ingress_route(
                     "upstream", "upstream.example", route("/", "blue"), route("/unverified", "secure"),
                     route("/cleartext", "cleartext"), route("/verified", validation("ca")),
                     route("/other-ca", validation("other-ca")), route("/other-name", validation("ca", "else.example")))
                 + ingress_route("s13", "s13.example", route("/", "blue"), route("/absent", validation("absent")))
                 + ingress_route("s14", "s14.example", route("/", "blue"), route("/no-name", validation("ca", ""))))

    def answer(path, host="upstream.example"):
        got = site.client.get(host, path)
        return got.backend or got.status
    assert answer("/unverified") == "secure"
    assert answer("/verified") == "secure"
    assert answer("/other-ca") == 503
    assert answer("/other-name") == 503
    assert answer("/cleartext") == 503, "and it was TLS that worked above"
    assert answer("/absent", "s13.example") == 503
    assert answer("/no-name", "s14.example") == 503
    assert answer("/", "s13.example") == answer("/", "s14.example") == "blue"

    site.put("absent-ca.yaml", ca_secret("absent", site.authority.certificate))
    site.wait_for("s13.example", "/absent", "secure")


# ---- TCP ------------------------------------------------------------------------------------------------------------

def say(site, server_name, context, message=b"hello"):
    """What a TCP backend answers behind TLS, and the ALPN that was agreed on."""
    with socket.create_connection((site.address, site.https_port), 5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(connection, server_hostname=server_name) as tls:
            tls.sendall(message)
            return tls.recv(1000), tls.selected_alpn_protocol()


def wait_tcp(site, server_name, context):
    def connected():
        try:
            return say(site, server_name, context)
        except (OSError, ssl.SSLError):
            return None
    return wait_until(connected, server_name, 5)


def test_tcp_behind_terminated_tls(site):
    tcp = site.backend("tcp", protocol="tcp")
    site.publish("tcp.yaml", service("tcp", tcp) + site.authority.secret("tcp", "tcp.example")
                 + ingress_route("tcp", "tcp.example", tls={"secretName": "tcp"}, tcpproxy=[("tcp", {})]))
    context = tls_context(site.authority.certificate)
    assert wait_tcp(site, "tcp.example", context) == (b"tcp: hello", None)
    assert site.client.get("tcp.example").status == 404


def test_tcp_with_passthrough(site):
    """The certificate is the backend's own, of a CA that contour never sees."""
    other = Authority(site.work_dir, "backend-authority")
    certificate, key = other.sign("passthrough.example")
    backend = site.backend("passthrough", protocol="tcp", certificate=certificate, key=key)
    site.publish("passthrough.yaml", service("passthrough", backend) + ingress_route(
        "passthrough", "passthrough.example", tls={"passthrough": True}, tcpproxy=[("passthrough", {})]))
    context = tls_context(other.certificate)
    assert wait_tcp(site, "passthrough.example", context)[0] == b"passthrough: hello"


def test_weights_of_tcp_services(site):
    names = ("red", "black")
    for name in names:
        site.backend(name, protocol="tcp")
    site.publish("tcp-weights.yaml", "".join(service(name, site.backends[name]) for name in names)
                 + site.authority.secret("tcp-weights", "weights.example")
                 + ingress_route("tcp-weights", "weights.example", tls={"secretName": "tcp-weights"},
                                 tcpproxy=[("red", {"weight": 80}), ("black", {"weight": 20}), ("tcp", {})]))
    context = tls_context(site.authority.certificate)
    wait_tcp(site, "weights.example", context)
    total = 600
    counts = collections.Counter(say(site, "weights.example", context)[0].split(b":")[0].decode() for _ in range(total))
    assert set(counts) == set(names), dict(counts)
    assert abs(counts["red"] / total - 0.8) < 0.07, dict(counts)  # four standard deviations


# ---- PROXY protocol -------------------------------------------------------------------------------------------------

def test_proxy_protocol_on_both_listeners():
    """The preamble is required, and has the address of the client."""
    with Site("features_proxy_protocol", "--use-proxy-protocol") as site:
        site.put("all.yaml", site.authority.secret("proxied", "proxied.example")
                 + ingress("proxied", "proxied.example", [("/", "Prefix", "marker")], tls_secret="proxied"))
        context = tls_context(site.authority.certificate)

        def ask(port, preamble, tls):
            with socket.create_connection((site.address, port), 5) as connection:
                connection.sendall(preamble)
                if tls:
                    connection = context.wrap_socket(connection, server_hostname="proxied.example")
                connection.sendall(b"GET / HTTP/1.1\r\nhost: proxied.example\r\nconnection: close\r\n\r\n")
                answer = b""
                while data := connection.recv(65536):
                    answer += data
                connection.close()
                return answer.decode()
        preamble = b"PROXY TCP4 203.0.113.7 203.0.113.8 40000 80\r\n"
        for port, tls in ((site.http_port, False), (site.https_port, True)):
            def asked(port=port, tls=tls):
                answer = ask(port, preamble, tls)
                return answer if " 200 " in answer else None
            assert '"x-forwarded-for": "203.0.113.7"' in wait_until(asked, f"port {port}", 5)
            try:
                assert ask(port, b"", tls) == ""
            except (ssl.SSLError, ConnectionError):
                pass


# ---- One host through the connection of another ---------------------------------------------------------------------

def curl(site, server_name, *hosts_and_paths):
    """[(status, version of HTTP, new connections)] of requests that go over one connection to that server name."""
    arguments = ["curl", "-s", "--http2", "--cacert", str(site.authority.certificate),
                 "--connect-to", f"::{site.address}:{site.https_port}"]
    for number, (host, path) in enumerate(hosts_and_paths):
        arguments += [*(["--next", "-s"] if number else []), "-o", "/dev/null", "-w", "%{http_code} %{http_version} %{num_connects}\n",
                      "-H", f"host: {host}", f"https://{server_name}{path}"]
        if number:
            arguments += ["--http2", "--cacert", str(site.authority.certificate), "--connect-to",
                          f"::{site.address}:{site.https_port}"]
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=20, check=False)
    assert result.returncode == 0, result.stderr + result.stdout
    return [tuple(line.split()) for line in result.stdout.splitlines()]


def test_a_host_with_tls_settings_of_its_own_answers_421_through_another(site):
    """A browser uses an HTTP/2 connection for every host that its certificate covers. With 421 it comes again on a new one."""
    hosts = ["usual.example", "usual-too.example", "strict.example", "strict-too.example", "old.example"]
    new = "projectcontour.io/tls-"
    site.publish("misdirected.yaml", site.authority.secret("covers-all", *hosts) + "".join(
        ingress(host.split(".")[0], host, [("/", "Prefix", "blue")], annotations, "covers-all")
        for host, annotations in zip(hosts[:2] + hosts[4:], [None, None, {new + "maximum-protocol-version": "1.2"}]))
        + ingress("strict", "strict.example", [("/served", "Prefix", "blue")], {new + "minimum-protocol-version": "1.3"}, "covers-all")
        + ingress_route("strict-too", "strict-too.example", route("/", "green"),
                        tls={"secretName": "covers-all", "minimumProtocolVersion": "1.3"}))
    for host in hosts:
        site.wait_tls(host).close()

    def answers(server_name):
        got = curl(site, server_name, *((host, "/served") for host in hosts))
        assert [(version, connects) for _, version, connects in got] == [("2", "1")] + [("2", "0")] * (len(hosts) - 1)
        return dict(zip(hosts, (int(status) for status, _, _ in got)))
    usual = {"usual.example": 200, "usual-too.example": 200}
    refused = {"strict.example": 421, "strict-too.example": 421, "old.example": 421}
    assert answers("usual.example") == {**usual, **refused}
    assert answers("strict.example") == {**usual, **refused, "strict.example": 200}
    assert answers("strict-too.example") == {**usual, **refused, "strict-too.example": 200}
    assert answers("old.example") == {**usual, **refused, "old.example": 200}
    # A path that the host doesn't serve is no misdirected request; a port in the Host header changes nothing.
    got = curl(site, "strict.example", ("strict.example", "/nothing"), ("strict.example:443", "/served"), ("STRICT.example", "/served"))
    assert [status for status, _, _ in got] == ["404", "200", "200"]
    # HTTP/1.1 alike; plain HTTP has no such thing.
    client = site.tls("usual.example")
    assert [client.get(host, "/served").status for host in ("strict.example", "usual-too.example")] == [421, 200]
    assert site.client.get("strict.example", "/served").status == 200
    assert handshake_error(site, "old.example", V1_3) == "TLSV1_ALERT_PROTOCOL_VERSION"
    assert handshake_error(site, "old.example", V1_2) is None


def test_a_wildcard_with_tls_settings_of_its_own(site):
    site.publish("strict-wildcard.yaml", site.authority.secret("strict-wildcard", "*.wild.example", "calm.example")
                 + ingress("calm", "calm.example", [("/", "Prefix", "blue")], tls_secret="strict-wildcard")
                 + ingress("strict-wildcard", "*.wild.example", [("/", "Prefix", "green")],
                           {"projectcontour.io/tls-minimum-protocol-version": "1.3"}, "strict-wildcard"))
    site.wait_tls("calm.example").close()
    site.wait_tls("a.wild.example").close()
    own, other = site.tls("a.wild.example"), site.tls("calm.example")
    assert [own.get(host).status for host in ("a.wild.example", "b.wild.example", "calm.example")] == [200, 200, 200]
    assert [other.get(host).status for host in ("a.wild.example", "calm.example", "a.b.wild.example")] == [421, 200, 404]


def test_tls_1_1_where_it_is_permitted(tmp_path_factory):
    """Whoever writes 1.1 gets the cipher suites of it too; others stay as strict as they ask to be."""
    config = tmp_path_factory.mktemp("old") / "contour.yaml"
    config.write_text('tls: {minimumProtocolVersion: "1.1"}\n')
    with Site("features_tls_1_1", "-c", config) as site:
        site.publish("old.yaml", site.authority.secret("both", "any.example", "new.example")
                     + ingress("any", "any.example", [("/", "Prefix", "marker")], tls_secret="both")
                     + ingress("new", "new.example", [("/", "Prefix", "marker")],
                               {ANNOTATION + "tls-minimum-protocol-version": "1.2"}, "both"))
        site.wait_tls("any.example").close()
        site.wait_tls("new.example").close()
        got = {(name, version.name): handshake_error(site, name, version)
               for name in ("any.example", "new.example") for version in (V1_1, V1_2, V1_3)}
        assert got.pop(("new.example", "TLSv1_1")) == "TLSV1_ALERT_PROTOCOL_VERSION"
        assert set(got.values()) == {None}, got
        assert "TLS 1.1 is out of use" in site.contour.log(whole=True)
        old = site.tls("any.example", minimum=V1_1, maximum=V1_1)
        assert [old.get(host).status for host in ("any.example", "new.example")] == [200, 421]
