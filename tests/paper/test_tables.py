"""Numbers land where they belong, marked where they must be."""

import csv
import json

import numpy as np
import pytest
from helpers.project import CLASSES, UNSEEN
from helpers.toy_features import features_file, unseen_arrays
from helpers.toy_tables import fabricate, plan_of

from zscmr.commands import evaluate as knn_eval
from zscmr.formats import matfiles
from zscmr.formats.dataset_directory import FILES
from zscmr.paper import ablation, typeset
from zscmr.paper import tables as content
from zscmr.paper.results import DATASETS


def test_order_is_of_numbers_as_printed():
    means = {"full": 0.2051, "without a": 0.2049, "without b": 0.2056, "without c": 0.12}
    rows = {row: {"mAP": typeset.Value((mean,), "standard")} for row, mean in means.items()}
    [note] = content.order_notes(rows, ["mAP"])
    assert note == "Order of mAP: without c 0.120 < without a 0.205 = full 0.205 < without b 0.206."


def test_numbers_land_in_their_tables(dataset_folder, tmp_path):
    plan = plan_of(dataset_folder)
    fabricate(plan)
    tables = {table.name: table for table in content.all_tables(plan)}
    ablations = ["ablation-zscmr-paper", "ablation-zscmr-faithful"]
    names = ["comparison", "directions", *ablations, "conventions", "codes", "generalised"]
    assert list(tables) == [*names, "reranked", "field"]  # no name of a sketch says which photo it draws
    ours = tables["comparison"].rows["zscmr paper, ours"]
    # mAP .30 and .40 of seeds 0 and 1: mean .35, deviation .1 / √2 = .071; a toy is not Sketchy, hence the mark
    assert str(ours["data, measured: mAP@all"]) == "0.350 ± 0.071 †" and ours["size"] == "64"
    assert str(tables["comparison"].rows["SAKE"]["TU-Berlin, published: P@100"]) == "0.481"
    assert str(tables["comparison"].rows["LDA map"]["data, measured: P@100"]) == "0.310 †"
    assert tables["comparison"].footnotes()[0].startswith("† data, unseen: not comparable with the published numbers: ")
    lines = typeset.measured_lines(tables["comparison"])
    assert [" ".join(line.split()) for line in lines[:4:3]] == [
        "Sketch→image retrieval mAP@all P@100",
        "zscmr paper, ours 0.350 ± 0.071 † 0.360 ± 0.071 †",
    ]
    assert len(lines) == 3 + len(plan.methods) and not any("SAKE" in line for line in lines)
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
    # re-ranked .35 and .55: changes .05 and .15, deviation .1 / √2
    again = tables["reranked"].rows["unseen: zscmr paper, ours"]
    assert str(again["re-ranked mAP@all"]) == "0.450 ± 0.141 †" and str(again["mAP@all, change"]) == "+0.100 ± 0.071 †"
    assert (
        "gallery as a whole" in again["re-ranked P@100"].convention
        and "gallery as a whole" in tables["reranked"].notes[0]
    )


def test_the_field_says_what_was_not_checked_and_under_which_convention():
    table = content.field_table()
    for row, cells in table.rows.items():
        numbers = [value for value in cells.values() if isinstance(value, typeset.Value)]
        assert numbers and all(value.convention and value.source and 0 < value.mean < 1 for value in numbers)
        assert set(cells) <= set(table.columns) and any(note.startswith(f"{row}: ") for note in table.notes)
    assert str(table.rows["ZSE-SBIR"]["Sketchy-25 mAP@all"]) == "0.736 §"
    assert table.footnotes()[0] == "§ second-hand, not checked at its source."
    line = next(line for line in csv.DictReader(typeset.csv_lines([table]).splitlines()) if line["row"] == "DSN")
    assert line["source"].startswith("Wang et al. 2021") and "not checked" in line["source"]
    assert r"0.736 \S{}" in typeset.latex(table)


