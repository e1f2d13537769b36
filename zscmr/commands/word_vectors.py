"""Stage I: class vectors of word-vector files -> wv_embeddings.mat of a dataset directory, joined by class name.

Reads word2vec binaries (.bin), GloVe and fastText text, and .npz files with an array `classes` (names) and one array
of vectors per kind. Several files, and several kinds, are put side by side.
"""

from zscmr.datasets.word_vectors import WordVectorOptions as Settings
from zscmr.datasets.word_vectors import join_vectors as main

__all__ = ["Settings", "main"]
