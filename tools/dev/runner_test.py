# SPDX-License-Identifier: Apache-2.0
"""Tests of what ./dev stands on: logs, counts, children that end."""
import os
import pathlib
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import go_programs  # noqa: E402
import runner  # noqa: E402
import stages  # noqa: E402

CTEST = "98% tests passed, 2 tests failed out of 100\n"
PYTEST = "==== 1 failed, 12 passed, 3 skipped in 4.21s ====\n"


def test_counts_of_ctest_and_pytest_are_read():
    found = runner.summaries("noise\n" + CTEST + PYTEST)
    assert [(passed, failed) for _, passed, failed in found] == [(98, 2), (12, 1)]


def test_errors_of_pytest_count_as_failures():
    assert runner.summaries("=== 5 passed, 2 errors in 1.00s ===\n")[0][1:] == (5, 2)


def test_a_failing_command_raises_and_its_output_is_in_the_log(tmp_path):
    log = runner.Log(tmp_path / "x.log")
    with pytest.raises(runner.Failed):
        log.run("/bin/sh", "-c", "echo told; exit 3")
    assert log.path.read_text() == "told\n"


def test_a_command_sees_the_environment_that_it_is_given(tmp_path):
    log = runner.Log(tmp_path / "x.log")
    log.run("/bin/sh", "-c", "echo $SHOWN", SHOWN=7)
    assert log.path.read_text() == "7\n"


def test_a_command_that_runs_too_long_ends_with_its_children(tmp_path):
    log = runner.Log(tmp_path / "x.log")
    started = time.monotonic()
    with pytest.raises(runner.Failed):
        log.run("/bin/sh", "-c", f"sleep 60 & echo $! >{tmp_path}/pid; wait", timeout=0.5)
    assert time.monotonic() - started < 20
    status = pathlib.Path("/proc") / (tmp_path / "pid").read_text().strip() / "stat"
    assert not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"
    assert "ran for more than 0.5 s" in log.path.read_text()


def test_old_programs_are_removed_but_the_newest_two(tmp_path):
    for folder in ("cluster", "render"):
        (tmp_path / "tests" / folder).mkdir(parents=True)
        for name in ("go.mod", "go.sum"):
            (tmp_path / "tests" / folder / name).write_text(folder)
    programs = go_programs.GoPrograms(tmp_path, tmp_path / "cache", tmp_path)
    programs.render.mkdir(parents=True)
    (programs.render / "helm").touch()
    for age, name in ((30, "cluster-a"), (20, "cluster-b"), (10, programs.cluster.name)):
        path = programs.cluster.parent / name
        path.touch()
        os.utime(path, (time.time() - age, time.time() - age))
    programs.wait()
    assert sorted(path.name for path in programs.cluster.parent.glob("cluster-*")) == sorted(
        ["cluster-b", programs.cluster.name])


def test_every_stage_is_in_one_list_and_has_an_estimate():
    listed = [*stages.TEST, *stages.CHECK, *stages.LONG]
    assert sorted(listed) == sorted(stages.STAGES)
    assert all(stage.cold >= stage.warm > 0 for stage in stages.STAGES.values())
