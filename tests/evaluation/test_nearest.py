"""The index against a full sort: ties, near ties, filters, codes, memory maps, threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from zscmr.evaluation.distances import distances
from zscmr.evaluation.nearest import GROUP, WindowIndex
from zscmr.evaluation.ranking import rank
from zscmr.retrieval import Index

REAL = ("euclidean", "normalised", "cosine", "l1")


def vectors(kind, count, random):
    """Points that are loose, on a grid of few values, copies of each other, far from the origin, or nearly equal."""
    loose = random.normal(size=(count, 6)).astype(np.float32)
    if kind == "grid":
        return random.integers(1, 3, (count, 6)).astype(np.float32)
    if kind == "copies":
        return loose[random.integers(0, 7, count)]
    if kind == "far":
        return loose + 1000
    if kind == "near":
        return (np.ones(6) + 1e-7 * loose).astype(np.float32)
    return loose


@pytest.mark.parametrize("metric", REAL)
@pytest.mark.parametrize("kind", ["loose", "grid", "copies", "far", "near"])
def test_answers_are_those_of_the_full_sort(metric, kind):
    random = np.random.default_rng(3)
    gallery, queries = vectors(kind, 300, random), vectors(kind, 9, random)
    rows, nearest_distances = Index(gallery, metric).search(queries, top=20)
    np.testing.assert_array_equal(rows, rank(queries, gallery, metric)[:, :20])
    np.testing.assert_allclose(
        nearest_distances, np.take_along_axis(distances(queries, gallery, metric), rows, 1), atol=1e-5
    )
    assert (np.diff(nearest_distances, axis=1) >= 0).all()


@pytest.mark.parametrize("metric", [*REAL, "hamming"])
def test_a_query_leaves_itself_out_and_filters_come_before_the_ranking(metric):
    random = np.random.default_rng(4)
    gallery = vectors("grid", 80, random) - (1.5 if metric == "hamming" else 0)
    own_rows, keep = np.array([5, 70]), random.random(80) < 0.4
    rows, _ = Index(gallery, metric).search(gallery[own_rows], top=200, own_rows=own_rows)
    np.testing.assert_array_equal(rows, rank(gallery[own_rows], gallery, metric, own_rows))
    rows, _ = Index(gallery, metric).search(gallery[own_rows], top=12, keep=keep)
    ranking = rank(gallery[own_rows], gallery, metric)
    np.testing.assert_array_equal(rows, [[row for row in line if keep[row]][:12] for line in ranking])
    np.testing.assert_array_equal(Index(gallery, metric).search(gallery[own_rows], 12, np.flatnonzero(keep))[0], rows)
    few = [row for row in (3, 8, 20) if row not in own_rows]  # the queries themselves are not among them
    assert Index(gallery, metric).search(gallery[own_rows], 10, few, own_rows)[0].shape == (2, 3)


def test_codes_are_packed_bits_or_signs():
    random = np.random.default_rng(5)
    signs = random.choice([-1.0, 1.0], (60, 16))
    rows, nearest_distances = Index(np.packbits(signs > 0, axis=1), "hamming").search(
        np.packbits(signs[:3] > 0, axis=1), top=60
    )
    np.testing.assert_array_equal(rows, rank(signs[:3], signs, "hamming"))
    by_hand = (signs[:3, None] != signs[None]).sum(2)
    np.testing.assert_array_equal(nearest_distances, np.sort(by_hand, axis=1))
    np.testing.assert_array_equal(Index(signs, "hamming").search(signs[:3], top=60)[0], rows)


@pytest.mark.parametrize("metric", REAL)
def test_little_memory_and_memory_maps_give_the_same(metric, tmp_path):
    random = np.random.default_rng(6)
    gallery, queries = (random.normal(size=(count, 64)).astype(np.float32) for count in (500, 4))
    np.save(tmp_path / "gallery.npy", gallery)
    mapped = np.load(tmp_path / "gallery.npy", mmap_mode="r")
    rows, nearest_distances = Index(gallery, metric).search(queries, top=7)
    small = Index(mapped, metric, memory=70_000)
    assert small.ready is None  # 128 kB of rows do not fit
    for expected, received in zip((rows, nearest_distances), small.search(queries, top=7), strict=True):
        np.testing.assert_array_equal(expected, received)


@pytest.mark.parametrize("metric", [*REAL, "hamming"])
def test_near_items_may_lie_anywhere(metric):
    """All near ones at one remainder of the row number, or few that take part, or many that tie."""
    random = np.random.default_rng(8)
    gallery = random.normal(size=(4000, 6)).astype(np.float32)
    queries = random.normal(size=(3, 6)).astype(np.float32)
    gallery[7 :: 4000 // GROUP][:40] = queries[0] + random.normal(size=(40, 6), scale=0.01)
    gallery[1000:1300] = queries[1]
    ranking = rank(queries, gallery, metric)
    np.testing.assert_array_equal(Index(gallery, metric).search(queries, top=30)[0], ranking[:, :30])
    keep = np.zeros(4000, bool)
    keep[7 :: 4000 // GROUP] = True  # fewer columns than wanted
    expected = [[row for row in line if keep[row]][:30] for line in ranking]
    np.testing.assert_array_equal(Index(gallery, metric).search(queries, 30, keep)[0], expected)


def test_threads_share_an_index():
    random = np.random.default_rng(7)
    gallery, queries = vectors("loose", 2000, random), vectors("loose", 40, random)
    index = Index(gallery, "cosine")
    with ThreadPoolExecutor(4) as pool:
        nearest_distances = list(pool.map(lambda row: index.search(queries[row : row + 1], top=5)[0][0], range(40)))
    np.testing.assert_array_equal(nearest_distances, rank(queries, gallery, "cosine")[:, :5])


@pytest.mark.parametrize("scale", [1e-30, 1e17, 1e25])
def test_numbers_whose_squares_overflow_or_vanish_in_float32(scale):
    random = np.random.default_rng(9)
    gallery, queries = (scale * random.normal(size=(count, 6)) for count in (300, 3))
    rows, nearest_distances = Index(gallery.astype(np.float32), "euclidean").search(queries, top=10)
    np.testing.assert_array_equal(rows, rank(queries, gallery.astype(np.float32), "euclidean")[:, :10])
    assert np.isfinite(nearest_distances).all()


@pytest.mark.parametrize(("value", "fault"), [(np.nan, "NaN"), (np.inf, "infinity"), (0.0, "zero vector")])
def test_vectors_that_cannot_be_ranked_are_refused(value, fault, refused):
    gallery = np.ones((4, 3), np.float32)
    gallery[2] = value
    message = refused(Index, gallery, "cosine")
    assert message.startswith("gallery row 2") and fault in message
    index = Index(np.ones((4, 3), np.float32), "cosine")
    assert refused(index.search, gallery[2:3]).startswith("query row 0")


def loop_over_rows(vectors, windows, counts, penalty, queries, keep):
    """(rows, distances, best rows) of all kept pictures by float64 loops, nearest first."""
    per_query = []
    for query in np.float64(queries):
        pictures, start = [], 0
        for row, count in enumerate(counts):
            rows = [vectors[row], *windows[start : start + count]]
            start += count
            apart = [1 - query @ v / np.linalg.norm(query) / np.linalg.norm(v) for v in np.float64(rows)]
            apart = [apart[0], *(distance + penalty for distance in apart[1:])]
            if keep[row]:
                pictures.append((min(apart), row, int(np.argmin(apart))))
        per_query.append(sorted(pictures))
    return per_query


@pytest.mark.parametrize("penalty", [0.0, 0.2])
def test_pictures_are_ranked_by_their_best_row(random, penalty):
    counts = random.integers(0, 4, 60)
    vectors = random.normal(size=(60, 5)).astype(np.float32)
    windows = random.normal(size=(counts.sum(), 5)).astype(np.float16)
    queries, keep = random.normal(size=(4, 5)).astype(np.float32), random.random(60) < 0.8
    index = WindowIndex(vectors, windows, counts, penalty)
    rows, distances, best = index.search(queries, 7, keep)
    for query, expected in enumerate(loop_over_rows(vectors, windows, counts, penalty, queries, keep)):
        nearest = expected[:7]
        assert rows[query].tolist() == [row for _, row, _ in nearest]
        np.testing.assert_allclose(distances[query], [distance for distance, _, _ in nearest], atol=1e-9)
        assert best[query].tolist() == [number for _, _, number in nearest]
    assert best.any() and index.search(queries, 99, keep)[0].shape == (4, keep.sum())


def test_a_window_as_near_as_the_whole_gives_way_and_pictures_at_equal_distance_keep_order():
    vectors = np.array([[0, 1], [1, 0], [1, 0]], np.float32)
    index = WindowIndex(vectors, np.array([[1, 0], [1, 0]], np.float16), np.array([1, 1, 0]), 0.0)
    rows, distances, best = index.search(np.array([[2, 0]], np.float32), 3)
    assert (rows.tolist(), distances.tolist(), best.tolist()) == ([[0, 1, 2]], [[0, 0, 0]], [[1, 0, 0]])
