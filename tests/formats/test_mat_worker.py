"""Damaged MAT v5 files end in BadInput of one line; valid ones are read as SciPy reads them."""

import struct
import zlib

import numpy as np
import pytest
import scipy.io

from zscmr.formats import mat_worker, matfiles

NUMBERS = np.array([[1.5, -2.0, 3.0], [4.0, 5.0, -6.25]])
INT8, UINT8, UINT16, INT32, UINT32, DOUBLE, MATRIX, COMPRESSED, UTF8, UTF16 = 1, 2, 4, 5, 6, 9, 14, 15, 16, 17
CELL, STRUCT, CHAR, SPARSE, DOUBLE_CLASS = 1, 2, 4, 5, 6


def element(kind, payload, order="<", size=None):
    """An element of a v5 file, padded to 8 bytes; `size` states another size than it has."""
    size = len(payload) if size is None else size
    return struct.pack(order + "II", kind, size) + payload + bytes(-len(payload) % 8)


def matrix(array_class, dimensions, *data, name=b"x", flags=0, order="<"):
    head = element(UINT32, struct.pack(order + "II", array_class | flags, 0), order)
    head += element(INT32, struct.pack(f"{order}{len(dimensions)}i", *dimensions), order)
    return element(MATRIX, head + element(INT8, name, order) + b"".join(data), order)


def doubles(values, order="<"):
    return element(DOUBLE, np.asarray(values, order + "f8").tobytes("F"), order)


def compressed(content, order="<"):
    body = zlib.compress(content)
    return struct.pack(order + "II", COMPRESSED, len(body)) + body


def write_v5(path, *elements, order="<"):
    mark = {"<": b"\x00\x01IM", ">": b"\x01\x00MI"}[order]
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + mark + b"".join(elements))
    return path


VALID = matrix(DOUBLE_CLASS, (2, 3), doubles(NUMBERS))

DAMAGED = {
    "code of a numeric element": matrix(DOUBLE_CLASS, (2, 3), element(77, bytes(48))),  # SIGSEGV in SciPy
    "code of a small element": matrix(DOUBLE_CLASS, (1, 1), struct.pack("<HH4x", 77, 4)),
    "too few numbers": matrix(DOUBLE_CLASS, (2, 3), element(DOUBLE, bytes(48), size=40)),
    "too many numbers": matrix(DOUBLE_CLASS, (2, 3), element(DOUBLE, bytes(48), size=56)),
    "4 GB of numbers": matrix(DOUBLE_CLASS, (2, 3), element(DOUBLE, bytes(48), size=2**32 - 1)),
    "numbers of half the size": matrix(DOUBLE_CLASS, (2, 3), element(INT32, bytes(48))),
    "no imaginary part": matrix(DOUBLE_CLASS, (2, 3), doubles(NUMBERS), flags=0x800),
    "unknown class": matrix(77, (2, 3), doubles(NUMBERS)),
    "a struct of numbers": matrix(STRUCT, (2, 3), doubles(NUMBERS)),
    "a sparse array of numbers": matrix(SPARSE, (2, 3), doubles(NUMBERS)),
    "a cell of numbers": matrix(CELL, (2, 3), doubles(NUMBERS)),
    "text of numbers": matrix(CHAR, (2, 3), doubles(NUMBERS)),
    "33 dimensions": matrix(DOUBLE_CLASS, (1,) * 33, doubles([1.0])),
    "more numbers than 64 bits count": matrix(DOUBLE_CLASS, (2**31 - 1,) * 32, doubles(NUMBERS)),
    "a cell of 2⁶² entries": matrix(CELL, (2**31 - 1, 2**31 - 1)),
    "a text of a billion blanks": matrix(CHAR, (1, 2**30), element(UTF8, b"")),
    "a text that ends early": matrix(CHAR, (1, 9), element(UTF8, b"four")),
    "no matrix": element(DOUBLE, bytes(64)),
    "nothing": element(MATRIX, b""),
    "a variable beyond the end": element(MATRIX, bytes(8), size=1000),
    "something after the variable": VALID + bytes(5),
    "a cell with too few entries": matrix(CELL, (1, 2), matrix(DOUBLE_CLASS, (1, 1), doubles([1.0]))),
    "deflated and cut": compressed(VALID)[:-30],
    "not deflated": struct.pack("<II", COMPRESSED, 40) + bytes(40),
    "deflated twice": compressed(compressed(VALID)),
    "an unknown code, deflated": compressed(matrix(DOUBLE_CLASS, (2, 3), element(77, bytes(48)))),
    "more after the end, deflated": compressed(VALID + bytes(2**20)),
}


