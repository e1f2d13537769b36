"""Opening the page in the user's browser."""

import os
import sys
import tempfile
import threading
import webbrowser
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def opened(url, secret, open_browser=webbrowser.open):
    """Open the browser on `url`, if there is a screen. Within the block the browser may load it.

    All users of the machine can read a browser's command line. A `secret` address is therefore handed over in a file
    that only its owner can read.
    """
    if not has_screen():
        yield
        return
    file = _forwarding_file(url) if secret and os.name == "posix" else None
    threading.Thread(target=open_browser, args=(file.as_uri() if file else url,), daemon=True).start()
    try:
        yield
    finally:
        if file:
            file.unlink(missing_ok=True)


def has_screen():
    """Whether a browser has a window to open; one in the terminal would take it over."""
    return not sys.platform.startswith("linux") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))


def _forwarding_file(url):
    """A file, readable by its owner alone, that leads a browser to `url`."""
    home = Path.home()
    folder = (
        home if (home / "snap").is_dir() else None
    )  # a browser from a snap has another /tmp, and sees no hidden file
    descriptor, name = tempfile.mkstemp(".html", "zscmr-", folder)  # of mode 0600
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(f'<!doctype html><meta http-equiv="refresh" content="0; url={url}">')
    return Path(name)
