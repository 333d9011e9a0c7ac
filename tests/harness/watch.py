# SPDX-License-Identifier: Apache-2.0
"""Requests without a pause while something happens."""
import threading
import time

from .client import Client


class Watch:
    """Requests without a pause, with the times of those that weren't answered by 200."""

    def __init__(self, port, host):
        self._port, self._host = port, host
        self.total, self.failed = 0, []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(4)]

    def _run(self):
        client = Client("127.0.0.1", self._port)
        while not self._stop.wait(0.001):
            begin = time.monotonic()
            status = client.get(self._host).status
            self.total += 1
            if status != 200:
                self.failed.append((begin, time.monotonic(), status))
        client.close()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def milliseconds(self):
        """From the first failed request to the last."""
        if not self.failed:
            return 0.0
        return 1000 * (max(end for _, end, _ in self.failed) - min(begin for begin, _, _ in self.failed))

    def assert_none_failed(self):
        assert not self.failed, f"{len(self.failed)} of {self.total} in {self.milliseconds:.0f} ms, first: {self.failed[0]}"
