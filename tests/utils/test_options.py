"""Options check the values that they are given, wherever these come from."""

from dataclasses import dataclass

import pytest

from zscmr.utils.options import Options, setting


@dataclass(frozen=True)
class Settings(Options):
    kind: str = setting("a", "kind", choices=("a", "b"))
    bits: int | None = setting(None, "bits", choices=(32, 64))
    share: float = setting(0.5, "share", least=0, below=1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"kind": "c"}, "--kind: expected any of a, b, received c"),
        ({"kind": []}, "--kind: expected any of a, b, received []"),
        ({"bits": {}}, "--bits: expected any of 32, 64, received {}"),
        ({"share": "0.1"}, "--share: expected a number, received '0.1'"),
        ({"share": 1}, "--share should be from 0 to below 1, received 1"),
    ],
)
def test_other_values_are_refused(refused, values, expected):
    assert Settings(kind="b", bits=64, share=0).bits == 64
    assert refused(Settings, **values) == expected
