#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the words of documents, comments and commits.

- Names in back-quotes in the documents exist: paths and files of this repository, flags, tests, fixtures.
- Links between documents lead to a file, and to a heading if they name one.
- Each decision has a number of its own, and the index has its number and title.
- Comments in headers don't begin with a fragment ("Of …", "What …", "Whether …").
- Subjects of commits are `area: what`, with at most 72 characters.

    tools/check_words.py        prints each fault in a line; the exit code is 1 if there is one
"""
import pathlib
import re
import subprocess
import sys

FOLDERS = ("bench", "cmake", "deploy", "docs", "examples", "src", "tests", "tools")
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.S | re.M)
FILE = re.compile(r"[\w./-]+\.(?:cc|h|md|py)")
FLAG = re.compile(r"--(?:no-)?([a-z][\w-]*)")
CASE = re.compile(r"([A-Z]\w+)\.([A-Z]\w+|\*)")

# Flags of other programs that the documents name.
FOREIGN_FLAGS = {"icf", "namespace", "set"}
# Pages about the past: names in them needn't exist any more.
HISTORY = ("CHANGELOG.md",)

# Beginnings of a sentence that make it a fragment. "So" may begin a later sentence of a comment.
FRAGMENT = re.compile(r"(?:Of|What|Whether|That of|Those of) ")
FIRST_FRAGMENT = re.compile(r"(?:Of|What|Whether|So|That of|Those of) ")

# Commits after this one are checked, the last 50 of them.
FIRST_COMMIT = "511cb6aecee2ff0a639c6ea91fc2fe9014b70946"
SUBJECT = re.compile(r"[a-z][\w./-]*(?:, [\w./-]+)*: \S")
MAX_SUBJECT = 72


class Known:
    """The names that the tree has."""

    def __init__(self, root):
        self.root = root
        self.files = {path.relative_to(root).as_posix() for folder in FOLDERS for path in root.glob(f"{folder}/**/*")}
        self.files |= {path.name for path in root.iterdir()}
        programs = self.text("dev", "src/config/*.cc", "src/cmd/**/*.cc", "tools/**/*.py", "bench/*.py")
        self.flags = set(re.findall(r'flag = "([\w-]+)"', programs)) | set(re.findall(r"--([a-z][\w-]*)", programs))
        self.cases = set(re.findall(r"\bTEST(?:_[FP])?\(\s*(\w+),\s*(\w+)\)", self.text("src/**/*_test.cc", "tests/**/*_test.cc")))
        self.suites = {suite for suite, _ in self.cases}
        self.functions = set(re.findall(r"^def (test_\w+)", self.text("tests/**/*.py", "tools/**/*.py"), re.M))

    def text(self, *patterns):
        paths = [path for pattern in patterns for path in self.root.glob(pattern) if path.is_file()]
        return "\n".join(path.read_text(encoding="utf-8") for path in paths)

    def has_file(self, name):
        """True for a path from the root, with * and {a,b}, and for the end of a path."""
        if braces := re.search(r"\{([^}]*)\}", name):
            return all(self.has_file(name[:braces.start()] + part + name[braces.end():]) for part in braces.group(1).split(","))
        if "*" in name:
            return any(self.root.glob(name))
        name = name.rstrip("/")
        return name in self.files or any(path.endswith("/" + name) for path in self.files)

    def fault(self, span):
        """Says what is wrong with a text in back-quotes, or returns None."""
        first = span.split("/")[0]
        if first in FOLDERS and re.fullmatch(r"[\w./{},*-]+", span) and "/" in span:
            return None if self.has_file(span) else "no such path"
        if FILE.fullmatch(span):
            return None if span.startswith("x_") or self.has_file(span) else "no such file"  # x_ stands for any name
        if flag := FLAG.match(span):
            name = flag.group(1)
            return None if {name, f"no-{name}"} & (self.flags | FOREIGN_FLAGS) else "no such flag"
        if re.fullmatch(r"test_\w+", span):
            return None if span in self.functions else "no such test"
        if case := CASE.fullmatch(span):
            known = case.groups() in self.cases or (case.group(2) == "*" and case.group(1) in self.suites)
            return None if known else "no such test"
        if span.startswith("fixtures."):
            return None if self.has_file("tests/" + span.replace(".", "/")) else "no such fixture"
        return None


def anchors(text):
    """The names by which links can lead to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def pages(root):
    return sorted([*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("deploy/**/*.md"), *root.glob("tests/*/*.md")])


