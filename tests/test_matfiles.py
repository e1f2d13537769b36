"""Both versions of MATLAB's format give the same arrays."""

import h5py
import numpy as np
import pytest
import scipy.io

from zscmr import matfiles

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


def write_large(path):
    """Our own v7.3, at a size where v5 would do."""
    matfiles.write(path, {"matrix": MATRIX, "names": NAMES, "word": "cosine"}, large=24)


@pytest.mark.parametrize("write", [write_v5, write_v73, write_large])
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


def test_large_variables_become_v73_and_are_mapped(tmp_path):
    """The threshold is one of bytes: the 2×3 float32 matrix has 24. MATLAB's header stands before the HDF5 magic."""
    path = tmp_path / "a.mat"
    write_large(path)
    start = path.read_bytes()[:520]
    assert start[:10] == b"MATLAB 7.3" and start[124:128] == b"\x00\x02IM" and start[512:] == b"\x89HDF\r\n\x1a\n"
    with h5py.File(path, "r") as file:
        assert file["matrix"].attrs["MATLAB_class"] == b"single" and file["matrix"].shape == (3, 2)
        assert file["names"].attrs["MATLAB_class"] == b"cell" and file["word"].attrs["MATLAB_class"] == b"char"
    mapped = matfiles.read(path, "matrix", large=24)
    assert isinstance(mapped, np.memmap) and not isinstance(matfiles.read(path, "matrix", large=25), np.memmap)
    np.testing.assert_array_equal(mapped, MATRIX)
    matfiles.write(path, {"matrix": MATRIX}, large=25)
    assert path.read_bytes()[:10] == b"MATLAB 5.0"


def test_cells_survive_v73(tmp_path):
    cell = np.array([[["a-1.png", ""], ["Löwe 🦁", 0]]], dtype=object)
    matfiles.write(tmp_path / "a.mat", {"large": np.zeros((1, 9)), "cell": cell}, large=8)
    assert matfiles.read(tmp_path / "a.mat", "cell").tolist() == cell.tolist()
    assert matfiles.read(tmp_path / "a.mat", "large").shape == (1, 9)


def test_empty_values_keep_their_shape_in_v73(tmp_path):
    path = tmp_path / "a.mat"
    matfiles.write(path, {"large": np.ones(9), "none": [], "blank": "", "flat": np.empty((0, 3))}, large=8)
    assert matfiles.read(path, "none").shape == (0, 1) and matfiles.read(path, "flat").shape == (0, 3)
    assert matfiles.read(path, "blank") == ""


def test_writing_in_blocks_gives_the_whole_array(tmp_path):
    """72 MB, the last block a part of one: written in five blocks of 16 MiB, its rows copied in two of 64 MiB."""
    array = np.arange(18_000_000, dtype=np.int32).reshape(-1, 3)
    matfiles.write(tmp_path / "a.mat", {"x": array}, large=1)
    np.testing.assert_array_equal(matfiles.read(tmp_path / "a.mat", "x", large=1), array)
