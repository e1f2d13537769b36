"""What a process prints: lines, warnings, progress."""

import os
import re
import sys
import time

COLUMNS = 80  # that a line of progress fits
INTERVAL = 10.0  # seconds between two progress lines in a pipe
#: control characters of a terminal: C0 but tab and line feed, DEL, C1, marks of direction and of lines, and surrogates,
#: which stand for bytes of file names that are not UTF-8
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text):
    """`text`, such as a file's name, on one line and with escapes (`\\x1b`) in place of control characters."""
    return _escaped(str(text)).replace("\n", "\\n")


def _escaped(text):
    """`text` with escapes for control characters; tabs and line feeds stay."""
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


def shortened(text, columns=COLUMNS):
    """`text` with an ellipsis in place of its middle where it is longer than so many letters."""
    left = (columns - 1) // 2
    return text if len(text) <= columns else f"{text[:left]}…{text[len(text) - (columns - 1 - left) :]}"


def say(message):
    """Print one or several lines and flush. A closed pipe silences output; the run continues."""
    _print(_escaped(str(message)), sys.stdout)


def warn(message):
    """Print a warning line on standard error."""
    _print(f"warning: {visible(message)}", sys.stderr)


class Once:
    """Prints each line once, such as those on a folder that is followed."""

    def __init__(self):
        self._printed = set()

    def say(self, message):
        """`say` what was not printed before."""
        self._print(say, message, None)

    def warn(self, message, version=None):
        """`warn` of what was not printed before of this `version`, such as the time of a file."""
        self._print(warn, message, version)

    def _print(self, write, message, version):
        if (str(message), version) not in self._printed:
            self._printed.add((str(message), version))
            write(message)


def complain(message):
    """Print a line on standard error."""
    _print(visible(message), sys.stderr)


def _print(line, stream):
    try:
        print(line, file=stream, flush=True)
    except UnicodeEncodeError:  # cp1252 has no −
        encoding = stream.encoding or "ascii"
        print(line.encode(encoding, "replace").decode(encoding), file=stream, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def track(sequence, label, total=None):
    """Yield the items of `sequence` behind a progress bar; in a pipe, print a line about every ten seconds instead."""
    with Progress(label, len(sequence) if total is None else total) as progress:
        for done, item in enumerate(sequence):
            progress.update(done)
            yield item


class Progress:
    """A bar with a changing text; in a pipe, a line about every ten seconds instead. A context manager."""

    def __init__(self, label, total):
        self.label, self.total, self.printed, self.bars = label, total, time.monotonic(), None

    def __enter__(self):
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = TextColumn(self.label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
            self.bars = Progress(
                *columns, TextColumn("{task.fields[text]}"), console=Console(stderr=True), transient=True
            )
            self.bars.start()
            self.task = self.bars.add_task("", total=self.total, text="")
        return self

    def __exit__(self, *_):
        if self.bars:
            self.bars.stop()

    def update(self, done, text=""):
        """Show that `done` of the total are finished, and `text` after them."""
        if self.bars:
            self.bars.update(self.task, completed=done, text=text)
        elif time.monotonic() - self.printed > INTERVAL:
            self.printed = time.monotonic()
            say(shortened(f"{self.label} {done}/{self.total}  {text}".rstrip()))
