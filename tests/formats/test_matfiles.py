"""Both versions of MATLAB's format give the same arrays, of the kind asked for; rows are kept beside columns."""

import multiprocessing
import os
import struct

import h5py
import numpy as np
import pytest
import scipy.io

from zscmr.formats import matfiles
from zscmr.utils import files

NUMBERS = np.array([[1.5, -2.0, 3.0], [4.0, 5.0, -6.25]])
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


@pytest.mark.slow
def test_writing_in_blocks_gives_the_whole_array(tmp_path):
    """72 MB, the last block a part of one: written in five blocks of 16 MiB, its rows copied in two of 64 MiB."""
    array = np.arange(18_000_000, dtype=np.int32).reshape(-1, 3)
    matfiles.write(tmp_path / "a.mat", {"x": array}, large=1)
    np.testing.assert_array_equal(matfiles.read(tmp_path / "a.mat", "x", large=1), array)


# What a caller expects of a variable


@pytest.mark.parametrize("large", [1, matfiles.LARGE], ids=["v7.3", "v5"])
def test_another_kind_of_variable_is_refused_by_name(tmp_path, large, refused):
    path = tmp_path / "a.mat"
    cell = np.array([["a", 7], [NUMBERS, ""]], dtype=object)
    matfiles.write(path, {"n": NUMBERS, "t": "word", "c": cell, "names": ["ant", "bee"]}, large)
    np.testing.assert_array_equal(matfiles.read_numbers(path, "n"), NUMBERS)
    np.testing.assert_array_equal(matfiles.read_numbers(path, "n", (None, 3)), NUMBERS)
    assert matfiles.read_cell(path, "c").shape == (2, 2) and matfiles.read_names(path, "names") == ["ant", "bee"]
    assert matfiles.read_names(path, "t") == ["word"]
    start, numbers = f"{path}: '{{}}' should be {{}}, received {{}}", "an array of numbers"
    for function, arguments, expected in (
        (matfiles.read_numbers, ("t",), start.format("t", numbers, "text")),
        (matfiles.read_numbers, ("c",), start.format("c", numbers, "a cell of 2 × 2")),
        (
            matfiles.read_numbers,
            ("n", (None, 2)),
            start.format("n", numbers + " of n × 2", "float64 of 2 × 3"),
        ),
        (matfiles.read_numbers, ("n", (6,)), start.format("n", numbers + " of 6", "float64 of 2 × 3")),
        (matfiles.read_cell, ("n",), start.format("n", "a cell", "float64 of 2 × 3")),
        (matfiles.read_cell, ("t",), start.format("t", "a cell", "text")),
        (matfiles.read_names, ("n",), start.format("n", "a cell of names", "float64 of 2 × 3")),
        (matfiles.read_names, ("c",), start.format("c", "a cell of names", "a cell that holds the number 7")),
    ):
        assert refused(function, path, *arguments) == expected


@pytest.mark.parametrize("large", [1, matfiles.LARGE], ids=["v7.3", "v5"])
def test_one_text_is_a_text_however_it_is_stored(tmp_path, large, refused):
    path = tmp_path / "a.mat"
    cells = {key: np.array([row], object) for key, row in {"c": ["cosine"], "two": ["a", "b"], "seven": [7.0]}.items()}
    matfiles.write(path, {"t": "cosine ", "none": "", "n": NUMBERS, **cells}, large)
    assert matfiles.read_text(path, "t") == matfiles.read_text(path, "c") == "cosine"
    assert matfiles.read_text(path, "none") == ""
    for key, received in (("n", "float64 of 2 × 3"), ("two", "a cell of 1 × 2"), ("seven", "a cell of 1 × 1")):
        assert refused(matfiles.read_text, path, key) == f"{path}: '{key}' should be a text, received {received}"


def test_letters_in_a_row_or_a_column_are_a_text(tmp_path):
    for number, shape in enumerate([(1, 6), (6, 1)]):
        letters = np.array(list("cosine")).reshape(shape)
        scipy.io.savemat(tmp_path / "v5.mat", {"t": letters}, appendmat=False)
        assert matfiles.read_text(tmp_path / "v5.mat", "t") == "cosine"
        with h5py.File(tmp_path / f"{number}.mat", "w") as file:
            file["t"] = np.vectorize(ord)(letters).astype(np.uint16)
            file["t"].attrs["MATLAB_class"] = np.bytes_("char")
        assert matfiles.read_text(tmp_path / f"{number}.mat", "t") == "cosine"


@pytest.mark.parametrize("large", [1, matfiles.LARGE], ids=["v7.3", "v5"])
def test_a_logical_is_bool_and_numbers_are_not(tmp_path, large):
    mask = np.array([[True, False, True]])
    matfiles.write(tmp_path / "a.mat", {"mask": mask, "numbers": mask.astype(np.uint8)}, large)
    read = matfiles.read(tmp_path / "a.mat", "mask")
    assert read.dtype == bool and read.tolist() == mask.tolist()
    assert matfiles.read(tmp_path / "a.mat", "numbers").dtype == np.uint8


