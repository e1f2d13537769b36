"""What all systems share: embedding by modality, one Adam, what a subclass has to define."""

from dataclasses import dataclass

import numpy as np
import pytest
import tensorflow as tf

from zscmr.models.base import Inputs, System
from zscmr.models.presets import Constants


@dataclass(frozen=True)
class Settings(Constants):
    terms: tuple = ()


class Doubled(System):
    """Photos are doubled, sketches negated."""

    def embed_photos(self, features):
        return 2 * self.photo_scaling(features)

    def embed_sketches(self, features):
        return -self.sketch_scaling(features)


def system(kind, terms=(), **choices):
    rows = np.array([[1, 2], [3, 6]], np.float32)
    return kind(Settings(terms), Inputs(rows, rows, np.zeros((2, 1)), np.empty((0, 2), int)), **choices)


def test_modality_chooses_the_encoder():
    rows = tf.constant([[1.0, -3.0]])
    model = system(Doubled, scaled=False)
    assert model.embed(rows, "photo").numpy().tolist() == [[2, -6]]
    assert model.embed(rows, "sketch").numpy().tolist() == [[-1, 3]]


def test_features_are_scaled_by_their_modality_unless_that_is_switched_off():
    """Means 2 and 4, deviations 1 and 2: (4, 2) becomes (2, −1), brought to length √2."""
    embedding = system(Doubled).embed(tf.constant([[4.0, 2.0]]), "photo")
    np.testing.assert_allclose(embedding, 2 * np.array([[2, -1]]) * np.sqrt(2 / 5), rtol=1e-6)


def test_systems_without_terms_train_nothing():
    assert system(Doubled).parameter_groups(1e-3) == []
    [group] = system(Doubled, terms=("triplet",)).parameter_groups(1e-3)
    assert group.terms == ("triplet",) and group.variables == [] and group.optimizer.learning_rate == 1e-3


@pytest.mark.parametrize("encode", [System.embed_photos, System.embed_sketches])
def test_a_subclass_defines_its_encoders(encode):
    with pytest.raises(NotImplementedError):
        encode(system(System), tf.zeros((1, 2)))
