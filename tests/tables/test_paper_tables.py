"""The paper's tables: numbers land where they belong, marked where they must be, and nothing is computed twice."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from conftest import CLASSES, UNSEEN, assert_same_bytes, interrupted_at, load_script, write_dataset

import paper_tables
import UxUyLoader as loader
from zscmr import literature, matfiles
from zscmr.classes import read_class_list, split_classes
from zscmr.dataset_files import FILES
from zscmr.figures import ablation
from zscmr.files import write_json
from zscmr.models import zscmr
from zscmr.models.base import Tables
from zscmr.tables import content, ground, typeset
from zscmr.tables.cells import Baselines, Measurement, Method, Rates, Training, machine

graph_script = load_script("pretrain/class_graph.py")
METRICS = ("mAP@all", "P@100", "mAP@200", "P@200", "knncode-mAP", "precision@100")


class Here:
    """Trains in this process, as the worker does in its own."""

    def __init__(self):
        self.runs = 0

    def train(self, log, append, *arguments):
        self.runs += 1
        paper_tables.train_run(*arguments)


@pytest.fixture
def wide_folder(tmp_path):
    """A dataset with enough pictures for a batch of 128."""
    return write_dataset(tmp_path / "data", per_class=30)


def plan_of(folder, seeds=2, **more):
    settings = paper_tables.Settings(data=folder, seeds=seeds, runs=folder.parent / "cells", **more)
    return paper_tables.make_plan(settings, paper_tables.chosen_methods(settings))


def fabricate(plan):
    """Writes every cell of the plan with numbers that tell where they come from: seed .1 apart, metrics .01."""
    values = {metric: 0.3 + 0.01 * place for place, metric in enumerate(METRICS)}

    def directions(extra):
        return {direction: {name: value + extra for name, value in values.items()} for direction in content.ARROWS}

    for cell in plan.cells():
        results = {"protocol": "standard", "distance": "cosine", "ties": "gallery"}
        if isinstance(cell, Baselines):
            results = {"baselines": {name: results | {"directions": directions(0)} for name in content.BASELINES}}
        else:
            run = cell.training if isinstance(cell, Measurement) else cell
            lost = 0.02 * len(dict(run.method.changes)) * (1 + run.seed)
            results["directions"] = directions(0.1 * run.seed - lost)
            results |= {"seen": directions(0.2), "harmonic": directions(0.15)}
        write_json(cell.path, {"cell": cell.identity, "seconds": 4.0, "machine": "elsewhere", **results})


def test_table_in_three_formats():
    # .1 and .2: mean .15, sample standard deviation √(2 · .05² / 1) = .0707
    table = typeset.Table(
        "toy",
        "S → I",
        "5 % of a_b",
        ("size", "mAP"),
        {"ours": {"size": "64", "mAP": typeset.Value((0.1, 0.2), "standard")}, "theirs": {"size": "8"}},
        groups=("theirs",),
    )
    assert typeset.markdown(table).splitlines()[4:] == [
        "|        | size | mAP           |",
        "| ------ | ---- | ------------- |",
        "| ours   | 64   | 0.150 ± 0.071 |",
        "| theirs | 8    | –             |",
    ]
    lines = typeset.latex(table).splitlines()
    assert r"\caption{S $\to$ I. 5 \% of a\_b}" in lines
    assert lines[lines.index(r"\midrule") + 1 :][:3] == [
        r"ours & 64 & 0.150 $\pm$ 0.071 \\",
        r"\midrule",
        r"theirs & 8 & -- \\",
    ]
    [line] = csv.DictReader(typeset.csv_lines([table]).splitlines())
    assert (line["table"], line["row"], line["column"], line["convention"]) == ("toy", "ours", "mAP", "standard")


def test_order_is_of_numbers_as_printed():
    means = {"full": 0.2051, "without a": 0.2049, "without b": 0.2056, "without c": 0.12}
    rows = {row: {"mAP": typeset.Value((mean,), "standard")} for row, mean in means.items()}
    [note] = content.order_notes(rows, ["mAP"])
    assert note == "Order of mAP: without c 0.120 < without a 0.205 = full 0.205 < without b 0.206."


def test_published_numbers_agree_with_each_other():
    """The same number stands in several of the paper's tables."""
    data = ground.PUBLISHED
    ours = next(line for line in data["comparison"] if line["method"] == "ZSCMR")
    assert len(data["comparison"]) == 19
    for name in data["datasets"]:
        across = [data["directions"][direction][name] for direction in content.ACROSS]
        assert ours[name] == across[0]
        assert data["ablation"]["zscmr"]["full"][name] == [pair[0] for pair in across]
        for line in data["comparison"]:
            assert line[name] is None or (len(line[name]) == 2 and all(0 < number < 1 for number in line[name]))


