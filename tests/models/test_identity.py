"""Features that are the embeddings."""

import numpy as np
import pytest

from zscmr.models import identity
from zscmr.models.base import Inputs


def inputs(photos, sketches):
    return Inputs(photos, sketches, np.zeros((4, 2)), np.empty((0, 2), int))


def test_embeddings_are_the_features_bit_by_bit(random):
    rows = random.normal(size=(9, 6)).astype(np.float32)
    model = identity.build(identity.Settings(dim=6), inputs(rows, rows))
    np.testing.assert_array_equal(model.embed_photos(rows).numpy(), rows)
    np.testing.assert_array_equal(model.embed_sketches(rows).numpy(), rows)
    assert model.parameter_groups(1e-3) == []


@pytest.mark.parametrize("widths", [(6, 5), (5, 6), (5, 5)])
def test_features_of_another_width_are_refused(widths, refused):
    photos, sketches = (np.zeros((1, width), np.float32) for width in widths)
    message = refused(identity.build, identity.Settings(dim=6), inputs(photos, sketches))
    assert message.endswith(f"{widths[1]}-d sketches: --preset end-to-end keeps features of --dim 6")
