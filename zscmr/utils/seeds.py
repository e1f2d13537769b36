"""Random generators that are functions of their key, so that any draw can be replayed."""

import hashlib

import numpy as np

SEEDS = 2**31  # TensorFlow takes seeds below this


def generator(seed, purpose, step=0):
    """A NumPy random generator for (seed, purpose, step), independent of all other draws."""
    digest = hashlib.sha256(purpose.encode()).digest()
    return np.random.default_rng([seed, step, int.from_bytes(digest[:8], "little")])
