# SPDX-License-Identifier: Apache-2.0
"""The source of objects (src/kube) against a real API server: what comes through, with which rights, how fast."""
import base64
import os
import statistics
import time

import pytest
from conftest import CONTOUR_USER
from harness.cluster import ApiError, User
from kube_support import Probe, apply_deployment, ingress_route, listed, service, wait_same, without_secrets


@pytest.fixture
def deployment(cluster):
    apply_deployment(cluster.api())
    return cluster


@pytest.fixture
def probe(work_dir):
    """probe(flag, …) → a running probe that is synced."""
    started = []

    def start(*flags, synced=True, **keywords):
        process = Probe(work_dir, *flags, **keywords)
        started.append(process)
        process.start()
        return process.wait_synced() if synced else process
    yield start
    for process in started:
        process.kill()


def test_our_rights_are_enough_and_objects_come_through(deployment, probe):
    """A ServiceAccount with deploy/rbac and nothing else."""
    source = probe("--kubeconfig", deployment.kubeconfig(CONTOUR_USER))
    api = deployment.api()
    for kind, stats in source.stats().items():
        if kind:
            assert stats["synced"] and not stats["forbidden"] and not stats["absent"], (kind, stats)
    created = api.create(ingress_route("through"))
    source.wait_for("IngressRoute", "default/through", created["metadata"]["resourceVersion"])
    created["spec"]["virtualhost"]["fqdn"] = "other.example.com"
    changed = api.replace(created)
    source.wait_for("IngressRoute", "default/through", changed["metadata"]["resourceVersion"])
    api.delete(created)
    source.wait_gone("IngressRoute", "default/through")
    wait_same(source, api)
    assert source.stop() == 0


def test_rights_that_we_do_not_have(deployment):
    contour = deployment.api(CONTOUR_USER)
    admin = deployment.api()
    route = admin.create(ingress_route("rights"))
    status = {"status": {"currentStatus": "valid", "description": "valid IngressRoute"}}
    assert contour.patch(route, status, subresource="/status")["status"]["currentStatus"] == "valid"
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
             "metadata": {"name": "contour", "namespace": "projectcontour"}, "spec": {"holderIdentity": "a"}}
    lease = contour.create(lease)
    lease["spec"]["holderIdentity"] = "b"
    contour.replace(lease)
    other = {**lease, "metadata": {"name": "other", "namespace": "projectcontour"}}
    contour.create(other)
    for what in (lambda: contour.patch(route, {"spec": {}}), lambda: contour.delete(route),
                 lambda: contour.create(service("x")), lambda: contour.replace(other),
                 lambda: contour.get("/api/v1/namespaces/projectcontour/configmaps/other"),
                 lambda: contour.get("/api/v1/configmaps"), lambda: contour.get("/api/v1/nodes"),
                 lambda: contour.get("/api/v1/pods"), lambda: contour.get("/api/v1/namespaces")):
        with pytest.raises(ApiError) as error:
            what()
        assert error.value.status == 403
    for thing in (route, lease, other):
        admin.delete(thing)


def test_secrets_that_could_be_used(deployment, probe):
    api = deployment.api()
    certificate = (deployment.client_certificate_path.read_bytes(), deployment.client_key_path.read_bytes())

    def secret(name, type_, **data):
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "default"}, "type": type_,
                "data": {key.replace("_", "."): base64.b64encode(value).decode() for key, value in data.items()}}
    wanted = [secret("used-tls", "kubernetes.io/tls", tls_crt=certificate[0], tls_key=certificate[1]),
              secret("used-ca", "Opaque", ca_crt=certificate[0])]
    others = [secret("unused-opaque", "Opaque", password=b"x"), secret("unused-helm", "helm.sh/release.v1", ca_crt=b"x")]
    for thing in wanted + others:
        api.create(thing)
    try:
        source = probe("--kubeconfig", deployment.kubeconfig(CONTOUR_USER))
        names = {name for kind, name in source.state() if kind == "Secret"}
        assert {"default/used-tls", "default/used-ca"} <= names
        assert not any("unused" in name for name in names)
    finally:
        for thing in wanted + others:
            api.delete(thing)


def test_pages_and_streaming_lists_agree(deployment, probe):
    api = deployment.api()
    things = [api.create(service(f"paged-{i}")) for i in range(25)]
    try:
        streamed = probe("--kubeconfig", deployment.kubeconfig(CONTOUR_USER))
        paged = probe("--kubeconfig", deployment.kubeconfig(CONTOUR_USER), "--pages", "--page-size", "10", name="paged")
        assert streamed.state() == paged.state()
        assert without_secrets(paged.state()) == listed(api)
        again = api.create(service("paged-last"))
        things.append(again)
        paged.wait_for("Service", "default/paged-last", again["metadata"]["resourceVersion"])
        for source in (streamed, paged):
            assert "listing in pages" not in source.log()
    finally:
        for thing in things:
            api.delete(thing)


def test_service_account_in_a_pod(deployment, probe, work_dir):
    """Environment and mounted files, as kubelet gives them; the token is exchanged while it runs."""
    folder = work_dir / "serviceaccount"
    folder.mkdir()

    def mount(user):
        (folder / "token.new").write_text(user.token)
        os.replace(folder / "token.new", folder / "token")
    mount(CONTOUR_USER)
    (folder / "ca.crt").write_bytes(deployment.ca_path.read_bytes())
    source = probe("--in-cluster", "--service-account-dir", folder, "--shortest-watch-s", "1", "--longest-watch-s", "2",
                   env={"KUBERNETES_SERVICE_HOST": deployment.address, "KUBERNETES_SERVICE_PORT": str(deployment.port)})
    assert not source.stats()["Service"]["forbidden"]
    # A token of somebody without these rights: that it is used shows in what is refused.
    mount(User("nobody", "garbage-token"))
    source.wait(lambda: "401" in source.stats()["Service"]["error"], "the new token is used")
    mount(CONTOUR_USER)
    created = deployment.api().create(service("after-exchange"))
    source.wait_for("Service", "default/after-exchange", timeout=60)
    deployment.api().delete(created)
    source.wait_gone("Service", "default/after-exchange", timeout=60)


