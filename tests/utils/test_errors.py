"""Messages of errors are one line."""

import pytest

from zscmr.utils.errors import BadInput, first_line


@pytest.mark.parametrize(
    ("error", "expected"),
    [(ValueError("one\ntwo"), "one"), (ValueError(), "ValueError"), (KeyError("feature"), "'feature'")],
)
def test_first_line_of_any_exception(error, expected):
    assert first_line(error) == expected


def test_message_of_bad_input_is_one_printable_line():
    assert str(BadInput("a.mat: \x1b[2J\nb")) == "a.mat: \\x1b[2J\\nb"
