"""Adding folders to the gallery while the server answers."""

import threading

from zscmr.retrieval import AddRules
from zscmr.utils.console import say, warn
from zscmr.utils.errors import BadInput, first_line

DEFAULT_RULES = AddRules()


class Stopped(Exception):
    """Raised within an addition to end it."""


class Adding:
    """Adds folders to the gallery in a thread, one at a time."""

    def __init__(self, searcher):
        self.searcher = searcher
        self._lock, self._thread, self._state, self._stopped = threading.Lock(), None, None, False

    def start(self, modality, folder, rules=DEFAULT_RULES):
        """Begin to add `folder` by the `rules`; False if an addition is running."""
        with self._lock:
            if self._stopped or (self._thread and self._thread.is_alive()):
                return False
            self._state = {"folder": str(folder), "gallery": modality, "done": 0, "total": 0, "running": True}
            self._thread = threading.Thread(target=self._run, args=(modality, str(folder), rules), name="adding")
            self._thread.start()
            return True

    def state(self):
        """The addition that runs, or that ran last, as a dict; None before the first.

        At its end it has a `result`, one line, or an `error`, why it ended early.
        """
        return self._state

    def wait(self):
        """Return when no addition runs."""
        if self._thread:
            self._thread.join()

    def stop(self):
        """End an addition that runs, after its current pictures; the next one goes on from there."""
        with self._lock:
            self._stopped = True
        self.wait()

    def _run(self, modality, folder, rules):
        end = {}
        try:
            encoder = self.searcher.encoder(modality)
            done = self.searcher.table.update(modality, folder, encoder, self._progress, rules=rules)
            end = {"result": f"{folder}: {done.added} added, {done.kept} kept, {done.removed} replaced or gone"}
            say(end["result"])
        except Stopped:
            end = {"error": "stopped"}
        except Exception as fault:  # whatever ends the addition is said, and the server goes on
            end = {"error": str(fault) if isinstance(fault, BadInput) else first_line(fault)}
            warn(end["error"])
        self._state = {**self._state, "running": False, **end}

    def _progress(self, done, total):
        if self._stopped:
            raise Stopped
        self._state = {**self._state, "done": int(done), "total": int(total)}
