"""Systems by name, their presets, and the weights of loss terms."""

import dataclasses
import subprocess
import sys

import pytest
from helpers.project import ROOT

from zscmr import models
from zscmr.models import zscmr
from zscmr.models.presets import Preset, term_weights
from zscmr.training.stage2.options import TrainingOptions


@pytest.mark.parametrize("name", models.SYSTEMS)
def test_every_system_keeps_the_contract(name):
    module = models.system(name)
    assert callable(module.build) and module.PRESETS
    for preset in module.PRESETS.values():
        assert isinstance(preset, Preset) and isinstance(preset.constants, module.Settings)
        assert set(preset.constants.terms) <= set(preset.weights)
        assert bool(preset.epochs) == bool(preset.constants.terms)


def test_presets_that_became_systems_keep_their_names():
    assert list(zscmr.PRESETS) == ["paper", "faithful", "released", "tuned"]
    assert list(models.presets_of("zscmr")) == ["paper", "faithful", "released", "tuned", "aligned", "end-to-end"]
    for preset, system in (("aligned", "aligned"), ("end-to-end", "identity"), ("tuned", "zscmr")):
        assert models.system("zscmr", preset).__name__ == f"zscmr.models.{system}"
        assert preset in models.system(system).PRESETS


def test_a_preset_s_weights_are_1_where_it_names_none():
    preset = Preset(zscmr.Settings(), weights={"latent": 0.5})
    assert preset.weights == {"latent": 0.5, "triplet": 1.0, "decoder": 1.0, "classification": 1.0}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"without": ("triplet",)}, {"triplet": 0.0}),
        ({"term_weights": ("latent=0.5", "decoder=2")}, {"latent": 0.5, "decoder": 2.0}),
        ({"term_weights": ("latent=x",)}, "--term-weights latent=x: expected TERM=NUMBER"),
        ({"term_weights": ("latent=-1",)}, "--term-weights latent=-1: a weight should be at least 0 and finite"),
        ({"term_weights": ("latent=inf",)}, "--term-weights latent=inf: a weight should be at least 0 and finite"),
        ({"term_weights": ("latent=nan",)}, "--term-weights latent=nan: a weight should be at least 0 and finite"),
        ({"without": ("hinge",)}, "--without hinge: no such loss term, the objective has latent, triplet, decoder"),
        ({"without": zscmr.TERMS}, "--without, --term-weights: every term has weight 0, nothing is left to train on"),
    ],
)
def test_weights_from_the_command_line(words, expected, refused):
    preset = zscmr.PRESETS["paper"]
    if isinstance(expected, dict):
        assert term_weights(TrainingOptions(**words), preset.weights, preset.constants) == preset.weights | expected
    else:
        assert refused(term_weights, TrainingOptions(**words), preset.weights, preset.constants).startswith(expected)


def test_options_and_presets_need_no_tensorflow():
    """In a process where TensorFlow cannot be imported; a system says what to install."""
    program = """
import sys
sys.modules["tensorflow"] = None
import zscmr.models.presets
from zscmr.commands import embed, export, pretrain, tables, train, ys_tip
from zscmr import models
from zscmr.utils.errors import BadInput
try:
    models.system("zscmr")
except BadInput as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "TensorFlow" in done.stdout and "pip install" in done.stdout and done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "start"), [("paper", "random"), ("tuned", "random"), ("aligned", "principal"), ("end-to-end", "identity")]
)
def test_presets_know_what_they_had_in_version_0_2(name, start):
    """All presets of ZSCMR then had eleven constants and weights of four terms."""
    preset = models.presets_of("zscmr")[name]
    constants = dataclasses.asdict(preset.constants) | preset.constants.retired["constants"]
    constants.pop("trained", None)  # of `aligned`, newer
    assert constants["start"] == start and constants["likeness"] == (name == "aligned") and len(constants) == 11
    assert set(preset.weights | preset.constants.retired.get("weights", {})) == set(zscmr.TERMS)
