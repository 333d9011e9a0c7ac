#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands of ./dev but setup, clean and help, which are in the script itself."""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

import go_programs
import runner
import stages
from runner import say
from stages import CHECK, LONG, STAGES, TEST

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = pathlib.Path(os.environ["CONTOUR_CACHE"])
# Minutes on two cores. Above the aims a run says so, above the limit it fails: someone has to make it faster.
AIMS = {"test": (25, 8), "check": (30, 10), "all": (240, 240)}  # with empty caches, with warm ones
NOTHING_SELECTED = 5  # exit code of pytest
LIMITS = {"test": 40, "check": 45, "all": 240}


class Times:
    """How long each stage took the last time on this machine, in seconds; kept in the cache."""

    def __init__(self, path):
        self.path = path
        try:
            self.seconds = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.seconds = {}

    def expected(self, name):
        stage = STAGES[name]
        return self.seconds.get(name, stage.cold)

    def keep(self, name, seconds):
        self.seconds[name] = seconds
        self.path.write_text(json.dumps(self.seconds), encoding="utf-8")


class Run:
    """One run of stages, with what they need before them."""

    def __init__(self, tree):
        self.tree = tree
        self.times = Times(tree.cache / "times.json")
        self.done = []        # (stage, seconds)
        self.summaries = []   # (stage, line, passed, failed)
        self.started = time.monotonic()

    def announce(self, title, names):
        say(f"{title}: {len(names)} stage{'s' if len(names) != 1 else ''}, about {sum(map(self.times.expected, names)) / 60:.0f} minutes "
            f"({'as long as the last time' if all(name in self.times.seconds for name in names) else 'with empty caches'}), "
            f"logs in {self.tree.logs.relative_to(ROOT)}/")
        for name in names:
            say(f"   {name:<12} {STAGES[name].about:<62} {runner.duration(self.times.expected(name)):>7}")

    def stages(self, names):
        if any(stages.CLUSTER in STAGES[name].needs for name in names):
            self.tree.go_programs.start()  # what takes longest begins first; only the stage that needs it waits
        for number, name in enumerate(names, 1):
            self._prepare(name, names[:number])
            self.stage(name, f"({number} of {len(names)})")

    def _prepare(self, name, before):
        needs = STAGES[name].needs
        if stages.DEV in needs and "build" not in before:
            build(self.tree, "dev")
        if stages.PROTOS in needs and not self.tree.has_protos():
            build(self.tree, "dev", "envoy_protos")
        if stages.CLUSTER in needs:
            self._timed("cluster", "waits for the test cluster's programs", self.tree.go_programs.wait)

    def stage(self, name, number):
        log = runner.Log(self.tree.logs / f"{name}.log")
        try:
            self._timed(name, f"{number} {STAGES[name].about}", lambda: STAGES[name].run(self.tree, log))
        except runner.Failed:
            self._tell(name, log)
            log.show_failure()
            raise SystemExit(f"\ndev: stage '{name}' failed. Only this stage again: ./dev test {name}") from None
        self._tell(name, log)
        self.times.keep(name, self.done[-1][1])

    def _timed(self, name, about, action):
        say(f"== {name} {about}")
        started = time.monotonic()
        action()
        self.done.append((name, time.monotonic() - started))

    def _tell(self, name, log):
        text = log.path.read_text(encoding="utf-8", errors="replace")
        for line, passed, failed in runner.summaries(text):
            self.summaries.append((name, line, passed, failed))
            say(f"   {line}")
        for line in runner.remarks(text):
            say(f"   {line}")
        if self.done and self.done[-1][0] == name:
            say(f"   ok, {runner.duration(self.done[-1][1])}")

    def finish(self, kind=None):
        total = time.monotonic() - self.started
        say("== times")
        for name, seconds in [*self.done, ("total", total)]:
            say(f"   {name:<12} {seconds:8.1f} s")
        say("== tests")
        for name, line, _, _ in self.summaries:
            say(f"   {name}: {line}")
        if kind is not None:
            cold, warm = AIMS[kind]
            if total > LIMITS[kind] * 60:
                raise SystemExit(f"\ndev: the run took more than {LIMITS[kind]} minutes: make it faster")
            if total > warm * 60:
                say(f"   more than {cold if total > cold * 60 else warm} minutes, the aim with "
                    f"{'empty' if total > cold * 60 else 'warm'} caches")
        passed, failed = (sum(summary[index] for summary in self.summaries) for index in (2, 3))
        if passed + failed:
            say(f"{passed} passed, {failed} failed")


