"""Fine-grained retrieval against slow loops and a case worked by hand."""

import json

import numpy as np
import pytest
from helpers.slow import loop_rank
from helpers.toy_features import command_line, features_file, picture_tree

from zscmr.commands import evaluate as knn_eval
from zscmr.evaluation import instances, scoring

CLASSES = ["ant", "cat", "cow", "dog"]


def paired_file(path, **changes):
    """(variables, photo row of each sketch); of the five photos of a class the second is drawn twice, the last once."""
    photo_rows = np.array([5 * label + number for label in range(4) for number in (1, 1, 4)])
    names = {
        "namesx": [f"{CLASSES[row // 5]}/n{row}.jpg" for row in range(20)],
        "namesy": [f"{CLASSES[row // 3]}/n{photo_rows[row]}-{row % 3 + 1}.png" for row in range(12)],
    }
    return features_file(path, **(names | changes)), photo_rows


def loop_ranks(variables, photo_rows, metric="euclidean"):
    """{of AMONG: ranks of the own photo} of the sketches of cat and dog; their photos are the gallery."""
    labels = variables["labelsx"].ravel()
    gallery = [row for row in range(20) if labels[row] in (1, 3)]
    ranks = {among: [] for among in instances.AMONG}
    for sketch in range(12):
        if variables["labelsy"].ravel()[sketch] not in (1, 3) or photo_rows[sketch] < 0:
            continue
        order = [gallery[k] for k in loop_rank(variables["featuresy"][sketch], variables["featuresx"][gallery], metric)]
        alike = [row for row in order if labels[row] == labels[photo_rows[sketch]]]
        for among, ranked in zip(instances.AMONG, (alike, order), strict=True):
            ranks[among].append(1 + ranked.index(photo_rows[sketch]))
    return ranks


def assert_scored_as(results, expected):
    for among, ranks in expected.items():
        values = results["directions"][among]
        for k in (1, 5, 10):
            assert values[f"acc@{k}"] == pytest.approx(sum(rank <= k for rank in ranks) / len(ranks))
        assert values["mean rank"] == pytest.approx(sum(ranks) / len(ranks)) and values["queries"] == len(ranks)
    assert [values["gallery"] for values in results["directions"].values()] == [5, 10]


@pytest.mark.parametrize("memory", [10**9, 3_000])
def test_own_photos_found_as_in_the_loops(tmp_path, memory):
    variables, photo_rows = paired_file(tmp_path / "f.mat")
    features = knn_eval.unseen_only(knn_eval.load(tmp_path / "f.mat"))
    results = instances.score_instances("f.mat", features, scoring.Setup(memory=memory), draws=50)
    assert_scored_as(results, loop_ranks(variables, photo_rows))
    assert results["source"] == "file names" and results["without"] == 0
    for among, values in results["directions"].items():
        low, high = results["intervals"][among]["mean rank"]
        assert low <= values["mean rank"] <= high


def test_ranks_worked_by_hand():
    # Photos on a line at 0 1 2 3 4, classes a b a b a; the sketch at 0 was drawn from photo 4: all others are nearer,
    # two of them of its class. The sketch at 1.5 was drawn from photo 2, which ties with photo 1 of the other class.
    photos, labels = np.arange(5.0)[:, None] + 1, np.array([0, 1, 0, 1, 0])
    ranks = instances.photo_ranks(np.array([[1.0], [2.5]]), photos, np.array([4, 2]), labels, "euclidean", 10**9)
    assert ranks.tolist() == [[3, 1], [5, 2]]


def test_pairs_of_the_file_come_before_names(tmp_path):
    pairs = np.array([0, 1, 2, 9, 8, -1, 10, 11, 12, 19, -1, 15])
    variables, _ = paired_file(tmp_path / "f.mat", pairs=pairs[:, None])
    features = knn_eval.unseen_only(knn_eval.load(tmp_path / "f.mat"))
    results = instances.score_instances("f.mat", features, scoring.Setup())
    assert_scored_as(results, loop_ranks(variables, pairs))
    assert results["source"] == "pairs" and results["without"] == 2 and "intervals" not in results


@pytest.mark.slow
def test_the_command_prints_and_draws_the_pairs(tmp_path, capsys):
    variables, photo_rows = paired_file(tmp_path / "f.mat", picturesx=f"{tmp_path}/p", picturesy=f"{tmp_path}/s")
    picture_tree(tmp_path / "p", variables["namesx"])
    picture_tree(tmp_path / "s", variables["namesy"])
    options = ("--instances", "--json", tmp_path / "r.json", "--figures", tmp_path / "figures")
    command_line(tmp_path / "f.mat", *options)
    printed = capsys.readouterr().out
    assert "among photos of its class" in printed and "Pairs by file names; 0 sketches" in printed.replace("\n  ", " ")
    assert_scored_as(json.loads((tmp_path / "r.json").read_text())["instances"], loop_ranks(variables, photo_rows))
    assert (tmp_path / "figures" / "instances.png").stat().st_size > 10_000
    assert "Fine-grained" in (tmp_path / "figures" / "report.html").read_text()


@pytest.mark.parametrize(
    ("changes", "options", "why"),
    [
        ({"namesy": None}, (), "no sketch with a photo it was drawn from"),
        ({"namesy": [f"{CLASSES[row // 3]}/s{row}.png" for row in range(12)]}, (), "no sketch with a photo"),
        ({"pairs": np.full((12, 1), 20)}, (), "pairs row 0 (counted from 0): expected photo rows 0 to 19, or -1"),
        ({"pairs": np.full((12, 1), 0.5)}, (), "pairs row 0 (counted from 0): expected photo rows 0 to 19, or -1"),
        ({"pairs": np.zeros((5, 1))}, (), "pairs: expected 12 rows as in featuresy, received 5"),
        ({"pairs": np.full((12, 1), 5)}, (), "pairs row 9 (counted from 0): a sketch of dog, a photo of cat"),
        ({"distance": "hamming"}, (), "received binary codes"),
        ({}, ("--drop-paired",), "--instances: does not go with --drop-paired"),
    ],
)
def test_what_has_no_pairs(tmp_path, capsys, changes, options, why):
    paired_file(tmp_path / "f.mat", **changes)
    with pytest.raises(SystemExit) as ended:
        command_line(tmp_path / "f.mat", "--instances", "--json", tmp_path / "r.json", *options)
    assert ended.value.code == 2 and why in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "r.json").exists()