def sketchy(photos=12_500, sketches=75_481, **made):
    """A dataset with Sketchy's counts and the class names that its lists tell, and the released list's split."""
    named = sorted({name for file in literature.SPLITS.glob("sketchy-*.txt") for name in read_class_list(file)})
    classes = (*named, *(f"further class {k}" for k in range(125 - len(named))))
    sides = [loader.Modality(np.zeros((n, 1), np.float32), np.arange(n) % 125, ()) for n in (photos, sketches)]
    made = {"backbone": "vgg16", "train": "head"} | made
    dataset = loader.Dataset(None, *sides, classes, np.zeros((125, 3)), np.empty((0, 2)), made)
    return dataset, split_classes(classes, named[:25], "list", held_out_share=0)


@pytest.mark.parametrize(
    ("changed", "unseen_list", "expected"),
    [
        ({}, "sketchy-25-released", ()),
        ({"sketches": 75_471}, "sketchy-25-released", ()),
        ({"photos": 3125}, "sketchy-25-released", ("3,125 photos, where Sketchy has 12,500",)),
        ({"backbone": "squeezenet"}, "sketchy-25-released", ("backbone squeezenet, where the release has vgg16",)),
        ({"train": "nothing"}, "sketchy-25-released", ("vgg16 not trained on the dataset",)),
        ({}, "sketchy-25-sake", ("unseen list sketchy-25-sake, where the released code implies sketchy-25-released",)),
    ],
)
def test_comparability_is_derived_from_facts(changed, unseen_list, expected):
    reasons = ground.reasons_not_comparable(*sketchy(**changed), unseen_list)
    assert len(reasons) == len(expected)
    assert all(reason.startswith(start) for reason, start in zip(reasons, expected, strict=True))


def test_an_unseen_list_is_known_by_its_classes(tmp_path):
    copy = tmp_path / "unseen.txt"
    copy.write_text((literature.SPLITS / "sketchy-25-sake.txt").read_text().upper())
    assert literature.list_name(read_class_list(copy), copy.stem) == "sketchy-25-sake"
    copy.write_text("zebra\n")
    assert literature.list_name(read_class_list(copy), copy.stem) == "unseen"


def test_numbers_land_in_their_tables(dataset_folder, tmp_path):
    plan = plan_of(dataset_folder)
    fabricate(plan)
    tables = {table.name: table for table in content.all_tables(plan)}
    assert list(tables) == ["comparison", "directions", "ablation-zscmr-paper", "conventions", "codes", "generalised"]
    ours = tables["comparison"].rows["zscmr paper, ours"]
    # mAP .30 and .40 of seeds 0 and 1: mean .35, deviation .1 / √2 = .071; a toy is not Sketchy, hence the mark
    assert str(ours["data, measured: mAP@all"]) == "0.350 ± 0.071 †" and ours["size"] == "64"
    assert str(tables["comparison"].rows["SAKE"]["TU-Berlin, published: P@100"]) == "0.481"
    assert str(tables["comparison"].rows["LDA map"]["data, measured: P@100"]) == "0.310 †"
    assert tables["comparison"].footnotes()[0].startswith("† data, unseen: not comparable with the published numbers: ")
    assert str(tables["directions"].rows["zscmr tuned, ours, data"]["image→image P@100"]) == "0.360 ± 0.071 †"
    # without a term seed 0 lost .02 and seed 1 .04: mean −.03, deviation .02 / √2 = .014
    left_out = tables["ablation-zscmr-paper"].rows["without latent"]
    assert str(left_out["data, measured: S→I, change"]) == "−0.030 ± 0.014 †"
    assert str(left_out["TU-Berlin, published: I→S"]) == "0.04"
    order = "without classification 0.08 < without latent 0.13 < without triplet 0.21 < without decoder 0.34 < full"
    assert any(order in note for note in tables["ablation-zscmr-paper"].notes)
    ablation.draw_ablation(tables["ablation-zscmr-paper"], tmp_path / "chart.png")
    assert (tmp_path / "chart.png").stat().st_size > 10_000
    rows = tables["conventions"].rows
    assert str(rows["knncode: zscmr tuned, ours"]["KNNcode “mAP”"]) == "0.390 ± 0.071 †"
    assert str(rows["sake: zscmr paper, ours"]["mAP@200"]) == "0.370 ± 0.071 †"
    assert "data, measured: signs, mAP@all" not in tables["codes"].rows["zscmr released, ours"]  # 300-d: 300 signs
    assert str(tables["codes"].rows["zscmr released, ours"]["data, measured: ITQ, mAP@all"]) == "0.350 ± 0.071 †"
    assert str(tables["generalised"].rows["pcmsn: zscmr paper, ours"]["harmonic mAP@all"]) == "0.450 ± 0.000 †"