def build(tree, preset, *targets, testing=True):
    log = runner.Log(tree.logs / f"build-{preset}.log")
    try:
        if preset in ("asan", "tsan", "fuzz", "coverage") and not tree.has_protos():
            tree.build(log, "dev", "envoy_protos")
        tree.build(log, preset, *targets, testing=testing)
    except runner.Failed:
        log.show_failure()
        raise SystemExit(f"\ndev: the build of preset {preset} failed; again: ./dev build {preset}") from None
    say(f"built: build/{preset} ({runner.duration(time.monotonic() - log.started)})")


def replace_by(*command, **environment):
    """Runs a program instead of this one, so that Ctrl-C is its own affair."""
    os.environ.update({name: str(value) for name, value in environment.items()}, PYTHONDONTWRITEBYTECODE="1",
                      PYTHONUNBUFFERED="1")
    os.execv(command[0], [str(word) for word in command])


# ---- Commands -------------------------------------------------------------------------------------------------------

def cmd_build(tree, arguments):
    build(tree, *(arguments or ["dev"]))


def cmd_test(tree, arguments, names=TEST, kind="test"):
    run = Run(tree)
    chosen = arguments[0].removeprefix("--") if arguments else None
    if chosen == "stages":
        return run.announce("all", tuple(STAGES))
    if chosen == "all":
        os.environ.setdefault("FUZZ_SECONDS", "60")
        os.environ["CONTOUR_PROPERTY_SEEDS"] = "20000"
        names, kind = (*TEST, *CHECK, *LONG), "all"
    elif chosen in STAGES:
        if arguments[0] == "--fuzz":
            os.environ.setdefault("FUZZ_SECONDS", "60")
        names, kind = (chosen,), None
    elif chosen is not None:
        if arguments[0].startswith("-"):
            raise SystemExit(f"dev: unknown option {arguments[0]}; see ./dev help")
        return test_by_name(tree, chosen)
    run.announce(f"dev {kind or chosen}", names)
    run.stages(names)
    run.finish(kind)
    return None


def cmd_check(tree, arguments):
    cmd_test(tree, arguments, CHECK, "check")


def test_by_name(tree, name):
    """The ctest tests whose name matches, and the pytest tests that -k selects."""
    build(tree, "dev")
    folder = tree.root / "build/dev"
    listed = subprocess.run(["ctest", "--test-dir", folder, "-N", "-R", name], capture_output=True, text=True, check=False)
    in_ctest = "Total Tests: 0" not in listed.stdout
    if in_ctest:
        subprocess.run(["ctest", "--test-dir", folder, "-j", tree.jobs, "--output-on-failure", "-R", name], check=True)
    e2e = [tree.python, "-m", "pytest", "-p", "no:cacheprovider", "tests/e2e", "-k", name]
    collected = subprocess.run([*e2e, "--collect-only", "-q"], capture_output=True, text=True, check=False)
    if collected.returncode not in (0, NOTHING_SELECTED):
        raise SystemExit(f"{collected.stdout}\ndev: the end-to-end tests can't be read")
    if collected.returncode == 0:
        tree.go_programs.wait()
        replace_by(*e2e, "-ra", CONTOUR_BINARY=folder / "bin/contour", CONTOUR_E2E_LOGS=tree.logs / "e2e_dev",
                   CONTOUR_CLUSTER_BINARY=tree.go_programs.cluster)
    if not in_ctest:
        raise SystemExit(f"dev: no stage ({', '.join(STAGES)}), ctest test or pytest test matches '{name}'; "
                         "all names of ctest: ctest --test-dir build/dev -N")


