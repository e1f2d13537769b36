"""The command that writes the index of two picture trees, and compares it with the released one."""

import numpy as np
import pytest
from helpers.toy_trees import PHOTOS, SKETCHES, plant

from zscmr.commands import index_files
from zscmr.formats import matfiles


@pytest.mark.slow
def test_released_index_agrees_where_it_is_right(real_data, tmp_path, capsys):
    """A tree of empty files with the released names, in the class folders of the slice. 12,500 photos and 75,481
    sketches agree; dataset2.mat counts right but gives each photo one name only, mostly of another photo's sketch."""
    out = tmp_path / "out"
    classes = sorted(folder.name for folder in (real_data / "sketchy-mini/photo").iterdir())
    for modality, (file, key) in (("photo", ("names_images.mat", "data")), ("sketch", ("names_sketches.mat", "data3"))):
        for name, row in zip(classes, matfiles.read(real_data / "released" / file, key), strict=True):
            (tmp_path / modality / name).mkdir(parents=True)
            for entry in row:
                if isinstance(entry, str):
                    (tmp_path / modality / name / entry).touch()
            slice_names = {path.name for path in (real_data / "sketchy-mini" / modality / name).iterdir()}
            assert slice_names <= set(row), f"{name} is not the class of this row"
    trees = {"photos": tmp_path / "photo", "sketches": tmp_path / "sketch"}
    index_files.main(index_files.Settings(**trees, out=out, against=real_data / "released"))
    output = capsys.readouterr().out.splitlines()
    report = [line.split(".mat: ")[1] for line in output if line.startswith(str(real_data))]
    assert report == [
        "125 of 125 lists are as long as here, 12,500 of 12,500 names agree",
        "125 of 125 lists are as long as here, 75,481 of 75,481 names agree",
        "12,500 of 12,500 lists are as long as here, 125 of 75,481 names agree",
        "12,500 of 12,500 photos with several sketches name one and the same sketch in every slot",
    ]
    for file, key in (("names_images.mat", "data"), ("names_sketches.mat", "data3")):
        ours, theirs = matfiles.read(out / file, key), matfiles.read(real_data / "released" / file, key)
        np.testing.assert_array_equal(ours, theirs)
    assert matfiles.read(out / "dataset2.mat", "datamat2").shape == (125, 100, 18)


def test_written_files_are_listed_and_compared_with_those_of_another_directory(tmp_path, capsys):
    plant(tmp_path, "photo", PHOTOS)
    plant(tmp_path, "sketch", SKETCHES)
    trees = {"photos": tmp_path / "photo", "sketches": tmp_path / "sketch"}
    index_files.main(index_files.Settings(**trees, out=tmp_path / "one"))
    first, second, third = (
        tmp_path / "one" / name for name in ("names_images.mat", "names_sketches.mat", "dataset2.mat")
    )
    assert capsys.readouterr().out.splitlines() == [f"wrote {path}" for path in (first, second, third)]
    third.unlink()
    index_files.main(index_files.Settings(**trees, out=tmp_path / "two", against=tmp_path / "one"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"{first}: 5 of 5 lists are as long as here, 10 of 10 names agree" and len(lines) == 5
