"""Every convention against plain loops, scikit-learn and all orders of tied items; codes, intervals, files."""

import itertools
import json
import math
import re

import numpy as np
import pytest
from test_knn_eval import command_line, features_file, hits, loop_rank

import knn_eval
from evaluation import codes, embeddings, metrics, protocols, ranking, statistics

# ---- plain loops, straight from the formulas of FIDELITY.md


def loop_ap(relevance, k, divide, interpolated):
    found, precisions = 0, []
    for place, relevant in enumerate(relevance[:k], 1):
        found += relevant
        if relevant:
            precisions.append(found / place)
    if interpolated:
        precisions = [max(precisions[place:]) for place in range(len(precisions))]
    divisor = {"R": sum(relevance), "min(k, R)": min(k, sum(relevance)), "hits": found}[divide]
    return sum(precisions) / divisor if divisor else 0.0


def loop_precision(relevance, k, divide):
    divisor = {"k": k, "gallery": min(k, len(relevance)), "min(k, R)": min(k, sum(relevance))}[divide]
    return sum(relevance[:k]) / divisor if divisor else 0.0


def loop_ndcg(relevance, k):
    gain = sum(relevant / math.log2(place + 1) for place, relevant in enumerate(relevance[:k], 1))
    ideal = sum(1 / math.log2(place + 1) for place in range(1, min(k, sum(relevance)) + 1))
    return gain / ideal if ideal else 0.0


def loop_nmrr(relevance, largest):
    count = sum(relevance)
    if count == 0:
        return 1.0
    last = min(4 * count, 2 * largest)
    places = [place if place <= last else 1.25 * last for place, relevant in enumerate(relevance, 1) if relevant]
    return (sum(places) / count - 0.5 - count / 2) / (1.25 * last - 0.5 - count / 2)


RELEVANCES = [
    [True],
    [False],
    [False, True],
    [True] * 7,
    [False] * 7,
    *(np.random.default_rng(seed).random(size) < share for seed, (size, share) in enumerate([(30, 0.3), (300, 0.8)])),
]


@pytest.mark.parametrize("relevance", RELEVANCES, ids=len)
@pytest.mark.parametrize("k", [1, 2, 5, 100, 200, 1000])
def test_conventions_against_loops(relevance, k):
    row, relevance = np.array(relevance)[None], [bool(value) for value in relevance]
    for divide, interpolated in itertools.product(("R", "min(k, R)", "hits"), (False, True)):
        expected = loop_ap(relevance, k, divide, interpolated)
        assert metrics.average_precision(row, k, divide, interpolated) == pytest.approx([expected], abs=1e-9)
    for divide in ("k", "gallery", "min(k, R)"):
        assert metrics.precision_at(row, k, divide) == pytest.approx([loop_precision(relevance, k, divide)], abs=1e-9)
    recall = sum(relevance[:k]) / max(sum(relevance), 1)
    assert metrics.recall_at(row, k) == pytest.approx([recall], abs=1e-9)
    assert metrics.ndcg_at(row, k) == pytest.approx([loop_ndcg(relevance, k)], abs=1e-9)
    assert metrics.nmrr(row) == pytest.approx([loop_nmrr(relevance, max(sum(relevance), 1))], abs=1e-9)


def test_worked_example():
    # 1010010001, R = 4, precisions 1, 2/3, 3/6, 4/10 at ranks 1, 3, 6, 10; none is below a later one but none above.
    example = hits("1010010001")
    assert metrics.average_precision(example)[0] == pytest.approx((1 + 2 / 3 + 3 / 6 + 4 / 10) / 4)  # .6417
    assert metrics.average_precision(example, 5)[0] == pytest.approx(5 / 12)  # .4167, by R
    assert metrics.average_precision(example, 5, "hits")[0] == pytest.approx(5 / 6)  # .8333
    # 0110: precisions 1/2, 2/3; interpolated the first becomes 2/3 as well.
    assert metrics.average_precision(hits("0110"), None, "R", True)[0] == pytest.approx(2 / 3)
    # ANMRR of 0110 alone: R = 2, K = min(8, 4) = 4, AVR = 2.5, NMRR = (2.5 − 1.5) / (5 − 1.5).
    assert metrics.nmrr(hits("0110"))[0] == pytest.approx(1 / 3.5)
    # Another query with R = 1: K = min(4, 2 · 2) = 4; its hit at rank 4: (4 − 1) / (5 − 1).
    assert metrics.nmrr(np.vstack([hits("0110"), hits("0001")]))[1] == pytest.approx(3 / 4)


