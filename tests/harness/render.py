# SPDX-License-Identifier: Apache-2.0
"""Renders the folders of deploy/ with kustomize and helm into lists of objects. ./dev builds both programs from tests/render."""
import functools
import hashlib
import os
import pathlib
import subprocess

import yaml

KUBERNETES = "1.37"  # what the test cluster is
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def tool(name):
    """Returns the path of kustomize or helm."""
    source = ROOT / "tests/render"
    digest = hashlib.sha256((source / "go.mod").read_bytes() + (source / "go.sum").read_bytes()).hexdigest()[:16]
    cache = pathlib.Path(os.environ.get("CONTOUR_CACHE", pathlib.Path.home() / ".cache/contour-dev"))
    path = cache / "bin" / f"render-{digest}" / name
    if not path.exists():
        raise FileNotFoundError(f"no {path}: ./dev test e2e builds it")
    return path


def run(name, *arguments):
    result = subprocess.run([tool(name), *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, f"{name} {' '.join(map(str, arguments))}: {result.stderr}"
    return result.stdout


@functools.lru_cache(maxsize=None)
def _built(folder):
    return run("kustomize", "build", folder)


def kustomize(folder):
    """Returns the objects, new ones for each caller."""
    return [value for value in yaml.safe_load_all(_built(folder)) if value]


def helm(chart, *arguments, release="contour", namespace="projectcontour"):
    """Returns the objects of `helm template` with the CRDs and hooks."""
    text = run("helm", "template", release, chart, "--namespace", namespace, "--include-crds", "--kube-version", KUBERNETES,
               *arguments)
    return [value for value in yaml.safe_load_all(text) if value]


def find(objects, kind, name):
    found = [value for value in objects if value["kind"] == kind and value["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} objects {kind} {name}"
    return found[0]


def container(objects, kind, owner, name):
    """Returns the container or init container of that name in the pods of an object."""
    spec = pod_template(find(objects, kind, owner))["spec"]
    found = [value for value in [*spec.get("initContainers", []), *spec["containers"]] if value["name"] == name]
    assert len(found) == 1, f"{len(found)} containers {name} in {kind} {owner}"
    return found[0]


def arguments(objects, kind, owner, name, changes=None):
    """Returns the arguments with which the container starts contour: its subcommand, then the flags of the manifest, except for
    `changes`, for values that only work in a pod."""
    value = container(objects, kind, owner, name)
    assert value["command"] == ["contour"], value["command"]
    return changed(value["args"], changes or {})


def pre_stop(objects, kind, owner, name, changes=None):
    """Returns the arguments of the preStop hook that a container runs."""
    command = container(objects, kind, owner, name)["lifecycle"]["preStop"]["exec"]["command"]
    assert command[0] == "contour", command
    return changed(command[1:], changes or {})


def environment(value, fields):
    """Returns the variables of a container's `env`, for a pod with these fields: {"metadata.name": "contour-0"}."""
    return {entry["name"]: entry["value"] if "value" in entry else fields[entry["valueFrom"]["fieldRef"]["fieldPath"]]
            for entry in value.get("env", [])}


def changed(words, changes):
    """`words` with other values for some flags, and other words for some that are no flags: changes = {"--xds-address":
    "10.244.0.1", "--incluster": None, "/config/envoy.json": path}; None leaves it out. A name that isn't there is an error, so that
    a test notices when the manifest changes."""
    left = dict(changes)
    result = []
    for word in map(str, words):
        name = word.split("=", 1)[0]
        if name not in changes:
            result.append(word)
        elif (value := left.pop(name)) is not None:
            result.append(f"{name}={value}" if name.startswith("--") else str(value))
    assert not left, f"{sorted(left)} are not in the manifest: {' '.join(map(str, words))}"
    return result


def pod_template(value):
    """Returns the pod template of an object that makes pods, or None."""
    spec = value["spec"]["jobTemplate"]["spec"] if value["kind"] == "CronJob" else value.get("spec", {})
    return spec["template"] if value["kind"] in ("Deployment", "DaemonSet", "Job", "CronJob") else None


def pod_templates(objects):
    """Returns (kind/name, pod template) of all objects that make pods."""
    return [(f"{value['kind']}/{value['metadata']['name']}", pod_template(value)) for value in objects if pod_template(value)]
