"""TensorFlow without its start-up chatter."""

import logging
import os
import sys
import tempfile


def import_tensorflow():
    """Import and return TensorFlow, silencing what it writes to file descriptor 2 while it starts.

    No environment variable silences all of it (tensorflow issue 100442). If the import fails, the output is shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        failed = True
        try:
            import tensorflow

            failed = False
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            if failed:
                chatter.seek(0)
                sys.stderr.write(chatter.read().decode(errors="replace"))
    return tensorflow
