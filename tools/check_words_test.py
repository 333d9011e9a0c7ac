# SPDX-License-Identifier: Apache-2.0
"""The check of words can fail: each case is a small tree, and says which fault must be found. The last test checks this tree."""
import pathlib
import subprocess

import check_words
import pytest

TREE = {
    "docs/other.md": "# A page\n\n## Some heading\n",
    "src/base/hash.h": "// Hashes content.\n",
    "src/config/serve.cc": 'Add(port, {.flag = "xds-port"});\nAdd(debug, {.flag = "debug"});\n',
    "src/base/hash_test.cc": "TEST(Hash, Differs) {}\nTEST_P(HashTest, Table) {}\n",
    "tests/e2e/test_hash.py": "def test_equal(work_dir):\n",
    "tests/fixtures/ingress/tls/in.yaml": "",
}

# name, the text of a page, a part of the fault that must be found (None: clean)
DOCUMENTS = [
    ("path", "`src/base/hash.h`, `src/base/`, `src/{base,config}`, `tests/fixtures/*/tls`", None),
    ("no_path", "`src/base/hush.h`", "no such path"),
    ("no_braces", "`src/{base,attic}`", "no such path"),
    ("file", "`hash.h`, `base/hash.h`, `x_test.cc`", None),
    ("no_file", "`hush.h`", "no such file"),
    ("flag", "`--xds-port`, `--xds-port=1`, `--no-debug`", None),
    ("no_flag", "`--xds-pirt`", "no such flag"),
    ("test", "`test_equal`, `test_hash.py`, `Hash.Differs`, `HashTest.*`", None),
    ("no_function", "`test_unequal`", "no such test"),
    ("no_case", "`Hash.Agrees`", "no such test"),
    ("no_suite", "`Hush.*`", "no such test"),
    ("fixture", "`fixtures.ingress.tls`", None),
    ("no_fixture", "`fixtures.ingress.tsl`", "no such fixture"),
    ("link", "[a](other.md), [b](other.md#some-heading), [c](https://example.com/x)", None),
    ("no_page", "[a](another.md)", "leads nowhere"),
    ("no_heading", "[a](other.md#no-heading)", "no such heading"),
    ("fence", "```\n`src/attic/a.h`\n```", None),
]

COMMENTS = [
    ("sentence", "// Returns the hash.\nint Hash();\n", None),
    ("fragment", "// Of the content.\nint Hash();\n", "Of the content"),
    ("indented", "struct A {\n  // Whether it is good.\n  bool good;\n};\n", "Whether it is good"),
    ("in_the_middle", "// Returns the hash. It is that\n// Of Content.\nint Hash();\n", None),
    ("later_sentence", "// Returns the hash.\n// What it is of.\nint Hash();\n", "What it is of"),
    ("so_first", "// So that it differs.\nint Hash();\n", "So that it differs"),
    ("so_later", "// Returns the hash.\n// So equal content has equal hashes.\nint Hash();\n", None),
    ("paragraph", "// Returns the hash.\n//\n// So that it differs.\nint Hash();\n", "So that it differs"),
]


def make(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def check(found, want):
    assert [fault for _, _, fault in found if want is None or want not in fault] == []
    assert (want is None) == (found == [])


@pytest.mark.parametrize("text, want", [case[1:] for case in DOCUMENTS], ids=[case[0] for case in DOCUMENTS])
def test_document(tmp_path, text, want):
    make(tmp_path, {**TREE, "docs/a.md": text})
    check(list(check_words.document_faults(tmp_path)), want)


@pytest.mark.parametrize("files, want", [
    ({"0001-a.md": "# 0001 A title\n", "README.md": "| [0001](0001-a.md) | A title |\n"}, None),
    ({"0001-a.md": "# 0001 A title\n", "README.md": "| [0001](0001-a.md) | Another |\n"}, "doesn't have this number"),
    ({"0001-a.md": "# 1. A title\n", "README.md": "| [0001](0001-a.md) | A title |\n"}, "doesn't have this number"),
    ({"0001-a.md": "# 0001 A\n", "0001-b.md": "# 0001 B\n", "README.md": "| [0001](0001-a.md) | A |\n| [0001](0001-b.md) | B |\n"},
     "another decision")], ids=["good", "other_title", "other_form", "twice"])
def test_decision(tmp_path, files, want):
    make(tmp_path, {f"docs/decisions/{name}": text for name, text in files.items()})
    check(list(check_words.decision_faults(tmp_path)), want)


@pytest.mark.parametrize("text, want", [case[1:] for case in COMMENTS], ids=[case[0] for case in COMMENTS])
def test_comment(tmp_path, text, want):
    make(tmp_path, {"src/base/a.h": text})
    check(list(check_words.comment_faults(tmp_path)), want)


@pytest.mark.parametrize("subject, good", [
    ("docs: add a glossary", True), ("api, config: plain sentences", True), ("src/xds: classes", True),
    ("Add a glossary", False), ("docs add a glossary", False), ("docs: " + "a" * 66, True), ("docs: " + "a" * 67, False)])
def test_subject(subject, good):
    assert (check_words.subject_fault(subject) is None) == good


def test_no_commits_without_git(tmp_path):
    assert list(check_words.commit_faults(tmp_path)) == []


def test_commits_after_the_first(tmp_path, monkeypatch):
    def git(*arguments):
        name = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        return subprocess.run(["git", "-C", tmp_path, *name, *arguments], capture_output=True, text=True, check=True).stdout.strip()
    git("init", "-q")
    git("commit", "--allow-empty", "-m", "An old subject")
    monkeypatch.setattr(check_words, "FIRST_COMMIT", git("rev-parse", "HEAD"))
    git("commit", "--allow-empty", "-m", "docs: a good subject")
    git("commit", "--allow-empty", "-m", "A bad subject")
    assert [fault for _, _, fault in check_words.commit_faults(tmp_path)] == ["A bad subject: the subject isn't `area: what`"]


def test_this_tree():
    found = [f"{where}:{number}: {fault}" for where, number, fault in
             check_words.faults(pathlib.Path(__file__).resolve().parent.parent)]
    assert found == [], "\n".join(found)
