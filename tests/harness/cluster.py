# SPDX-License-Identifier: Apache-2.0
"""A real Kubernetes API: etcd and kube-apiserver (the binary of tests/cluster), with RBAC, TLS and bearer tokens.

It has no controllers, no nodes and no DNS: a test creates all objects that it needs, EndpointSlices too.
"""
import dataclasses
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import time
import urllib.parse

import yaml

from .process import Process, free_port

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def binary():
    """Returns $CONTOUR_CLUSTER_BINARY, or the program that ./dev keeps for the present sources."""
    if path := os.environ.get("CONTOUR_CLUSTER_BINARY"):
        return pathlib.Path(path)
    sources = sorted((ROOT / "tests/cluster").glob("*.go")) + [ROOT / "tests/cluster/go.mod", ROOT / "tests/cluster/go.sum"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    cache = pathlib.Path(os.environ.get("CONTOUR_CACHE", pathlib.Path.home() / ".cache/contour-dev"))
    return cache / "bin" / f"cluster-{digest}"


@dataclasses.dataclass(frozen=True)
class User:
    name: str
    token: str
    groups: tuple = ()


# `admin` may do everything. `contour` is the service account that the RBAC manifests bind.
ADMIN = User("admin", "admin-token", ("system:masters",))


def service_account(namespace, name):
    return User(f"system:serviceaccount:{namespace}:{name}", f"{namespace}-{name}-token",
                ("system:serviceaccounts", f"system:serviceaccounts:{namespace}"))


class ApiError(Exception):
    def __init__(self, status, body):
        self.status = status
        self.body = body
        super().__init__(f"{status} {body.get('reason', '')}: {body.get('message', body)}")


class Api:
    """A small client: JSON in, JSON out, one connection per request. Raises ApiError unless the status is 2xx."""

    def __init__(self, address, port, token, ca_path):
        self.address, self.port, self.token = address, port, token
        self._context = ssl.create_default_context(cafile=str(ca_path))

    def request(self, method, path, body=None, content_type="application/json", timeout=10):
        connection = http.client.HTTPSConnection(self.address, self.port, context=self._context, timeout=timeout)
        try:
            headers = {"authorization": f"Bearer {self.token}", "content-type": content_type}
            data = None if body is None else json.dumps(body)
            connection.request(method, path, body=data, headers=headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        try:
            parsed = json.loads(text)
        except json.JSONDecodeError:
            parsed = {"message": text}
        if not 200 <= response.status < 300:
            raise ApiError(response.status, parsed)
        return parsed

    def get(self, path):
        return self.request("GET", path)

    def create(self, value):
        """Creates one object; its namespace must exist (`default` does)."""
        return self.request("POST", self.collection(value), value)

    def replace(self, value):
        return self.request("PUT", self.path(value), value)

    def apply(self, value):
        """Creates the object or changes it, by server-side apply."""
        return self.request("PATCH", self.path(value) + "?fieldManager=test&force=true", value,
                            content_type="application/apply-patch+yaml")

    def apply_file(self, path):
        """All documents of a YAML file, in order."""
        for value in yaml.safe_load_all(pathlib.Path(path).read_text(encoding="utf-8")):
            if value:
                self.apply(value)

    def patch(self, value, patch, subresource=""):
        return self.request("PATCH", self.path(value) + subresource, patch, content_type="application/merge-patch+json")

    def delete(self, value):
        return self.request("DELETE", self.path(value))

    def read(self, value):
        """Returns the stored form of an object, found by its kind, name and namespace."""
        return self.get(self.path(value))

    def create_namespace(self, name):
        return self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    @staticmethod
    def collection(value):
        group = value["apiVersion"]
        base = f"/api/{group}" if "/" not in group else f"/apis/{group}"
        kind = value["kind"].lower()
        irregular = {"ingress": "ingresses", "ingressclass": "ingressclasses", "httpproxy": "httpproxies",
                     "endpoints": "endpoints", "gatewayclass": "gatewayclasses", "networkpolicy": "networkpolicies"}
        plural = irregular.get(kind, kind + "s")
        cluster_wide = {"namespace", "clusterrole", "clusterrolebinding", "customresourcedefinition", "ingressclass",
                        "gatewayclass", "node"}
        if kind in cluster_wide:
            return f"{base}/{plural}"
        return f"{base}/namespaces/{value['metadata'].get('namespace', 'default')}/{plural}"

    @classmethod
    def path(cls, value):
        return cls.collection(value) + "/" + urllib.parse.quote(value["metadata"]["name"])


class Cluster:
    """etcd and kube-apiserver of one test session.

    cluster = Cluster(work_dir, users=[service_account("contour", "contour")]).start()
    cluster.api().create({...});  kubeconfig = cluster.kubeconfig(user)
    cluster.apiserver.kill(); cluster.start_apiserver()
    """

    def __init__(self, work_dir, address="127.0.0.1", users=()):
        self.work_dir = pathlib.Path(work_dir)
        self.address = address
        self.port = free_port()
        self.users = [ADMIN, *users]
        self._etcd_port, self._etcd_peer_port = free_port(), free_port()
        pki = self.work_dir / "pki"
        self.ca_path = pki / "ca.crt"
        self.client_key_path, self.client_certificate_path = pki / "client.key", pki / "client.crt"
        self._pki = pki
        self.etcd = self.apiserver = None

    def start(self):
        program = binary()
        if not program.exists():
            raise FileNotFoundError(f"no {program}: ./dev test e2e builds it")
        self.work_dir.mkdir(parents=True, exist_ok=True)
        self._make_pki()
        (self.work_dir / "tokens.csv").write_text("".join(
            f'{user.token},{user.name},{user.name},"{",".join(user.groups)}"\n' for user in self.users), encoding="ascii")
        peer = f"http://127.0.0.1:{self._etcd_peer_port}"
        client = f"http://127.0.0.1:{self._etcd_port}"
        self.etcd = Process("etcd", [
            program, "etcd", "--data-dir", self.work_dir / "etcd", "--unsafe-no-fsync", "--log-level", "error",
            "--name", "test", "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"test={peer}",
        ], self.work_dir / "etcd.log")
        self.apiserver = Process("kube-apiserver", [
            program, "kube-apiserver", "--etcd-servers", client,
            "--bind-address", self.address, "--secure-port", self.port, "--advertise-address", "192.0.2.1",
            "--cert-dir", self.work_dir / "apiserver", "--tls-cert-file", self._pki / "server.crt",
            "--tls-private-key-file", self._pki / "server.key", "--client-ca-file", self.ca_path,
            "--service-account-issuer", "https://kubernetes.default.svc",
            "--service-account-key-file", self._pki / "sa.key", "--service-account-signing-key-file", self._pki / "sa.key",
            "--service-cluster-ip-range", "10.96.0.0/12", "--authorization-mode", "RBAC",
            "--token-auth-file", self.work_dir / "tokens.csv", "--disable-admission-plugins", "ServiceAccount",
            "--endpoint-reconciler-type", "none",
        ], self.work_dir / "kube-apiserver.log")
        self.etcd.start()
        self.start_apiserver()
        return self

    def start_apiserver(self, timeout=60.0):
        """Starts it (again) and waits until it is ready and the namespace `default` exists."""
        self.apiserver.start()
        self.wait_ready(timeout)

    def wait_ready(self, timeout=60.0):
        api = self.api()

        def ready():
            try:
                api.get("/readyz")
                return api.get("/api/v1/namespaces/default")
            except (ApiError, ssl.SSLError):
                return None
        self.apiserver.wait(ready, "/readyz", timeout)

    def stop(self):
        for process in (self.apiserver, self.etcd):
            if process is not None:
                process.kill()
        shutil.rmtree(self.work_dir / "etcd", ignore_errors=True)

    def api(self, user=ADMIN):
        return Api(self.address, self.port, user.token, self.ca_path)

    def kubeconfig(self, user=ADMIN, path=None, server=None):
        """Writes a kubeconfig with the user's token and returns its path."""
        path = pathlib.Path(path or self.work_dir / f"kubeconfig-{user.token}.yaml")
        path.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": server or f"https://{self.address}:{self.port}", "certificate-authority": str(self.ca_path)}}],
            "users": [{"name": "test", "user": {"token": user.token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }), encoding="utf-8")
        return path

    def client_certificate_kubeconfig(self):
        """Like kubeconfig(), but admin by client certificate (user `admin`, group `system:masters`)."""
        path = self.work_dir / "kubeconfig-client-certificate.yaml"
        value = yaml.safe_load(self.kubeconfig().read_text(encoding="utf-8"))
        value["users"][0]["user"] = {"client-certificate": str(self.client_certificate_path),
                                     "client-key": str(self.client_key_path)}
        path.write_text(yaml.safe_dump(value), encoding="utf-8")
        return path

    def _make_pki(self):
        pki = self._pki
        pki.mkdir(parents=True, exist_ok=True)
        make_ca(pki / "ca.crt", pki / "ca.key", "test cluster CA")
        make_certificate(pki / "server.crt", pki / "server.key", pki / "ca.crt", pki / "ca.key", "/CN=kube-apiserver",
                         [f"IP:{self.address}", "IP:127.0.0.1", "DNS:localhost", "DNS:kubernetes.default.svc"])
        make_certificate(self.client_certificate_path, self.client_key_path, pki / "ca.crt", pki / "ca.key",
                         "/O=system:masters/CN=admin", [])
        _openssl("genrsa", "-out", pki / "sa.key", "2048")


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_ca(certificate, key, name):
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650",
             "-keyout", key, "-out", certificate, "-subj", f"/CN={name}",
             "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")


def make_certificate(certificate, key, ca_certificate, ca_key, subject, names, days=365):
    """A leaf for servers and clients; names: subjectAltName entries such as `DNS:www.example.com`."""
    request = pathlib.Path(f"{certificate}.csr")
    extensions = pathlib.Path(f"{certificate}.ext")
    lines = ["basicConstraints=CA:FALSE", "extendedKeyUsage=serverAuth,clientAuth"]
    if names:
        lines.append("subjectAltName=" + ",".join(names))
    extensions.write_text("\n".join(lines) + "\n", encoding="ascii")
    _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-keyout", key, "-out", request, "-subj", subject)
    _openssl("x509", "-req", "-in", request, "-CA", ca_certificate, "-CAkey", ca_key, "-days", days,
             "-set_serial", time.time_ns(), "-extfile", extensions, "-out", certificate)
    request.unlink()
    extensions.unlink()