def test_a_server_on_loopback_is_reached_without_the_proxy_of_the_environment(deployment, probe):
    """As kind and k3d have it on a machine behind a proxy; nothing listens at this one."""
    assert deployment.address.startswith("127.")
    dead = "http://127.0.0.1:9"
    source = probe("--kubeconfig", deployment.kubeconfig(CONTOUR_USER),
                   env={"HTTPS_PROXY": dead, "https_proxy": dead, "ALL_PROXY": dead, "NO_PROXY": "", "no_proxy": ""})
    wait_same(source, deployment.api())


def test_client_certificate(deployment, probe):
    source = probe("--kubeconfig", deployment.client_certificate_kubeconfig())
    wait_same(source, deployment.api())


def test_without_cluster_wide_rights(deployment, probe):
    """Roles in two namespaces: only these are watched, and it syncs all the same."""
    api = deployment.api()
    narrow = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": CONTOUR_USER.name}
    resources = [{"apiGroups": ["", "discovery.k8s.io", "networking.k8s.io", "contour.heptio.com"],
                  "resources": ["services", "secrets", "endpointslices", "ingresses", "ingressroutes",
                                "tlscertificatedelegations"], "verbs": ["get", "list", "watch"]}]
    binding = api.read({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                        "metadata": {"name": "contour"}})
    api.delete(binding)
    try:
        for namespace in ("narrow-a", "narrow-b", "narrow-c"):
            api.create_namespace(namespace)
            if namespace != "narrow-c":
                api.create({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                            "metadata": {"name": "contour", "namespace": namespace}, "rules": resources})
                api.create({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                            "metadata": {"name": "contour", "namespace": namespace}, "subjects": [narrow],
                            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "contour"}})
            api.create(service("web", namespace))
        source = probe("--kubeconfig", deployment.kubeconfig(CONTOUR_USER), "--watch-namespaces", "narrow-a,narrow-b",
                       "--secret-namespaces", "narrow-a")
        services = {name for kind, name in source.state() if kind == "Service"}
        assert services == {"narrow-a/web", "narrow-b/web"}
        stats = source.stats()
        assert stats["IngressClass"]["forbidden"]
        assert not stats["Secret"]["forbidden"]
        api.delete(service("web", "narrow-b"))
        source.wait_gone("Service", "narrow-b/web")
    finally:
        api.create({**binding, "metadata": {"name": "contour"}})


def test_kinds_that_are_not_installed(deployment, probe):
    api = deployment.api()
    definition = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                  "metadata": {"name": "tlscertificatedelegations.contour.heptio.com"}}
    delegation = {"apiVersion": "contour.heptio.com/v1beta1", "kind": "TLSCertificateDelegation",
                  "metadata": {"name": "d", "namespace": "default"},
                  "spec": {"delegations": [{"secretName": "s", "targetNamespaces": ["*"]}]}}
    source = probe("--kubeconfig", deployment.kubeconfig(CONTOUR_USER), "--absent-recheck-ms", "300")
    api.create(delegation)
    source.wait_for("TLSCertificateDelegation", "default/d")
    api.delete(definition)
    source.wait_gone("TLSCertificateDelegation", "default/d")
    source.wait(lambda: source.stats()["TLSCertificateDelegation"]["absent"], "absent", 60)
    without = probe("--kubeconfig", deployment.kubeconfig(CONTOUR_USER), "--absent-recheck-ms", "300", name="without")
    assert without.stats()["TLSCertificateDelegation"]["absent"]
    apply_deployment(api)
    api.create(delegation)
    for one in (source, without):
        one.wait_for("TLSCertificateDelegation", "default/d", timeout=60)
    api.delete(delegation)


def test_an_event_takes_milliseconds(deployment, probe, figure):
    """From the return of the write to the store."""
    api = deployment.api()
    source = probe("--kubeconfig", deployment.kubeconfig(CONTOUR_USER))
    thing = api.create(service("timed"))
    returned = {}
    for i in range(100):
        thing["metadata"]["annotations"] = {"i": str(i)}
        thing = api.replace(thing)
        returned[thing["metadata"]["resourceVersion"]] = time.time()
    source.wait_for("Service", "default/timed", thing["metadata"]["resourceVersion"])
    delays = sorted((when - returned[rest[2]]) * 1000 for when, what, *rest in source.lines()
                    if what == "changed" and rest[1] == "default/timed" and rest[2] in returned)
    assert len(delays) >= 95  # the API server may merge none, but a busy machine may
    figure("kube: write's return → store, median", statistics.median(delays), "ms")
    figure("kube: write's return → store, p99", delays[int(len(delays) * 0.99) - 1], "ms")
    assert statistics.median(delays) < 5
    api.delete(thing)


def test_unusable_configuration_fails_at_the_start(deployment, probe, work_dir):
    for flags, env, words in (
        (["--kubeconfig", work_dir / "none"], {}, "No such file"),
        ([], {"KUBECONFIG": "/nowhere/config", "HOME": str(work_dir)}, "KUBECONFIG=/nowhere/config"),
        (["--in-cluster"], {}, "not in a pod"),
    ):
        source = probe(*flags, synced=False, env=env)
        assert source.wait_exit() == 1
        assert words in source.log()
