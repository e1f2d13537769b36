"""What the entries of backbones hold, the same for all of them."""

import pytest

from zscmr.backbones import BACKBONES, backbone
from zscmr.backbones.base import Backbone, Recipe
from zscmr.datasets.pictures import Preprocessing

RECIPE = Recipe("adamw", 1e-3, epochs=2)


@pytest.mark.parametrize(
    ("sources", "needed"), [({}, True), ({"from_scratch": True}, False), ({"packaged": lambda: None}, False)]
)
def test_a_frozen_network_needs_weights_unless_they_come_with_it(sources, needed):
    entry = Backbone(None, Preprocessing(16), "block1", RECIPE, **sources)
    assert entry.needs_weights == needed and entry.size == 16


@pytest.mark.parametrize("name", BACKBONES)
def test_every_entry_has_ranges_that_the_trainer_takes(name):
    entry = backbone(name)
    assert entry.name == name and callable(entry.build) and entry.last_block
    for recipe in (entry.recipe, entry.head, entry.joint):
        photo, sketch = recipe.warp.photo, recipe.warp.sketch
        assert recipe.learning_rate > 0 and recipe.epochs > 0 and photo[0] <= photo[1] and sketch[0] <= sketch[1]
    assert 0 <= entry.joint.averaging < 1 and 0 <= entry.recipe.held_out < 1
