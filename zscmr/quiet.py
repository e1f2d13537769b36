"""File descriptor 2 held back while a C++ library writes to it; TensorFlow without its start-up messages."""

import logging
import os
import sys
import tempfile
from contextlib import contextmanager


@contextmanager
def stderr_held_back():
    """Discard what the block writes to file descriptor 2; if it raises, write it out first.

    The descriptor belongs to the process: what other threads write meanwhile is held back too.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    failed = True
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
            failed = False
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            if failed:
                messages.seek(0)
                sys.stderr.write(messages.read().decode(errors="replace"))


def import_tensorflow():
    """Import and return TensorFlow without its start-up messages.

    No environment variable silences all of them (tensorflow issue 100442).
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with stderr_held_back():
        import tensorflow
    return tensorflow
