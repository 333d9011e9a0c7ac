# SPDX-License-Identifier: Apache-2.0
"""What kustomize and helm make of the folders of deploy/: lists of objects. ./dev builds both programs from tests/render."""
import functools
import hashlib
import os
import pathlib
import subprocess

import yaml

KUBERNETES = "1.37"  # what the test cluster is
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def tool(name):
    """Path of kustomize or helm."""
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
    """The objects, anew for each caller."""
    return [value for value in yaml.safe_load_all(_built(folder)) if value]


def helm(chart, *arguments, release="contour", namespace="projectcontour"):
    """`helm template` with the CRDs and hooks."""
    text = run("helm", "template", release, chart, "--namespace", namespace, "--include-crds", "--kube-version", KUBERNETES,
               *arguments)
    return [value for value in yaml.safe_load_all(text) if value]


def find(objects, kind, name):
    found = [value for value in objects if value["kind"] == kind and value["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} objects {kind} {name}"
    return found[0]


def pod_template(value):
    """The pod template of an object that makes pods, or None."""
    spec = value["spec"]["jobTemplate"]["spec"] if value["kind"] == "CronJob" else value.get("spec", {})
    return spec["template"] if value["kind"] in ("Deployment", "DaemonSet", "Job", "CronJob") else None


def pod_templates(objects):
    """(kind/name, pod template) of everything that makes pods."""
    return [(f"{value['kind']}/{value['metadata']['name']}", pod_template(value)) for value in objects if pod_template(value)]
