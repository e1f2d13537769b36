"""Answers for a reader: lines, JSON, and the class that a query's folder names."""

import json
from pathlib import Path

import pytest

from zscmr.reports import grid
from zscmr.retrieval import answers
from zscmr.retrieval.hits import Answer, Hit
from zscmr.retrieval.schema import UNKNOWN

HITS = (
    Hit(0.1, "cat", "/in/cat/1.jpg", "cat/1.jpg", "1" * 16, False),
    Hit(0.3, "zebra", "", "zebra/2.jpg", "2" * 16, True, (0.25, 0.0, 0.75, 0.5)),
)


def answer(cutoff=None):
    return Answer(HITS, 2, 2, query="my.png", cutoff=cutoff)


def test_lines_are_rank_distance_class_and_name():
    table = heading, first, second = (
        "  rank   distance  class  name",
        "     1     0.1000  cat    cat/1.jpg",
        "     2     0.3000  zebra  zebra/2.jpg  (across 25-75 %, down 0-50 %)",
    )
    assert answers.lines(answer()) == ["my.png", *table]
    assert answers.lines(answer(cutoff=0.3)) == ["my.png", *table]
    assert answers.lines(answer(cutoff=0.2)) == ["my.png", heading, first, "  not very similar:", second]
    assert answers.lines(answer(), classes=False)[1:3] == ["  rank   distance  name", "     1     0.1000  cat/1.jpg"]
    assert answers.lines(answer(cutoff=0.05)) == ["my.png", "  nothing very similar; the nearest are", *table]


@pytest.mark.parametrize(("cutoff", "similar"), [(None, True), (0.2, True), (0.05, False)])
def test_json_says_whether_anything_is_similar(tmp_path, cutoff, similar):
    file = tmp_path / "answers.json"
    answers.write_answers(file, {"run": "lite0"}, [answer(cutoff)])
    content = json.loads(file.read_text())
    (query,) = content["queries"]
    assert content["run"] == "lite0"
    assert (query["query"], query["cutoff"], query["similar"]) == ("my.png", cutoff, similar)
    assert [one["distance"] for one in query["found"]] == [0.1, 0.3]
    assert [one["picture"] for one in query["found"]] == ["/in/cat/1.jpg", None]
    assert [one["box"] for one in query["found"]] == [None, [0.25, 0.0, 0.75, 0.5]]


def test_grid_brackets_what_is_not_similar(tmp_path, monkeypatch):
    grids = []
    monkeypatch.setattr(grid, "picture_grid", lambda *parts: grids.append(parts) or (0,))
    for cutoff in (None, 0.2):
        answers.draw_answers(tmp_path / "grid.png", "Sketch → photo", "2 pictures", [answer(cutoff)], [None])
    (_, _, plain, (line,), _), (_, _, marked, (marked_line,), _) = grids
    assert [cell.note for cell in line.retrieved] == ["cat\n0.100", "zebra\n0.300"]
    assert [cell.note for cell in marked_line.retrieved] == ["cat\n0.100", "zebra\n(0.300)"]
    assert [cell.box for cell in line.retrieved] == [None, (0.25, 0.0, 0.75, 0.5)]
    assert "brackets" in marked and "brackets" not in plain


def test_a_querys_folder_names_its_class():
    queries = [Path("/my/Zebra/1.png"), Path("/my/drawings/2.png")]
    assert answers.query_labels(queries, ["cat", "zebra"]) == ["zebra", None]


def test_pictures_without_a_class_are_shown_by_name(tmp_path, monkeypatch):
    """And a query whose folder names no class leaves the frames plain."""
    hits = Hit(0.1, UNKNOWN, "", "/far/my_dog.png", "1", True), Hit(0.2, "cow", "", "cow/1.png", "2", True)
    grids = []
    monkeypatch.setattr(grid, "picture_grid", lambda *words: grids.append(words) or (0,))
    answer = Answer(hits, 2, 2, query=str(tmp_path / "q.png"))
    answers.draw_answers(tmp_path / "grid.png", "Sketch → photo", "2 pictures", [answer], [None])
    (_, _, words, (line,), _) = grids[0]
    assert words.endswith("; plain frames: the queries' folders name no class of the gallery")
    assert [cell.name for cell in line.retrieved] == ["my dog", "cow"]