def test_every_number_of_the_csv_says_what_it_is(dataset_folder, tmp_path):
    """The leak of the features is carried into every measured line."""
    (dataset_folder / "pictures.json").write_text(json.dumps({"backbone": "small", "trained_on": list(CLASSES)}))
    plan = plan_of(dataset_folder)
    fabricate(plan)
    tables = content.all_tables(plan)
    lines = list(csv.DictReader(typeset.csv_lines(tables).splitlines()))
    measured = [line for line in lines if line["source"] == "measured"]
    assert len(measured) > 50 and all(line["convention"] and line["backbone"] == "small (trained)" for line in measured)
    assert all(line["unseen"] == "unseen" and line["comparable"].startswith("no: another") for line in measured)
    assert all(line["leaked"].startswith("the CNNs were trained on 3 of the 3 unseen") for line in measured)
    assert all(line["convention"] and line["dataset"] in content.DATASETS for line in lines if line not in measured)
    assert str(tables[0].rows["features alone"]["data, measured: mAP@all"]).endswith("†‡")
    assert any(note.startswith("‡ data, unseen: the CNNs were trained on") for note in tables[-1].footnotes())
    for table in tables:
        assert "dataset data (60 photos and 60 sketches of 10 classes), features small (trained), 12-d" in table.caption
        assert "unseen list unseen (3 classes)" in table.caption
        assert "2 seeds" in table.caption and "protocol" in table.caption


def test_further_lists_are_columns_and_equal_ones_count_once(dataset_folder, tmp_path):
    other, same = tmp_path / "other.txt", tmp_path / "same.txt"
    other.write_text("ant\ncow\n")
    same.write_text("\n".join(name.upper() for name in UNSEEN))
    plan = plan_of(dataset_folder, unseen=(other, same), presets=("paper",))
    assert [place.list_name for place in plan.grounds] == ["unseen", "other"]
    fabricate(plan)
    table = next(table for table in content.all_tables(plan) if table.name == "unseen-lists")
    ours = table.rows["other: zscmr paper, ours"]
    assert ours["unseen classes"] == "2" and ours["mAP@all"].ground is plan.grounds[1]
    assert table.rows["unseen: zscmr paper, ours"]["mAP@all"].ground is plan.main


def test_features_of_different_width_have_no_baselines(dataset_folder):
    file, key = FILES["sketch"]["features"]
    classes = matfiles.read_names(dataset_folder / file, "classes")
    matfiles.write(dataset_folder / file, {key: np.ones((60, 7), np.float32), "classes": classes})
    plan = plan_of(dataset_folder)
    fabricate(plan)
    for table in content.all_tables(plan):
        assert not any("LDA" in row or "features" in row for row in table.rows)
        assert "12 and 7-d" in table.caption and "baselines" not in table.caption


def test_a_stopped_run_goes_on_to_the_same_numbers(wide_folder, monkeypatch):
    [place] = ground.survey(loader.load_dataset(wide_folder), (), wide_folder.parent / "cells")
    cell = Training(place, Method("zscmr", "paper", (("epochs", 3),)), seed=0)
    with interrupted_at(3), pytest.raises(KeyboardInterrupt):
        cell.make(Here())
    assert cell.stored() == {} and (cell.folder / "checkpoints").exists()
    cell.make(Here())
    [elsewhere] = ground.survey(loader.load_dataset(wide_folder), (), wide_folder.parent / "elsewhere")
    whole = dataclasses.replace(cell, ground=elsewhere)
    whole.make(Here())
    assert cell.stored()["directions"] == whole.stored()["directions"]
    assert cell.stored()["seconds"] is None and whole.stored()["seconds"] > 0  # a part says nothing of the whole
    assert_same_bytes(cell.folder, whole.folder, ("unified_features.mat",))
    assert not (cell.folder / "checkpoints").exists()

    worker = Here()
    write_json(cell.path, {"cell": "of other settings"})
    cell.make(worker)  # the run is there: its scores are read, nothing is trained
    assert worker.runs == 0 and cell.stored()["directions"] == whole.stored()["directions"]
    changed = dataclasses.replace(cell, method=Method("zscmr", "paper", (("epochs", 3), ("margin", 1.0))))
    monkeypatch.setattr(Training, "folder", cell.folder)
    assert changed.stored() == {}
    changed.make(worker)  # other settings in the same place: trained anew
    assert worker.runs == 1


