# SPDX-License-Identifier: Apache-2.0
"""The image's steps, one after the other, in a Debian root; contour in the result, read-only and by its uid; and the Debian
package of the same build, installed in another fresh root."""
import pathlib
import re
import shutil
import stat
import subprocess
import sys

import pytest
from conftest import CACHE, ROOT, WORK

IMAGE = ROOT / "deploy/image"
STEPS = (("packages",), ("compile",), ("root", "/image"))


@pytest.fixture(scope="module")
def builder(debian, sources):
    """A Debian root in which all steps of the image ran."""
    ccache = CACHE / "ccache"
    ccache.mkdir(parents=True, exist_ok=True)
    root = debian("builder", binds=[(ccache, "/ccache")])
    sources(root.folder / "src")
    environment = {"CCACHE_DIR": "/ccache", "CCACHE_BASEDIR": "/src", "CCACHE_NOHASHDIR": "1", "CCACHE_MAXSIZE": "10G"}
    for step in STEPS:
        root.run("/bin/bash", "/src/deploy/image/build.sh", *step, env=environment)
    return root


@pytest.fixture(scope="module")
def image(builder):
    return builder.folder / "image"


@pytest.fixture(scope="module")
def version(builder):
    """What the checkout calls itself."""
    text = builder.run("/src/build/release/bin/contour", "version")
    return re.fullmatch(r"contour (\S+)\n", text).group(1)


def test_dockerfile_has_the_same_steps():
    text = (IMAGE / "Dockerfile").read_text(encoding="utf-8")
    runs = re.findall(r'^RUN \["/bin/bash", "/src/deploy/image/build.sh", (.*)\]$', text, re.M)
    assert [tuple(re.findall(r'"([^"]+)"', run)) for run in runs] == list(STEPS)
    assert len(re.findall(r"^RUN", text, re.M)) == len(STEPS)
    last = text[text.rindex("\nFROM "):]
    assert "FROM scratch\n" in last and "USER 65532:65532\n" in last and 'ENTRYPOINT ["contour"]' in last


def test_version_is_from_git(builder, version):
    checkout = builder.folder / "src"
    commit = subprocess.run(["git", "-C", checkout, "rev-parse", "--short=7", "HEAD"], check=True, capture_output=True,
                            text=True).stdout.strip()
    exact = subprocess.run(["git", "-C", checkout, "describe", "--tags", "--exact-match", "--match", "v*"], capture_output=True,
                           text=True, check=False).stdout.strip().removeprefix("v")
    assert version.removesuffix(".dirty") == exact or f"g{commit}" in version


def test_image_has_the_program_and_its_libraries_only(image):
    executables, size = [], 0
    for path in image.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        size += path.stat().st_size
        assert not path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID), path
        inside = path.relative_to(image)
        if path.stat().st_mode & stat.S_IXUSR and ".so" not in path.name:
            executables.append(str(inside))
    assert executables == ["bin/contour"]
    assert not list(image.rglob("*.a")) and not list(image.rglob("dpkg"))
    assert size < 120e6, f"{size / 1e6:.0f} MB"
    print(f"figure image = {size / 1e6:.1f} MB")


def test_image_has_the_licences_of_its_libraries(image):
    libraries = {path.name.split(".so")[0] for path in image.rglob("*.so*")}
    assert len(libraries) > 20
    notices = {path.name for path in (image / "usr/share/doc").iterdir()}
    assert "contour-LICENSE" in notices
    for package in ("libgrpc++1.51", "libprotobuf32", "libssl3", "libc6"):
        assert any(notice.startswith(package) for notice in notices), f"{package} of {sorted(notices)}"


