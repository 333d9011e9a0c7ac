# SPDX-License-Identifier: Apache-2.0
"""Tries the guides: each YAML block of docs/ingressroute.md is given to contour, and each request of the table below it is sent to
a real Envoy. Services and Secrets that the examples name are made here."""
import re
import urllib.parse

import pytest
import yaml
from conftest import ROOT, next_pod_address
from harness import client, manifests, render
from harness.backend import Backend
from harness.cluster import make_ca, make_certificate
from harness.process import wait_until

GUIDE = ROOT / "docs/ingressroute.md"
SAMPLES = 2000


def examples(page=GUIDE):
    """(heading, objects, rows) of each YAML block and the table that follows it."""
    found = []
    heading, block, rows = None, None, None
    for line in page.read_text(encoding="utf-8").splitlines():
        if block is not None:
            if line == "```":
                found.append((heading, [value for value in yaml.safe_load_all("\n".join(block)) if value], []))
                rows = found[-1][2]
                block = None
            else:
                block.append(line)
        elif line == "```yaml":
            block = []
        elif line.startswith("## "):
            heading = line[3:]
        elif rows is not None and line.startswith("| ") and not line.startswith("| Request"):
            rows.append(tuple(cell.strip() for cell in line.strip("|").split("|")))
    return found


def test_examples_have_tables():
    assert len(examples()) >= 10
    for heading, objects, rows in examples():
        assert objects and rows, heading


def services(objects):
    """(namespace, name) → (port, whether it talks TLS) of what the IngressRoutes name."""
    found = {}
    given = {(value["metadata"]["namespace"], value["metadata"]["name"]) for value in objects if value["kind"] == "Service"}
    for value in objects:
        if value["kind"] == "IngressRoute":
            spec = value["spec"]
            routes = [*spec.get("routes", []), *([spec["tcpproxy"]] if "tcpproxy" in spec else [])]
            passthrough = spec.get("virtualhost", {}).get("tls", {}).get("passthrough", False)
            for route in routes:
                for service in route.get("services", []):
                    if service["name"] != "does-not-exist":
                        key = value["metadata"]["namespace"], service["name"]
                        found[key] = (passthrough or key in given, key in given, service.get("validation", {}).get("subjectName"))
    return found


