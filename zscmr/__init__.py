"""Zero-shot cross-modal sketch retrieval.

The face for programs; names are imported when they are first used, none of them needs TensorFlow. Commands are in
`zscmr.commands`, everything that they call in the other packages.

    encoder = zscmr.Encoder.load("lite0")            # or a run's directory; zscmr.encoders() lists names
    encoder.embed(["my.png", image, array], kind="sketch")
    gallery = zscmr.Gallery("gallery", encoder)
    gallery.add("~/Pictures")
    for hit in gallery.search("my.png", top=10):
        print(hit.distance, hit.class_name, hit.path)
"""

import importlib
from typing import TYPE_CHECKING, Any

from zscmr import _moved

if TYPE_CHECKING:
    from zscmr.evaluation.nearest import Index as Index
    from zscmr.retrieval.encoder import Encoder as Encoder
    from zscmr.retrieval.encoder import EncoderInfo as EncoderInfo
    from zscmr.retrieval.encoder import encoders as encoders
    from zscmr.retrieval.filters import Filter as Filter
    from zscmr.retrieval.gallery import Gallery as Gallery
    from zscmr.retrieval.hits import Answer as Answer
    from zscmr.retrieval.hits import Hit as Hit
    from zscmr.utils.errors import BadInput as BadInput

__version__ = "0.2.0"

_HOMES = {
    "Answer": "retrieval.hits",
    "BadInput": "utils.errors",
    "Encoder": "retrieval.encoder",
    "EncoderInfo": "retrieval.encoder",
    "Filter": "retrieval.filters",
    "Gallery": "retrieval.gallery",
    "Hit": "retrieval.hits",
    "Index": "evaluation.nearest",
    "encoders": "retrieval.encoder",
}

__all__ = [*_HOMES, "__version__"]

_moved.install()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