def test_a_damaged_v5_file_is_refused_and_the_next_one_read(tmp_path, refused):
    good = write_v5(tmp_path / "good.mat", VALID)
    for content in DAMAGED.values():
        path = write_v5(tmp_path / "a.mat", content)
        assert refused(matfiles.read, path, "x").startswith(f"{path}: ")
        np.testing.assert_array_equal(matfiles.read(good, "x"), NUMBERS)


def test_every_byte_of_the_header_may_change(tmp_path, refused):
    path = write_v5(tmp_path / "a.mat", VALID)
    valid = path.read_bytes()
    for offset in range(128):
        path.write_bytes(valid[:offset] + bytes([valid[offset] ^ 2]) + valid[offset + 1 :])
        if offset < 124:  # description, and the offset of MATLAB's own data
            np.testing.assert_array_equal(matfiles.read(path, "x"), NUMBERS)
        else:
            assert "neither MAT v5 nor v7.3" in refused(matfiles.read, path, "x")
    path.write_bytes(bytes(4) + valid[4:])  # SciPy takes it for v4
    assert "neither MAT v5 nor v7.3" in refused(matfiles.read, path, "x")


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("pack", [bytes, compressed], ids=["plain", "compressed"])
def test_both_byte_orders_are_read_plain_and_compressed(tmp_path, order, pack):
    def encoded_text(code, text):
        return element(code, text.encode("utf-16-le" if order == "<" else "utf-16-be"), order)

    def array(name, array_class, dimensions, *data, flags=0):
        return matrix(array_class, dimensions, *data, name=name, flags=flags, order=order)

    integers = np.array([[1, 200, 3], [4, 5, 6]])
    small = {"<": struct.pack("<HH", UINT8, 1), ">": struct.pack(">HH", 1, UINT8)}[order] + b"\x07\0\0\0"
    letters = [array(b"", CHAR, (1, 1), encoded_text(UTF16, letter)) for letter in "ab"]
    cell = [
        array(b"", CHAR, (1, 4), encoded_text(UINT16, "Löwe")),
        element(MATRIX, b"", order),  # MATLAB's empty entry
        array(b"", DOUBLE_CLASS, (1, 1), small),
        array(b"", CELL, (1, 2), *letters),
    ]
    elements = [
        array(b"real", DOUBLE_CLASS, (2, 3), doubles(NUMBERS, order)),
        array(b"short", DOUBLE_CLASS, (2, 3), element(UINT8, integers.astype(np.uint8).tobytes("F"), order)),
        array(b"wave", DOUBLE_CLASS, (2, 3), doubles(NUMBERS, order), doubles(-NUMBERS, order), flags=0x800),
        array(b"cell", CELL, (2, 2), *cell),
        array(b"rows", CHAR, (2, 3), element(UTF8, b"acbdee", order)),
        array(b"none", DOUBLE_CLASS, (0, 2**31 - 1), element(DOUBLE, b"", order)),
    ]
    packed = [compressed(item, order) if pack is compressed else item for item in elements]
    path = write_v5(tmp_path / "a.mat", *packed, order=order)
    assert matfiles.keys(path) == ["real", "short", "wave", "cell", "rows", "none"]
    np.testing.assert_array_equal(matfiles.read(path, "real"), NUMBERS)
    np.testing.assert_array_equal(matfiles.read(path, "short"), integers)
    np.testing.assert_array_equal(matfiles.read(path, "wave"), NUMBERS - 1j * NUMBERS)
    read = matfiles.read(path, "cell")
    assert read[:, 0].tolist() == ["Löwe", ""] and read[0, 1] == 7 and read[1, 1].tolist() == [["a", "b"]]
    assert matfiles.read(path, "rows").tolist() == ["abe", "cde"]
    assert matfiles.read(path, "none").shape == (0, 2**31 - 1)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "c8", "c16", "?"])
