"""The command that PCMSN's users know: trains, loads what it trained, and says what is missing."""

import json

import pytest
from helpers.project import write_dataset

pytest.importorskip("tensorflow")


@pytest.mark.slow
def test_trains_and_tests_the_run_it_made(script, tmp_path):
    write_dataset(tmp_path / "data/tuberlin")
    done = script("ys_tip.py", "--dataset", "TU-Berlin", "--epochs", 1, cwd=tmp_path)
    assert (
        "$ python Unified_XY_triads.py --model pcmsn --preset tuberlin --epochs 1 --data data/tuberlin" in done.stdout
    )
    config = json.loads((tmp_path / "runs/0001/config.json").read_text())
    assert (config["settings"]["preset"], config["settings"]["dim"]) == ("tuberlin", 64)
    trained = next(line for line in done.stdout.splitlines()[::-1] if "sketch->image" in line)
    newest = script("ys_tip.py", "--dataset", "TU-Berlin", "--test", cwd=tmp_path)
    named = script("ys_tip.py", "--dataset", "TU-Berlin", "--test", "--path", "runs/0001", cwd=tmp_path)
    assert newest.stdout == named.stdout
    tested = next(line for line in named.stdout.splitlines() if "sketch->image" in line)
    assert tested.split()[1] == trained.split()[1]  # mAP@all
    other = script("ys_tip.py", "--dataset", "Sketchy", "--test", cwd=tmp_path, status=2)
    assert other.stderr.endswith(
        "runs: no complete run of pcmsn on data/sketchy; python ys_tip.py --dataset Sketchy makes one\n"
    )


@pytest.mark.parametrize(
    ("dataset", "missing", "remedy"),
    [
        ("Sketchy", "data/sketchy/imagematnew.mat", "--unseen data/splits/sketchy-25-sempcyc.txt --backbone vgg16"),
        ("TU-Berlin", "data/tuberlin/imagematnew.mat", "--unseen data/splits/tuberlin-30-sake.txt --backbone vgg16"),
        ("TU-Berlin", "data/tuberlin/wv_embeddings.mat", "python pretrain/word_vectors.py --data data/tuberlin"),
    ],
)
def test_missing_data_is_one_line(script, tmp_path, dataset, missing, remedy):
    if "wv_embeddings" in missing:
        write_dataset(tmp_path / "data/tuberlin")
        (tmp_path / missing).unlink()
    done = script("ys_tip.py", "--dataset", dataset, cwd=tmp_path, status=2)
    assert done.stderr.count("\n") == 1 and f"{missing}: no such file; python pretrain/" in done.stderr
    assert remedy in done.stderr and not (tmp_path / "runs").exists()
