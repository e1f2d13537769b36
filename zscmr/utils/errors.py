"""The error that a user can act on."""

from zscmr.utils.console import visible


class BadInput(Exception):
    """Something the user gave cannot be used. The message is one line that names the file, key, shape or flag."""

    def __init__(self, message):
        super().__init__(visible(message))


def first_line(error):
    """The first line of an exception's message, or the name of its type."""
    return (str(error).splitlines() or [type(error).__name__])[0]
