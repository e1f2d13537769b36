"""From pictures to embeddings, from embeddings to their nearest neighbours."""

from zscmr.evaluation.nearest import Index
from zscmr.retrieval.encoder import Encoder

__all__ = ["Encoder", "Index"]