def cmd_coverage(tree, arguments):
    cmd_test(tree, ["coverage"])
    if arguments:
        replace_by(sys.executable, ROOT / "tools/coverage.py", ROOT / "build/coverage", "--missing", arguments[0])


def cmd_fmt(tree, arguments):
    files = stages.sources(tree)
    check = ["--dry-run", "-Werror"] if arguments == ["--check"] else ["-i"]
    code = subprocess.run(["clang-format-19", *check, *files], cwd=ROOT, check=False).returncode
    say("fmt: not formatted (see above); to cure it: ./dev fmt" if code else f"fmt: {len(files)} files are formatted")
    raise SystemExit(code)


def cmd_rooms(_, arguments):
    replace_by(sys.executable, ROOT / "tools/check_rooms.py", *arguments)


def cmd_tidy(tree, arguments):
    if not (ROOT / "build/dev/compile_commands.json").exists():
        build(tree, "dev")
    replace_by(sys.executable, ROOT / "tools/tidy.py", "--build", ROOT / "build/dev", "--cache", CACHE / "tidy",
               "--jobs", tree.jobs, *arguments)


def cmd_demo(tree, arguments):
    # The program alone, without GoogleTest, unless the tests are configured already.
    cache = ROOT / "build/dev/CMakeCache.txt"
    build(tree, "dev", "contour", testing=cache.exists() and "BUILD_TESTING:BOOL=ON" in cache.read_text(encoding="utf-8"))
    replace_by(tree.python, ROOT / "tools/demo.py", *arguments, CONTOUR_BINARY=ROOT / "build/dev/bin/contour")


def cmd_bench(tree, arguments):
    name, release = (arguments or [""])[0], ROOT / "build/release"
    if name in ("scale", "soak"):
        tree.go_programs.start()
        build(tree, "release", "contour")
        tree.go_programs.wait()
        replace_by(tree.python, ROOT / f"bench/{name}.py", *arguments[1:], CONTOUR_BINARY=release / "bin/contour")
    if name == "fleet":
        build(tree, "release", "contour", "envoys")
        replace_by(tree.python, ROOT / "bench/fleet.py", *arguments[1:], CONTOUR_BINARY=release / "bin/contour")
    if name == "storm":
        build(tree, "release", "storm")
        replace_by(release / "bench/storm", *arguments[1:])
    build(tree, "release")
    programs = sorted(path for path in release.rglob(f"*{name}*_bench") if path.is_file() and os.access(path, os.X_OK))
    if not programs:
        raise SystemExit(f"dev: no benchmark program matches '{name}' in build/release")
    for program in programs:
        say(f"== {program.name}")
        subprocess.run([program, *arguments[1:]], check=True)


COMMANDS = {"build": cmd_build, "test": cmd_test, "check": cmd_check, "coverage": cmd_coverage, "fmt": cmd_fmt,
            "rooms": cmd_rooms, "tidy": cmd_tidy, "demo": cmd_demo, "bench": cmd_bench}


def main():
    parser = argparse.ArgumentParser(prog="./dev", add_help=False)
    parser.add_argument("command", choices=COMMANDS)
    command, arguments = sys.argv[1], sys.argv[2:]
    parser.parse_args([command])
    jobs = os.environ.get("CONTOUR_JOBS") or str(len(os.sched_getaffinity(0)))
    programs = go_programs.GoPrograms(ROOT, CACHE, ROOT / "build/log")
    runner.raise_on_signals()
    os.chdir(ROOT)
    try:
        COMMANDS[command](stages.Tree(ROOT, CACHE, jobs, programs), arguments)
    except runner.Failed:
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except subprocess.CalledProcessError as error:
        raise SystemExit(error.returncode) from None
    finally:
        programs.stop()


if __name__ == "__main__":
    main()
