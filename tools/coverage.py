#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reports which lines of each room ran, from the files that a build of the preset `coverage` wrote when its tests ended.

usage: coverage.py BUILD [--missing ROOM] [--least PERCENT]
Prints a line per room and, for rooms below PERCENT, their files with the fewest lines run; `--missing ROOM` the lines
of that room that no test ran. Only src/ counts, without tests, benchmarks, fuzz targets and what helps tests.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys

OURS = re.compile(r"(?:^|/)src/(\w+)/((?:[^/]+/)*[^/]+)$")
NOT_COUNTED = re.compile(r"_(test|bench|fuzz)\.(cc|h)$|/testing|/test_objects")


def read(data):
    """(file, line, how often) of one object's counts."""
    result = subprocess.run(["gcov", "--json-format", "--stdout", data.name], cwd=data.parent, capture_output=True, check=False)
    found = []
    for text in result.stdout.decode().splitlines():
        if not text.startswith("{"):
            continue
        for file in json.loads(text)["files"]:
            if OURS.search(file["file"]) and not NOT_COUNTED.search(file["file"]):
                found += [(file["file"], line["line_number"], line["count"]) for line in file["lines"]]
    return found


def counts(build):
    """File below src/ → line → how often it ran; a line of a header or template counts once, however many objects have it."""
    lines = collections.defaultdict(collections.Counter)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(read, build.rglob("*.gcda")):
            for file, line, count in found:
                lines["/".join(OURS.search(file).groups())][line] += count
    return lines


def share(files):
    """(lines that ran, lines)"""
    return sum(count > 0 for lines in files for count in lines.values()), sum(len(lines) for lines in files)


def spans(numbers):
    """[1, 2, 3, 7] → "1-3, 7"."""
    found = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--missing", metavar="ROOM")
    parser.add_argument("--least", type=float, default=90)
    arguments = parser.parse_args()
    lines = counts(arguments.build)
    if not lines:
        sys.exit(f"coverage: no counts in {arguments.build}: build the preset 'coverage' and run its tests first")
    rooms = collections.defaultdict(dict)
    for file, of_file in lines.items():
        rooms[file.split("/")[0]][file] = of_file
    if arguments.missing:
        for file, of_file in sorted(rooms[arguments.missing].items()):
            missing = spans(sorted(line for line, count in of_file.items() if count == 0))
            if missing:
                print(f"src/{file}: {missing}")
        return
    for room, files in sorted(rooms.items()):
        ran, all_lines = share(files.values())
        percent = 100 * ran / all_lines
        print(f"figure coverage src/{room}: {percent:.1f} % of {all_lines} lines")
        if percent >= arguments.least:
            continue
        for file, of_file in sorted(files.items(), key=lambda item: share([item[1]])[0] - share([item[1]])[1])[:8]:
            ran, all_lines = share([of_file])
            print(f"    src/{file}: {all_lines - ran} of {all_lines} lines didn't run")


if __name__ == "__main__":
    main()
