# SPDX-License-Identifier: Apache-2.0
"""Statuses on a real API server, with the rights of deploy/rbac and no more."""
import subprocess
import time

import pytest
import yaml
from conftest import CONTOUR_USER
from harness import manifests
from harness.contour import run as contour_run
from harness.process import wait_until
from kube_support import bulk, ingress_route, service
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


def test_an_object_before_its_service_is_written_once(world, backends):
    """A missing object may only be late: the status is never `invalid`, and is written once."""
    backend = backends("blue")
    seen = set()
    for number in range(5):
        name, late = f"root-{number}", f"late-{number}"
        apply(world.api, manifests.ingress_route(name, f"{name}.example.com", {late: None}, namespace=world.namespace))
        time.sleep(0.05)  # long enough for contour to see it without the Service
        world.apply_service(late, backend)
        wait_until(lambda name=name: seen.add(status(world, name).get("currentStatus")) or
                   status(world, name).get("currentStatus") == "valid", f"status of {name}", 10, interval=0.005)
    assert seen <= {None, "valid"}
    time.sleep(0.5)
    assert written(world.contour) == 5
    for number in range(5):
        assert world.contour.log(whole=True).count(f"name=root-{number} status=") == 1


def test_a_service_that_is_replaced_does_not_show(world, backends):
    backend = backends("blue")
    world.apply_service("web", backend)
    apply(world.api, manifests.ingress_route("root", "web.example.com", {"web": None}, namespace=world.namespace))
    wait_for_status(world, "root", "valid", "valid IngressRoute")
    wait_until(lambda: written(world.contour) == 1, "the answer to the first write", 5)
    world.api.request("DELETE", f"/api/v1/namespaces/{world.namespace}/services/web")
    world.apply_service("web", backend)
    time.sleep(0.6)
    assert written(world.contour) == 1


def test_objects_that_go_while_their_statuses_wait(world, installed, contour):  # noqa: F811
    """A namespace goes with all that is in it, while statuses wait to be written: nothing is tried for ever."""
    names = [f"root-{number}" for number in range(40)]
    for name in names:
        apply(world.api, manifests.ingress_route(name, f"{name}.example.com", {"none": None}, namespace=world.namespace))
    world.api.request("DELETE",
                      f"/apis/contour.heptio.com/v1beta1/namespaces/{world.namespace}/ingressroutes")
    wait_until(lambda: world.contour.metric("contour_status_waiting") == 0, "nothing waits", 10)
    writes = written(world.contour)
    time.sleep(1.0)
    assert written(world.contour) == writes
    assert world.contour.metric("contour_status_failures_total") == 0


def test_a_fight_is_noticed_slowed_and_named(world):
    apply(world.api, manifests.ingress_route("root", "fight.example.com", {"none": None}, namespace=world.namespace))
    ours = {"currentStatus": "invalid", "description": "Service [none:80] is invalid or missing"}
    wait_until(lambda: status(world, "root") == ours, "our status", 10)
    path = world.api.path(route(world, "root")) + "/status?fieldManager=stubborn"
    for number in range(5):
        world.api.request("PATCH", path, {"status": {"description": f"no. {number}"}},
                          content_type="application/merge-patch+json")
        started = time.monotonic()
        wait_until(lambda: status(world, "root") == ours, "our status again", 10, interval=0.01)
        last = time.monotonic() - started
        assert (last < 0.9) == (number < 4), f"repair {number} took {last:.2f} s"
    line = world.contour.wait_log("somebody else keeps changing the status of this object.*", 5).group()
    assert "writer=stubborn" in line and f"namespace={world.namespace} name=root" in line
    assert world.contour.metric("contour_status_fights_total") == 1
    assert world.contour.metric("contour_status_overwritten_total") == 5
    assert any(text.startswith("contour_status_fight_pause_seconds{") and 'name="root"' in text
               for text in world.contour.get("/metrics")[1].splitlines())


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
              if line.startswith("contour_serving_certificate_not_after_seconds{") and 'name="old"' in line]
    assert len(series) == 1 and float(series[0].split()[1]) <= time.time()


@pytest.mark.parametrize("count", [200, pytest.param(5000, marks=pytest.mark.long)])
def test_many_objects_appear(world, installed, contour, count, figure):  # noqa: F811
    """IngressRoutes at once: seconds until every status is right, and one write each; a restart writes nothing."""
    path = f"/apis/contour.heptio.com/v1beta1/namespaces/{world.namespace}/ingressroutes"
    bulk(installed, [("POST", f"/api/v1/namespaces/{world.namespace}/services", service("web", world.namespace))])
    started = time.monotonic()
    bulk(installed, (("POST", path, ingress_route(f"root-{number}", world.namespace, f"host-{number}.example.com"))
                     for number in range(count)))
    created = time.monotonic()

    def right():
        return sum(item.get("status", {}).get("currentStatus") == "valid" for item in world.api.get(path)["items"])
    # The list is asked for only when the writer is done: it would be in the way.
    wait_until(lambda: written(world.contour) >= count and world.contour.metric("contour_status_waiting") == 0,
               f"{count} statuses", 120, interval=0.1)
    finished = time.monotonic()
    assert right() == count
    figure(f"statuses_{count}_created_in", created - started, "s")
    figure(f"statuses_{count}_right_after_the_last_creation", finished - created, "s")
    time.sleep(0.5)
    assert written(world.contour) == count
    assert world.contour.metric("contour_status_conflicts_total") == 0

    assert world.contour.stop() == 0
    second = contour("--kubeconfig", installed.kubeconfig(CONTOUR_USER), name="second")
    time.sleep(2.0)
    assert written(second) == 0

    # All at once, as an upgrade that changes what statuses say: the Service goes.
    world.api.request("DELETE", f"/api/v1/namespaces/{world.namespace}/services/web")
    started = time.monotonic()
    wait_until(lambda: written(second) >= count and second.metric("contour_status_waiting") == 0, "all are invalid", 120,
               interval=0.1)
    figure(f"statuses_{count}_all_changed", time.monotonic() - started, "s")
    assert written(second) == count
