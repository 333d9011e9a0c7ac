# SPDX-License-Identifier: Apache-2.0
"""Content that contour's checks allow and Envoy NACKs (test_refusals.py has the list), such as a certificate whose RSA key has a
public exponent of more than 33 bits, which OpenSSL takes and BoringSSL doesn't; and NACKs of an Envoy whose bootstrap
isn't contour's. The other hosts go on, the last good content is served, and the object is named."""
import json
import pathlib
import socket
import ssl
import subprocess
import threading
import time

import pytest
import yaml
from features_support import ANNOTATION, Authority, RefusingSite, ca_secret, ingress, ingress_route, route, service, tls_secret
from harness import der, manifests
from harness.client import Client, SteadyLoad, TLSClient, tls_context
from harness.process import wait_until
from test_kubernetes import apply, installed, namespace, world  # noqa: F401  (fixtures)


class RejectingSite(RefusingSite):
    """A site that also reads the served content and the reports about it."""

    def certificate(self, host):
        """The one that Envoy serves, as DER; None if it serves none."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with socket.create_connection((self.address, self.https_port), 5) as connection:
                with context.wrap_socket(connection, server_hostname=host) as secure:
                    return secure.getpeercert(binary_form=True)
        except OSError:
            return None

    def host(self, name, secret, backend="blue"):
        return secret + ingress(name, f"{name}.example", [("/", "Prefix", backend)], tls_secret=name)


def refused_pair(folder, host):
    """Returns a certificate and its key that Envoy doesn't load."""
    certificate, key = folder / f"{host}-refused.crt", folder / f"{host}-refused.key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt",
                    "rsa_keygen_pubexp:1099511627791", "-out", key], check=True, capture_output=True)
    subprocess.run(["openssl", "req", "-x509", "-new", "-key", key, "-subj", f"/CN={host}", "-addext",
                    f"subjectAltName=DNS:{host}", "-days", "30", "-out", certificate], check=True, capture_output=True)
    return certificate, key


def with_odd_signature(certificate):
    """The same with a signature of some bits less than whole bytes, and these aren't 0."""
    parts = der.elements(der.decode(certificate.read_text()))
    changed = certificate.with_suffix(".odd")
    changed.write_text(der.pem("CERTIFICATE", der.der(der.SEQUENCE, *parts[:2], der.der(der.BIT_STRING, b"\3\xff"))))
    return changed


def with_trailing_bytes(certificate):
    changed = certificate.with_suffix(".long")
    changed.write_text(der.pem("CERTIFICATE", der.decode(certificate.read_text()) + b"\0\0"))
    return changed


class Steady:
    """One request after another to a host, each on a connection of its own, until the end."""

    def __init__(self, site, host):
        self.site, self.host = site, host
        self.answers, self.failures = 0, []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._stop.is_set():
            try:
                client = self.site.tls(self.host)
                answer = client.get(self.host, "/")
                client.close()
                if answer.status != 200:
                    self.failures.append(answer.status)
            except OSError as error:
                self.failures.append(error)
            self.answers += 1
            self._stop.wait(0.01)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


@pytest.mark.parametrize("mode", ["delta-ads", "sotw-ads", "delta", "sotw"])
def test_a_certificate_that_envoy_refuses(mode):
    with RejectingSite(f"rejections_{mode}", mode=mode) as site:
        blue, green = site.backend("blue"), site.backend("green")
        site.put("services.yaml", service("blue", blue) + service("green", green))
        secrets = {name: site.authority.secret(name, f"{name}.example") for name in "abc"}
        for name, secret in secrets.items():
            site.publish(f"{name}.yaml", site.host(name, secret))
        for name in "abc":
            site.wait_tls(f"{name}.example").close()
        good = site.certificate("b.example")
        with Steady(site, "a.example") as neighbour, Steady(site, "b.example") as itself:
            bad = tls_secret("b", *refused_pair(site.work_dir, "b.example"))
            site.put("b.yaml", site.host("b", bad))
            wait_until(lambda: site.contour.metric("contour_xds_quarantined") == 1, "the culprit found", 20)
            # Everything else goes on, also what changes, and of the same host.
            site.publish("c.yaml", site.host("c", secrets["c"], "green"))
            site.wait_for("c.example", "/", "green", site.tls("c.example"))
            site.put("b.yaml", site.host("b", bad, "green"))
            site.wait_for("b.example", "/", "green", site.tls("b.example"))
            assert site.certificate("b.example") == good
            assert site.contour.metric("contour_xds_quarantined_total") == 1
            log = site.contour.log(whole=True)
            assert "Envoy rejects what comes of the object" in log and "kind=Secret namespace=default name=b" in log
            wait_until(lambda: neighbour.answers > 20 and itself.answers > 20, "requests meanwhile", 20)
            # It heals when it is mended.
            site.put("b.yaml", site.host("b", site.authority.secret("b", "b.example"), "green"))
            wait_until(lambda: site.certificate("b.example") not in (None, good), "the new certificate", 20)
            wait_until(lambda: site.contour.metric("contour_xds_quarantined") == 0, "nothing quarantined", 20)
        assert neighbour.failures == [] and itself.failures == []


