# SPDX-License-Identifier: Apache-2.0
"""Tests of the image and of the package, in Debian roots of their own. These need root, and Debian's and PyPI's registries;
`./dev test packaging` runs them. What is downloaded and compiled once is kept in the cache ($CONTOUR_CACHE)."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))
CACHE = pathlib.Path(os.environ.get("CONTOUR_CACHE", pathlib.Path.home() / ".cache/contour-dev"))
WORK = ROOT / "build/packaging"
SUITE = "bookworm"
MACHINE_CAS = "/etc/ssl/machine-ca-certificates.crt"  # those by which this machine reaches PyPI


def pytest_configure(config):
    if not config.option.collectonly and os.geteuid() != 0:
        pytest.exit("the tests of the image and the package need root (debootstrap, chroot)", 2)


class DebianRoot:
    """A minimal Debian, and commands in it. Mounts last as long as the command."""

    def __init__(self, folder, binds=()):
        self.folder = pathlib.Path(folder)
        self.binds = binds  # (folder of this machine, folder in there)

    def run(self, *command, timeout=3000, env=None):
        mounts = [f'mount -t proc proc "{self.folder}/proc"', f'mount --rbind /dev "{self.folder}/dev"']
        for source, target in self.binds:
            (self.folder / target.lstrip("/")).mkdir(parents=True, exist_ok=True)
            mounts.append(f'mount --bind "{source}" "{self.folder}{target}"')
        script = "set -e; mount --make-rprivate /; " + "; ".join(mounts) + f'; exec chroot "{self.folder}" "$@"'
        result = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", script, "in-root", *map(str, command)],
            capture_output=True, text=True, timeout=timeout, check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", "PIP_CERT": MACHINE_CAS,
                 **{name: os.environ[name] for name in ("PIP_INDEX_URL",) if name in os.environ}, **(env or {})})
        log = WORK / "log"
        log.mkdir(parents=True, exist_ok=True)
        with open(log / f"{self.folder.name}.log", "a", encoding="utf-8") as file:
            file.write(f"$ {' '.join(map(str, command))}\n{result.stdout}{result.stderr}\n")
        assert result.returncode == 0, f"{command}: exit {result.returncode}\n{result.stdout[-2000:]}{result.stderr[-3000:]}"
        return result.stdout


def minimal_tree():
    """The tree that debootstrap makes, once per machine."""
    tree = CACHE / f"debian-{SUITE}"
    if not (tree / "ready").exists():
        shutil.rmtree(tree, ignore_errors=True)
        tree.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, tree], check=True,
                       stdout=subprocess.DEVNULL, timeout=1200)
        (tree / "ready").touch()
    return tree


@pytest.fixture(scope="session")
def debian():
    """debian("name", binds) → a fresh minimal Debian that reaches the registries as this machine does."""
    made = []

    def make(name, binds=()):
        folder = WORK / name
        shutil.rmtree(folder, ignore_errors=True)
        WORK.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", "--reflink=auto", minimal_tree(), folder], check=True)
        made.append(folder)
        shutil.copy("/etc/resolv.conf", folder / "etc/resolv.conf")
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", folder / MACHINE_CAS.lstrip("/"))
        for path in ("sources.list.d", "apt.conf.d"):  # a container's own settings throw downloads away
            shutil.copytree(f"/etc/apt/{path}", folder / "etc/apt" / path, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("docker-*"))
        if any((folder / "etc/apt/sources.list.d").iterdir()):
            (folder / "etc/apt/sources.list").unlink(missing_ok=True)
        archives = CACHE / "apt-archives"
        (archives / "partial").mkdir(parents=True, exist_ok=True)
        return DebianRoot(folder, [*binds, (archives, "/var/cache/apt/archives")])
    yield make
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def sources():
    """sources(folder): the checkout as it is now, uncommitted changes too, with its history."""
    def copy(folder):
        subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, folder], check=True)
        changed = "".join(
            subprocess.run(["git", "-C", ROOT, *command], check=True, capture_output=True, text=True).stdout
            for command in (["diff", "--name-only", "-z", "HEAD"], ["ls-files", "-z", "--others", "--exclude-standard"]))
        for name in filter(None, changed.split("\0")):
            if (ROOT / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
        return folder
    return copy
