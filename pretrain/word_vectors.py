"""Stage I: class vectors of word-vector files -> wv_embeddings.mat of a dataset directory, joined by class name.

Reads word2vec binaries (.bin), GloVe and fastText text, and .npz files with an array `classes` (names) and one array
of vectors per kind. Several files, and several kinds, are put side by side.
"""

import _project  # noqa: F401  the project's root on the path

from zscmr import cli
from zscmr.word_vectors import WordVectorOptions as Settings
from zscmr.word_vectors import join_vectors

if __name__ == "__main__":
    cli.run(join_vectors, Settings, __doc__)