def test_runs_across_datasets_are_rows_and_their_seeds_one(dataset_folder, tmp_path, refused):
    across = "trained on one, tested on other: 2 classes that both have and the run left unseen"
    features_file(tmp_path / "a.mat", across=across)
    random = np.random.default_rng(1)
    features_file(tmp_path / "b.mat", across=across, featuresx=random.normal(size=(20, 6)))
    features_file(tmp_path / "own.mat")
    files = (tmp_path / "a.mat", tmp_path / "b.mat")
    plan = plan_of(dataset_folder, presets=("paper",), across=files)
    fabricate(plan)
    found = []
    for cell in plan.across:
        cell.make(None)
        arrays, options = unseen_arrays(cell.file), {"directions": ("sketch->image",)}
        found.append([knn_eval.evaluate(*arrays, rerank=again, **options) for again in (False, True)])
    table = next(table for table in content.all_tables(plan) if table.name == "across")
    assert list(table.rows) == [across] and "† " in table.footnotes()[0] + " "
    for again, column in enumerate(("S→I mAP@all", "S→I mAP@all, re-ranked")):
        value = table.rows[across][column]
        expected = [results[again]["directions"]["sketch->image"]["mAP@all"] for results in found]
        assert value.numbers == pytest.approx(expected) and str(value).endswith("†")
    assert "trained on one dataset, tested on another" in typeset.csv_lines([table])
    assert all(cell.stored() for cell in plan_of(dataset_folder, presets=("paper",), across=files).across)
    message = refused(plan_of, dataset_folder, across=(tmp_path / "own.mat",))
    assert message == f"--across {tmp_path / 'own.mat'}: no variable 'across', which embed.py writes"


def test_sketches_that_name_their_photo_get_a_fine_grained_table(dataset_folder):
    file, key = FILES["sketch"]["names"]
    cell = np.array([[f"{name}_{k}-1.png" for k in range(6)] for name in CLASSES], dtype=object)
    matfiles.write(dataset_folder / file, {key: cell, "classes": CLASSES})
    plan = plan_of(dataset_folder, presets=("paper",))
    fabricate(plan)
    table = next(table for table in content.all_tables(plan) if table.name == "instances")
    row = table.rows["zscmr paper, ours"]
    assert (
        str(row["photos of its class: acc@1"]) == "0.550 ± 0.071 †"
        and str(row["all photos: mean rank"]) == "0.6 ± 0.1 †"
    )
    assert "acc@1 among them is 0.167 by chance" in table.notes[0]


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
    datasets = {*DATASETS, "QuickDraw"}
    assert all(line["convention"] and line["dataset"] in datasets for line in lines if line not in measured)
    assert str(tables[0].rows["features alone"]["data, measured: mAP@all"]).endswith("†‡")
    *tables, _ = tables  # the last is of published numbers alone
    assert any(note.startswith("‡ data, unseen: the CNNs were trained on") for note in tables[-1].footnotes())
    for table in tables:
        assert "dataset data (60 photos and 60 sketches of 10 classes), features small (trained), 12-d" in table.caption
        assert "unseen list unseen (3 classes)" in table.caption or table.name == "reranked"
        assert "2 seeds" in table.caption and "protocol" in table.caption


def test_further_lists_are_columns_and_equal_ones_count_once(dataset_folder, tmp_path):
    other, same = tmp_path / "other.txt", tmp_path / "same.txt"
    other.write_text("ant\ncow\n")
    same.write_text("\n".join(name.upper() for name in UNSEEN))
    plan = plan_of(dataset_folder, unseen=(other, same), presets=("paper",))
    assert [surveyed.list_name for surveyed in plan.grounds] == ["unseen", "other"]
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
    for table in content.all_tables(plan)[:-1]:
        assert not any("LDA" in row or "features" in row for row in table.rows)
        assert "12 and 7-d" in table.caption and "baselines" not in table.caption
