#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles the examples in the comments of headers, so that they stay true.

An example is an indented block, without a blank line, after the line `// Example:`. What it uses but doesn't declare
stands in that line, in back-quotes: `// Example, given `Loop& loop` and `Lock& lock`:`. It is compiled as the body of a
function in the namespace of the header, with the header and base/status.h included; CONTOUR_RETURN_IF_ERROR and the like
work.

usage: check_examples.py BUILD [HEADER…]
BUILD is a build folder with a compile_commands.json. Without headers all of src/ are checked. Prints what the compiler
says, at the lines of the header, and exits 1 if one doesn't compile.
"""
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN = re.compile(r"^\s*// Example(?::|, given\b)")
CODE = re.compile(r"^\s*//   (.*)")
# Examples show more than they use.
MORE_FLAGS = ["-fsyntax-only", "-Wno-unused-variable", "-Wno-unused-but-set-variable", "-Wno-unused-value",
              "-Wno-unused-parameter"]


@dataclasses.dataclass
class Example:
    given: str  # parameters
    line: int  # of the first line of code, counted from 1
    code: list


def examples_of(text):
    """The examples of a header, in order."""
    lines = text.split("\n")
    found = []
    at = 0
    while at < len(lines):
        if not BEGIN.match(lines[at]):
            at += 1
            continue
        head = ""
        while at < len(lines) and lines[at].lstrip().startswith("//"):
            head += lines[at].lstrip()[2:]
            at += 1
            if head.endswith(":"):
                break
        first = at + 1
        code = []
        while at < len(lines):
            match = CODE.match(lines[at])
            if not match:
                break
            code.append(match.group(1))
            at += 1
        found.append(Example(", ".join(re.findall(r"`([^`]*)`", head)), first, code))
    return found


def translation_unit(headers):
    """Source text that compiles the examples of the headers, given as name (below src/) → text."""
    source = [f'#include "{name}"' for name in headers] + ['#include "base/status.h"', "#include <chrono>"]
    number = 0
    for name, text in headers.items():
        namespace = re.search(r"^namespace (contour[\w:]*) \{", text, re.MULTILINE)
        source.append(f"namespace {namespace.group(1) if namespace else 'contour'} {{")
        source.append("using namespace std::chrono_literals;")
        for example in examples_of(text):
            number += 1
            source.append(f"[[maybe_unused]] static absl::Status Example{number}({example.given}) {{")
            source.append(f'#line {example.line} "src/{name}"')
            source += example.code or ['static_assert(false, "no code follows");']
            source.append("return absl::OkStatus(); }")
        source.append("}")
    return "\n".join(source) + "\n"


def flags_of(build):
    """The compiler and its flags, by folder of src/: those of one of its sources."""
    flags = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        source = pathlib.Path(entry["file"])
        if not source.is_relative_to(ROOT / "src"):
            continue
        words = shlex.split(entry["command"])
        if words[0].endswith("ccache"):
            words = words[1:]
        keep = []
        skip = False
        for word in words:
            if skip or word in ("-c", str(source)):
                skip = False
            elif word in ("-o", "-MF", "-MT"):
                skip = True
            elif word != "-MD":
                keep.append(word)
        room = source.relative_to(ROOT / "src").parts[0]
        is_test = source.stem.endswith(("_test", "_bench", "_fuzz"))
        if room not in flags or (is_test and "testing" not in flags[room][1]):
            flags[room] = (entry["directory"], keep)
    return flags


def compile_examples(room, headers, flags):
    """What the compiler says about the examples of a room's headers; empty: they compile."""
    directory, command = flags[room]
    with tempfile.NamedTemporaryFile("w", suffix=".cc") as file:
        file.write(translation_unit(headers))
        file.flush()
        done = subprocess.run([*command, *MORE_FLAGS, file.name], cwd=directory, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode != 0 else ""


def main(arguments):
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    build = pathlib.Path(arguments[0]).resolve()
    paths = [pathlib.Path(name).resolve() for name in arguments[1:]] or sorted((ROOT / "src").rglob("*.h"))
    rooms = {}
    for path in paths:
        name = path.relative_to(ROOT / "src")
        text = path.read_text()
        if examples_of(text):
            rooms.setdefault(name.parts[0], {})[str(name)] = text
    flags = flags_of(build)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = list(pool.map(lambda room: compile_examples(room, rooms[room], flags), rooms))
    for room, answer in zip(rooms, answers):
        print(f"{room}: {len(rooms[room])} headers with examples{', which do not all compile' if answer else ''}\n{answer}", end="")
    return 1 if any(answers) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
