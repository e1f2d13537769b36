"""Flags become the options of each modality's CNN, completed from its backbone's entry; contradictions are refused."""

from argparse import Namespace
from pathlib import Path

import pytest

from zscmr.backbones import backbone
from zscmr.training.stage1.options import (
    ClassifierOptions,
    EndToEndOptions,
    FrozenOptions,
    Stage1Options,
    by_modality,
    cnn_options,
    defaults_of,
)

HERE = Path()
PLACES = dict.fromkeys(("photos", "sketches", "unseen", "out"), HERE)


def options(**choices):
    return Stage1Options(**PLACES, **choices)


def test_help_knows_the_values_of_the_chosen_backbone():
    """Of EfficientNet-Lite0 trained as a classifier and end to end; those of `cnn_options`, whatever was chosen."""
    names = ("size", "epochs", "batch_size", "learning_rate")
    for choices, expected in (({}, (224, 12, 64, 1e-4)), ({"train": "joint"}, (224, 5, 64, 5e-4))):
        values = defaults_of(Namespace(**choices))
        assert tuple(values[name] for name in names) == expected
        cnn = cnn_options(options(**choices))
        recipe = cnn.recipe.epochs, cnn.batch_size, cnn.recipe.learning_rate
        assert recipe == expected[1:]
        if choices:
            assert cnn.recipe.train_size == values["train_size"]


def test_frozen_backbone():
    cnn = cnn_options(options(backbone="small", freeze=True, ink=0.2, size=48))
    assert isinstance(cnn, FrozenOptions) and cnn.batch_size == 32
    assert (cnn.spec.train, cnn.spec.pool, cnn.spec.dense) == ("nothing", "average", 0)
    assert cnn.spec.preprocessing("photo").size == 48 and cnn.spec.preprocessing("photo").ink is None
    assert cnn.spec.preprocessing("sketch").ink == 0.2
    assert cnn.record() == {}


def test_classifier_is_completed_from_its_recipe():
    cnn = cnn_options(options(backbone="small", epochs=3, seed=5))
    assert isinstance(cnn, ClassifierOptions)
    recipe = backbone("small").recipe
    assert cnn.recipe.epochs == 3 and cnn.recipe.learning_rate == recipe.learning_rate
    assert cnn.record() == {
        **{"epochs": 3, "batch_size": 32, "learning_rate": 3e-3, "held_out": 0.0},
        **{"patience": 5, "seed": 5, "optimizer": "adamw"},
    }
    head = cnn_options(options(backbone="small", train="head"))
    assert head.spec.dense == 512 and head.recipe == backbone("small").head


def test_end_to_end_is_completed_from_its_recipe():
    cnn = cnn_options(options(backbone="small", train="joint", term_weights=("contrast=0.5",), held_out=0.2))
    assert isinstance(cnn, EndToEndOptions) and cnn.shared and cnn.batch_size == 64
    assert cnn.spec.pool == "root" and cnn.spec.objective == "contrast" and not cnn.spec.gives_embeddings
    assert cnn.preset.weights == {"classification": 1.0, "contrast": 0.5, "crossing": 1.0, "teacher": 0.0}
    assert (cnn.preset.epochs, cnn.preset.batch_size, cnn.preset.held_out) == (14, 32, 0.2)
    assert cnn.recipe.train_size == 40
    record = cnn.record()
    assert record["share"] == "all" and record["term_weights"] == ("contrast=0.5",) and record["epochs"] == 14


def test_sketches_may_have_another_backbone():
    cnn = by_modality(options(backbone="small", sketch_backbone="efficientnet_lite0", freeze=True))
    assert [cnn[key].spec.entry.name for key in ("photo", "sketch")] == ["small", "efficientnet_lite0"]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"freeze": True, "train": "all"}, "--freeze trains nothing, so --train cannot go with it"),
        ({"freeze": True, "dense": 8}, "--freeze trains nothing, so --dense cannot go with it"),
        ({"freeze": True, "leak_unseen": True}, "--freeze trains nothing, so --leak-unseen cannot go with it"),
        ({"train": "head", "dense": 0}, "--dense 0: leaves --train head nothing to train"),
        ({"backbone": "resnet50", "freeze": True}, "--weights is needed: resnet50 with random weights is of no use"),
        ({"first": 0}, "--first should be at least 1, received 0"),
        ({"shrink": 0}, "--shrink should be at least 1, received 0"),
        ({"epochs": 0}, "--epochs should be at least 1, received 0"),
        ({"held_out": 1.0}, "--held-out should be from 0 to below 1, received 1.0"),
        ({"learning_rate": 0.0}, "--learning-rate should be above 0, received 0.0"),
        ({"seed": 2**31}, "--seed should be from 0 to below 2147483648, received 2147483648"),
        ({"seed": 2**64}, "--seed should be from 0 to below 2147483648"),
        ({"precision": "float8"}, "--precision: expected any of float32, bfloat16, float16, received float8"),
        ({"pool": "class"}, "--pool class: small has no class token"),
        ({"views": 4}, "--views belongs to --train joint"),
        ({"train": "joint", "objective": "tuned", "without": ("latent",), "views": 2}, "embeds the picture alone"),
        ({"soup": 2}, "--soup belongs to --train joint"),
        ({"train": "joint", "soup": 2}, "--soup 2: --weights is needed"),
        ({"train": "joint", "objective": "tuned", "without": ("latent",), "soup": 2}, "a map of its own"),
        ({"train": "joint", "weights": HERE, "seed": 2**31 - 1, "soup": 2}, "the seeds after --seed 2147483647"),
        ({"share": "none"}, "--share belongs to --train joint"),
        ({"train": "joint", "objective": "paper"}, "--vectors is needed"),
        ({"train": "joint", "objective": "tuned", "without": ("latent",), "pool": "root"}, "embeds the average"),
        ({"train": "joint", "teacher": 1.0}, "has nothing to teach"),
        ({"train": "joint", "dense": 8}, "a map of its own"),
        ({"train": "joint", "without": ("nothing",)}, "no such loss term"),
        ({"train": "joint", "sketch_backbone": "small"}, "joint training has one backbone"),
        ({"sketch_weights": HERE}, "--sketch-weights: is for --sketch-backbone"),
    ],
)
def test_flags_that_make_no_sense_are_refused(refused, flags, expected):
    assert expected in refused(lambda: by_modality(options(**{"backbone": "small", **flags})))


def test_seed_of_stage_two_is_bounded_alike(refused):
    from zscmr.training.stage2.options import TrainingOptions

    assert "--seed should be from 0 to below 2147483648" in refused(TrainingOptions, seed=2**31)
