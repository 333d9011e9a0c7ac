# SPDX-License-Identifier: Apache-2.0
"""What contour's checks allow and Envoy refuses: a certificate whose RSA key has a public exponent of more than 33 bits,
which OpenSSL takes and BoringSSL doesn't. The neighbours go on, the last good certificate is served, the author is told."""
import socket
import ssl
import subprocess
import threading

import pytest
import yaml
from features_support import Authority, Site, ingress, service, tls_secret
from harness.client import SteadyLoad
from harness.process import wait_until
from test_kubernetes import apply, installed, namespace, world  # noqa: F401  (fixtures)


class RejectingSite(Site):
    """In which Envoy refuses something, for once."""

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                assert self.contour.stop(timeout=10) == 0, self.contour.tail()
        finally:
            self._kill()

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
    """A certificate and its key that Envoy doesn't load."""
    certificate, key = folder / f"{host}-refused.crt", folder / f"{host}-refused.key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt",
                    "rsa_keygen_pubexp:1099511627791", "-out", key], check=True, capture_output=True)
    subprocess.run(["openssl", "req", "-x509", "-new", "-key", key, "-subj", f"/CN={host}", "-addext",
                    f"subjectAltName=DNS:{host}", "-days", "30", "-out", certificate], check=True, capture_output=True)
    return certificate, key


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


def test_an_event_on_the_object(world, backends, tmp_path):
    """On a real API server, with the rights of deploy/rbac: the Secret and the Ingress that uses it get the words."""
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
