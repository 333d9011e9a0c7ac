# SPDX-License-Identifier: Apache-2.0
"""For the tests of features: one contour with one Envoy for a whole module, backends by name, and objects as Python
values. Each test adds the file with its objects and leaves it there; hosts are its own."""
import shutil
import time

import yaml
from conftest import LOGS, next_pod_address
from harness import manifests
from harness.backend import Backend
from harness.client import Client, TLSClient, tls_context
from harness.cluster import make_ca, make_certificate
from harness.contour import Contour
from harness.envoy import Envoy
from harness.process import free_port, wait_until

ANNOTATION = "contour.heptio.com/"


def text(*objects):
    return yaml.safe_dump_all(objects, sort_keys=False)


def metadata(name, annotations=None):
    value = {"name": name, "namespace": "default"}
    if annotations:
        value["annotations"] = annotations
    return value


def service(name, *backends, annotations=None):
    """A Service with port 80 and its slice; its endpoints are backends that share one port."""
    port = backends[0].port
    return text(
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata(name, annotations),
         "spec": {"ports": [{"port": 80, "targetPort": port}]}},
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
         "metadata": {**metadata(f"{name}-1"), "labels": {"kubernetes.io/service-name": name}},
         "addressType": "IPv4", "ports": [{"port": port, "protocol": "TCP"}],
         "endpoints": [{"addresses": [backend.address], "conditions": {"ready": True}} for backend in backends]},
    ) + "---\n"


def route(match, *services, **options):
    """services: names, or (name, options)."""
    listed = [{"name": entry, "port": 80} if isinstance(entry, str) else {"name": entry[0], "port": 80, **entry[1]}
              for entry in services]
    return {"match": match, "services": listed, **options}


def ingress_route(name, fqdn, *routes, tls=None, tcpproxy=None):
    spec = {"virtualhost": {"fqdn": fqdn, **({"tls": tls} if tls else {})}}
    if routes:
        spec["routes"] = list(routes)
    if tcpproxy:
        spec["tcpproxy"] = {"services": [{"name": entry[0], "port": 80, **entry[1]} for entry in tcpproxy]}
    return text({"apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute", "metadata": metadata(name),
                 "spec": spec}) + "---\n"


def ingress(name, host, paths, annotations=None, tls_secret=None):
    """paths: [(path, pathType, service)]"""
    rule = {"http": {"paths": [
        {"path": path, "pathType": kind, "backend": {"service": {"name": service_name, "port": {"number": 80}}}}
        for path, kind, service_name in paths]}}
    spec = {"rules": [{"host": host, **rule} if host else rule]}
    if tls_secret:
        spec["tls"] = [{"hosts": [host], "secretName": tls_secret}]
    return text({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata(name, annotations),
                 "spec": spec}) + "---\n"


class Authority:
    """A CA and the pairs that it signs: (certificate, key) by name, made when they are needed."""

    def __init__(self, folder, name="authority"):
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.certificate, self.key = self.folder / "ca.crt", self.folder / "ca.key"
        make_ca(self.certificate, self.key, name)
        self._made = 0

    def sign(self, *names):
        self._made += 1
        certificate, key = self.folder / f"{self._made}.crt", self.folder / f"{self._made}.key"
        make_certificate(certificate, key, self.certificate, self.key, f"/CN={names[0]}",
                         [f"DNS:{name}" for name in names])
        return certificate, key

    def secret(self, name, *names):
        certificate, key = self.sign(*names)
        return tls_secret(name, certificate, key)


def tls_secret(name, certificate, key):
    return text({"apiVersion": "v1", "kind": "Secret", "metadata": metadata(name), "type": "kubernetes.io/tls",
                 "stringData": {"tls.crt": certificate.read_text(), "tls.key": key.read_text()}}) + "---\n"


def ca_secret(name, certificate):
    return text({"apiVersion": "v1", "kind": "Secret", "metadata": metadata(name), "type": "Opaque",
                 "stringData": {"ca.crt": certificate.read_text()}}) + "---\n"


class Site:
    """with Site("name") as site: …"""

    refuses = False  # may Envoy refuse something

    def __init__(self, name, *flags, mode=None):
        self.work_dir = LOGS / name
        shutil.rmtree(self.work_dir, ignore_errors=True)
        self.folder = self.work_dir / "manifests"
        self.folder.mkdir(parents=True)
        self.flags, self.mode = flags, mode
        self.authority = Authority(self.work_dir)
        self.backends = {}
        self._published = 0
        self.contour = self.envoy = None

    def __enter__(self):
        try:
            marker = self.backend("marker")
            self.put("marker.yaml", service("marker", marker))
            self.contour = Contour(self.work_dir, "--manifests", self.folder, "--status-dir", self.work_dir / "status",
                                   *self.flags).start().wait_ready()
            admin_port = free_port()
            bootstrap = self.contour.bootstrap(admin_port, self.mode)
            self.change_bootstrap(bootstrap)
            self.envoy = Envoy(bootstrap, self.work_dir, admin_port, arguments=self.envoy_arguments())
            self.envoy.start().wait_live()
        except BaseException:
            self._kill()
            raise
        self.address, self.http_port = self.contour.ingress_address, self.contour.ingress_http_port
        self.https_port = self.contour.ingress_https_port
        self.client = Client(self.address, self.http_port)
        return self

    def change_bootstrap(self, path):
        """Changes the bootstrap, for Envoys that differ from those of contour's own bootstrap."""

    def envoy_arguments(self):
        return []

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                if not self.refuses:
                    self.envoy.assert_nothing_rejected()
                assert self.contour.stop(timeout=10) == 0, self.contour.tail()
                assert "Sanitizer" not in self.contour.log(whole=True), self.contour.tail(60)
        finally:
            self._kill()

    def _kill(self):
        for process in (self.envoy, self.contour, *self.backends.values()):
            if process is not None:
                process.kill()

    def backend(self, name, **keywords):
        if name not in self.backends:
            self.backends[name] = Backend(name, self.work_dir, next_pod_address(), 8080, **keywords).start()
        return self.backends[name]

    def put(self, name, objects):
        manifests.replace(self.folder / name, objects)

    def remove(self, name):
        (self.folder / name).unlink()

    def publish(self, name, objects):
        """Puts the file, and returns when Envoy has what was in it: another host, of the same file, answers; then, since
        a host waits for its own clusters only, nothing is held back any more; then whatever was is behind it too."""
        self._publish(name, objects)
        wait_until(lambda: self.contour.metric("contour_xds_held") == 0, "nothing held back", 10)
        self._publish(name, objects)

    def _publish(self, name, objects):
        self._published += 1
        host = f"marker-{self._published}.example"
        self.put(name, objects + ingress(f"marker-{name.removesuffix('.yaml')}", host, [("/", "Prefix", "marker")]))
        Client(self.address, self.http_port).poll(host, "/", lambda answer: answer.backend == "marker", timeout=10)
        self.client.close()

    def wait_for(self, host, path, backend, client=None):
        return (client or self.client).poll(host, path, lambda answer: answer.backend == backend)

    def tls(self, server_name, **versions):
        return TLSClient(self.address, self.https_port, server_name, tls_context(self.authority.certificate, **versions))

    def wait_tls(self, server_name, path="/", **versions):
        """Returns a client of that host when it answers at all."""
        client = self.tls(server_name, **versions)
        client.poll(server_name, path, lambda answer: True)
        return client


class RefusingSite(Site):
    """A site in whose tests Envoy NACKs something."""

    refuses = True


def pause():
    """Waits for long enough that a fault would have shown."""
    time.sleep(0.3)