@pytest.mark.parametrize("spoil", [with_odd_signature, with_trailing_bytes])
def test_other_certificates_that_envoy_refuses(spoil):
    with RejectingSite(f"rejections_{spoil.__name__}") as site:
        site.put("services.yaml", service("blue", site.backend("blue")))
        certificate, key = site.authority.sign("b.example")
        site.publish("a.yaml", site.host("a", site.authority.secret("a", "a.example")))
        site.publish("b.yaml", site.host("b", tls_secret("b", certificate, key)))
        for name in "ab":
            site.wait_tls(f"{name}.example").close()
        good = site.certificate("b.example")
        with Steady(site, "a.example") as neighbour, Steady(site, "b.example") as itself:
            site.put("b.yaml", site.host("b", tls_secret("b", spoil(certificate), key)))
            wait_until(lambda: site.contour.metric("contour_xds_quarantined") == 1, "the culprit found", 20)
            site.publish("c.yaml", ingress("c", "c.example", [("/", "Prefix", "blue")]))
            assert site.certificate("b.example") == good
            assert "kind=Secret namespace=default name=b" in site.contour.log(whole=True)
            site.put("b.yaml", site.host("b", site.authority.secret("b", "b.example")))
            wait_until(lambda: site.contour.metric("contour_xds_quarantined") == 0, "nothing quarantined", 20)
            wait_until(lambda: site.certificate("b.example") not in (None, good), "the new certificate", 20)
        assert neighbour.failures == [] and itself.failures == []


def test_trusted_certificates_that_envoy_refuses():
    """Here a cluster is NACKed: the route still leads to the backend that was verified, with the CA that verified it."""
    with RejectingSite("rejections_trusted") as site:
        certificate, key = site.authority.sign("upstream.example")
        secure = site.backend("secure", certificate=certificate, key=key)

        def put(ca):
            site.put("b.yaml", service("secure", secure, annotations={ANNOTATION + "upstream-protocol.tls": "80"})
                     + ca_secret("ca", ca) + ingress_route("b", "b.example", route(
                         "/", ("secure", {"validation": {"caSecret": "ca", "subjectName": "upstream.example"}}))))
        put(site.authority.certificate)
        site.wait_for("b.example", "/", "secure")
        with SteadyLoad(site.address, site.http_port, "b.example") as itself:
            put(with_odd_signature(site.authority.certificate))
            wait_until(lambda: site.contour.metric("contour_xds_quarantined") == 1, "the culprit found", 20)
            site.publish("c.yaml", ingress("c", "c.example", [("/", "Prefix", "marker")]))
            log = site.contour.log(whole=True)
            assert "Envoy rejects what comes of the object" in log and "kind=IngressRoute namespace=default name=b" in log
            itself.until(itself.total + 100)
            put(site.authority.certificate)
            wait_until(lambda: site.contour.metric("contour_xds_quarantined") == 0, "nothing quarantined", 20)
            itself.until(itself.total + 100)
        itself.assert_clean()


# ---- One of many -----------------------------------------------------------------------------------------------------

class LargeSite(RejectingSite):
    """`limited`: its Envoy was given a bootstrap without our limit of expressions, so that Envoy's own holds, 100
    instructions. `without`: an extension that this Envoy doesn't have."""

    def __init__(self, name, mode, limited=False, without=None):
        super().__init__(name, mode=mode)
        self._limited, self._without = limited, without

    def envoy_arguments(self):
        return ["--disable-extensions", self._without] if self._without else []

    def change_bootstrap(self, path):
        if not self._limited:
            return
        value = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        changed = 0
        for layer in value["layered_runtime"]["layers"]:
            for name in [name for name in layer.get("static_layer", {}) if name.startswith("re2.")]:
                del layer["static_layer"][name]
                changed += 1
        assert changed
        pathlib.Path(path).write_text(json.dumps(value), encoding="utf-8")

    def responses(self, prefix):
        """Returns the number of responses of that type, and how many of them Envoy NACKed."""
        stats = self.envoy.stats(prefix)
        return stats[f"{prefix}.update_attempt"], stats[f"{prefix}.update_rejected"]


def added_meanwhile(site, done, limit=30):
    """Adds one host after the other until done(); the seconds that each of them took."""
    took = []
    started = time.monotonic()
    while not done():
        assert time.monotonic() - started < limit, f"not within {limit} s; new hosts took {took}"
        host = f"new-{len(took)}.example"
        site.put("new.yaml", manifests.ingress("new", host, "marker"))
        client = Client(site.address, site.http_port)
        took.append(client.poll(host, "/", lambda answer: answer.backend == "marker", timeout=limit, interval=0.005)[0])
        client.close()
    return took


