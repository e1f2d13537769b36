"""Vectors of length 1, whose products are cosines."""

import numpy as np
import numpy.typing as npt


def units(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Vectors (..., t) brought to length 1; zeros stay zeros."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
