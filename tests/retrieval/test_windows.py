"""Galleries of photos with windows: every picture once, by its best row, in memory and in the table."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from helpers.toy_gallery import DIM, ToyEncoder, check_complete, vector_of, write_files

from zscmr.inference.windows import Windows
from zscmr.retrieval import Filter, Identity, Searcher, Table, TableIndex
from zscmr.retrieval.encoder import windows_of
from zscmr.retrieval.schema import File, rows

WINDOWS = Windows("fast", 32, 4, ((2, 2),), 0.1)  # four windows, the quarters
IDENTITY = Identity(DIM, "cosine", "toy", WINDOWS)
WHOLE = dataclasses.replace(IDENTITY, windows=None)


class WindowedEncoder(ToyEncoder):
    """The vector of window w of a picture is drawn from its content and w."""

    def embed_windows(self, paths, windows, step=None, notice=None):
        vectors, readable = self.embed(paths, step)
        parts = [[window_of(path, w) for w in range(windows.count)] for path in paths]
        return np.concatenate([vectors[:, None], np.array(parts)], 1), readable


def window_of(path, number):
    return vector_of(Path(path).read_bytes() + bytes([number]))


def best_rows(vectors, windows, query, penalty=WINDOWS.penalty):
    """(distances (n,), best rows (n,)) of one query by float64 loops over (n, 1 + k, dim)."""
    all_rows = np.concatenate([vectors[:, None], windows], 1).astype(np.float64)
    unit = all_rows / np.linalg.norm(all_rows, axis=2, keepdims=True)
    apart = 1 - unit @ (query / np.linalg.norm(query))
    apart[:, 1:] += penalty
    return apart.min(1), apart.argmin(1)


def test_pictures_are_counted_and_found_once(tmp_path):
    write_files(tmp_path / "in", 20)
    table = Table.open(tmp_path / "g", IDENTITY)
    assert table.update("photo", tmp_path / "in", WindowedEncoder()).added == 20
    check_complete(table, tmp_path / "in")
    assert table.count("photo") == table.counts("photo").pictures == 20
    assert table.count("photo", Filter(classes=("bee",))) == 10
    pictures = table.pictures("photo")
    assert pictures.windows.shape == (80, DIM) and pictures.window_counts.tolist() == [4] * 20
    searcher = Searcher(table, lambda kind: WindowedEncoder())
    query = window_of(pictures.paths[7], 3)
    answer = searcher.search_vectors(query[None], top=20)[0]
    assert len({hit.id for hit in answer}) == len(answer) == answer.searched == 20
    assert answer[0].path == pictures.paths[7] and answer[0].box == (0.5, 0.5, 1.0, 1.0)
    assert answer[0].distance == pytest.approx(WINDOWS.penalty, abs=1e-5)  # halves of digits
    whole = searcher.search_vectors(pictures.vectors[7][None], top=1)[0][0]
    assert (whole.path, whole.box) == (pictures.paths[7], None) and whole.distance == pytest.approx(0, abs=1e-12)
    assert searcher.like(whole.id, top=20)[0].id != whole.id and len(searcher.like(whole.id, top=20)) == 19


def test_changed_gone_and_new_pictures_follow_the_folder(tmp_path):
    write_files(tmp_path / "in", 6)
    table = Table.open(tmp_path / "g", IDENTITY)
    table.update("photo", tmp_path / "in", WindowedEncoder())
    (tmp_path / "in/ant/00000.png").write_text("changed, longer than before")
    (tmp_path / "in/bee/00001.png").unlink()
    write_files(tmp_path / "in", 1, start=6)
    encoder = WindowedEncoder()
    done = table.update("photo", tmp_path / "in", encoder)
    assert (done.added, done.kept, done.removed) == (2, 4, 2) and len(encoder.embedded) == 2
    check_complete(table, tmp_path / "in")
    assert table.pictures("photo").window_counts.tolist() == [4] * 6
    table.update("sketch", tmp_path / "in", WindowedEncoder())  # sketches have none
    assert table.pictures("sketch").window_counts.tolist() == [0] * 6
    assert Searcher(table, None).search_vectors(np.ones((1, DIM)), "sketch", top=9)[0][0].box is None


def test_a_gallery_keeps_its_windows(tmp_path, refused):
    for name, identity in (("windowed", IDENTITY), ("whole", WHOLE)):
        Table.open(tmp_path / name, identity)
    assert Table.open(tmp_path / "windowed", WHOLE).identity == IDENTITY
    assert Table.open(tmp_path / "whole", IDENTITY).identity == WHOLE
    assert Table.open(tmp_path / "windowed", WHOLE, mode="fast").identity == IDENTITY
    message = refused(Table.open, tmp_path / "windowed", WHOLE, mode="0")
    assert f"--windows 0: the pictures of {tmp_path / 'windowed'} have fast windows; leave --windows out" in message
    assert "have no windows" in refused(Table.open, tmp_path / "whole", IDENTITY, mode="fast")


def test_an_old_gallery_is_searched_and_added_to_as_before(tmp_path):
    """Its metadata and columns are those of before there were windows."""
    table = Table.open(tmp_path / "g", WHOLE)
    schema = table.table().schema
    recorded = json.loads(schema.metadata[b"zscmr"])
    assert "windows" not in schema.names and recorded == {
        "format": 1, "dim": DIM, "distance": "cosine", "digest": "toy"
    }  # fmt: skip
    write_files(tmp_path / "in", 3)
    reopened = Table.open(tmp_path / "g", IDENTITY)
    reopened.update("photo", tmp_path / "in", ToyEncoder())  # has no `embed_windows`
    check_complete(reopened, tmp_path / "in")


def random_table(folder, count, without=5):
    """A table of random photos whose first `without` have no windows, and their (vectors, windows)."""
    random = np.random.default_rng(0)
    every = random.normal(size=(count, 5, DIM))
    every[:, 1:] = every[:, 1:].astype(np.float16)
    every[:without, 1:] = every[:without, :1].astype(np.float16)  # as far as the whole, and the penalty more
    files = [File(f"/photos/{number}", ("ant", "bee")[number % 2]) for number in range(count)]

    def first():
        yield rows(IDENTITY, "photo", files[:without], [False] * without, every[:without, 0])
        yield rows(IDENTITY, "photo", files[without:], [True] * (count - without), every[without:])

    return Table.open(folder, IDENTITY, first), np.float32(every[:, 0]), every[:, 1:]


@pytest.mark.parametrize("way", ["memory", "scan", "index"])
def test_every_way_of_search_ranks_by_the_best_row(tmp_path, way):
    table, vectors, windows = random_table(tmp_path / "g", 600)
    queries = np.random.default_rng(1).normal(size=(5, DIM)).astype(np.float32)
    if way == "memory":
        answers = Searcher(table, None).search_vectors(queries, top=8)
    else:
        index = TableIndex(table, "photo", least=100)
        assert way == "scan" or index.recall() >= 0.95
        answers = index.search(queries, top=8, exact=way == "scan")
    shared = 0
    for query, answer in zip(queries, answers, strict=True):
        distances, best = best_rows(vectors, windows, query)
        for hit in answer:
            row = int(hit.path.rpartition("/")[2])
            assert hit.distance == pytest.approx(distances[row], abs=1e-6)
            assert hit.box == (tuple(WINDOWS.boxes()[best[row] - 1]) if best[row] else None)
        expected = np.argsort(distances, kind="stable")[:8]
        found = [int(hit.path.rpartition("/")[2]) for hit in answer]
        assert way == "index" or found == expected.tolist()
        shared += len({*found} & {*expected.tolist()})
        assert len({*found}) == 8
    assert shared >= 0.9 * 8 * 5


def test_filters_hold_for_windows(tmp_path):
    table, *_ = random_table(tmp_path / "g", 300)
    filters = Filter(classes=("bee",), unseen=True)
    query = np.ones((1, DIM), np.float32)
    in_memory = Searcher(table, None).search_vectors(query, top=9, filters=filters)[0]
    in_table = TableIndex(table, "photo", least=100).search(query, 9, filters)[0]
    assert in_memory.searched == in_table.searched == 148
    assert {hit.class_name for hit in in_memory} == {hit.class_name for hit in in_table} == {"bee"}
    assert in_memory[0].id == in_table[0].id


def test_modes_of_an_encoder(tmp_path, refused):
    entry = {"sha256": "", "size": 28, "resample": 2, "crop": "squash", "fraction": 1.0, "shrink": None, "dim": DIM}
    about = {"photo": entry | {"windows": [WINDOWS.record()]}, "sketch": entry}
    about |= {"classes": {"seen": [], "held_out": []}}
    (tmp_path / "about.json").write_text(json.dumps(about))
    assert windows_of(tmp_path) == windows_of(tmp_path, "fast") == WINDOWS
    assert windows_of(tmp_path, "0") is None
    assert refused(windows_of, tmp_path, "thorough").endswith("embeds no such windows (its modes: 0, fast)")
    about["photo"]["windows"][0]["sides"] = [[9, 1]]
    (tmp_path / "about.json").write_text(json.dumps(about))
    assert "about.json: 'windows': expected windows within the maps" in refused(windows_of, tmp_path)
    (tmp_path / "about.json").write_text(json.dumps(about | {"photo": entry}))
    assert windows_of(tmp_path) is None and "(it has none)" in refused(windows_of, tmp_path, "fast")
