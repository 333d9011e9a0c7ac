# SPDX-License-Identifier: Apache-2.0
"""Statuses on a real API server, with the rights of deploy/rbac and no more."""
import subprocess
import time

import yaml
from conftest import CONTOUR_USER
from harness import manifests
from harness.contour import run as contour_run
from harness.process import wait_until
from test_kubernetes import apply, installed, namespace, world  # noqa: F401  (fixtures)


def route(world, name):
    return {"apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute",
            "metadata": {"name": name, "namespace": world.namespace}}


def status(world, name):
    return world.api.read(route(world, name)).get("status", {})


def wait_for_status(world, name, current, description):
    wanted = {"currentStatus": current, "description": description}
    return wait_until(lambda: status(world, name) == wanted, f"status {wanted} of {name}", 10)


def written(contour):
    return contour.metric("contour_status_written_total")


def test_a_status_follows_the_objects(world, backends):
    apply(world.api, manifests.ingress_route("root", "status.example.com", {"late": None}, namespace=world.namespace))
    wait_for_status(world, "root", "invalid", "Service [late:80] is invalid or missing")
    world.apply_service("late", backends("blue"))
    wait_for_status(world, "root", "valid", "valid IngressRoute")
    world.wait_for("status.example.com", "blue")
    wait_until(lambda: written(world.contour) == 2, "two writes", 5)


def test_a_status_that_somebody_else_writes_is_put_right_once(world):
    apply(world.api, manifests.ingress_route("root", "fight.example.com", {"none": None}, namespace=world.namespace))
    wait_for_status(world, "root", "invalid", "Service [none:80] is invalid or missing")
    wait_until(lambda: written(world.contour) == 1, "the answer to the first write", 5)
    started = time.monotonic()
    world.api.patch(route(world, "root"), {"status": {"currentStatus": "valid", "description": "trust me"}}, "/status")
    wait_for_status(world, "root", "invalid", "Service [none:80] is invalid or missing")
    assert time.monotonic() - started < 1.0
    time.sleep(0.5)
    assert written(world.contour) == 2


def test_a_restart_writes_nothing(world, contour, installed):  # noqa: F811
    apply(world.api, manifests.ingress_route("root", "again.example.com", {"none": None}, namespace=world.namespace))
    wait_for_status(world, "root", "invalid", "Service [none:80] is invalid or missing")
    version = world.api.read(route(world, "root"))["metadata"]["resourceVersion"]
    assert world.contour.stop() == 0
    second = contour("--kubeconfig", installed.kubeconfig(CONTOUR_USER), name="second")
    time.sleep(1.0)
    assert written(second) == 0
    assert world.api.read(route(world, "root"))["metadata"]["resourceVersion"] == version


def test_status_files_among_the_manifests_are_refused(tmp_path):
    result = contour_run("serve", "--insecure", "--manifests", tmp_path, "--status-dir", tmp_path / "status")
    assert result.returncode == 1
    assert "--status-dir" in result.stderr and "--manifests" in result.stderr


def test_an_expired_certificate_is_served_and_warned_about(tmp_path, contour):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    request = tmp_path / "request.pem"
    for command in (
        ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=old.example",
         "-keyout", key, "-out", request],
        ["x509", "-req", "-in", request, "-signkey", key, "-days", "-1", "-out", certificate],
    ):
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    folder = tmp_path / "manifests"
    folder.mkdir()
    objects = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "old", "namespace": "default"},
         "type": "kubernetes.io/tls", "stringData": {"tls.crt": certificate.read_text(), "tls.key": key.read_text()}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "old", "namespace": "default"},
         "spec": {"tls": [{"hosts": ["old.example"], "secretName": "old"}]}},
    ]
    (folder / "old.yaml").write_text(yaml.safe_dump_all(objects))
    process = contour("--manifests", folder)
    process.wait_log("serving certificate has expired.*name=old", 5)
    series = [line for line in process.get("/metrics")[1].splitlines()
              if line.startswith('contour_serving_certificate_not_after_seconds{name="old"')]
    assert len(series) == 1 and float(series[0].split()[1]) <= time.time()
