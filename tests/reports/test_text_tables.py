"""Results as text: rows, intervals, conventions, warnings."""

import json

from helpers.toy_features import command_line, features_file, random_arrays

from zscmr.commands import evaluate as knn_eval


def test_captions_name_the_distance_that_ranked(tmp_path, capsys):
    features_file(tmp_path / "f.mat")

    def caption(*words):
        command_line(tmp_path / "f.mat", *words)
        return " ".join(capsys.readouterr().out.split())

    assert "as SAKE, ranked by Euclidean distance of L2-normalised rows; interpolated AP" in caption(
        "--protocol", "sake"
    )
    output = caption("--protocol", "sake", "--distance", "cosine")
    assert "as SAKE, but ranked by cosine distance instead of Euclidean distance of L2-normalised rows" in output
    assert "as the released KNNcode.m, ranked by L1 distance" in caption("--protocol", "knncode")
    assert "standard protocol: ranked by L1 distance" in caption("--distance", "l1")


def test_a_row_per_direction_with_half_its_interval(tmp_path, capsys):
    features_file(tmp_path / "f.mat")
    command_line(tmp_path / "f.mat", "--json", tmp_path / "r.json")
    lines = capsys.readouterr().out.splitlines()
    results = json.loads((tmp_path / "r.json").read_text())
    low, high = results["intervals"]["sketch->image"]["mAP@all"]
    mean = results["directions"]["sketch->image"]["mAP@all"]
    assert lines[2].split()[:3] == ["sketch->image", f"{mean:.3f}", f"±{(high - low) / 2:.3f}"]
    assert [line.split()[0] for line in lines[2:6]] == list(results["directions"])
    assert lines[6].split()[0] == "standard" and "half the width of the 95 %" in " ".join(lines[6:])


def test_leaked_classes_are_told_in_table_and_json(tmp_path, capsys):
    features_file(tmp_path / "f.mat", leaked="the CNNs saw the unseen classes")
    command_line(tmp_path / "f.mat", "--json", tmp_path / "r.json")
    assert "WARNING: the CNNs saw the unseen classes" in capsys.readouterr().out
    assert json.loads((tmp_path / "r.json").read_text())["leaked"] == "the CNNs saw the unseen classes"
    features_file(tmp_path / "clean.mat", leaked="")
    command_line(tmp_path / "clean.mat")
    assert "WARNING" not in capsys.readouterr().out


def test_table_of_several_results_lines_up(tmp_path):
    arrays = random_arrays("loose")
    alone = knn_eval.evaluate(*arrays, directions=("sketch->image",))
    shared = knn_eval.evaluate(*arrays, distance="cosine") | {"leaked": "saw everything"}
    above = knn_eval.table(alone, "CNN features alone", caption=False).splitlines()
    below = knn_eval.table(shared, "shared space").splitlines()
    assert above[0] == "CNN features alone (euclidean)"
    assert len(above) == 3  # title, head, one direction
    assert above[1] == below[1]
    assert [line.split()[0] for line in below[2:6]] == list(shared["directions"])
    assert f"{shared['directions']['sketch->image']['mAP@all']:.3f}" in below[2].split()
    assert below[2].split()[-2:] == ["60", "240"]
    assert len({len(line) for line in above[1:3] + below[1:6]}) == 1
    text = " ".join(" ".join(below).split())
    assert "WARNING: saw everything" in text
    assert "P@k divides by k, or by the gallery size where that is smaller" in text
