"""The CNN of one modality: outputs of a head in bounded memory."""

import keras
import numpy as np

from zscmr.training.stage1.cnn import head_outputs


class OnDisk:
    """Vectors (n, F) of which no more than some rows may be read at once."""

    def __init__(self, vectors, most):
        self.vectors, self.most = vectors, most

    def __len__(self):
        return len(self.vectors)

    def __getitem__(self, rows):
        block = self.vectors[rows]
        assert len(block) <= self.most
        return block


def test_head_reads_vectors_in_blocks():
    vectors = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    inputs = keras.Input((6,))
    head = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    outputs = head_outputs(head, OnDisk(vectors, most=16), block=16)
    np.testing.assert_allclose(outputs, head(vectors).numpy(), rtol=1e-6, atol=1e-6)
