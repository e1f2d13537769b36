"""Options completed by their preset, and what contradicts it."""

from argparse import Namespace

import pytest
from helpers.project import trainer_settings

from zscmr.models import aligned, identity, pcmsn, zscmr
from zscmr.training.stage2.options import TrainingOptions, constants_class, defaults_of, with_fitting_batch, with_preset


def test_presets_fill_in_what_is_left_out():
    left_out, preset = with_preset(TrainingOptions(preset="released"))
    assert (left_out.epochs, left_out.learning_rate, left_out.held_out) == (200, 0.01, 0.0)
    assert left_out.constants["dim"] == 300
    assert preset.constants.objective == "released" and preset.weights["sketch_classification"] == 1.0
    given, preset = with_preset(
        trainer_settings(preset="paper", dim=8, without=("triplet",), term_weights=("latent=0.5",))
    )
    assert given.constants["dim"] == preset.constants.dim == 8 and given.epochs == 60
    assert preset.weights == {"latent": 0.5, "triplet": 0.0, "decoder": 1.0, "classification": 1.0}


def test_a_term_that_the_release_splits_is_left_out_whole():
    _, preset = with_preset(TrainingOptions(preset="released", without=("classification",)))
    assert preset.weights["photo_classification"] == preset.weights["sketch_classification"] == 0.0
    assert preset.weights["triplet"] == 0.1
    _, preset = with_preset(TrainingOptions(preset="released", term_weights=("classification=0.5",)))
    assert preset.weights["photo_classification"] == preset.weights["sketch_classification"] == 0.5


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"without": ("hinge",)}, "--without hinge: no such loss term, the objective has latent, triplet"),
        ({"term_weights": ("latent",)}, "--term-weights latent: expected TERM=NUMBER"),
        ({"term_weights": ("hinge=1",)}, "--term-weights hinge: no such loss term"),
        ({"without": ("latent", "triplet", "decoder", "classification")}, "nothing is left to train on"),
        ({"class_mix": 1.5}, "--class-mix should be from 0 to below 1, received 1.5"),
        ({"temperature": 0.0}, "--temperature should be above 0, received 0.0"),
        ({"temperature": 1.0}, "--temperature 1.0: --model zscmr has no use for it under --preset paper"),
        ({"preset": "tuned", "margin": 2.0}, "--margin 2.0: --model zscmr has no use for it under --preset tuned"),
        (
            {"preset": "papers"},
            "--preset papers: --model zscmr has paper, faithful, released, tuned, aligned, end-to-end",
        ),
        ({"model": "aligned", "margin": 2.0}, "--margin 2.0: --model aligned has no such constant"),
        ({"preset": "aligned", "hidden": 8}, "--hidden 8: --model zscmr has no such constant"),
        ({"preset": "aligned", "without": ("latent",)}, "--without latent: no such loss term, the objective has none"),
        ({"model": "pcmsn", "temperature": 1.0}, "--temperature 1.0: --model pcmsn has no use for it under"),
    ],
)
def test_bad_objectives_are_refused(refused, changed, expected):
    assert expected in refused(lambda: with_preset(trainer_settings(**changed)))


@pytest.mark.parametrize(
    ("options", "module"),
    [
        ({}, zscmr),
        ({"preset": "tuned"}, zscmr),
        ({"model": "pcmsn"}, pcmsn),
        ({"preset": "aligned"}, aligned),
        ({"model": "aligned"}, aligned),
        ({"model": "zscmr", "preset": "end-to-end"}, identity),
    ],
)
def test_constants_are_those_of_the_system(options, module):
    assert constants_class(Namespace(**options)) is module.Settings


def test_help_knows_the_values_of_the_chosen_preset():
    assert defaults_of(Namespace())["preset"] == "paper" and defaults_of(Namespace())["epochs"] == 60
    tuned = defaults_of(Namespace(preset="tuned", epochs=3))
    assert (tuned["epochs"], tuned["batch_size"], tuned["hidden"]) == (80, 256, 1024)


def test_only_a_batch_of_triads_depends_on_the_pictures():
    """Of 127 pictures a batch of 128 triads becomes one of 32; balanced batches draw as often as they have to."""
    for preset, batch in (("paper", 32), ("tuned", 256)):
        options, completed = with_fitting_batch(*with_preset(TrainingOptions(preset=preset)), 127)
        assert options.batch_size == completed.batch_size == batch
    assert with_fitting_batch(*with_preset(TrainingOptions()), 128)[1].batch_size == 128


@pytest.mark.parametrize("preset", ["aligned", "end-to-end"])
def test_constants_of_earlier_runs_are_understood(preset):
    """Version 0.2 stored all of ZSCMR's constants for these presets, at their defaults."""
    stored = {"dim": 8, "hidden": 0, "dropout": 0.0, "margin": 5.0, "temperature": 0.2, "class_mix": 0.0}
    options, completed = with_preset(TrainingOptions(preset=preset, constants=stored))
    newer = {"trained": 0.0} if preset == "aligned" else {}
    assert options.constants == {"dim": 8} | newer and completed.constants.dim == 8 and completed.epochs == 0
