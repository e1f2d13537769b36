"""The process that trains the runs of the tables, one after another."""

import contextlib
from concurrent.futures.process import BrokenProcessPool

from zscmr.utils.errors import BadInput
from zscmr.utils.processes import one_process

MOST_RUNS = 20  # in one process; importing TensorFlow anew takes as long as a short run
MOST_KEPT = 1e9  # bytes of features that runs leave in their process, each its own


class Worker:
    """A process that trains one run after another, replaced before it grows large."""

    def __init__(self, train_run, feature_bytes):
        """`train_run(*arguments)` does one run; importable, so that a spawned process finds it."""
        self.train_run = train_run
        self.most = max(1, min(MOST_RUNS, int(MOST_KEPT / feature_bytes)))
        self.pool, self.done = None, 0

    def train(self, log, append, *arguments):
        """One run; what it prints goes to the file `log`."""
        if self.done % self.most == 0:
            self.stop()
            self.pool = one_process()
        self.done += 1
        try:
            self.pool.submit(_train, self.train_run, log, append, arguments).result()
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


def _train(train_run, log, append, arguments):
    mode, out, errors = "a" if append else "w", contextlib.redirect_stdout, contextlib.redirect_stderr
    with open(log, mode, encoding="utf-8") as file, out(file), errors(file):
        train_run(*arguments)
