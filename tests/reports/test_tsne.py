"""t-SNE keeps neighbourhoods."""

import numpy as np

from zscmr.commands import evaluate as knn_eval
from zscmr.reports.tsne import tsne


def test_tsne_keeps_neighbourhoods_and_is_repeatable():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 25)
    cloud = 6 * random.normal(size=(4, 10))[labels] + random.normal(size=(100, 10))
    flat = tsne(cloud)
    assert flat.shape == (100, 2) and np.array_equal(flat, tsne(cloud))
    assert (labels[knn_eval.rank(flat, flat, "euclidean", np.arange(100))[:, :5]] == labels[:, None]).mean() > 0.95
