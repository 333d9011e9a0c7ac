# SPDX-License-Identifier: Apache-2.0
"""The stages of `./dev test` and `./dev check`: what each does, what it needs first, and about how long it takes.

What is compiled and which tests belong to a stage is said in CMakePresets.json, by targets and labels.
"""
import dataclasses
import os
import pathlib
import subprocess

import runner

DEV, PROTOS, CLUSTER = "build of everything", "Envoy's API", "test cluster"  # what a stage can need first
SHORT_E2E_OF_SANITIZERS = ("test_manifests.py", "test_kubernetes.py", "test_fixtures_in_envoy.py")
E2E_LIMIT = 1500  # seconds
LONG_LIMIT = 3000


@dataclasses.dataclass(frozen=True)
class Stage:
    about: str
    run: object    # a function of Tree and Log; raises runner.Failed
    cold: int      # seconds on two cores with empty caches
    warm: int
    needs: tuple = ()


class Tree:
    """The checkout: where things lie, and the commands that several stages use."""

    def __init__(self, root, cache, jobs, go_programs):
        self.root = pathlib.Path(root)
        self.cache = pathlib.Path(cache)
        self.jobs = jobs
        self.go_programs = go_programs
        self.logs = self.root / "build/log"
        self.python = self.cache / "venv/bin/python3"

    def configure(self, log, preset, testing=True):
        log.run("cmake", "--preset", preset, "-S", self.root, f"-DCONTOUR_PYTHON={self.python}",
                f"-DBUILD_TESTING={'ON' if testing else 'OFF'}")

    def build(self, log, preset, *targets, testing=True):
        self.configure(log, preset, testing)
        log.run("ninja", "-C", self.root / "build" / preset, "-j", self.jobs, *targets)

    def ctest(self, log, preset, *arguments, **environment):
        log.run("ctest", "--preset", preset, "-j", self.jobs, *arguments, **environment)

    def pytest(self, log, *arguments, preset="dev", limit=E2E_LIMIT, **environment):
        log.run(self.python, "-m", "pytest", "-p", "no:cacheprovider", "-ra", "--durations=5", *arguments, timeout=limit,
                CONTOUR_BINARY=self.root / "build" / preset / "bin/contour",
                CONTOUR_CLUSTER_BINARY=self.go_programs.cluster, CONTOUR_E2E_LOGS=self.logs / f"e2e_{preset}",
                PYTHONDONTWRITEBYTECODE=1, PYTHONUNBUFFERED=1, **environment)

    def e2e(self, log, *arguments, **options):
        # Two workers, whatever the cores: the tests wait more than they compute. A file stays with one worker.
        self.pytest(log, "-n", "2", "--dist", "loadfile", *arguments, **options)

    def has_protos(self):
        return (self.root / "build/dev/libenvoy_protos.a").exists()


def sources(tree):
    """Our C++ files."""
    patterns = [f"{folder}/*.{kind}" for folder in ("src", "tests", "bench") for kind in ("cc", "h")]
    listed = subprocess.run(["git", "-C", tree.root, "ls-files", "--cached", "--others", "--exclude-standard", "--",
                             *patterns], capture_output=True, text=True, check=True).stdout.split()
    return [name for name in listed if (tree.root / name).exists()]


def checks(tree, log):
    log.run("/usr/bin/python3", tree.root / "tools/check_rooms.py")
    log.write("rooms: every folder keeps to its row")
    log.run("/usr/bin/python3", tree.root / "tools/dev/main.py", "fmt", "--check")
    tree.pytest(log, "tools")


def asan(tree, log):
    tree.build(log, "asan")
    tree.ctest(log, "asan")


def tsan(tree, log):
    # The program is only compiled: clang checks the use of its locks.
    tree.configure(log, "tsan")
    log.run("cmake", "--build", "--preset", "tsan-rooms", "-j", tree.jobs)
    tree.ctest(log, "tsan")


def e2e_asan(tree, log, *files, limit=E2E_LIMIT):
    tree.build(log, "asan", "contour")
    tree.e2e(log, *files, "-m", "not long", preset="asan", limit=limit, UBSAN_OPTIONS="print_stacktrace=1")


def e2e_asan_short(tree, log):
    e2e_asan(tree, log, *(f"tests/e2e/{name}" for name in SHORT_E2E_OF_SANITIZERS))


def coverage(tree, log):
    tree.build(log, "coverage")
    for path in (tree.root / "build/coverage").rglob("*.gcda"):
        path.unlink()
    tree.ctest(log, "coverage")
    log.run("/usr/bin/python3", tree.root / "tools/coverage.py", tree.root / "build/coverage")


