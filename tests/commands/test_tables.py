"""The command: a plan, then everything in it, once; bad input before any of it."""

import dataclasses

import numpy as np
import pytest
from helpers.project import CLASSES, load_script, write_dataset
from helpers.toy_tables import fabricate, plan_of

from zscmr.commands import tables as paper_tables
from zscmr.formats import matfiles
from zscmr.models import zscmr
from zscmr.models.presets import Tables

graph_script = load_script("pretrain/class_graph.py")


@pytest.mark.slow
def test_quick_plan_then_nothing_is_left(wide_folder, tmp_path, capsys, monkeypatch):
    """All of it, training in the worker's process; of the ablation one row is enough."""
    one_row = Tables(ablations={"paper": {"without latent": {"without": ("latent",)}}})
    monkeypatch.setattr(zscmr, "TABLES", one_row)
    out, cells = tmp_path / "out", tmp_path / "cells"
    settings = paper_tables.Settings(data=wide_folder, quick=True, presets=("paper",), runs=cells, out=out)
    paper_tables.main(dataclasses.replace(settings, plan=True))
    assert "12 of 12 cells missing, about 0:00:" in capsys.readouterr().out and not cells.exists()
    paper_tables.main(settings)
    output = capsys.readouterr()
    last = next(line for line in output.out.splitlines() if line.startswith("12/12 "))
    assert len(last) <= 80 and " to go; zscmr-" in last and last.endswith("seed 0, measured: reranked")
    few = "only 3 unseen classes: among so few a random order scores high"
    assert output.err == f"warning: unseen list unseen: {few}\n"
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(files) == {"tables.md", "tables.tex", "tables.csv", "ablation-zscmr-paper.png"}
    text = files["tables.md"].decode()
    assert text.count("## ") == text.count("QUICK PLAN of 3 epochs a run") + 1 == 8  # one of published numbers alone
    paper_tables.main(settings)
    output = capsys.readouterr()
    assert "0 of 12 cells missing" in output.out and "/12 " not in output.out
    assert {path.name: path.read_bytes() for path in out.iterdir()} == files


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"presets": ("papers",)}, "--presets papers: no such preset, zscmr has paper, faithful, released, tuned"),
        ({"models": ("gan",)}, "--models: expected any of zscmr, aligned, identity, crossatnet, pcmsn, received gan"),
        ({"data": "nowhere"}, "nowhere: no such dataset directory"),
        ({"unseen": "zebra\n"}, "list.txt: no class 'zebra'"),
        ({"unseen": ""}, "list.txt: no class names in it"),
        ({"out": "a file"}, "--out: expected a folder, "),
        ({"runs": "a file"}, "--runs: expected a folder, "),
        ({"seeds": 0}, "--seeds should be at least 1, received 0"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(dataset_folder, tmp_path, refused, changed, expected):
    listed, file = tmp_path / "list.txt", tmp_path / "file"
    file.touch()
    if "unseen" in changed:
        listed.write_text(changed["unseen"])
        changed = {"unseen": (listed,)}
    paths = {"a file": file, "nowhere": tmp_path / "nowhere"}
    changed = {name: paths.get(value, value) if isinstance(value, str) else value for name, value in changed.items()}
    before = sorted(tmp_path.rglob("*"))
    choices = {"data": dataset_folder, "out": tmp_path / "out", "runs": tmp_path / "cells"} | changed
    assert expected in refused(lambda: paper_tables.main(paper_tables.Settings(**choices)))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_plan_knows_of_smaller_batches(tmp_path, capsys):
    """Eight classes of 25 as people have them: two unseen, two held out, 100 pictures for a batch of 128."""
    folder = write_dataset(tmp_path / "data", CLASSES[:8], per_class=25)
    (folder / "unseen.txt").write_text(f"{CLASSES[0]}\n{CLASSES[1]}\n")
    settings = paper_tables.Settings(data=folder, presets=("paper",), seeds=2, plan=True, runs=tmp_path / "cells")
    paper_tables.main(settings)
    output = capsys.readouterr().out
    assert "few pictures to train on, unseen list unseen: 32 triads a batch in place of 128\n" in output
    training = paper_tables.make_plan(settings, paper_tables.chosen_methods(settings)).cells()[1]
    assert training.identity["preset"]["batch_size"] == training.resolved[0].batch_size == 32
    assert "batch_size" not in training.options.given


def test_codes_of_crossatnet_over_two_lists(dataset_folder, tmp_path, capsys):
    """Each list says which class graph it has; codes without hash terms lose .02 and .04 more than those with them."""
    other = tmp_path / "other.txt"
    other.write_text("cow\njay\n")
    graph_script.main(graph_script.Settings(data=dataset_folder, unseen=other))
    lists = (dataset_folder / "unseen.txt", other)
    choices = {"models": ("crossatnet",), "unseen": lists}
    fabricate(plan_of(dataset_folder, **choices))
    settings = paper_tables.Settings(data=dataset_folder, seeds=2, runs=tmp_path / "cells", out=tmp_path, **choices)
    paper_tables.main(settings)
    output = capsys.readouterr().out
    shown = output.split("Sketch→image retrieval")[1].splitlines()
    assert len(shown) < 20 and all(len(line) <= 80 for line in shown if "wrote" not in line)
    assert "class graph: the minimum spanning tree of the trained classes' vectors, by cosine (mst_graph.mat" in output
    assert f"class graph: {dataset_folder}/mst_graph.mat\n" in output
    text = (tmp_path / "tables.md").read_text(encoding="utf-8")
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    assert "| −0.030 ± 0.014" in lines["64 bits"] and "| −0.030 ± 0.014" in lines["64 bits, without hash terms"]
    assert "of “64 bits, without hash terms” against “64 bits”." in text
    assert "standard: crossatnet default 128 bits, ours" in lines and "sake: crossatnet default, ours" in lines
    assert "sake: crossatnet default 128 bits, ours" not in lines
    assert "Embeddings that are codes stand under standard, by Hamming distance, alone." in text
    assert "other: crossatnet default 64 bits, ours" in lines


def test_presets_of_one_width_are_left_out_where_there_are_two(wide_folder):
    """Of the default ones; with one width they are compared, one seed of what trains nothing."""
    methods = paper_tables.chosen_methods(paper_tables.Settings(models=("zscmr", "pcmsn")))
    plan = paper_tables.make_plan(paper_tables.Settings(data=wide_folder), methods)
    aligned = next(method for method in plan.methods if method.preset == "aligned")
    assert "direct" in {method.preset for method in plan.methods} and len(plan.trainings(aligned)) == 1
    assert len(plan.trainings(plan.methods[0])) == 5
    wide = matfiles.read(wide_folder / "sketchmatnew.mat", "feature")
    matfiles.write(wide_folder / "sketchmatnew.mat", {"feature": np.concatenate([wide, wide], axis=1)})
    plan = paper_tables.make_plan(paper_tables.Settings(data=wide_folder), methods)
    assert not {"aligned", "direct", "faithful"} & {method.preset for method in plan.methods} and plan.methods
