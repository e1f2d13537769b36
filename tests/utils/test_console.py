"""What is printed shows control characters of names in place of sending them to the terminal."""

import pytest

from zscmr.utils import console
from zscmr.utils.errors import BadInput

HOSTILE = "esc\x1b[31m bell\a back\b del\x7f csi\x9b31m bidi\u202e iso\u2066 byte\udcff return\r para\u2029"
SHOWN = r"esc\x1b[31m bell\x07 back\x08 del\x7f csi\x9b31m bidi\u202e iso\u2066 byte\udcff return\r para\u2029"


@pytest.mark.parametrize("write", [console.say, console.warn, console.complain])
def test_control_characters_are_shown(write, capsys):
    write(f"a Löwe − 🦁\t{HOSTILE}")
    out, errors = capsys.readouterr()
    assert (out + errors).removeprefix("warning: ") == f"a Löwe − 🦁\t{SHOWN}\n"


def test_names_stay_on_one_line(capsys):
    assert console.visible("new\nline") == r"new\nline"
    console.warn("new\nline")
    console.complain("new\nline")
    assert capsys.readouterr().err == "warning: new\\nline\nnew\\nline\n"
    console.say("two\nrows")
    assert capsys.readouterr().out == "two\nrows\n"


def test_bad_input_is_one_line_without_control_characters():
    assert str(BadInput(f"{HOSTILE}\n")) == SHOWN + r"\n"


def test_progress_fits_a_line_of_eighty(capsys, monkeypatch):
    """The middle gives way: what is done and the last number stay."""
    monkeypatch.setattr(console, "INTERVAL", -1.0)
    with console.Progress("training, epoch", 60) as progress:
        progress.update(7, "  ".join(f"term_{number} 0.123" for number in range(9)) + "  held_out_mAP 0.456")
        progress.update(8, "latent 0.123")
    long, short = capsys.readouterr().out.splitlines()
    assert len(long) == 80 and "…" in long
    assert long.startswith("training, epoch 7/60  term_0 0.123") and long.endswith("  held_out_mAP 0.456")
    assert short == "training, epoch 8/60  latent 0.123"
    assert console.shortened("abcdef", 5) == "ab…ef" and console.shortened("abcde", 5) == "abcde"
