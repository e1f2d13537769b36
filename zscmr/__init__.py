"""Zero-shot cross-modal sketch retrieval.

The face for programs; names are imported when they are first used, none of them needs TensorFlow. Commands are in
`zscmr.commands`, everything that they call in the other packages.

    encoder = zscmr.Encoder.load("everyday")  # or a run's directory; zscmr.encoders() lists names
    encoder.embed(["my.png", image, array], kind="sketch")
    gallery = zscmr.Gallery("gallery", encoder)
    gallery.add("~/Pictures")
    for hit in gallery.search("my.png", top=10):
        print(hit.distance, hit.class_name, hit.path)
"""

import importlib
from typing import TYPE_CHECKING, Any

from zscmr.utils import moved

if TYPE_CHECKING:
    from zscmr.evaluation.arrays import RetrievalScores as RetrievalScores
    from zscmr.evaluation.arrays import evaluate_arrays as evaluate
    from zscmr.evaluation.nearest import Index as Index
    from zscmr.retrieval.encoder import Encoder as Encoder
    from zscmr.retrieval.encoder import EncoderInfo as EncoderInfo
    from zscmr.retrieval.encoder import encoders as encoders
    from zscmr.retrieval.filters import Filter as Filter
    from zscmr.retrieval.gallery import Gallery as Gallery
    from zscmr.retrieval.hits import Answer as Answer
    from zscmr.retrieval.hits import Hit as Hit
    from zscmr.retrieval.updates import Update as Update
    from zscmr.utils.errors import BadInput as BadInput

__all__ = [
    "Answer",
    "BadInput",
    "Encoder",
    "EncoderInfo",
    "Filter",
    "Gallery",
    "Hit",
    "Index",
    "RetrievalScores",
    "Update",
    "encoders",
    "evaluate",
]
__version__ = "0.2.0"

#: name -> the module that defines it, and its name there
_HOMES = {
    "Answer": ("zscmr.retrieval.hits", "Answer"),
    "BadInput": ("zscmr.utils.errors", "BadInput"),
    "Encoder": ("zscmr.retrieval.encoder", "Encoder"),
    "EncoderInfo": ("zscmr.retrieval.encoder", "EncoderInfo"),
    "Filter": ("zscmr.retrieval.filters", "Filter"),
    "Gallery": ("zscmr.retrieval.gallery", "Gallery"),
    "Hit": ("zscmr.retrieval.hits", "Hit"),
    "Index": ("zscmr.evaluation.nearest", "Index"),
    "RetrievalScores": ("zscmr.evaluation.arrays", "RetrievalScores"),
    "Update": ("zscmr.retrieval.updates", "Update"),
    "encoders": ("zscmr.retrieval.encoder", "encoders"),
    "evaluate": ("zscmr.evaluation.arrays", "evaluate_arrays"),
}

moved.install()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
