"""Killed at random moments and started again, a job ends with the same bytes; ZSCMR_KILLS=N kills each job N times.

Moments are uniform over the time of an undisturbed run. A job is killed again and again until it ends by itself or the
N kills are spent, then compared, then begun anew. Moments that matter are hit one by one in
`tests/training/stage1/test_dataset.py` and `tests/commands/test_train.py`.
"""

import os
import random
import shutil

import pytest
from helpers import toy_gallery
from helpers.project import RUN_FILES, assert_same_bytes, posix
from helpers.small_project import make_project, pictures
from helpers.started_command import command, finish, kill_after

from zscmr.retrieval.table import Table

KILLS, SEED = int(os.environ.get("ZSCMR_KILLS", "1")), int(os.environ.get("ZSCMR_KILLS_SEED", "0"))
pytestmark = [pytest.mark.slow, posix]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = make_project(tmp_path_factory.mktemp("work"))
    toy_gallery.write_files(folder / "toy", 300)
    return folder


def stage_1(*flags):
    return lambda work, to: command("pretrain", *pictures(work), "--backbone", "small", *flags, "--out", to / "out")


def stage_2(work, to):
    run = to / "run"
    if (run / "config.json").exists():
        return command("train", "--path", run, "--resume")
    return command("train", "--data", work / "data", "--epochs", 30, "--batch-size", 6, "--dim", 5, "--path", run)


def other_dataset(work, to):
    """embed.py, which exports the encoders of the run first."""
    if not (to / "run").exists():
        shutil.copytree(work / "run", to / "run")
    return command("embed", "--run", to / "run", *pictures(work), "--out", to / "embeddings.mat")


def gallery(work, to):
    return [toy_gallery.__file__, to / "gallery", work / "toy", 1e-3, 20]


def every_file(first, second):
    files = {file.relative_to(first) for file in first.rglob("*") if file.is_file()}
    assert files == {file.relative_to(second) for file in second.rglob("*") if file.is_file()}
    return files


def same_dataset(work, complete, parts):
    assert_same_bytes(complete, parts, every_file(complete, parts))


def same_run(work, complete, parts):
    graphs = [f"encoders/{kind}.tflite" for kind in ("photo", "sketch")]
    assert_same_bytes(complete / "run", parts / "run", (*RUN_FILES, *graphs))


def same_embeddings(work, complete, parts):
    every_file(complete, parts)
    graphs = [f"run/encoders/{kind}.tflite" for kind in ("photo", "sketch")]
    assert_same_bytes(complete, parts, ("embeddings.mat", *graphs))


def same_pictures(work, complete, parts):
    toy_gallery.check_complete(Table.open(parts / "gallery", toy_gallery.IDENTITY), work / "toy")


#: name -> (words that begin it or go on with it, check of a killed one against an undisturbed one)
JOBS = {
    "stage I, joint": (stage_1("--train", "joint", "--epochs", 6, "--held-out", 0.34), same_dataset),
    "stage I, frozen": (stage_1("--freeze", "--batch-size", 1), same_dataset),
    "stage II": (stage_2, same_run),
    "embed.py": (other_dataset, same_embeddings),
    "gallery": (gallery, same_pictures),
}


@pytest.mark.parametrize("job", JOBS)
def test_killed_at_random_moments_a_job_ends_with_the_same_bytes(work, tmp_path, job):
    begin, check = JOBS[job]
    draw, count, number = random.Random(f"{SEED} {job}"), 0, 0
    (tmp_path / "whole").mkdir()
    seconds = finish(begin(work, tmp_path / "whole"))
    while count < KILLS:
        parts, number, killed = tmp_path / f"parts{number}", number + 1, True
        parts.mkdir()
        while killed and count < KILLS:
            killed = kill_after(begin(work, parts), draw.uniform(0, seconds))
            count += killed
        if killed:
            finish(begin(work, parts))
        check(work, tmp_path / "whole", parts)
    print(f"{job}: {count} kills in {number} jobs of {seconds:.1f} s")
