"""Adding folders to the gallery while the server answers."""

import threading

from zscmr.retrieval.updates import DEFAULT_RULES
from zscmr.retrieval.watching import changes
from zscmr.utils.console import Once, say, warn
from zscmr.utils.errors import BadInput, first_line


class Stopped(Exception):
    """Raised within an addition to end it."""


class Adding:
    """Adds folders to the gallery in a thread, one at a time."""

    def __init__(self, searcher):
        self.searcher = searcher
        self._lock, self._thread, self._state, self._stopped = threading.Lock(), None, None, threading.Event()
        self._follower = None

    def start(self, modality, folder, rules=DEFAULT_RULES, again=False):
        """Begin to add `folder` by the `rules`; False if an addition is running.

        `again`: say nothing of an addition that finds nothing new.
        """
        with self._lock:
            if self._stopped.is_set() or (self._thread and self._thread.is_alive()):
                return False
            self._state = {"folder": str(folder), "gallery": modality, "done": 0, "total": 0, "running": True}
            self._thread = threading.Thread(target=self._run, args=(modality, str(folder), rules, again), name="adding")
            self._thread.start()
            return True

    def follow(self, modality, folder, rules=DEFAULT_RULES):
        """`start`, and again whenever the folder changes, until `stop`. Waits for other additions."""
        self._follower = threading.Thread(target=self._follow, args=(modality, folder, rules), name="following")
        self._follower.start()

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
            self._stopped.set()
        self.wait()
        if self._follower:
            self._follower.join()

    def _follow(self, modality, folder, rules):
        again = False
        try:
            for _ in changes(folder, self._stopped):
                while not (self.start(modality, folder, rules, again) or self._stopped.is_set()):
                    self.wait()
                self.wait()
                again = True
        except BadInput as fault:
            warn(fault)

    def _run(self, modality, folder, rules, again):
        end = {}
        try:
            encoder = self.searcher.encoder(modality)
            done = self.searcher.table.update(modality, folder, encoder, self._progress, rules=rules)
            self.searcher.prepare(modality)  # here, so that no search waits for a large gallery to be loaded
            counts = f"{folder}: {done.counts}"
            end = {"result": counts + (f"; left out: {done.left_out}" if done.left_out else "")}
            if not again or done.added or done.removed:
                say(counts)  # the listing has said what is left out
        except Stopped:
            end = {"error": "stopped"}
        except Exception as fault:  # whatever ends the addition is said, and the server goes on
            error = str(fault) if isinstance(fault, BadInput) else first_line(fault)
            (rules.once or Once()).warn(error)
            end = {"error": error.removeprefix(f"--add {folder}: ")}
        self._state = {**self._state, "running": False, **end}

    def _progress(self, done, total):
        if self._stopped.is_set():
            raise Stopped
        self._state = {**self._state, "done": int(done), "total": int(total)}