def test_features_made_anew_have_cells_of_their_own(tmp_path):
    folders = []
    for seed in (0, 1, 0):
        dataset = loader.load_dataset(write_dataset(tmp_path / "data", seed=seed))
        folders.append(ground.survey(dataset, (), tmp_path)[0].folder)
    assert folders[0] == folders[2] != folders[1]


def test_a_class_graph_concerns_the_cells_that_want_one(dataset_folder):
    """Written after the tables were made, and other than the tree that was taken without it: the CrossATNet with the
    graph is trained anew, in a folder of its own, whatever else is finished stays so."""
    choices = {"models": ("zscmr", "crossatnet"), "no_ablations": True}
    fabricate(plan_of(dataset_folder, **choices))
    graph_script.main(graph_script.Settings(data=dataset_folder))  # the tree that is taken where there is no file
    assert all(cell.stored() for cell in plan_of(dataset_folder, **choices).cells())
    graph_script.main(graph_script.Settings(data=dataset_folder, kind="knn"))
    plan = plan_of(dataset_folder, **choices)
    wanting = [cell for cell in plan.cells() if not cell.stored()]
    assert wanting and {cell.path for cell in wanting} == {
        cell.path for cell in plan.cells() if "crossatnet" in str(cell.path)
    }
    without = Method("crossatnet", "default", (("graph", "none"),))
    assert Training(plan.main, without, seed=0).edges == []
    fabricate(plan)
    (dataset_folder / "mst_graph.mat").unlink()
    assert all(cell.stored() for cell in plan_of(dataset_folder, **choices).cells())


def test_finished_cells_correct_the_documented_rates(dataset_folder):
    plan = plan_of(dataset_folder)
    cells = plan.trainings(plan.methods[0])
    rates = Rates()
    rates.note(cells[0], {"seconds": 1.0, "machine": "another one"})
    assert rates.expected(cells[1]) == cells[1].seconds
    rates.note(cells[0], {"seconds": 7.0, "machine": machine()})
    assert rates.expected(cells[1]) == pytest.approx(7.0)


def test_quick_plan_then_nothing_is_left(wide_folder, tmp_path, capsys, monkeypatch):
    """All of it, training in the worker's process; of the ablation one row is enough."""
    one_row = Tables(ablations={"paper": {"without latent": {"without": ("latent",)}}})
    monkeypatch.setattr(zscmr, "TABLES", one_row)
    out, cells = tmp_path / "out", tmp_path / "cells"
    settings = paper_tables.Settings(data=wide_folder, quick=True, presets=("paper",), runs=cells, out=out)
    paper_tables.main(dataclasses.replace(settings, plan=True))
    assert "11 of 11 cells missing, about 0:00:" in capsys.readouterr().out and not cells.exists()
    paper_tables.main(settings)
    told = capsys.readouterr()
    assert "11/11 zscmr-paper-epochs-3, unseen, seed 0, measured: generalised-pcmsn; " in told.out
    assert told.err == ""
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(files) == {"tables.md", "tables.tex", "tables.csv", "ablation-zscmr-paper.png"}
    text = files["tables.md"].decode()
    assert text.count("## ") == text.count("QUICK PLAN of 3 epochs a run") == 6
    paper_tables.main(settings)
    told = capsys.readouterr()
    assert "0 of 11 cells missing" in told.out and "/11 " not in told.out
    assert {path.name: path.read_bytes() for path in out.iterdir()} == files


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"presets": ("papers",)}, "--presets papers: no such preset, zscmr has paper, released, tuned"),
        ({"models": ("gan",)}, "--models: expected any of zscmr, crossatnet, pcmsn, received gan"),
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
    told = capsys.readouterr().out
    assert "class graph: the minimum spanning tree of the trained classes' vectors, by cosine (mst_graph.mat" in told
    assert f"class graph: {dataset_folder}/mst_graph.mat\n" in told
    text = (tmp_path / "tables.md").read_text(encoding="utf-8")
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    assert "| −0.030 ± 0.014" in lines["64 bits"] and "| −0.030 ± 0.014" in lines["64 bits, without hash terms"]
    assert "of “64 bits, without hash terms” against “64 bits”." in text
    assert "standard: crossatnet default 128 bits, ours" in lines and "sake: crossatnet default, ours" in lines
    assert "sake: crossatnet default 128 bits, ours" not in lines
    assert "Embeddings that are codes stand under standard, by Hamming distance, alone." in text
    assert "other: crossatnet default 64 bits, ours" in lines