def document_faults(root):
    """(path, line, fault) of names and links in the documents."""
    known = Known(root)
    for page in pages(root):
        where = page.relative_to(root).as_posix()
        text = FENCE.sub(lambda fence: "\n" * fence.group().count("\n"), page.read_text(encoding="utf-8"))
        for number, line in enumerate(text.split("\n"), 1):
            for span in CODE.findall(line) if where not in HISTORY else ():
                if fault := known.fault(span):
                    yield where, number, f"`{span}`: {fault}"
            for target in LINK.findall(CODE.sub("", line)):
                path, _, anchor = target.partition("#")
                if re.match(r"[a-z]+:", target):
                    continue
                file = (page.parent / path) if path else page
                if not file.exists():
                    yield where, number, f"{target}: the link leads nowhere"
                elif anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
                    yield where, number, f"{target}: there is no such heading"


def decision_faults(root):
    """(path, line, fault) of decisions that share a number, or aren't in the index."""
    folder = root / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8") if folder.exists() else ""
    numbers = set()
    for page in sorted(folder.glob("[0-9]*.md")):
        where, number = page.relative_to(root).as_posix(), page.name[:4]
        title = page.read_text(encoding="utf-8").split("\n")[0]
        if number in numbers:
            yield where, 1, "another decision has this number"
        numbers.add(number)
        if f"| [{number}]({page.name}) | {title.removeprefix(f'# {number} ')} |" not in index:
            yield where, 1, "docs/decisions/README.md doesn't have this number and title"


def comment_faults(root):
    """(path, line, fault) of comments in headers."""
    for header in sorted([*root.glob("src/**/*.h"), *root.glob("tests/**/*.h")]):
        where = header.relative_to(root).as_posix()
        before = None  # the comment in the line before; None: there is none
        for number, line in enumerate(header.read_text(encoding="utf-8").split("\n"), 1):
            comment = line.strip()[2:].strip() if line.strip().startswith("//") else None
            begins = before is None or before == "" or before[-1] in ".:"
            fragment = FRAGMENT if before else FIRST_FRAGMENT
            if comment and begins and fragment.match(comment):
                yield where, number, f"a comment begins with a fragment: {comment[:40]}"
            before = comment


def subject_fault(subject):
    if len(subject) > MAX_SUBJECT:
        return f"the subject has {len(subject)} characters, {MAX_SUBJECT} are permitted"
    return None if SUBJECT.match(subject) else "the subject isn't `area: what`"


def commit_faults(root):
    """(commit, "", fault); none where git or the first commit isn't there (an exported or shallow tree)."""
    log = subprocess.run(["git", "-C", str(root), "log", "--no-merges", "-n", "50", "--format=%h %s", f"{FIRST_COMMIT}..HEAD"],
                         capture_output=True, text=True, check=False)
    for line in log.stdout.splitlines() if log.returncode == 0 else ():
        commit, _, subject = line.partition(" ")
        if fault := subject_fault(subject):
            yield commit, "", f"{subject}: {fault}"


def faults(root):
    yield from document_faults(root)
    yield from decision_faults(root)
    yield from comment_faults(root)
    yield from commit_faults(root)


def main():
    found = list(faults(pathlib.Path(__file__).resolve().parent.parent))
    for where, number, fault in found:
        print(f"{where}:{number}: {fault}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