def tidy(tree, log, *arguments):
    log.run("/usr/bin/python3", tree.root / "tools/tidy.py", "--build", tree.root / "build/dev",
            "--cache", tree.cache / "tidy", "--jobs", tree.jobs, *arguments)


def fuzz(tree, log):
    """Runs each fuzz target for $FUZZ_SECONDS. What it finds interesting stays in the cache for the next run."""
    tree.configure(log, "fuzz")
    folder = tree.root / "build/fuzz"
    listed = subprocess.run(["ninja", "-C", folder, "-t", "targets", "all"], capture_output=True, text=True, check=True)
    targets = [line.split(":")[0] for line in listed.stdout.splitlines() if line.split(":")[0].endswith("_fuzz") and
               "CXX_EXECUTABLE" in line]
    if not targets:
        log.write("no fuzz target was found (executables of the preset fuzz whose names end in _fuzz)")
        raise runner.Failed
    log.run("ninja", "-C", folder, "-j", tree.jobs, *targets)
    log.run(tree.python, tree.root / "tests/fuzz/corpus.py", folder / "corpus")
    seconds = os.environ.get("FUZZ_SECONDS", "5")
    (folder / "crashes").mkdir(exist_ok=True)
    for target in targets:
        name = pathlib.Path(target).name
        kept, seeds = tree.cache / "fuzz" / name, folder / "corpus" / name
        kept.mkdir(parents=True, exist_ok=True)
        log.write(f"fuzzing {name} for {seconds} s")
        log.run(folder / target, f"-max_total_time={seconds}", "-rss_limit_mb=2048", "-timeout=10", "-print_final_stats=1",
                f"-artifact_prefix={folder}/crashes/{name}-", kept, *([seeds] if seeds.is_dir() else []))
    log.write(f"{len(targets)} fuzz targets ran")


def e2e(tree, log):
    tree.e2e(log, "tests/e2e", "-m", "not long")


def faults(tree, log):
    tree.pytest(log, "tests/e2e", "-m", "long", limit=LONG_LIMIT)


def packaging(tree, log):
    tree.pytest(log, "tests/packaging", limit=LONG_LIMIT)


STAGES = {
    "build": Stage("compiles the program and its tests", lambda tree, log: tree.build(log, "dev"), 800, 60),
    "unit": Stage("unit tests of each room", lambda tree, log: tree.ctest(log, "unit"), 50, 50, (DEV,)),
    "fixtures": Stage("objects in, resources and statuses out",
                      lambda tree, log: tree.ctest(log, "fixtures"), 5, 5, (DEV,)),
    "property": Stage("random histories of objects", lambda tree, log: tree.ctest(log, "property"), 40, 40, (DEV,)),
    "e2e": Stage("the program with a real Envoy and API server", e2e, 430, 300, (DEV, CLUSTER)),
    "checks": Stage("walls between rooms, formatting, tests of tools", checks, 15, 15),
    "asan": Stage("unit tests under address and undefined sanitizers", asan, 1100, 240, (PROTOS,)),
    "e2e_asan": Stage("some end-to-end tests under sanitizers", e2e_asan_short, 50, 50, (PROTOS, CLUSTER)),
    "tidy": Stage("clang-tidy on what changed", tidy, 100, 30, (DEV,)),
    "fuzz": Stage("each fuzz target for some seconds", fuzz, 350, 120, (PROTOS,)),
    "e2e_asan_all": Stage("all short end-to-end tests under sanitizers",
                          lambda tree, log: e2e_asan(tree, log, "tests/e2e", limit=LONG_LIMIT), 1500, 900,
                          (PROTOS, CLUSTER)),
    "tidy_all": Stage("clang-tidy on every file", lambda tree, log: tidy(tree, log, "--all"), 3600, 30, (DEV,)),
    "tsan": Stage("unit tests of rooms with threads under the thread sanitizer", tsan, 900, 200, (PROTOS,)),
    "coverage": Stage("lines that unit tests and fixtures run", coverage, 900, 300, (PROTOS,)),
    "faults": Stage("long end-to-end tests: faults, load, random servers", faults, 2400, 2400, (DEV, CLUSTER)),
    "packaging": Stage("the image and the Debian package, made and tried", packaging, 1800, 900),
}
TEST = ("build", "unit", "fixtures", "property", "e2e")
CHECK = ("checks", "asan", "e2e_asan", "tidy", "fuzz")
LONG = ("e2e_asan_all", "tidy_all", "tsan", "coverage", "faults", "packaging")