def test_what_scipy_writes_is_read_as_scipy_reads_it(tmp_path, kind, compress):
    path = tmp_path / "a.mat"
    value = np.arange(24).reshape(2, 3, 4).astype(kind)
    scipy.io.savemat(path, {"x": value, "none": value[:0]}, appendmat=False, do_compression=compress)
    expected = scipy.io.loadmat(path)
    for key in ("x", "none"):
        read = matfiles.read(path, key)
        assert read.dtype == (bool if kind == "?" else expected[key].dtype) and read.shape == expected[key].shape
        np.testing.assert_array_equal(read, expected[key])


@pytest.mark.parametrize(
    "value",
    [{"a": 1}, {}, scipy.sparse.eye(3, format="csc"), np.array([[{"a": 1}]], object)],
    ids=["struct", "empty struct", "sparse", "cell of a struct"],
)
@pytest.mark.parametrize("compress", [False, True])
def test_structs_and_sparse_arrays_are_refused_and_their_neighbours_read(tmp_path, value, compress, refused):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"other": value, "x": NUMBERS}, appendmat=False, do_compression=compress)
    assert matfiles.keys(path) == ["other", "x"]
    assert "a struct, a sparse array or an object, expected numbers" in refused(matfiles.read, path, "other")
    np.testing.assert_array_equal(matfiles.read(path, "x"), NUMBERS)


def test_entries_of_a_cell_are_counted_and_their_bytes_summed(monkeypatch):
    cell = np.empty((3, 1), object)
    cell[:, 0] = [NUMBERS, "text", 7.0]
    monkeypatch.setattr(mat_worker, "MAX_ITEMS", 4)  # the cell and its three entries
    monkeypatch.setattr(mat_worker, "MAX_BYTES", NUMBERS.nbytes)
    assert mat_worker._Answer().encoded(cell)["shape"] == [3, 1]
    monkeypatch.setattr(mat_worker, "MAX_BYTES", NUMBERS.nbytes - 1)
    with pytest.raises(mat_worker.Damaged, match="a cell of more than 47 bytes"):
        mat_worker._Answer().encoded(cell)
    monkeypatch.setattr(mat_worker, "MAX_BYTES", NUMBERS.nbytes)
    monkeypatch.setattr(mat_worker, "MAX_ITEMS", 3)
    with pytest.raises(mat_worker.Damaged, match="more than 3 entries"):
        mat_worker._Answer().encoded(cell)


def test_plain_numbers_are_sent_as_their_offset_in_the_file(tmp_path):
    path = write_v5(tmp_path / "a.mat", compressed(VALID), VALID.replace(b"x", b"y"))
    with open(path, "rb") as file:
        assert mat_worker._stored(file, "<", 0) is None
        stored = mat_worker._stored(file, "<", 1)
    assert stored.shape == (2, 3)
    np.testing.assert_array_equal(np.fromfile(path, stored.dtype, 6, offset=stored.offset), NUMBERS.ravel("F"))


def test_names_in_messages_are_printable_and_few(tmp_path, refused):
    one = [matrix(DOUBLE_CLASS, (1, 1), doubles([1.0]), name=b"a\nb%d" % number) for number in range(30)]
    path = write_v5(tmp_path / "a.mat", *one)
    message = refused(matfiles.read, path, "x")
    assert r"'a\nb0', 'a\nb1'" in message and message.endswith(", …")