@pytest.mark.parametrize("mode", ["delta-ads", "sotw-ads", "delta", "sotw"])
def test_the_pods_of_what_stands_in_move_on(mode):
    """A host goes from blue to green by content that Envoy NACKs. Nothing but its last good content uses blue then."""
    with LargeSite(f"rejections_moving_{mode}", mode, limited=True) as site:
        first, second = site.backend("first"), site.backend("second")
        site.put("blue.yaml", service("blue", first))
        site.put("green.yaml", service("green", site.backend("green")))
        site.put("host.yaml", ingress("a", "a.example", [("/", "Prefix", "blue")]))
        site.wait_for("a.example", "/", "first")
        site.put("host.yaml", ingress("a", "a.example", [
            ("/", "Prefix", "green"), ("/v" + "[abc]" * 120 + ".*", "ImplementationSpecific", "green")]))
        wait_until(lambda: site.contour.metric("contour_xds_quarantined") == 1, "the culprit found", 20)
        with SteadyLoad(site.address, site.http_port, "a.example") as load:
            site.put("blue.yaml", service("blue", second))
            site.wait_for("a.example", "/", "second")
            site.put("host.yaml", ingress("a", "a.example", [("/", "Prefix", "green")]))
            site.wait_for("a.example", "/", "green")
            wait_until(lambda: site.contour.metric("contour_xds_quarantined") == 0, "nothing quarantined", 20)
            load.until(100)
        load.assert_clean()


@pytest.mark.long
@pytest.mark.parametrize("mode", ["delta-ads", "sotw-ads"])
def test_one_virtual_host_of_five_thousand(mode, figure):
    """All of them change at once, and Envoy NACKs the new content of one."""
    count, bad = 5000, "h4999.example"
    with LargeSite(f"rejections_5000_{mode}", mode, limited=True) as site:
        site.put("services.yaml", service("blue", site.backend("blue")) + service("green", site.backend("green")))

        def put(backend, expression="/v.*"):
            hosts = "".join(manifests.ingress(f"h{n}", f"h{n}.example", backend) for n in range(count - 1))
            site.put("hosts.yaml", hosts + ingress("h4999", bad, [
                ("/", "Prefix", backend), (expression, "ImplementationSpecific", backend)]))
        put("blue")
        for host in ("h0.example", "h2500.example", bad):
            Client(site.address, site.http_port).poll(host, "/", lambda answer: answer.backend == "blue", timeout=60)
        wait_until(lambda: site.contour.metric("contour_xds_held") == 0, "nothing held back", 30)
        site.envoy.assert_nothing_rejected()
        kind = "http.ingress_http.rds.ingress_http"
        before = site.responses(kind)
        loads = [SteadyLoad(site.address, site.http_port, host, per_second=100)
                 for host in ("h0.example", "h2500.example", "h4998.example", bad)]
        for load in loads:
            load.__enter__()
        started = time.monotonic()
        put("green", "/v" + "[abc]" * 120 + ".*")
        took = added_meanwhile(site, lambda: site.contour.metric("contour_xds_quarantined") == 1, 60)
        seconds = time.monotonic() - started
        for host in ("h0.example", "h2500.example", "h4998.example"):
            site.wait_for(host, "/", "green")
        after = site.responses(kind)
        assert site.client.get(bad, "/").backend == "blue", "the last good content"
        assert "kind=Ingress namespace=default name=h4999" in site.contour.log(whole=True)
        assert bad in site.contour.get("/debug/xds")[1]
        put("green")
        site.wait_for(bad, "/", "green")
        wait_until(lambda: site.contour.metric("contour_xds_quarantined") == 0, "nothing quarantined", 20)
        for load in loads:
            load.__exit__()
            load.assert_clean()
        figure(f"culprit_of_5000_hosts_{mode}", seconds, "s")
        figure(f"culprit_of_5000_hosts_responses_{mode}", after[0] - before[0])
        figure(f"culprit_of_5000_hosts_refused_{mode}", after[1] - before[1])
        figure(f"new_host_during_the_search_{mode}", max(took), "s")
        assert after[1] - before[1] <= 2 * 13 + 4


