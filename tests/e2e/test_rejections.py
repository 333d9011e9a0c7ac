# SPDX-License-Identifier: Apache-2.0
"""What contour's checks allow and Envoy refuses: a certificate whose RSA key has a public exponent of more than 33 bits,
which OpenSSL takes and BoringSSL doesn't. The neighbours go on, the last good certificate is served, the author is told."""
import socket
import ssl
import subprocess
import threading

import pytest
from features_support import Site, ingress, service, tls_secret
from harness.process import wait_until


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
            # It heals when it is mended.
            site.put("b.yaml", site.host("b", site.authority.secret("b", "b.example"), "green"))
            wait_until(lambda: site.certificate("b.example") not in (None, good), "the new certificate", 20)
            wait_until(lambda: site.contour.metric("contour_xds_quarantined") == 0, "nothing quarantined", 20)
        assert neighbour.answers > 20 and itself.answers > 20
        assert neighbour.failures == [] and itself.failures == []
