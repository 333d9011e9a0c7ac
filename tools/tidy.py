#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs clang-tidy on the files that changed, and remembers which were clean.

Changed files are those that differ from the merge base with origin/main; where that is HEAD itself (a clean clone of main),
those of the last five commits; and those that aren't committed. For a changed header its own .cc and test are checked. At most 25 files a
run, the latest first, so that the check stays short; `--all` takes every file.

A file is remembered as clean by the hash of everything that clang-tidy could see of ours: the checks, the compile
command, the file and each of our headers that it includes. So a second run costs nothing.
"""
import argparse
import concurrent.futures
import hashlib
import json
import pathlib
import shlex
import subprocess
import sys
import time

CLANG_TIDY = "clang-tidy-19"
MOST_FILES = 25
COMMITS = 5
# The compile commands are g++'s; clang doesn't know all of its warnings.
EXTRA = ["--extra-arg=-Wno-unknown-warning-option", "--extra-arg=-Wno-error", "--extra-arg=-Wthread-safety"]
# Copies in tests cost nothing that matters; faults count there too.
IN_TESTS = ["--checks=-performance-*"]
ROOT = pathlib.Path(__file__).resolve().parent.parent


def options(unit):
    is_test = unit.endswith(("_test.cc", "_bench.cc", "_fuzz.cc")) or pathlib.Path(unit).is_relative_to(ROOT / "tests")
    return EXTRA + (IN_TESTS if is_test else [])


def git(*arguments):
    result = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return result.stdout.split("\n") if result.returncode == 0 else []


def changed_files():
    """Paths relative to ROOT, the latest change first."""
    paths = [path for path in git("diff", "--name-only", "HEAD") + git("ls-files", "--others", "--exclude-standard")]
    head = "".join(git("rev-parse", "HEAD"))
    base = "".join(git("merge-base", "HEAD", "origin/main"))
    commits = [f"{base}..HEAD"] if base and base != head else [f"--max-count={COMMITS}"]
    paths += git("log", "--name-only", "--pretty=format:", *commits)
    return list(dict.fromkeys(path for path in paths if path))


def translation_units(paths, commands):
    """The compiled files among paths, and those that belong to a changed header."""
    for path in paths:
        path = ROOT / path
        candidates = [path]
        if path.suffix == ".h":
            candidates = [path.with_suffix(".cc"), path.with_name(path.stem + "_test.cc")]
        for candidate in candidates:
            if str(candidate) in commands:
                yield str(candidate)


def dependencies(build):
    """Object → our own files that it includes, from ninja's log."""
    result = subprocess.run(["ninja", "-C", str(build), "-t", "deps"], capture_output=True, text=True, check=False)
    found, current = {}, None
    for line in result.stdout.splitlines():
        if line.startswith("    "):
            path = (build / line.strip()).resolve()
            if current is not None and path.is_relative_to(ROOT) and not path.is_relative_to(build):
                found[current].append(path)
        elif ": #deps" in line:
            current = line.split(": #deps")[0]
            found[current] = []
    return found


def fingerprint(command, files):
    digest = hashlib.sha256((ROOT / ".clang-tidy").read_bytes())
    digest.update(command.replace(str(ROOT), "").encode())
    for path in sorted(set(files)):
        digest.update(str(path.relative_to(ROOT)).encode())
        digest.update(path.read_bytes() if path.exists() else b"")
    return digest.hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, required=True, help="a build folder with compile_commands.json")
    parser.add_argument("--cache", type=pathlib.Path, required=True, help="folder that remembers clean files")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--all", action="store_true", help="every file of ours")
    arguments = parser.parse_args()
    build = arguments.build.resolve()

    entries = json.loads((build / "compile_commands.json").read_text())
    commands = {entry["file"]: entry for entry in entries
                if pathlib.Path(entry["file"]).is_relative_to(ROOT)
                and not pathlib.Path(entry["file"]).is_relative_to(build)}
    if arguments.all:
        units = sorted(commands)
    else:
        units = list(dict.fromkeys(translation_units(changed_files(), commands)))
        if len(units) > MOST_FILES:
            print(f"tidy: {len(units)} files changed, looking at the latest {MOST_FILES}; all: ./dev tidy --all")
            units = units[:MOST_FILES]

    arguments.cache.mkdir(parents=True, exist_ok=True)
    included = dependencies(build)
    todo, remembered = [], 0
    for unit in units:
        entry = commands[unit]
        words = shlex.split(entry["command"])
        output = words[words.index("-o") + 1]
        mark = arguments.cache / fingerprint(" ".join([entry["command"], *options(unit)]), [pathlib.Path(unit), *included.get(output, [])])
        if mark.exists():
            remembered += 1
        else:
            todo.append((unit, mark))

    def run(item):
        unit, mark = item
        started = time.monotonic()
        result = subprocess.run([CLANG_TIDY, "-p", str(build), "--quiet", *options(unit), unit],
                                capture_output=True, text=True, check=False)
        return unit, mark, result, time.monotonic() - started

    failed = []
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for done, (unit, mark, result, seconds) in enumerate(pool.map(run, todo), 1):
            name = pathlib.Path(unit).relative_to(ROOT)
            print(f"[{done}/{len(todo)}] {name} {seconds:.1f} s", flush=True)
            if result.returncode == 0:
                mark.touch()
            else:
                failed.append(name)
                print(result.stdout.strip() or result.stderr.strip(), flush=True)
    print(f"tidy: {len(todo)} files looked at, {remembered} unchanged since they were clean, {len(failed)} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
