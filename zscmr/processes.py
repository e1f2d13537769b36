"""Work in a process of its own, which ends with its parent."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from zscmr.errors import BadInput


def one_process():
    """A pool of one spawned process (a forked TensorFlow does not work); a killed parent takes it along."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent)


def run_alone(function, *arguments):
    """`function(*arguments)` in a process of its own; its result, or the exception that it raised."""
    with one_process() as pool:
        try:
            return pool.submit(function, *arguments).result()
        except BrokenProcessPool as error:
            raise BadInput(f"the process of {function.__name__} died (out of memory?)") from error


def _end_with_parent():
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C is the parent's to report

    def watch():
        multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