@pytest.mark.long
@pytest.mark.parametrize("mode", ["delta-ads", "sotw-ads"])
def test_one_filter_chain_of_a_thousand(mode, figure):
    """An Envoy without the filter for TCP proxies: of all the chains that change at once it NACKs the one that needs it."""
    count, bad = 1000, "h999.example"
    with LargeSite(f"rejections_1000_{mode}", mode,
                   without="envoy.filters.network/envoy.filters.network.tcp_proxy") as site:
        names = [f"h{n}.example" for n in (0, 500, 998, 999)]
        site.put("services.yaml", service("blue", site.backend("blue")) + site.authority.secret("one", *names)
                 + site.authority.secret("two", *names))
        context = tls_context(site.authority.certificate)

        def secure(n, secret):
            entry = manifests.ingress(f"h{n}", f"h{n}.example", "blue").removesuffix("---\n")
            return f"{entry}  tls:\n  - hosts: [h{n}.example]\n    secretName: {secret}\n---\n"

        def put(secret, last):
            site.put("hosts.yaml", "".join(secure(n, secret) for n in range(count - 1)) + last)

        def serial(host):
            with socket.create_connection((site.address, site.https_port), 5) as connection:
                with context.wrap_socket(connection, server_hostname=host) as secure_connection:
                    return secure_connection.getpeercert()["serialNumber"]
        put("one", secure(999, "one"))
        for host in ("h0.example", "h500.example", bad):
            TLSClient(site.address, site.https_port, host, context).poll(host, "/", lambda answer: answer.status == 200, 60)
        site.envoy.assert_nothing_rejected()
        one = serial("h0.example")
        before = site.responses("listener_manager.lds")
        with Steady(site, "h0.example") as first, Steady(site, "h500.example") as second, Steady(site, "h998.example") as third:
            started = time.monotonic()
            put("two", ingress_route("h999", bad, tls={"passthrough": True}, tcpproxy=[("blue", {})]))
            took = added_meanwhile(site, lambda: site.contour.metric("contour_xds_quarantined") == 1, 60)
            seconds = time.monotonic() - started
            for host in ("h0.example", "h500.example", "h998.example"):
                wait_until(lambda host=host: serial(host) != one, f"the other certificate of {host}", 20)
            after = site.responses("listener_manager.lds")
            assert "kind=IngressRoute namespace=default name=h999" in site.contour.log(whole=True)
            put("two", secure(999, "two"))
            wait_until(lambda: site.contour.metric("contour_xds_quarantined") == 0, "nothing quarantined", 20)
            wait_until(lambda: serial(bad) != one, "what was mended", 20)
        for load in (first, second, third):
            assert load.failures == [] and load.answers > 20
        figure(f"culprit_of_1000_chains_{mode}", seconds, "s")
        figure(f"culprit_of_1000_chains_responses_{mode}", after[0] - before[0])
        figure(f"culprit_of_1000_chains_refused_{mode}", after[1] - before[1])
        figure(f"new_host_during_the_search_of_chains_{mode}", max(took), "s")
        assert after[1] - before[1] <= 2 * 10 + 4


def test_an_event_on_the_object(world, backends, tmp_path):
    """On a real API server, with the rights of deploy/rbac: the Secret and the Ingress that uses it get an Event with the error message."""
    world.apply_service("blue", backends("blue"))
    authority = Authority(tmp_path)

    def apply_host(name, secret):
        for value in yaml.safe_load_all(secret + ingress(name, f"{name}.example", [("/", "Prefix", "blue")],
                                                         tls_secret=name)):
            if value:
                value["metadata"]["namespace"] = world.namespace
                world.api.apply(value)

    def events(kind, name):
        path = f"/api/v1/namespaces/{world.namespace}/events"
        return [event for event in world.api.get(path)["items"] if event["reason"] == "EnvoyRejected"
                and (event["involvedObject"]["kind"], event["involvedObject"]["name"]) == (kind, name)]

    world.apply_ingress("plain", "plain.example", "blue")
    world.wait_for("plain.example", "blue")
    apply_host("good", authority.secret("good", "good.example"))
    refused = tls_secret("bad", *refused_pair(tmp_path, "bad.example"))
    with SteadyLoad(world.contour.ingress_address, world.contour.ingress_http_port, "plain.example") as load:
        apply_host("bad", refused)
        secret, = wait_until(lambda: events("Secret", "bad"), "an Event on the Secret", 20)
        wait_until(lambda: events("Ingress", "bad"), "an Event on the Ingress", 20)
        assert secret["type"] == "Warning" and secret["count"] == 1
        assert secret["source"]["component"] == "contour"
        assert f"{world.namespace}/bad" in secret["message"] and "nothing of it" in secret["message"]
        assert events("Secret", "good") == [] and events("Ingress", "good") == []
        apply_host("bad", authority.secret("bad", "bad.example"))
        wait_until(lambda: world.contour.metric("contour_xds_quarantined") == 0, "nothing quarantined", 20)
        # What comes back is the same Event, counted.
        apply_host("bad", refused)
        wait_until(lambda: [event["count"] for event in events("Secret", "bad")] == [2], "the Event, counted", 20)
    load.assert_clean()
    assert "failed to write an Event" not in world.contour.log(whole=True)
