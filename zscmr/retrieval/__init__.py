"""From pictures to embeddings, from embeddings to their nearest neighbours."""

from zscmr.evaluation.nearest import Index
from zscmr.retrieval.encoder import Encoder
from zscmr.retrieval.filters import Wanted
from zscmr.retrieval.gallery import Gallery, Identity, Pictures
from zscmr.retrieval.searcher import Searcher
from zscmr.retrieval.table_index import TableIndex

__all__ = ["Encoder", "Gallery", "Identity", "Index", "Pictures", "Searcher", "TableIndex", "Wanted"]
