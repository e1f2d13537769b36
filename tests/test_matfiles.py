"""Both versions of MATLAB's format give the same arrays."""

import h5py
import numpy as np
import pytest
import scipy.io

import matfiles

MATRIX = np.arange(6, dtype=np.float32).reshape(2, 3)
NAMES = ["hot air balloon", "Löwe", "zebra"]


def write_v73(path):
    """What MATLAB's `save -v7.3` writes: a user block, reversed axes, strings as UTF-16 codes, cells as references."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file["matrix"] = MATRIX.T
        file["matrix"].attrs["MATLAB_class"] = np.bytes_("single")
        references = []
        for number, name in enumerate(NAMES):
            item = file.create_dataset(f"#refs#/{number}", data=np.array([[ord(c)] for c in name], np.uint16))
            item.attrs["MATLAB_class"] = np.bytes_("char")
            references.append(item.ref)
        cell = file.create_dataset("names", data=np.array([references], dtype=h5py.ref_dtype))
        cell.attrs["MATLAB_class"] = np.bytes_("cell")
        word = file.create_dataset("word", data=np.array([[ord(c)] for c in "cosine"], np.uint16))
        word.attrs["MATLAB_class"] = np.bytes_("char")


def write_v5(path):
    matfiles.write(path, {"matrix": MATRIX, "names": NAMES, "word": "cosine"})


@pytest.mark.parametrize("write", [write_v5, write_v73])
def test_reads_matrix_cell_and_text(tmp_path, write):
    path = tmp_path / "a.mat"
    write(path)
    assert sorted(matfiles.keys(path)) == ["matrix", "names", "word"]
    np.testing.assert_array_equal(matfiles.read(path, "matrix"), MATRIX)
    assert matfiles.read(path, "names").shape == (3, 1)
    assert matfiles.read_names(path, "names") == NAMES
    assert matfiles.read(path, "word") == "cosine"


def test_padding_of_cells_survives(tmp_path):
    """The released names files pad short rows with the number 0."""
    cell = np.array([["a.png", "b.png"], ["c.png", 0]], dtype=object)
    matfiles.write(tmp_path / "a.mat", {"data3": cell})
    assert matfiles.read(tmp_path / "a.mat", "data3").tolist() == [["a.png", "b.png"], ["c.png", 0]]


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.mat"
    matfiles.write(path, {"matrix": MATRIX})
    with pytest.raises(TypeError):
        matfiles.write(path, {"matrix": object()})
    np.testing.assert_array_equal(scipy.io.loadmat(path)["matrix"], MATRIX)
    assert [file.name for file in tmp_path.iterdir()] == ["a.mat"]


def test_bad_files_are_named(tmp_path, refused):
    path = tmp_path / "a.mat"
    assert "no such file" in refused(matfiles.read, path, "x")
    path.write_bytes(b"ten bytes!")
    assert str(path) in refused(matfiles.read, path, "x")
    write_v5(path)
    assert refused(matfiles.read, path, "x") == f"{path}: no variable 'x', the file has matrix, names, word"
