"""Following a folder: tells when its pictures change, by the system's own notices."""

import os

from zscmr.datasets.listing import shown
from zscmr.datasets.picture_formats import SUFFIXES
from zscmr.utils.errors import BadInput, first_line
from zscmr.utils.processes import missing

QUIET = 500  # ms without a change after which changes are told of, such as those of a file that is being copied
LONGEST = 10_000  # ms of changes after which they are told of in any case


def changes(folder, stopped):
    """Yield at once, and again each time that pictures in a folder may have changed, until `stopped` is set.

    What changes between two steps of the caller is not lost. Ctrl-C raises KeyboardInterrupt.

    Args:
        folder: the folder; those in it count too.
        stopped: a `threading.Event`.

    Raises BadInput for what is no folder or cannot be watched, and where watchfiles is missing.
    """
    watch, first = library().watch, True
    if not os.path.isdir(folder):
        raise BadInput(f"--watch {folder}: expected a folder of this machine")
    waits = {"step": QUIET, "debounce": LONGEST, "rust_timeout": QUIET, "yield_on_timeout": True}
    try:
        for changed in watch(folder, watch_filter=may_matter, stop_event=stopped, **waits):
            if changed or first:  # the first time-out says that the system watches
                first = False
                yield
    except (OSError, RuntimeError) as error:
        raise BadInput(f"--watch {shown(folder)}: cannot be watched ({first_line(error)})") from error


def may_matter(change, path):
    """Whether a path is a picture's, or that of a folder; what has gone may have been one."""
    name = os.path.basename(path)
    is_picture = os.path.splitext(name)[1].lower() in SUFFIXES
    return not name.startswith(".") and (is_picture or os.path.isdir(path) or not os.path.exists(path))


def library():
    """The module `watchfiles`. Raises BadInput where it is missing."""
    try:
        import watchfiles
    except ImportError as error:
        raise missing("--watch: watchfiles", "watch", error) from error
    return watchfiles
