"""knn_eval against slow loops, numbers worked by hand, and files that are wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.slow import loop_distance, loop_rank
from helpers.toy_features import command_line, features_file, hits, picture_tree

from zscmr.commands import evaluate as knn_eval
from zscmr.evaluation import scoring
from zscmr.formats import matfiles
from zscmr.utils.errors import BadInput

ROOT = Path(__file__).parents[2]
METRICS = ("mAP@all", "P@100", "mAP@200", "P@200")


def loop_average_precision(relevance, k):
    found, total = 0, 0.0
    for rank, relevant in enumerate(relevance, 1):
        found += relevant
        if relevant and rank <= k:
            total += found / rank
    return total / found if found else 0.0


def loop_evaluate(queries, query_labels, gallery, gallery_labels, metric, within):
    scores = {name: [] for name in METRICS}
    for row, query in enumerate(queries):
        order = loop_rank(query, gallery, metric, row if within else None)
        relevance = [bool(gallery_labels[item] == query_labels[row]) for item in order]
        for name in METRICS:
            k = len(relevance) if name == "mAP@all" else int(name.split("@")[1])
            precision = sum(relevance[:k]) / min(k, len(relevance))
            scores[name].append(loop_average_precision(relevance, k) if name.startswith("mAP") else precision)
    return {name: sum(values) / len(values) for name, values in scores.items()}


def random_arrays(kind, photos=240, sketches=60, dim=5, classes=6):
    """`loose`: no two distances equal. `tied`: points of a small integer grid, many distances equal and exactly so."""
    random = np.random.default_rng(7)
    if kind == "tied":
        points = [random.integers(1, 4, (n, 3)).astype(np.float32) for n in (photos, sketches)]
    else:
        points = [random.normal(size=(n, dim)).astype(np.float32) for n in (photos, sketches)]
    # Class 6 is asked for and never there, class 7 there and never asked for.
    labels = random.integers(0, classes, photos), random.integers(0, classes, sketches)
    labels[0][:4], labels[1][:4] = classes + 1, classes
    return *points, *labels


def test_average_precision_worked_example():
    # Relevance 1010010001: hits at ranks 1, 3, 6, 10, so R = 4 and the precisions there are 1/1, 2/3, 3/6, 4/10.
    # AP = (1 + 2/3 + 1/2 + 2/5) / 4 = 77/120 = 0.6417.
    # AP@5 = (1 + 2/3) / 4 = 5/12 = 0.4167: R, not the two hits found (that would be 5/6).
    # AP@6 takes rank 6 in: (1 + 2/3 + 1/2) / 4 = 13/24.
    example = hits("1010010001")
    assert knn_eval.average_precision(example) == pytest.approx([77 / 120])
    assert knn_eval.average_precision(example, 5) == pytest.approx([5 / 12])
    assert knn_eval.average_precision(example, 6) == pytest.approx([13 / 24])
    assert knn_eval.average_precision(example, 200) == pytest.approx([77 / 120])


def test_precision_worked_example():
    # 1010010001: two hits in the first 5, three in the first 6, four in all ten.
    example = hits("1010010001")
    assert knn_eval.precision_at(example, 5) == pytest.approx([2 / 5])
    assert knn_eval.precision_at(example, 6) == pytest.approx([3 / 6])
    assert knn_eval.precision_at(example, 100) == pytest.approx([4 / 10])  # the gallery of 10 is the denominator


@pytest.mark.parametrize(
    ("relevance", "k", "expected"),
    [
        ("1", None, 1.0),  # a gallery of one, right
        ("0", None, 0.0),  # and wrong: R = 0 counts 0
        ("00000", 3, 0.0),
        ("00010", None, 1 / 4),  # R = 1: AP is one over the rank of the only hit
        ("00010", 3, 0.0),  # which lies beyond the first 3
        ("11111", 2, 2 / 5),  # R > k: even a perfect ranking stays below 1, (1 + 1) / 5
    ],
)
def test_average_precision_corners(relevance, k, expected):
    assert knn_eval.average_precision(hits(relevance), k) == pytest.approx([expected])


def test_queries_without_relevant_items_count_zero_in_the_mean():
    # Two queries at the origin; gallery: one item of class 0. First query AP 1, P 1; the second, of class 1, 0 and 0.
    results = knn_eval.evaluate(np.ones((1, 2)), np.zeros((2, 2)), [0], [0, 1], directions=("sketch->image",))
    assert results["directions"]["sketch->image"] == {
        **dict.fromkeys(METRICS, 0.5),
        "queries": 2,
        "gallery": 1,
    }


def test_precision_at_100_divides_by_100_when_the_gallery_is_larger():
    # 150 photos on a line at 1, 2 … 150 from the query; class 0 at 1 … 30 and 101 … 150, so R = 80.
    # P@100 = 30/100; P@200 = 80/150, the gallery being smaller than 200.
    labels = np.r_[np.zeros(30), np.ones(70), np.zeros(50)]
    photos = np.arange(1, 151)[:, None] * np.array([[1.0, 0.0]])
    scores = knn_eval.evaluate(photos, np.zeros((1, 2)), labels, [0], directions=("sketch->image",))
    assert scores["directions"]["sketch->image"]["P@100"] == pytest.approx(30 / 100)
    assert scores["directions"]["sketch->image"]["P@200"] == pytest.approx(80 / 150)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_distances(metric):
    photos, sketches, _, _ = random_arrays("loose")
    expected = [[loop_distance(query, item, metric) for item in photos.tolist()] for query in sketches.tolist()]
    np.testing.assert_allclose(knn_eval.distances(sketches, photos, metric), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("kind", "metric"), [("loose", "euclidean"), ("loose", "cosine"), ("tied", "euclidean")])
def test_evaluate_against_loops(kind, metric):
    photos, sketches, photo_labels, sketch_labels = random_arrays(kind)
    results = knn_eval.evaluate(photos, sketches, photo_labels, sketch_labels, distance=metric)["directions"]
    sides = {"image": (photos.tolist(), photo_labels), "sketch": (sketches.tolist(), sketch_labels)}
    assert list(results) == ["sketch->image", "image->sketch", "sketch->sketch", "image->image"]
    for direction, scores in results.items():
        asking, answering = direction.split("->")
        within = asking == answering
        expected = loop_evaluate(*sides[asking], *sides[answering], metric, within)
        assert {name: scores[name] for name in METRICS} == pytest.approx(expected, abs=1e-12), direction
        assert scores["queries"] == len(sides[asking][0])
        assert scores["gallery"] == len(sides[answering][0]) - within


def test_equal_distances_keep_gallery_order():
    # Squared distances from (0, 0): 1, 4, 1, 0, 1, 4.
    gallery = np.array([[1, 0], [0, 2], [0, 1], [0, 0], [-1, 0], [2, 0]])
    assert knn_eval.rank(np.zeros((1, 2)), gallery, "euclidean").tolist() == [[3, 0, 2, 4, 1, 5]]


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("block", [1, 3, 33])
def test_copies_tie_whatever_the_matrix_product_rounds(metric, block):
    # Every row thrice, shuffled, in dimensions and blocks where BLAS rounds equal columns differently.
    random = np.random.default_rng(1)
    which = random.permutation(np.repeat(np.arange(83), 3))
    gallery = random.normal(size=(83, 300))[which]
    gallery[:, 0] = 0.0
    gallery[-9:, 0] = -0.0  # equal to 0.0, though not in its bytes
    for _, order in knn_eval.rank_blocks(random.normal(size=(33, 300)), gallery, metric, block=block):
        for ranked in order:
            threes = ranked.reshape(-1, 3)  # copies stand together, in gallery order
            assert (which[threes] == which[threes[:, :1]]).all()
            assert (np.diff(threes, axis=1) > 0).all()


@pytest.mark.parametrize("kind", ["loose", "tied"])
@pytest.mark.parametrize("block", [1, 7, 59, 60, 1000])
def test_blocks_of_any_size_rank_alike(kind, block):
    photos, sketches, _, _ = random_arrays(kind)
    whole = knn_eval.rank(sketches, photos, "euclidean")
    blocks = list(knn_eval.rank_blocks(sketches, photos, "euclidean", block=block))
    np.testing.assert_array_equal(np.concatenate([order for _, order in blocks]), whole)
    assert max(len(order) for _, order in blocks) == min(block, len(sketches))


@pytest.mark.parametrize("distance", ["euclidean", "cosine", "l1"])
def test_little_memory_gives_the_same_numbers(distance):
    arrays = random_arrays("tied")
    whole = knn_eval.evaluate(*arrays, distance=distance)
    # 240 photos times 64 bytes times 2 is 31 kB: one query at a time, the gallery read in pieces
    assert knn_eval.evaluate(*arrays, distance=distance, memory=31_000) == whole
    with pytest.raises(BadInput, match="--memory: one query against 240 items"):
        knn_eval.evaluate(*arrays, distance=distance, memory=30_000)


def test_a_query_never_retrieves_itself_but_its_copies():
    # Rows 0, 1, 3 are the same point. Each must retrieve the other two first and never its own row.
    points = np.array([[1.0, 2], [1, 2], [5, 5], [1, 2]])
    order = knn_eval.rank(points, points, "euclidean", own_rows=np.arange(4))
    assert order.tolist() == [[1, 3, 2], [0, 3, 2], [0, 1, 3], [0, 1, 2]]
    # Labels 0 0 1 1. Query 0: hit at rank 1, AP 1. Query 1: hit at rank 1, AP 1. Query 2: 0 0 1, AP 1/3.
    # Query 3: 0 0 1, AP 1/3. Mean (1 + 1 + 1/3 + 1/3) / 4 = 2/3.
    scores = knn_eval.evaluate(points, points, [0, 0, 1, 1], [0, 0, 1, 1], directions=("image->image",))
    assert scores["directions"]["image->image"]["mAP@all"] == pytest.approx(2 / 3)


def test_drawn_queries_keep_themselves_out_of_the_gallery():
    photos, sketches, photo_labels, sketch_labels = random_arrays("loose")
    drawn = scoring.draw_queries(len(photos), 20, seed=3)
    assert len(set(drawn)) == 20
    scores = knn_eval.evaluate(
        photos, sketches, photo_labels, sketch_labels, directions=("image->image",), queries=20, seed=3
    )["directions"]["image->image"]
    relevances = []
    for row in drawn:
        order = loop_rank(photos[row].tolist(), photos.tolist(), "euclidean", own_row=row)
        relevances.append([photo_labels[item] == photo_labels[row] for item in order])
    expected = np.mean([loop_average_precision(relevance, len(relevance)) for relevance in relevances])
    assert scores["mAP@all"] == pytest.approx(expected)
    assert (scores["queries"], scores["gallery"]) == (20, 239)


def test_drawn_queries_are_a_function_of_the_seed():
    first, again, other = (scoring.draw_queries(1000, 50, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(scoring.draw_queries(5, 50, 0), np.arange(5))


def test_evaluate_names_what_is_wrong_with_arrays():
    points, labels = np.eye(3), [0, 1, 2]
    with pytest.raises(BadInput, match="sideways"):
        knn_eval.evaluate(points, points, labels, labels, directions=("sideways",))
    with pytest.raises(BadInput, match=r"sketch embeddings row 1 .*NaN"):
        knn_eval.evaluate(points, np.where(np.eye(3)[[1, 1, 1]] * [[0], [1], [0]], np.nan, 1), labels, labels)
    with pytest.raises(BadInput, match=r"photo embeddings row 2 .*zero"):
        knn_eval.evaluate(np.diag([1, 1, 0]), points, labels, labels, distance="cosine")
    with pytest.raises(BadInput, match=r"photo embeddings: expected \(2, dim\).*\(3, 3\)"):
        knn_eval.evaluate(points, points, [0, 1], labels)
    with pytest.raises(BadInput, match="image->image: the gallery is empty"):
        knn_eval.evaluate(points[:1], points, [0], labels)  # the only photo is the query


def test_only_unseen_classes_are_evaluated(tmp_path, capsys):
    variables = features_file(tmp_path / "f.mat")
    command_line(tmp_path / "f.mat", "--json", tmp_path / "r.json")
    photos, sketches = (np.isin(variables[key].ravel(), [1, 3]) for key in ("labelsx", "labelsy"))
    expected = knn_eval.evaluate(
        variables["featuresx"][photos],
        variables["featuresy"][sketches],
        variables["labelsx"][photos],
        variables["labelsy"][sketches],
    )
    written = json.loads((tmp_path / "r.json").read_text())
    assert {key: written[key] for key in expected} == expected
    assert set(written) - set(expected) == {"features", "intervals", "classes"}
    assert expected["directions"]["image->sketch"]["queries"] == 10
    assert expected["directions"]["image->sketch"]["gallery"] == 6
    assert "2 unseen classes" in capsys.readouterr().out


def test_an_unseen_class_without_pictures_is_named(tmp_path, capsys):
    features_file(tmp_path / "f.mat", classes=["ant", "cat", "cow", "dog", "elk"], unseen=np.array([[1], [3], [4]]))
    command_line(tmp_path / "f.mat", "--generalised", "pcmsn")
    assert capsys.readouterr().err == f"warning: {tmp_path / 'f.mat'}: unseen: no picture of elk\n"


def test_json_layout(tmp_path):
    features_file(tmp_path / "f.mat")
    command_line(tmp_path / "f.mat", "--json", tmp_path / "r.json", "--distance", "cosine", "--queries", 4)
    results = json.loads((tmp_path / "r.json").read_text())
    assert results["protocol"] == "standard"
    assert results["distance"] == "cosine"
    assert list(results["directions"]) == ["sketch->image", "image->sketch", "sketch->sketch", "image->image"]
    for scores in results["directions"].values():
        assert list(scores) == ["mAP@all", "P@100", "mAP@200", "P@200", "queries", "gallery"]
        assert scores["queries"] == 4
    assert "leaked" not in results


def test_without_unseen_all_classes_are_evaluated(tmp_path):
    features_file(tmp_path / "f.mat", unseen=None)
    command_line(tmp_path / "f.mat", "--json", tmp_path / "r.json", "--directions", "sketch->image")
    directions = json.loads((tmp_path / "r.json").read_text())["directions"]
    assert {name: (value["queries"], value["gallery"]) for name, value in directions.items()} == {
        "sketch->image": (12, 20)
    }


def test_the_recorded_distance_is_the_default(tmp_path, capsys):
    features_file(tmp_path / "f.mat", distance="cosine")
    command_line(tmp_path / "f.mat")
    assert "(cosine)" in capsys.readouterr().out
    command_line(tmp_path / "f.mat", "--distance", "euclidean")
    assert "(euclidean)" in capsys.readouterr().out


def test_captions_name_the_distance_that_ranked(tmp_path, capsys):
    features_file(tmp_path / "f.mat")

    def caption(*words):
        command_line(tmp_path / "f.mat", *words)
        return " ".join(capsys.readouterr().out.split())

    assert "as SAKE, ranked by Euclidean distance of L2-normalised rows; interpolated AP" in caption(
        "--protocol", "sake"
    )
    told = caption("--protocol", "sake", "--distance", "cosine")
    assert "as SAKE, but ranked by cosine distance instead of Euclidean distance of L2-normalised rows" in told
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


def test_knncode_variables(tmp_path):
    # One sketch of each class beside two photos of it and far from the other class: every AP is 1.
    # P@100 is taken over the gallery of 4: 2/4.
    matfiles.write(
        tmp_path / "k.mat",
        {
            "photo_feat_un": np.array([[0.0, 1], [0, 2], [9, 0], [8, 0]]),
            "sketch_un": np.array([[0.0, 0], [9, 1]]),
            "photo_lab": np.array([[100, 100, 101, 101]]),
            "sketch_lab": np.array([[100], [101]]),
        },
    )
    command_line(tmp_path / "k.mat", "--json", tmp_path / "r.json", "--directions", "sketch->image")
    assert json.loads((tmp_path / "r.json").read_text())["directions"]["sketch->image"] == {
        **{"mAP@all": 1, "P@100": 0.5, "mAP@200": 1, "P@200": 0.5},
        **{"queries": 2, "gallery": 4},
    }


def test_the_newest_run_is_the_default(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, written in (("1", 1000), ("2", 3000), ("3", 2000)):
        file = tmp_path / "runs" / name / "unified_features.mat"
        file.parent.mkdir(parents=True)
        features_file(file)
        os.utime(file, (written, written))
    command_line()
    assert str(Path("runs/2/unified_features.mat")) in capsys.readouterr().out


BAD = {
    "no photos": ({"featuresx": None}, [], "'featuresx'"),
    "no labels": ({"labelsy": None}, [], "'labelsy'"),
    "text for numbers": ({"featuresx": "photos"}, [], "featuresx: expected an array of numbers"),
    "NaN": ({"featuresy": np.where(np.arange(12)[:, None] == 4, np.nan, np.ones((12, 6)))}, [], "featuresy row 4 "),
    "infinity": (
        {"featuresx": np.where(np.arange(20)[:, None] > 8, -np.inf, np.ones((20, 6)))},
        [],
        "featuresx row 9 ",
    ),
    "labels of another length": (
        {"labelsx": np.zeros((19, 1))},
        [],
        "labelsx: expected 20 rows as in featuresx, received 19",
    ),
    "names of another length": ({"namesy": ["ant/s.png"]}, [], "namesy: expected 12 rows"),
    "widths differ": ({"featuresy": np.ones((12, 5))}, [], "received (20, 6) and (12, 5)"),
    "label out of range": (
        {"labelsy": np.full((12, 1), 4)},
        [],
        "row 0 (counted from 0): expected class indices 0 to 3",
    ),
    "label between classes": ({"labelsx": np.full((20, 1), 0.5)}, [], "labelsx row 0"),
    "unseen out of range": ({"unseen": np.array([[1], [7]])}, [], "unseen row 1"),
    "zero vector under cosine": (
        # row 16 is of an unseen class, row 2 is not and does not matter
        {"featuresx": np.where(np.isin(np.arange(20), [2, 16])[:, None], 0, np.ones((20, 6)))},
        ["--distance", "cosine"],
        "featuresx row 16 ",
    ),
    "zero vector under a peer's distance": (
        {"featuresx": np.where(np.arange(20)[:, None] == 16, 0, np.ones((20, 6)))},
        ["--protocol", "sake"],
        "featuresx row 16 ",
    ),
    "empty gallery": ({"labelsx": np.zeros((20, 1)), "namesx": None}, [], "sketch->image: the gallery is empty"),
    "no queries": ({"labelsy": np.zeros((12, 1)), "namesy": None}, [], "sketch->image: expected at least 1 sketch"),
    "recorded distance": ({"distance": "manhattan"}, [], "distance: expected any of euclidean, normalised, cosine, l1"),
    "unknown direction": ({}, ["--directions", "photo->sketch"], "received photo->sketch"),
    "unquoted direction": ({}, ["--directions", "sketch-"], "put quotes around it"),
    "unknown distance": ({}, ["--distance", "L1"], "--distance"),
    "unknown protocol": ({}, ["--protocol", "mine"], "--protocol"),
    "little memory": ({}, ["--memory", "1e-7"], "--memory: one query against"),
    "no memory": ({}, ["--memory", "0"], "--memory should be above 0"),
    "nothing seen": ({"unseen": None}, ["--generalised", "pcmsn"], "--generalised needs photos of seen classes"),
    "no rank": ({}, ["--top", "0"], "--top should be at least 1, received 0"),
    "top of knncode": ({}, ["--top", "5", "--protocol", "knncode"], "--top"),
    "more bits than dimensions": ({}, ["--bits", "32"], "at most as many bits as the embedding has dimensions, 6"),
    "sign codes of another length": ({}, ["--bits", "32", "--codes", "sign"], "as many bits as the embedding"),
    "codes by L1": ({}, ["--bits", "32", "--distance", "l1"], "--bits ranks by Hamming distance"),
    "expected interpolated AP": ({}, ["--protocol", "sake", "--ties", "expected"], "no expected value over ties"),
    "pairs without names": ({"namesx": None}, ["--drop-paired"], "--drop-paired needs the file names"),
    "against nothing": ({}, ["--against", "gone.mat"], "gone.mat: no such file"),
    "no queries asked for": ({}, ["--queries", "0"], "--queries should be at least 1, received 0"),
    "negative seed": ({}, ["--seed", "-1"], "--seed should be at least 0, received -1"),
    "JSON to a folder": ({}, ["--json", "."], "--json: expected a file"),
    "figures to a file": ({}, ["--figures", "f.mat"], "--figures: expected a folder"),
    "JSON below a file": ({}, ["--json", "f.mat/a/r.json"], "--json: expected a folder, received the file"),
    "JSON over the embeddings": ({}, ["--json", "./f.mat"], "--json: f.mat holds the embeddings"),
    "nothing embedded": ({}, ["--against", "notes.json"], "notes.json: expected embeddings, a .mat or .npz file"),
}


@pytest.mark.parametrize(("changes", "words", "culprit"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_status_2(changes, words, culprit, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    features_file("f.mat", **changes)
    Path("notes.json").write_text("{}")
    with pytest.raises(SystemExit) as exit:
        command_line("f.mat", *words)
    told, complaint = capsys.readouterr()
    assert exit.value.code == 2 and told == ""  # nothing was scored
    assert complaint.count("\n") == 1 and complaint.endswith("\n")
    assert culprit in complaint


def test_missing_file(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit:
        command_line(tmp_path / "elsewhere.mat")
    assert exit.value.code == 2
    assert capsys.readouterr().err.endswith("elsewhere.mat: no such file\n")


def test_no_run_yet(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit:
        command_line()
    assert exit.value.code == 2
    assert "python Unified_XY_triads.py makes one" in capsys.readouterr().err


def test_script_in_a_process_of_its_own(tmp_path):
    (tmp_path / "f.mat").write_text("no MATLAB here")
    script = [sys.executable, ROOT / "knn_eval.py", tmp_path / "f.mat"]
    ended = subprocess.run(script, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1 and "f.mat: not a readable .mat file" in ended.stderr


def test_import_is_quick():
    slow = ("tensorflow", "keras", "matplotlib", "PIL", "scipy", "h5py", "rich")
    code = f"import sys, knn_eval; print([module for module in {slow} if module in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert ended.stdout.strip() == "[]"


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


def pixels(path):
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)


def test_retrieval_grid_shows_pictures_and_frames(tmp_path, capsys):
    variables = features_file(
        tmp_path / "f.mat", picturesx=str(tmp_path / "photos"), picturesy=str(tmp_path / "sketches")
    )
    picture_tree(tmp_path / "photos", variables["namesx"])
    picture_tree(tmp_path / "sketches", variables["namesy"])
    command_line(tmp_path / "f.mat", "--figures", tmp_path / "figures")
    output = capsys.readouterr()
    assert output.err == ""
    assert f"wrote {tmp_path / 'figures' / 'retrieval.png'}" in output.out
    colours = pixels(tmp_path / "figures" / "retrieval.png")
    for colour in ((0, 0, 255), (0x2A, 0x9D, 0x4A), (0xD0, 0x34, 0x2C)):  # the pictures; a right and a wrong frame
        assert (colours == colour).all(axis=1).sum() > 100


def test_retrieval_grid_without_pictures_says_so(tmp_path, capsys):
    features_file(tmp_path / "f.mat", picturesx=str(tmp_path / "gone"))
    command_line(tmp_path / "f.mat", "--figures", tmp_path)
    complaints = capsys.readouterr().err.splitlines()
    # Two unseen classes, so 2 queries; each with all 10 photos of the gallery.
    assert complaints[0].endswith("class names in place of 2 pictures: featuresy comes without a picture folder")
    assert complaints[1].endswith(f"class names in place of 20 pictures: not found in {tmp_path / 'gone'}")
    assert len(pixels(tmp_path / "retrieval.png")) > 1e5
    assert not (pixels(tmp_path / "retrieval.png") == (0, 0, 255)).all(axis=1).any()
