# SPDX-License-Identifier: Apache-2.0
"""The Go programs that tests run, built from their modules: etcd and kube-apiserver as one, kustomize and helm.

usage: go_programs.py CANDIDATE    exits 0 if there is a Go that can build them, the candidate or the machine's
"""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import runner

MINIMUM_MINOR = 26  # Kubernetes, from which the test cluster is built, needs Go 1.26
KEPT = 2            # programs of older sources stay, so that two branches don't build in turns
RENDERERS = ("sigs.k8s.io/kustomize/kustomize/v5", "helm.sh/helm/v3/cmd/helm")


def digest(folder):
    sources = [*sorted(folder.glob("*.go")), folder / "go.mod", folder / "go.sum"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]


def is_new_enough(program):
    try:
        version = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, check=True,
                                 env={**os.environ, "GOTOOLCHAIN": "local"}).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    found = re.match(r"go1\.(\d+)", version)
    return found is not None and int(found.group(1)) >= MINIMUM_MINOR


def find_go(*candidates):
    """Returns the machine's Go if it is new enough, else the first candidate that is, else None."""
    for program in (shutil.which("go"), *candidates):
        if program and is_new_enough(program):
            return program
    return None


class GoPrograms:
    """Builds in the background, at the lowest priority. Nothing happens if the programs of these sources exist."""

    def __init__(self, root, cache, logs):
        self.sources = pathlib.Path(root) / "tests"
        self.cache = pathlib.Path(cache)
        self.log = pathlib.Path(logs) / "cluster.log"
        self.cluster = self.cache / "bin" / f"cluster-{digest(self.sources / 'cluster')}"
        self.render = self.cache / "bin" / f"render-{digest(self.sources / 'render')}"
        self._child = None

    def exist(self):
        return self.cluster.exists() and (self.render / "helm").exists()

    def start(self):
        if self._child is not None or self.exist():
            return
        runner.say("building the test cluster (etcd, kube-apiserver), kustomize and helm in the background: "
                   "about ten minutes the first time")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.cluster.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "wb") as file:
            self._child = runner.Child(["/bin/sh", "-ec", self._script()], file, nice=19, environment={
                "GOCACHE": self.cache / "go-build", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false",
                "CGO_ENABLED": 0})

    def wait(self):
        """Returns when the programs are there. Raises runner.Failed."""
        self.start()
        started = shown = time.monotonic()
        while self._child is not None and self._child.process.poll() is None:
            time.sleep(0.2)
            if time.monotonic() > shown + 30:
                shown = time.monotonic()
                runner.say(f"   … waiting for the test cluster's build, {shown - started:.0f} s")
        if not self.exist():
            runner.say(runner.tail(self.log, 3000))
            raise runner.Failed
        self._child = None
        self._remove_old("cluster-")
        self._remove_old("render-")

    def stop(self):
        if self._child is not None:
            self._child.stop()

    def _script(self):
        go = find_go(self.cache / "venv/bin/go")
        if go is None:
            runner.say(f"no Go 1.{MINIMUM_MINOR} or newer: run ./dev setup")
            raise runner.Failed
        build = f"'{go}' build -trimpath -ldflags '-s -w' -o"
        new = f"new-{os.getpid()}"  # another checkout may build the same at the same time
        lines = []
        if not self.cluster.exists():
            lines += [f"cd '{self.sources / 'cluster'}'", f"{build} '{self.cluster}.{new}' .",
                      f"mv '{self.cluster}.{new}' '{self.cluster}'"]
        if not (self.render / "helm").exists():
            lines += [f"cd '{self.sources / 'render'}'", f"rm -rf '{self.render}.{new}'"]
            lines += [f"{build} '{self.render}.{new}/' {tool}" for tool in RENDERERS]
            lines += [f"rm -rf '{self.render}'", f"mv '{self.render}.{new}' '{self.render}'"]
        return "\n".join(lines)

    def _remove_old(self, prefix):
        found = sorted((path for path in self.cluster.parent.glob(prefix + "*") if ".new" not in path.name), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in found[KEPT:]:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(0 if find_go(*sys.argv[1:]) else 1)