def test_complex_numbers_and_rows_of_text_are_no_real_numbers(tmp_path, refused):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"wave": NUMBERS + 1j, "rows": np.array(["ab", "cd"])}, appendmat=False)
    assert "received complex128 of 2 × 3" in refused(matfiles.read_numbers, path, "wave")
    assert "received 2 rows of text" in refused(matfiles.read_numbers, path, "rows")


# Rows kept beside a column-major file


@pytest.fixture
def columns(tmp_path):
    """A v7.3 file, as written for features above 2 GB: (path, its array)."""
    value = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    matfiles.write(tmp_path / "imagematnew.mat", {"feature": value}, large=1)
    return tmp_path / "imagematnew.mat", value


def rows_files(path):
    return sorted(path.parent.glob("*.rows.npy"))


def check_rows(array, value):
    assert isinstance(array, np.memmap) and array.flags.c_contiguous and not array.flags.writeable
    assert array.dtype == value.dtype
    np.testing.assert_array_equal(array, value)


def test_rows_are_written_in_blocks_once_and_used_again(columns, monkeypatch):
    path, value = columns
    monkeypatch.setattr(matfiles, "_BLOCK", 100)  # three rows of 28 bytes
    check_rows(matfiles.row_major(path, "feature"), value)
    (rows,) = rows_files(path)
    assert rows.name.startswith("imagematnew.feature.") and rows.parent == path.parent
    content = bytearray(rows.read_bytes())
    content[-4:] = struct.pack("<f", 9.0)
    rows.write_bytes(content)
    monkeypatch.setattr(matfiles, "read", None)  # the .mat file is not read a second time
    assert matfiles.row_major(path, "feature")[-1, -1] == 9
    assert [name.name for name in path.parent.iterdir() if name.name.startswith(".part-")] == []


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"ten bytes!"])
def test_a_damaged_copy_is_made_anew(columns, damage):
    path, value = columns
    matfiles.row_major(path, "feature")
    (rows,) = rows_files(path)
    content = rows.read_bytes()
    rows.write_bytes(damage or content[:-4])
    check_rows(matfiles.row_major(path, "feature"), value)
    assert rows_files(path) == [rows] and rows.read_bytes() == content


def test_rows_of_another_version_are_replaced_and_other_files_are_not(columns):
    path, value = columns
    matfiles.row_major(path, "feature")
    (old,) = rows_files(path)
    others = [path.with_name(name) for name in ("imagematnew.feature.mine.rows.npy", "sketchmatnew" + old.name[11:])]
    for file in others:
        file.write_bytes(b"")
    matfiles.write(path, {"feature": 2 * value}, large=1)
    os.utime(path, ns=(1, 1))  # within the clock's resolution the time of modification may be the same
    check_rows(matfiles.row_major(path, "feature"), 2 * value)
    assert not old.exists() and len(rows_files(path)) == 3 and all(file.exists() for file in others)


def test_the_same_size_and_time_with_another_content_is_another_version(columns):
    path, value = columns
    os.utime(path, ns=(1, 1))
    check_rows(matfiles.row_major(path, "feature"), value)
    size = path.stat().st_size
    matfiles.write(path, {"feature": -value}, large=1)
    os.utime(path, ns=(1, 1))
    assert path.stat().st_size == size
    check_rows(matfiles.row_major(path, "feature"), -value)


@pytest.mark.parametrize("write", ["v5", "deflated"])
def test_rows_are_kept_of_files_that_cannot_be_mapped(tmp_path, write):
    value = np.arange(60, dtype=">f8").reshape(12, 5)
    path = tmp_path / "a.mat"
    if write == "v5":
        matfiles.write(path, {"feature": value})
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("feature", data=value.T, chunks=(2, 2), compression="gzip")
    check_rows(matfiles.row_major(path, "feature"), value.astype("=f8"))


def test_without_room_for_rows_the_columns_are_returned_with_a_warning(columns, monkeypatch, capsys):
    path, value = columns

    def full(file):
        raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr(files, "whole_file", full)
    array = matfiles.row_major(path, "feature")
    np.testing.assert_array_equal(array, value)
    assert isinstance(array, np.memmap) and rows_files(path) == []
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {path.parent}: cannot keep the rows of 'feature' (No space left on device)")


def test_rows_of_text_or_of_nothing(tmp_path, refused):
    path = tmp_path / "a.mat"
    matfiles.write(path, {"word": "cosine", "none": np.empty((0, 3))})
    assert "'word' should be an array of numbers, received text" in refused(matfiles.row_major, path, "word")
    assert matfiles.row_major(path, "none").shape == (0, 3) and rows_files(path) == []


def sum_of_rows(path, barrier, results):
    barrier.wait()
    results.put(float(matfiles.row_major(path, "feature").sum(dtype=np.float64)))


@pytest.mark.slow
def test_processes_that_start_at_once_share_one_copy(columns):
    path, value = columns
    spawn = multiprocessing.get_context("spawn")
    barrier, results = spawn.Barrier(3), spawn.Queue()
    workers = [spawn.Process(target=sum_of_rows, args=(path, barrier, results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    sums = [results.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
    assert sums == [float(value.sum(dtype=np.float64))] * 3 and len(rows_files(path)) == 1