SCORES = [
    lambda rows: metrics.average_precision(rows),
    lambda rows: metrics.average_precision(rows, 3),
    lambda rows: metrics.average_precision(rows, 3, "min(k, R)"),
    lambda rows: metrics.average_precision(rows, 3, "hits"),
    lambda rows: metrics.average_precision(rows, 4, "hits"),
    lambda rows: metrics.precision_at(rows, 3),
    lambda rows: metrics.recall_at(rows, 2),
    lambda rows: metrics.ndcg_at(rows, 4),
    lambda rows: metrics.nmrr(rows),
]


@pytest.mark.parametrize("seed", range(12))
def test_ties_count_in_the_mean_of_all_their_orders(seed):
    random = np.random.default_rng(seed)
    distance, relevant = np.sort(random.integers(0, 3, 7)), random.random(7) < 0.5
    runs = [itertools.permutations(relevant[distance == value]) for value in np.unique(distance)]
    orders = np.array([[hit for run in order for hit in run] for order in itertools.product(*runs)])
    tied = metrics.Hits.of(relevant[None], np.r_[False, distance[1:] == distance[:-1]][None])
    for score in SCORES:
        assert score(tied)[0] == pytest.approx(score(orders).mean(), abs=1e-12)
    precision = metrics.average_precision(orders)
    assert metrics.average_precision(tied.resolved(first=True))[0] == pytest.approx(precision.max())
    assert metrics.average_precision(tied.resolved(first=False))[0] == pytest.approx(precision.min())
    if (tied.size > 1).any():
        with pytest.raises(ValueError, match="ties"):
            metrics.average_precision(tied, interpolated=True)


