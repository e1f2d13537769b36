"""Look again and again whether something that others run still answers."""

import threading
import time
from contextlib import suppress


class Probe:
    """Calls `look()` every `pause` seconds in a thread, for it may block; `stop` ends that."""

    def __init__(self, look, pause):
        """`look`: returns if there is an answer, else raises or does not return."""
        self._look, self._pause, self._stopped = look, pause, threading.Event()
        self._answered = time.monotonic()
        threading.Thread(target=self._repeat, daemon=True).start()

    def silence(self):
        """Seconds since the last answer, or since the start."""
        return time.monotonic() - self._answered

    def stop(self):
        self._stopped.set()

    def _repeat(self):
        while not self._stopped.wait(self._pause):
            with suppress(Exception):
                self._look()
                self._answered = time.monotonic()