class Example:
    def __init__(self, work_dir, contour, envoy, objects):
        self.work_dir = work_dir
        self.folder, self.statuses = work_dir / "manifests", work_dir / "status"
        self.folder.mkdir()
        self.statuses.mkdir()
        self.backends = []
        self.ca = work_dir / "ca.crt"
        make_ca(self.ca, work_dir / "ca.key", "authority")
        texts = [yaml.safe_dump_all(objects)]
        for (namespace, name), (tls, given, subject) in services(objects).items():
            texts.append(self._service(namespace, name, tls, given, subject))
        for value in objects:
            texts += self._secrets(value)
        (self.folder / "example.yaml").write_text("\n---\n".join(texts), encoding="utf-8")
        self.contour = contour("--manifests", self.folder, "--status-dir", self.statuses)
        self.envoy = envoy(self.contour)

    def _certificate(self, name, subject):
        certificate, key = self.work_dir / f"{name}.crt", self.work_dir / f"{name}.key"
        make_certificate(certificate, key, self.ca, self.work_dir / "ca.key", f"/CN={name}", [f"DNS:{subject}"])
        return certificate, key

    def _service(self, namespace, name, tls, given, subject):
        certificate, key = self._certificate(name, subject or f"{name}.example.com") if tls else (None, None)
        backend = Backend(name, self.work_dir, next_pod_address(), 8080, certificate, key).start()
        self.backends.append(backend)
        text = manifests.service(name, backend.address, backend.port, namespace)
        if given:  # the example has the Service: only its endpoints are missing
            text = next(part for part in text.split("---\n") if "EndpointSlice" in part)
        return text

    def _secrets(self, value):
        spec = value.get("spec", {})
        host = spec.get("virtualhost", {})
        if secret := host.get("tls", {}).get("secretName"):
            namespace, _, name = secret.rpartition("/")
            certificate, key = self._certificate(name, host["fqdn"])
            yield yaml.safe_dump({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                "metadata": {"name": name, "namespace": namespace or value["metadata"]["namespace"]},
                "stringData": {"tls.crt": certificate.read_text(), "tls.key": key.read_text()}})
        for route in spec.get("routes", []) if value["kind"] == "IngressRoute" else ():
            for service in route.get("services", []):
                if "validation" in service:
                    yield yaml.safe_dump({
                        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                        "metadata": {"name": service["validation"]["caSecret"], "namespace": value["metadata"]["namespace"]},
                        "stringData": {"ca.crt": self.ca.read_text()}})

    def client(self, scheme, host):
        if scheme == "http":
            return client.Client("127.0.0.1", self.contour.ingress_http_port)
        return client.TLSClient("127.0.0.1", self.contour.ingress_https_port, host, client.tls_context(self.ca))

    def check_status(self, name, wanted):
        path = self.statuses / "ingressroute" / f"{name}.yaml"
        wait_until(path.exists, f"status of {name}")
        status = yaml.safe_load(path.read_text(encoding="utf-8"))
        status = status.get("status", status)
        assert status["currentStatus"] == wanted, f"{name}: {status}"

    def check_request(self, url, answer):
        parts = urllib.parse.urlsplit(url)
        asking = self.client(parts.scheme, parts.hostname)
        if shares := re.findall(r"`([\w-]+)` (\d+) of (\d+)", answer):
            asking.poll(parts.hostname, parts.path, lambda got: got.status == 200)
            counts = client.count_backends("127.0.0.1", self.contour.ingress_http_port, parts.hostname, parts.path, SAMPLES)
            assert set(counts) == {name for name, _, _ in shares}
            for name, part, whole in shares:
                share = int(part) / int(whole)
                # Five standard deviations: one run in a million fails by chance.
                assert abs(counts[name] / SAMPLES - share) < 5 * (share * (1 - share) / SAMPLES) ** 0.5, counts
            return
        if backend := re.fullmatch(r"`([\w-]+)`(?: at `(\S+)`)?", answer):
            asking.poll(parts.hostname, parts.path, lambda got: got.status == 200 and got.backend == backend.group(1))
            got = asking.get(parts.hostname, parts.path)
            assert got.backend == backend.group(1)
            if backend.group(2):
                assert got.json["path"] == backend.group(2)
            return
        status, location = re.fullmatch(r"(\d{3})(?: `(\S+)`)?", answer).groups()
        if status == "404":  # any answer may be that before the first configuration has come
            self.envoy.wait_live()
        asking.poll(parts.hostname, parts.path, lambda got: got.status == int(status))
        assert asking.get(parts.hostname, parts.path).headers.get("location") == location
        asking.close()


@pytest.mark.parametrize("heading", [heading for heading, _, _ in examples()])
def test_example(work_dir, contour, envoy, heading):
    objects, rows = next((objects, rows) for name, objects, rows in examples() if name == heading)
    example = Example(work_dir, contour, envoy, objects)
    try:
        for asked, answer in rows:
            if name := re.fullmatch(r"status `(\S+)`", asked):
                example.check_status(name.group(1), answer.strip("`"))
            else:
                example.check_request(re.match(r"`(\S+)`", asked).group(1), answer)
    finally:
        for backend in example.backends:
            backend.kill()


def test_quick_start(work_dir, contour, envoy):
    """The kustomization renders with the reader's image; the route is valid and answers."""
    (_, (kustomization,), _), (_, objects, _) = examples(ROOT / "docs/quick-start.md")
    own = work_dir / "own"
    own.mkdir()
    (work_dir / "deploy").symlink_to(ROOT / "deploy")
    (own / "kustomization.yml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    image = f"{kustomization['images'][0]['newName']}:{kustomization['images'][0]['newTag']}"
    containers = [container for _, template in render.pod_templates(render.kustomize(own))
                  for container in [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]]
    assert [container["image"] for container in containers].count(image) == 5
    example = Example(work_dir, contour, envoy, objects)
    try:
        example.check_status("default/hello", "valid")
        example.check_request("http://hello.example.com/hostname", "`hello`")
    finally:
        for backend in example.backends:
            backend.kill()
