"""Runs of the trainer in a process of their own, since TensorFlow keeps some of the memory of each."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from cli import BadInput

MOST_RUNS = 20  # in one process; importing TensorFlow anew takes as long as a short run
MOST_KEPT = 1e9  # bytes of features that its runs may leave behind; each was seen to leave its own


class Worker:
    """A process that trains one run after another, replaced before it grows large."""

    def __init__(self, feature_bytes):
        self.most = max(1, min(MOST_RUNS, int(MOST_KEPT / feature_bytes)))
        self.pool, self.done = None, 0

    def train(self, settings, log, append):
        """One run of the trainer with `settings`; what it prints goes to the file `log`."""
        if self.done % self.most == 0:
            self.stop()
            context = multiprocessing.get_context("spawn")  # a forked TensorFlow does not work
            self.pool = ProcessPoolExecutor(1, mp_context=context, initializer=_end_with_parent)
        self.done += 1
        try:
            self.pool.submit(_train, settings, log, append).result()
        except BrokenProcessPool as error:
            raise BadInput(f"{log}: the training process of this run died (out of memory?)") from error

    def stop(self):
        if self.pool:
            self.pool.shutdown()
            self.pool = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def _train(settings, log, append):
    import Unified_XY_triads as trainer

    mode, out, errors = "a" if append else "w", contextlib.redirect_stdout, contextlib.redirect_stderr
    with open(log, mode, encoding="utf-8") as file, out(file), errors(file):
        trainer.main(settings)


def _end_with_parent():
    """A killed parent takes this process along, or it would train on beside the same command's next start."""

    def watch():
        multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
