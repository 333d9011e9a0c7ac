# SPDX-License-Identifier: Apache-2.0
"""Programs that a test starts. Their output goes to a file, waiting for them has a limit, and they end with the test."""
import ctypes
import pathlib
import re
import signal
import socket
import subprocess
import time

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def _die_with_parent():
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Timeout(AssertionError):
    """The condition that was waited for didn't become true in time."""


def wait_until(condition, what, timeout=30.0, interval=0.02):
    """Polls until condition() is true and returns that value. An OSError counts as 'not yet'."""
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
        except OSError as error:
            last = error
        if time.monotonic() > deadline:
            raise Timeout(f"{what}: not within {timeout:g} s" + (f" (last: {last})" if last else ""))
        time.sleep(interval)


_taken_ports = set()


def free_port(address="127.0.0.1"):
    """Returns a TCP port on which nobody listens, never the same twice. In the test's namespace nobody else takes it meanwhile."""
    while True:
        with socket.socket() as probe:
            probe.bind((address, 0))
            port = probe.getsockname()[1]
        if port not in _taken_ports:
            _taken_ports.add(port)
            return port


def port_is_open(address, port):
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((address, port)) == 0


class Process:
    """One running program. Start it from the main thread: the kernel ends it with the thread that started it."""

    def __init__(self, name, arguments, log_path, env=None, cwd=None):
        self.name = name
        self.arguments = [str(argument) for argument in arguments]
        self.log_path = pathlib.Path(log_path)
        self.env = env
        self.cwd = cwd
        self._process = None
        self._log_start = 0

    @property
    def pid(self):
        return self._process.pid

    @property
    def running(self):
        return self._process is not None and self._process.poll() is None

    def start(self):
        assert not self.running, f"{self.name} is running already"
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log_path, "ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                self.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=self.env, cwd=self.cwd, preexec_fn=_die_with_parent,
                start_new_session=True,  # Ctrl-C is for the one that started it, who then stops it
            )
        return self

    def log(self, whole=False):
        """Returns its output since its latest start (or ever)."""
        with open(self.log_path, "rb") as file:
            file.seek(0 if whole else self._log_start)
            return file.read().decode(errors="replace")

    def wait_log(self, pattern, timeout=30.0):
        """Waits for a line that matches the regular expression and returns the match."""
        return self.wait(lambda: re.search(pattern, self.log(), re.MULTILINE), f"log line /{pattern}/", timeout)

    def wait(self, condition, what, timeout=30.0):
        """Does what wait_until does, but fails at once when the program has ended."""
        def checked():
            try:
                value = condition()
            except OSError:
                if self.running:
                    raise
                value = None
            if not value and not self.running:
                raise AssertionError(
                    f"{self.name} ended with {self._process.returncode} before: {what}\n{self.tail()}")
            return value
        try:
            return wait_until(checked, f"{self.name}: {what}", timeout)
        except Timeout as error:
            raise Timeout(f"{error}\n{self.tail()}") from None

    def tail(self, lines=25):
        return f"---- {self.log_path} ----\n" + "\n".join(line[:300] for line in self.log().splitlines()[-lines:])

    def signal(self, number):
        self._process.send_signal(number)

    def wait_exit(self, timeout=20.0):
        """Returns its exit code; negative: the signal that ended it."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Timeout(f"{self.name} still runs after {timeout:g} s\n{self.tail()}") from None

    def stop(self, timeout=20.0):
        """Sends SIGTERM, and returns the exit code."""
        if self._process is None:
            return None
        if self.running:
            self.signal(signal.SIGTERM)
        return self.wait_exit(timeout)

    def kill(self):
        """Kills it; for the end of a test and for tests of crashes."""
        if self.running:
            self._process.kill()
        if self._process is not None:
            self._process.wait()

    def resident_kib(self):
        """Returns its resident memory."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1))
