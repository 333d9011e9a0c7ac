# SPDX-License-Identifier: Apache-2.0
"""Runs commands with their output in a log file, shows that they are alive, and counts the tests that they ran."""
import ctypes
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
SHOW_EVERY = 15  # seconds between two lines of progress
CTEST = re.compile(r"^\d+% tests passed, (\d+) tests failed out of (\d+)")
PYTEST = re.compile(r"^=+ (.*(?:passed|failed|error).* in [0-9.:]+.*?) ?=+$")
CAUSES = re.compile(r"error:|FAILED|Failure|\*\*\*Failed|^E  ")
# Matches what a stage says besides its counts: figures that tests print, and that there was nothing to do.
REMARKS = re.compile(r"^(figure |no |rooms: |fmt: |tidy: |fuzzing |\d+ fuzz targets)")


class Failed(Exception):
    """A command ended with an error; its output is in the log."""


def say(text=""):
    print(text, flush=True)


def duration(seconds):
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


class Log:
    """The log file of one stage. Commands write into it, one after the other."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("", encoding="utf-8")
        self.started = time.monotonic()
        self._shown = self.started

    def write(self, text):
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(text + "\n")

    def run(self, *command, timeout=None, **environment):
        """Runs a command to its end. Raises Failed."""
        with open(self.path, "ab") as file, Child(command, file, environment) as child:
            end = None if timeout is None else time.monotonic() + timeout
            while child.process.poll() is None:
                time.sleep(0.05)
                self._show_progress()
                if end is not None and time.monotonic() > end:
                    file.write(f"ended: it ran for more than {timeout} s\n".encode())
                    raise Failed
        if child.process.returncode:
            raise Failed

    def _show_progress(self):
        now = time.monotonic()
        if now < self._shown + SHOW_EVERY:
            return
        self._shown = now
        lines = [line for line in tail(self.path, 400).replace("\r", "\n").split("\n") if line.strip()]
        say(f"   … {now - self.started:.0f} s  {lines[-1][:110] if lines else ''}")

    def show_failure(self):
        lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        causes = [f"{number}:{line}" for number, line in enumerate(lines, 1) if CAUSES.search(line)][:15]
        say(f"---- the end of {self.path} ----")
        say("\n".join(line[:240] for line in causes + ["..."] + lines[-40:]))
        say(f"---- whole log: {self.path} ----")


class Child:
    """A process group, which ends with the block."""

    def __init__(self, command, file, environment=None, nice=0):
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            env={**os.environ, **{name: str(value) for name, value in (environment or {}).items()}},
            start_new_session=True, preexec_fn=lambda: _prepare(nice))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()

    def stop(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(10)
                return
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                pass


def _prepare(nice):
    """In the child: it ends when we do, however that happens."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    os.nice(nice)


def tail(path, size):
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read().decode(errors="replace")


def summaries(text):
    """Returns the lines with which ctest and pytest end, as (line, passed, failed)."""
    found = []
    for line in text.splitlines():
        if match := CTEST.match(line):
            failed, total = map(int, match.groups())
            found.append((line.strip(), total - failed, failed))
        elif match := PYTEST.match(line):
            counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", match.group(1))}
            found.append((match.group(1), counts.get("passed", 0), counts.get("failed", 0) + counts.get("error", 0)))
    return found


def remarks(text):
    return [line for line in text.splitlines() if REMARKS.match(line)]


def raise_on_signals():
    """Makes SIGTERM and SIGHUP leave the blocks as Ctrl-C does, so that what was started ends."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            signal.signal(number, lambda received, frame: sys.exit(128 + received))