def test_contour_runs_in_the_image(image, tmp_path, version):
    result = subprocess.run(["chroot", image, "/bin/contour", "version"], capture_output=True, text=True, check=False)
    assert result.stdout == f"contour {version}\n", result.stderr
    manifests = tmp_path / "manifests"
    shutil.copytree(ROOT / "examples/quickstart", manifests)
    log = WORK / "log/serve.log"
    log.unlink(missing_ok=True)
    result = subprocess.run([sys.executable, pathlib.Path(__file__).with_name("serve_in_root.py"), image, manifests, log],
                            capture_output=True, text=True, timeout=120, check=False)
    assert result.stdout == "ready, served, stopped\n", result.stdout + result.stderr


def test_program_is_hardened(image):
    def readelf(*arguments):
        return subprocess.run(["readelf", "--wide", *arguments, image / "bin/contour"], check=True, capture_output=True,
                              text=True).stdout
    assert re.search(r"Type:\s+DYN \(Position-Independent", readelf("--file-header"))
    segments = readelf("--program-headers")
    assert "GNU_RELRO" in segments
    assert re.search(r"GNU_STACK.* RW ", segments), "the stack is executable"
    dynamic = readelf("--dynamic")
    assert "BIND_NOW" in dynamic or "NOW" in re.search(r"FLAGS_1.*", dynamic).group()
    assert "RPATH" not in dynamic and "RUNPATH" not in dynamic
    symbols = readelf("--dyn-syms")
    assert "__stack_chk_fail" in symbols
    assert re.search(r"__\w+_chk\b", symbols.replace("__stack_chk_fail", "")), "no function of _FORTIFY_SOURCE"
    assert "__glibcxx_assert_fail" in symbols, "no _GLIBCXX_ASSERTIONS"
    landing_pads = (image / "bin/contour").read_bytes().count(b"\xf3\x0f\x1e\xfa")  # endbr64
    assert landing_pads > 1000, "no -fcf-protection"


@pytest.fixture(scope="module")
def package(builder):
    builder.run("/bin/bash", "-c", "cd /src/build/release && cpack -G DEB", env={"CCACHE_DIR": "/ccache"})
    found = list((builder.folder / "src/build/release").glob("*.deb"))
    assert len(found) == 1, found
    return found[0]


def field(package, name):
    return subprocess.run(["dpkg-deb", "--field", package, name], check=True, capture_output=True, text=True).stdout.strip()


def test_package_depends_on_what_it_links(package, version):
    depends = field(package, "Depends")
    for library in ("libc6", "libssl3", "libcurl4", "libstdc++6"):
        assert re.search(rf"\b{re.escape(library)} \(>=", depends), f"{library} of {depends}"
    for within in ("libgrpc", "libprotobuf", "libabsl"):
        assert within not in depends, depends
    assert field(package, "Version") == version
    assert field(package, "Package") == "contour-ingress" and field(package, "Conflicts") == "contour"


def test_package_installs_in_a_fresh_debian(debian, package, version):
    root = debian("fresh")
    shutil.copy(package, root.folder / "contour.deb")
    root.run("apt-get", "update")
    root.run("apt-get", "install", "-y", "--no-install-recommends", "/contour.deb", env={"DEBIAN_FRONTEND": "noninteractive"})
    assert root.run("contour", "version") == f"contour {version}\n"
    root.run("contour", "bootstrap", "/tmp/envoy.json")
    assert (root.folder / "tmp/envoy.json").stat().st_size > 100
    listed = root.run("dpkg", "-L", "contour-ingress").split()
    for wanted in ("/usr/bin/contour", "/usr/share/contour-ingress/deploy/overlays/split-all/kustomization.yml",
                   "/usr/share/doc/contour-ingress/README.md", "/usr/share/man/man1/contour.1",
                   "/usr/share/doc/contour-ingress/configuration-reference.md", "/usr/share/doc/contour-ingress/copyright"):
        assert wanted in listed
    root.run("apt-get", "purge", "-y", "contour-ingress", env={"DEBIAN_FRONTEND": "noninteractive"})
    assert not (root.folder / "usr/bin/contour").exists()
    assert not (root.folder / "usr/share/contour-ingress").exists()
