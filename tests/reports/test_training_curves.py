"""The figure of a training run."""

import json

import matplotlib.image
import pytest

from zscmr.reports.training_curves import draw_training


def metrics_file(path, epochs, **more):
    lines = [{"epoch": epoch, "loss": 1 / (1 + epoch), **more} for epoch in range(epochs)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize(("epochs", "more", "panels"), [(5, {}, 1), (1, {}, 1), (5, {"held_out_mAP": 0.3}, 2)])
def test_a_panel_more_where_classes_were_held_out(epochs, more, panels, tmp_path):
    draw_training(metrics_file(tmp_path / "m.jsonl", epochs, **more), tmp_path / "t.png", chosen=epochs - 1)
    height = matplotlib.image.imread(tmp_path / "t.png").shape[0]
    assert height == {1: 385, 2: 605}[panels]  # 3.5 or 5.5 inches of 110 dots


def test_a_run_that_trained_nothing_has_no_figure(tmp_path):
    draw_training(metrics_file(tmp_path / "m.jsonl", 0), tmp_path / "t.png")
    assert not (tmp_path / "t.png").exists()
