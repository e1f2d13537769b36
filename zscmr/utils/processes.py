"""Work in a process of its own, which ends with its parent."""

import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from zscmr.utils.errors import BadInput, first_line


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


def cores():
    """The number of CPUs the process may run on: fewer than the machine has under `taskset` or in a container."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def stderr_held_back():
    """Discard what the block writes to file descriptor 2; if it raises, write it out first.

    The descriptor belongs to the process: what other threads write meanwhile is held back too.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    failed = True
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
            failed = False
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            if failed:
                messages.seek(0)
                sys.stderr.write(messages.read().decode(errors="replace"))


def import_tensorflow():
    """Import and return TensorFlow without its start-up messages. Raises BadInput where it is not installed.

    No environment variable silences all of them (tensorflow issue 100442).
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with stderr_held_back():
        try:
            import tensorflow
        except ModuleNotFoundError as error:
            raise missing("TensorFlow", "train") from error
    return tensorflow


def missing(what, extra, error=None):
    """The BadInput that says how to install an optional package, and what `error` its import raised."""
    why = f" ({first_line(error)})" if error else ""
    return BadInput(f"{what} is not installed: {install_line(extra)}{why}")


def install_line(extra):
    """The shell line that installs an extra: `zscmr[extra]`, or in a clone its requirements file."""
    file = "requirements.txt" if extra == "train" else f"requirements-{extra}.txt"
    in_clone = (Path(__file__).parents[2] / file).exists()
    return f"python -m pip install -r {file}" if in_clone else f"python -m pip install 'zscmr[{extra}]'"