def points(kind, queries=40, gallery=300):
    """`loose`: no equal distances. `tied`: a grid of small integers. `copies`: every gallery row four times."""
    random = np.random.default_rng(3)
    if kind == "tied":
        arrays = [random.integers(1, 4, (count, 3)) for count in (queries, gallery)]
    else:
        arrays = [random.normal(size=(count, 9)).astype(np.float32) for count in (queries, gallery)]
    if kind == "copies":
        arrays[1] = random.permutation(np.repeat(arrays[1][: gallery // 4], 4, axis=0))
    return *arrays, random.integers(0, 7, queries), random.integers(0, 5, gallery)


@pytest.mark.parametrize("kind", ["loose", "tied", "copies"])
def test_scikit_learn_agrees(kind):
    sklearn = pytest.importorskip("sklearn.metrics")
    queries, gallery, asked, there = points(kind)
    order = knn_eval.rank(queries, gallery, "euclidean")
    expected = []
    for row, label in zip(order, asked, strict=True):
        # its own way with ties would be another convention: ranks instead of distances leave none
        scores, relevant = -np.arange(len(row)), there[row] == label
        expected.append(sklearn.average_precision_score(relevant, scores) if relevant.any() else 0.0)
    scores = knn_eval.evaluate(gallery, queries, there, asked, directions=("sketch->image",))
    assert scores["directions"]["sketch->image"]["mAP@all"] == pytest.approx(np.mean(expected), abs=1e-6)


@pytest.mark.parametrize("kind", ["loose", "tied", "copies"])
@pytest.mark.parametrize("metric", ["euclidean", "l1"])
def test_hits_are_those_of_the_exact_ranking(kind, metric):
    """Also where a tie or a near-tie of a relevant and an irrelevant item has to be resolved."""
    queries, gallery, asked, there = points(kind)
    if metric == "l1":
        distance = np.abs(queries[:, None].astype(float) - gallery).sum(-1)
    else:
        distance = ((queries[:, None].astype(float) - gallery) ** 2).sum(-1)
    order = np.argsort(distance, axis=1, kind="stable")
    np.testing.assert_array_equal(knn_eval.rank(queries, gallery, metric), order)
    np.testing.assert_array_equal(knn_eval.nearest(queries, gallery, metric, 23), order[:, :23])
    expected = metrics.Hits.of(there[order] == asked[:, None])
    for memory in (10**9, 45_000):
        blocks = knn_eval.hit_blocks(queries, gallery, metric, asked, there, memory=memory)
        found = [part for _, parts in blocks for part in parts]
        assert np.concatenate([part.before for part in found]).tolist() == expected.before.tolist()


def test_near_ties_that_the_product_cannot_tell_apart_are_resolved():
    # At 1e6 from the centre a squared distance has an error of about 1e-3; the items differ by 1e-5 steps.
    line = np.zeros((200, 2))
    line[:, 0] = np.random.default_rng(0).permutation(200) * 1e-5
    line = np.vstack([line, [[1e6, 1e6], [-1e6, -1e6]]])
    query = np.array([[-1e-6, 0.0]])
    np.testing.assert_array_equal(knn_eval.rank(query, line, "euclidean")[0, :200], np.argsort(line[:200, 0]))
    labels = np.arange(202) % 2
    order = np.argsort(line[:200, 0])
    (_, (found,)), *_ = knn_eval.hit_blocks(query, line, "euclidean", np.array([1]), labels)
    assert found.before[:100].tolist() == np.flatnonzero(labels[order]).tolist()


@pytest.mark.parametrize("metric", ["euclidean", "l1"])
def test_ties_of_real_valued_distances_on_request(metric):
    queries, gallery, asked, there = points("tied")
    means = {}
    for ties in protocols.TIES:
        result = knn_eval.evaluate(
            gallery, queries, there, asked, directions=("sketch->image",), distance=metric, ties=ties
        )
        means[ties] = result["directions"]["sketch->image"]["mAP@all"]
    difference = queries[:, None].astype(float) - gallery
    distance = np.abs(difference).sum(-1) if metric == "l1" else (difference**2).sum(-1)
    expected = {"optimistic": [], "pessimistic": []}
    for row, label in zip(distance, asked, strict=True):
        relevant = there == label
        for ties, key in (("optimistic", ~relevant), ("pessimistic", relevant)):
            order = np.lexsort((key, row))
            expected[ties].append(loop_ap(relevant[order].tolist(), len(row), "R", False))
    assert means["optimistic"] == pytest.approx(np.mean(expected["optimistic"]))
    assert means["pessimistic"] == pytest.approx(np.mean(expected["pessimistic"]))
    assert means["pessimistic"] < means["expected"] < means["optimistic"]


def test_knncode_by_its_formulas():
    """Distance Σ sqrt((x − y)²), stable ascending sort, precision and recall at 10 … 100, "mAP" their mean."""
    random = np.random.default_rng(5)
    photos, sketches = random.normal(size=(130, 4)), random.normal(size=(30, 4))
    photo_labels, sketch_labels = random.integers(100, 104, 130), random.integers(100, 104, 30)
    precision, recall = np.zeros(10), np.zeros(10)
    for sketch, label in zip(sketches, sketch_labels, strict=True):
        distance = [sum(((a - b) ** 2) ** 0.5 for a, b in zip(sketch, photo, strict=True)) for photo in photos]
        order = sorted(range(130), key=lambda row: distance[row])
        for step in range(10):
            found = sum(photo_labels[row] == label for row in order[: 10 * (step + 1)])
            precision[step] += found / (10 * (step + 1)) / 30
            recall[step] += found / 100 / 30
    scores = knn_eval.evaluate(
        photos, sketches, photo_labels, sketch_labels, protocol="knncode", directions=("sketch->image",)
    )
    assert scores["distance"] == "l1"
    values = scores["directions"]["sketch->image"]
    assert [values[f"precision@{n}"] for n in range(10, 101, 10)] == pytest.approx(precision, abs=1e-12)
    assert [values[f"recall@{n}"] for n in range(10, 101, 10)] == pytest.approx(recall, abs=1e-12)
    assert values["knncode-mAP"] == pytest.approx(precision.mean(), abs=1e-12)


@pytest.mark.parametrize(
    ("protocol", "interpolated", "map_divisor", "precision_divisor", "unit", "class_means"),
    [
        ("sake", True, "min(k, R)", "k", True, True),
        ("sempcyc", False, "hits", "k", False, False),
        ("zse", True, "min(k, R)", "min(k, R)", True, False),
    ],
)
def test_protocols_of_the_peers(protocol, interpolated, map_divisor, precision_divisor, unit, class_means):
    queries, gallery, asked, there = points("loose", gallery=260)
    ready = [side / np.linalg.norm(side, axis=1, keepdims=True) if unit else side for side in (queries, gallery)]
    expected = {"mAP@all": [], "P@100": [], "mAP@200": [], "P@200": []}
    for query, label in zip(ready[0].tolist(), asked, strict=True):
        relevance = [bool(there[row] == label) for row in loop_rank(query, ready[1].tolist(), "euclidean")]
        expected["mAP@all"].append(loop_ap(relevance, 260, "R", interpolated))
        expected["mAP@200"].append(loop_ap(relevance, 200, map_divisor, interpolated))
        for k in (100, 200):
            expected[f"P@{k}"].append(loop_precision(relevance, k, precision_divisor))
    scores = knn_eval.evaluate(gallery, queries, there, asked, protocol=protocol, directions=("sketch->image",))
    for name, values in expected.items():
        mean = np.mean(values)
        if class_means:
            mean = np.mean([np.mean(np.array(values)[asked == label]) for label in np.unique(asked)])
        assert scores["directions"]["sketch->image"][name] == pytest.approx(mean, abs=1e-9)


def test_top_is_the_whole_ranking_cut_short():
    queries, gallery, asked, there = points("copies")
    order = knn_eval.rank(queries, gallery, "euclidean")
    relevance = there[order] == asked[:, None]
    scores = knn_eval.evaluate(gallery, queries, there, asked, directions=("sketch->image",), top=20)
    values = scores["directions"]["sketch->image"]
    assert values["mAP@20"] == pytest.approx(metrics.average_precision(relevance, 20).mean())
    assert values["recall@20"] == pytest.approx(metrics.recall_at(relevance, 20).mean())
    within = knn_eval.rank(gallery, gallery, "euclidean", own_rows=np.arange(300))[:, :20]
    np.testing.assert_array_equal(knn_eval.nearest(gallery, gallery, "euclidean", 20, np.arange(300)), within)


# ---- codes


def test_hamming_counts_bits(monkeypatch):
    random = np.random.default_rng(0)
    for width in (4, 8, 16, 3):
        left, right = (random.integers(0, 256, (count, width), dtype=np.uint8) for count in (5, 40))
        expected = (np.unpackbits(left, axis=1)[:, None] != np.unpackbits(right, axis=1)).sum(-1)
        np.testing.assert_array_equal(codes.hamming(left, right), expected)
        with monkeypatch.context() as patch:
            patch.delattr(np, "bitwise_count", raising=False)  # as NumPy 1
            np.testing.assert_array_equal(codes.hamming(left, right), expected)


def test_itq_loss_falls_at_every_iteration_and_codes_are_turned_principal_axes():
    random = np.random.default_rng(1)
    vectors = random.normal(size=(400, 24)) @ random.normal(size=(24, 24)) + 3
    fitted = codes.fit_itq(vectors, 16)
    assert len(fitted.losses) == 50 and (np.diff(fitted.losses) < 1e-9).all()
    assert fitted.losses[-1] < 0.995 * fitted.losses[0]
    np.testing.assert_allclose(fitted.projection.T @ fitted.projection, np.eye(16), atol=1e-9)
    # the axes are the leading ones: no other 16 hold more of the variance
    kept = ((vectors - vectors.mean(0)) @ fitted.projection).var(0).sum()
    assert kept == pytest.approx(np.sort(np.linalg.eigvalsh(np.cov(vectors.T, bias=True)))[-16:].sum())
    assert fitted.encode(vectors).shape == (400, 2)


def test_codes_are_fitted_on_seen_classes_and_scored_over_ties(tmp_path):
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 30)[:, None]
    arrays = {"featuresx": random.normal(size=(120, 32)), "featuresy": random.normal(size=(120, 32))}
    features_file(tmp_path / "f.mat", **arrays, labelsx=labels, labelsy=labels, namesx=None, namesy=None)
    command_line(tmp_path / "f.mat", "--bits", 32, "--json", tmp_path / "r.json", "--directions", "image->image")
    results = json.loads((tmp_path / "r.json").read_text())
    assert (results["distance"], results["ties"]) == ("hamming", "expected")
    seen = np.isin(labels.ravel(), [0, 2])
    fitted = codes.fit_itq(np.vstack([arrays["featuresx"][seen], arrays["featuresy"][seen]]), 32)
    bits = np.unpackbits(fitted.encode(arrays["featuresx"][~seen]), axis=1)
    asked, scores = labels.ravel()[~seen], []
    for row in range(60):
        others = np.arange(60) != row
        distance, relevant = (bits[row] != bits).sum(1)[others], (asked == asked[row])[others]
        order = np.argsort(distance, kind="stable")
        tied = np.r_[False, np.diff(distance[order]) == 0]
        scores.append(metrics.average_precision(metrics.Hits.of(relevant[order][None], tied[None]))[0])
    assert results["directions"]["image->image"]["mAP@all"] == pytest.approx(np.mean(scores))


# ---- generalised zero-shot, hygiene


def test_generalised_zero_shot(tmp_path):
    labels = np.repeat(np.arange(4), 10)[:, None]
    random = np.random.default_rng(0)
    arrays = {key: random.normal(size=(40, 3)) for key in ("featuresx", "featuresy")}
    features_file(tmp_path / "f.mat", **arrays, labelsx=labels, labelsy=labels, namesx=None, namesy=None)
    loaded = knn_eval.load(tmp_path / "f.mat")
    drawn = embeddings.generalised(loaded, "sempcyc", seed=1).photo
    assert np.isin(drawn.labels, [1, 3]).sum() == 20 and np.isin(drawn.labels, [0, 2]).sum() == 4  # 20 % of 20
    command = (tmp_path / "f.mat", "--json", tmp_path / "r.json", "--directions", "sketch->image", "--generalised")
    command_line(*command, "pcmsn")
    results = json.loads((tmp_path / "r.json").read_text())
    everything = knn_eval.evaluate(
        arrays["featuresx"], arrays["featuresy"][np.isin(labels.ravel(), [1, 3])], labels, np.repeat([1, 3], 10)
    )["directions"]["sketch->image"]
    assert results["directions"]["sketch->image"] == pytest.approx(everything)  # unseen queries, the whole gallery
    unseen, seen = (results[part]["sketch->image"]["mAP@all"] for part in ("directions", "seen"))
    assert results["harmonic"]["sketch->image"]["mAP@all"] == pytest.approx(2 / (1 / unseen + 1 / seen))
    command_line(*command, "sempcyc")
    results = json.loads((tmp_path / "r.json").read_text())
    assert [results[part]["sketch->image"]["queries"] for part in ("directions", "seen")] == [20, 4]
    assert results["directions"]["sketch->image"]["gallery"] == 24


def test_queries_with_nothing_to_find_are_counted(tmp_path, capsys):
    """Photos of ant (seen), cat and dog (unseen); two sketches each of ant, cow (both seen), cat and dog: cow's two
    have R = 0. Within the sketches each has the other of its class."""
    labels = {"labelsx": np.array([[0], [1], [3]]), "labelsy": np.array([[0], [0], [2], [2], [1], [1], [3], [3]])}
    random = np.random.default_rng(0)
    arrays = {"featuresx": random.normal(size=(3, 3)), "featuresy": random.normal(size=(8, 3))}
    features_file(tmp_path / "f.mat", **arrays, **labels, namesx=None, namesy=None)
    words = ("--json", tmp_path / "r.json", "--directions", "sketch->image", "sketch->sketch")
    command_line(tmp_path / "f.mat", *words, "--generalised", "pcmsn")
    empty = json.loads((tmp_path / "r.json").read_text())["without_relevant"]
    assert empty["directions"] == {"sketch->image": 0, "sketch->sketch": 0}
    assert empty["seen"] == {"sketch->image": 2, "sketch->sketch": 0}
    out = capsys.readouterr().out
    assert "A query with R = 0 counts 0 (sketch->image seen: 2 of 4);" in " ".join(out.split())
    rows = ["sketch->image unseen", "sketch->image seen", "sketch->image harmonic"]
    assert [" ".join(line.split()[:2]) for line in out.splitlines()[2:5]] == rows


def test_paired_and_repeated_photos_leave(tmp_path, capsys):
    names = {
        "namesx": [f"cat/p{row // 2}.jpg" for row in range(20)],
        "namesy": [f"cat/p{row}-1.png" for row in range(12)],
    }
    every = {"labelsx": np.ones((20, 1)), "labelsy": np.ones((12, 1)), "unseen": np.array([[1]])}
    features_file(tmp_path / "f.mat", **names, **every)  # photos p0 … p9 twice each, sketches of p0 … p11
    command_line(tmp_path / "f.mat", "--dedupe", "--directions", "sketch->image", "--json", tmp_path / "r.json")
    assert "10 of 20 photos listed before left out" in capsys.readouterr().out
    assert json.loads((tmp_path / "r.json").read_text())["directions"]["sketch->image"]["gallery"] == 10
    features_file(tmp_path / "f.mat", **{**names, "namesy": [f"cat/p{row}-2.png" for row in range(7, 19)]}, **every)
    command_line(tmp_path / "f.mat", "--drop-paired", "--directions", "sketch->image", "--json", tmp_path / "r.json")
    assert "6 of 20 photos a sketch was drawn from left out" in capsys.readouterr().out  # p7, p8, p9
    assert json.loads((tmp_path / "r.json").read_text())["directions"]["sketch->image"]["gallery"] == 14
    # without names the embedding decides
    repeated = np.repeat(np.eye(6)[:5], 4, axis=0)
    features_file(tmp_path / "f.mat", featuresx=repeated, namesx=None, namesy=None, **every)
    assert embeddings.dedupe(knn_eval.load(tmp_path / "f.mat"))[1] == 15


# ---- uncertainty


def test_intervals_cover_the_mean_as_often_as_they_say():
    random = np.random.default_rng(0)
    covered = 0
    for seed in range(300):
        values = random.normal(0.5, 0.2, 80)
        low, high = statistics.intervals({"mAP": values}, np.zeros(80), draws=300, seed=seed)["mAP"]
        covered += low <= 0.5 <= high
    assert 0.91 < covered / 300 < 0.98
    labels = np.repeat([0, 1], [70, 10])  # class means weigh the ten as much as the seventy
    values = np.where(labels == 0, 0.2, 0.8)
    assert statistics.mean(values, labels, class_means=True) == pytest.approx(0.5)
    interval = statistics.intervals({"mAP": values}, labels, class_means=True)["mAP"]
    assert interval == pytest.approx((0.5, 0.5))


def test_paired_test_against_all_sign_assignments():
    random = np.random.default_rng(2)
    first, second = random.random(9) + 0.25, random.random(9)
    gap = first - second
    signs = np.array(list(itertools.product([1, -1], repeat=9)))
    exact = np.mean(np.abs(signs @ gap) >= abs(gap.sum()) - 1e-12)
    difference, p = statistics.paired_test(first, second, np.zeros(9), draws=20000)
    assert difference == pytest.approx(gap.mean())
    assert p == pytest.approx(exact, abs=0.01)


def test_against_another_file(tmp_path, capsys, refused):
    features_file(tmp_path / "a.mat")
    other = {"featuresx": np.random.default_rng(9).normal(size=(20, 6))}
    features_file(tmp_path / "b.mat", **other)
    words = ("--directions", "sketch->image", "--json", tmp_path / "r.json")
    means = []
    for name in ("a", "b"):
        command_line(tmp_path / f"{name}.mat", *words)
        means.append(json.loads((tmp_path / "r.json").read_text())["directions"]["sketch->image"]["mAP@all"])
    command_line(tmp_path / "a.mat", *words, "--against", tmp_path / "b.mat")
    test = json.loads((tmp_path / "r.json").read_text())["against"]["directions"]["sketch->image"]["mAP@all"]
    assert test["difference"] == pytest.approx(means[0] - means[1])
    assert test["interval"][0] <= test["difference"] <= test["interval"][1] and 0 < test["p"] <= 1
    assert f"{means[0] - means[1]:+.3f}" in capsys.readouterr().out
    features_file(tmp_path / "c.mat", labelsx=np.repeat([1, 3, 0, 2], 5)[:, None])
    settings = knn_eval.Settings(features=tmp_path / "a.mat", against=tmp_path / "c.mat")
    assert "not the pictures of" in refused(knn_eval.main, settings)
    features_file(tmp_path / "d.mat", distance="cosine", **other)
    for words, ours, theirs in (((), "euclidean", "cosine"), (("--distance", "l1"), "l1", "l1")):
        capsys.readouterr()
        command_line(tmp_path / "a.mat", "--against", tmp_path / "d.mat", *words)
        told = " ".join(capsys.readouterr().out.split())
        assert f"{tmp_path / 'a.mat'} ({ours}) minus {tmp_path / 'd.mat'} ({theirs})" in told
        assert ("by the distance recorded in it" in told) == (ours != theirs)


# ---- tables, files


def test_compare_prints_every_convention(tmp_path, capsys):
    features_file(tmp_path / "f.mat", leaked="the CNNs saw all")
    command_line(tmp_path / "f.mat", "--compare", "--directions", "sketch->image", "--json", tmp_path / "r.json")
    results = json.loads((tmp_path / "r.json").read_text())
    rows = results["compare"]["sketch->image"]
    assert rows["mAP@all raw"]["euclidean"] == results["directions"]["sketch->image"]["mAP@all"]
    sake = knn_eval.evaluate(*unseen_arrays(tmp_path / "f.mat"), protocol="sake")["directions"]["sketch->image"]
    assert rows["mAP@all interpolated, class means"]["normalised"] == pytest.approx(sake["mAP@all"])
    out = capsys.readouterr().out
    for name in rows:
        assert re.search(rf"^  {re.escape(name)}  +\d", out, re.MULTILINE)
    assert out.count("WARNING: the CNNs saw all") == 2  # once under each table


def unseen_arrays(path):
    chosen = knn_eval.unseen_only(knn_eval.load(path))
    return chosen.photo.vectors, chosen.sketch.vectors, chosen.photo.labels, chosen.sketch.labels


@pytest.mark.parametrize("form", ["npz", "folder"])
def test_numpy_files_give_the_same_numbers(form, tmp_path):
    variables = features_file(tmp_path / "f.mat", distance="cosine", leaked="seen")
    arrays = {key: np.array(value) for key, value in variables.items()}
    if form == "npz":
        path = tmp_path / "f.npz"
        np.savez(path, **arrays)
    else:
        path = tmp_path / "f"
        path.mkdir()
        for key, value in arrays.items():
            np.save(path / f"{key}.npy", value)
    for file in (path, tmp_path / "f.mat"):
        command_line(file, "--json", tmp_path / f"{file.suffix}.json")
    ours, matlab = (json.loads((tmp_path / f"{suffix}.json").read_text()) for suffix in (path.suffix, ".mat"))
    assert ours | {"features": ""} == matlab | {"features": ""}
    assert isinstance(knn_eval.load(path).photo.vectors, np.memmap) == (form == "folder")


@pytest.mark.parametrize("name", ["f.mat", "f.npz", "f.npy", "folder"])
def test_broken_files_are_one_line(name, tmp_path, refused):
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"0123456789")
    assert str(path) in refused(knn_eval.load, path)


def test_memory_bounds_a_block():
    for gallery, memory in ((1000, 10**9), (54151, 10**9), (10**6, 10**9), (10**6, 2 * 10**8)):
        assert (
            ranking.query_block(gallery, memory) * gallery * 8 <= memory / 4
            or ranking.query_block(gallery, memory) == 1
        )
