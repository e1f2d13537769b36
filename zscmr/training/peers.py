"""Watch the other workers of TF_CONFIG, for whom TensorFlow waits without a word and without an end."""

import os
import socket
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from zscmr.training import strategies
from zscmr.training.peer_guard import answers, lost_line, start_guard
from zscmr.utils.console import complain, warn
from zscmr.utils.errors import BadInput, first_line

AWAITED, LATE = 20, 600  # seconds: after which a worker that has not started is named; in which all have to start
_LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)


@contextmanager
def watched(again):
    """End this process with one line and status 2 when another worker is lost within the block.

    While TensorFlow connects, the process cannot end itself, and is killed (`peer_guard`). Wait for all of them first.
    The block has to end with what all do together (`strategies.meet`), so that none leaves it early. `again`: what
    continues the work, for the line. Raises BadInput if one does not start in time.
    """
    if not strategies.several_workers():
        yield
        return
    _meet()
    guard = start_guard(strategies.others(), again)
    threading.Thread(target=_heed, args=(guard, again), daemon=True).start()
    try:
        yield
    except _LOST as error:
        lost = ", ".join(address for address in strategies.others() if not answers(address))
        _end(f"lost {lost or f'another worker ({type(error).__name__})'}", again)
    finally:
        guard.terminate()
        guard.wait()


def _meet():
    """Wait until all workers have started, which TensorFlow does in a call that lets no other thread run."""
    own, began = strategies.own_address(), time.monotonic()
    try:
        listening = socket.create_server(("", int(own.rpartition(":")[2])))
    except (OSError, ValueError) as error:
        raise BadInput(f"TF_CONFIG: {own} cannot be listened at ({first_line(error)})") from error
    with listening:
        for address in strategies.others():
            named = False
            while not answers(address):
                waited = time.monotonic() - began
                if waited > LATE:
                    raise BadInput(f"TF_CONFIG: {address} has not started for {LATE // 60} minutes")
                if waited > AWAITED and not named:
                    warn(f"TF_CONFIG: waiting for {address}, for up to {LATE // 60} minutes")
                    named = True
                time.sleep(1)


def _heed(guard, again):
    fault = guard.stdout.readline().strip()
    if fault:
        _end(fault, again)


def _end(fault, again):
    """End the process at once: TensorFlow would wait for the worker on its way out, too."""
    complain(lost_line(Path(sys.argv[0]).name, fault, again))
    os._exit(2)
