"""The parameters of a search, as a query string gives them."""

from dataclasses import dataclass
from datetime import date

from zscmr.formats.dataset_directory import MODALITIES
from zscmr.retrieval import Filter
from zscmr.utils.errors import BadInput

DEFAULTS = {"kind": "sketch", "gallery": "photo", "top": "20"}
DEFAULTS |= dict.fromkeys(("folder", "unseen", "since", "until", "class_name"))
CHOICES = {"kind": MODALITIES, "gallery": MODALITIES, "unseen": ("0", "1")}


@dataclass(frozen=True)
class Question:
    """The parameters of a search.

    Args:
        kind: what the picture sent is, "sketch" or "photo".
        gallery: what is searched, "sketch" or "photo".
        top: number of hits.
        filters: a `Filter`.
        class_name: a class that the encoder knows, searched with; None without.
    """

    kind: str
    gallery: str
    top: int
    filters: Filter
    class_name: str | None = None

    @classmethod
    def of(cls, parameters, most):
        """That of a query string, with `top` of at most `most`. Raises BadInput for unknown, repeated or bad ones."""
        if unknown := set(parameters) - set(DEFAULTS) - {"class"}:
            raise BadInput(f"{min(unknown)}: expected any of {', '.join([*DEFAULTS, 'class'])}")
        values = {name: _once(parameters, name) for name in DEFAULTS}
        top = values["top"]
        if not (top.isascii() and top.isdecimal() and len(top) <= len(str(most)) and 1 <= int(top) <= most):
            raise BadInput(f"top: expected a number from 1 to {most}, received {top!r}")
        unseen = None if values["unseen"] is None else values["unseen"] == "1"
        days = (_day(name, values[name]) for name in ("since", "until"))
        filters = Filter(tuple(parameters.getlist("class")), values["folder"], unseen, *days)
        return cls(values["kind"], values["gallery"], int(top), filters, values["class_name"])


def _once(parameters, name):
    given = parameters.getlist(name)
    if len(given) > 1:
        raise BadInput(f"{name}: expected once, received {len(given)} times")
    if given and name in CHOICES and given[0] not in CHOICES[name]:
        raise BadInput(f"{name}: expected any of {', '.join(CHOICES[name])}, received {given[0]!r}")
    return given[0] if given else DEFAULTS[name]


def _day(name, text):
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{name}: expected a day such as 2024-06-30, received {text!r}") from None
