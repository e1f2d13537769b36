"""Search: encoders that are exported, galleries, and one search path for command, page and programs.

What trains, or needs TensorFlow, does not belong here; nor does what prints or serves.
"""

from zscmr.evaluation.nearest import Index
from zscmr.retrieval.encoder import Encoder, EncoderInfo, ModalityEncoder, encoders
from zscmr.retrieval.filters import Filter
from zscmr.retrieval.gallery import Gallery
from zscmr.retrieval.hits import Answer, Hit
from zscmr.retrieval.schema import Identity, Pictures
from zscmr.retrieval.searcher import Searcher
from zscmr.retrieval.table import Table
from zscmr.retrieval.table_index import TableIndex
from zscmr.retrieval.updates import AddRules, Update

__all__ = [
    "AddRules",
    "Answer",
    "Encoder",
    "EncoderInfo",
    "Filter",
    "Gallery",
    "Hit",
    "Identity",
    "Index",
    "ModalityEncoder",
    "Pictures",
    "Searcher",
    "Table",
    "TableIndex",
    "Update",
    "encoders",
]
