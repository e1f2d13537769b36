"""Damaged and hostile MAT v5 files end in BadInput of one line; valid ones are read as SciPy reads them."""

import io
import struct
import zlib

import numpy as np
import pytest
import scipy.io

from zscmr.formats import mat_check, matfiles

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


def nested(depth):
    inner = matrix(DOUBLE_CLASS, (1, 1), doubles([1.0]), name=b"")
    for _ in range(depth):
        inner = matrix(CELL, (1, 1), inner, name=b"")
    return matrix(CELL, (1, 1), inner)


VALID = matrix(DOUBLE_CLASS, (2, 3), doubles(NUMBERS))

DAMAGED = {
    "data type code of a numeric element": (
        *[
            (matrix(DOUBLE_CLASS, (2, 3), element(code, bytes(48))), f"unknown data type {code} of numbers")
            for code in (0, 8, 10, 11, 14, 15, 19, 20, 77, 255, 0xFFFF)
        ],
        (matrix(DOUBLE_CLASS, (1, 1), struct.pack("<HH4x", 77, 4)), "unknown data type 77 of numbers"),
    ),
    "size of a numeric element": (
        (matrix(DOUBLE_CLASS, (2, 3), element(DOUBLE, bytes(48), size=40)), "expected 48 bytes for 2 × 3 numbers"),
        (matrix(DOUBLE_CLASS, (2, 3), element(DOUBLE, bytes(48), size=47)), "expected 48 bytes for 2 × 3 numbers"),
        (matrix(DOUBLE_CLASS, (2, 3), element(DOUBLE, bytes(48), size=56)), "has 48 left"),
        (matrix(DOUBLE_CLASS, (2, 3), element(DOUBLE, bytes(48), size=2**32 - 1)), "has 48 left"),
        (matrix(DOUBLE_CLASS, (2, 3), element(INT32, bytes(48))), "expected 24 bytes for 2 × 3 numbers, received 48"),
        (matrix(DOUBLE_CLASS, (2, 3), struct.pack("<HH4x", DOUBLE, 5)), "an element of 5 bytes inside a tag of 4"),
        (matrix(DOUBLE_CLASS, (2, 3), doubles(NUMBERS), flags=0x800), "a matrix ends before its elements do"),
        (matrix(DOUBLE_CLASS, (2, 3), doubles(NUMBERS), doubles(NUMBERS)), "56 bytes more"),
    ),
    "class in the array flags": (
        *[
            (matrix(code, (2, 3), doubles(NUMBERS)), f"unknown array class {code}")
            for code in (0, 18, 19, 20, 77, 254, 255)
        ],
        (matrix(STRUCT, (2, 3), doubles(NUMBERS)), "a struct"),
        (matrix(SPARSE, (2, 3), doubles(NUMBERS)), "a sparse array"),
        (matrix(17, (2, 3), doubles(NUMBERS)), "expected a name"),
        (matrix(CELL, (2, 3), doubles(NUMBERS)), "expected a matrix (data type 14) in a cell, received data type 9"),
        (matrix(CHAR, (2, 3), doubles(NUMBERS)), "unknown data type 9 of characters"),
    ),
    "dimensions": (
        (matrix(DOUBLE_CLASS, (2, -1), doubles(NUMBERS)), "a negative dimension: 2 × -1"),
        (matrix(DOUBLE_CLASS, (6,), doubles(NUMBERS)), "expected dimensions"),
        (matrix(DOUBLE_CLASS, (1,) * 33, doubles([1.0])), "expected dimensions"),
        (matrix(DOUBLE_CLASS, (2**31 - 1,) * 32, doubles(NUMBERS)), "numbers, received 48"),
        (matrix(DOUBLE_CLASS, (2**16, 2**16, 2**16, 2**16), element(DOUBLE, b"")), "numbers, received 0"),
        (matrix(CELL, (2**31 - 1, 2**31 - 1)), "a cell of 2147483647 × 2147483647 in 0 bytes"),
        (matrix(CHAR, (1, 2**30), element(UTF8, b"")), "no bytes for 1 × 1073741824 characters"),
        (matrix(CHAR, (2**30, 0), element(UTF8, b"")), "no bytes for 1073741824 × 0 characters"),
        (matrix(CHAR, (1, 9), element(UTF8, b"four")), "expected 9 to 36 bytes for 1 × 9 characters, received 4"),
    ),
    "structure": (
        (element(DOUBLE, bytes(64)), "expected a matrix (data type 14 or 15), received data type 9"),
        (element(MATRIX, b""), "a variable of 0 bytes"),
        (element(MATRIX, bytes(8), size=1000), "a variable of 1000 bytes, but the file has 8 left"),
        (VALID + bytes(5), "the data end early"),
        (element(MATRIX, element(DOUBLE, bytes(8))), "expected array flags"),
        (matrix(DOUBLE_CLASS, (2, 3), doubles(NUMBERS), name=bytes(5000)), "expected a name"),
        (matrix(CELL, (1, 2), matrix(DOUBLE_CLASS, (1, 1), doubles([1.0]))), "a matrix ends before its elements do"),
        (matrix(CELL, (1, 1), VALID[:4] + struct.pack("<I", 4000) + VALID[8:]), "an element of 4000 bytes"),
        (matrix(CELL, (1, 1), matrix(DOUBLE_CLASS, (2, 3), element(77, bytes(48)))), "unknown data type 77"),
        (nested(mat_check.MAX_DEPTH), "nested deeper than 16"),
    ),
    "compression": (
        (compressed(VALID)[:-30], "a variable of"),
        (struct.pack("<II", COMPRESSED, 40) + zlib.compress(VALID)[:40], "could not read bytes|the data end early"),
        (struct.pack("<II", COMPRESSED, 40) + bytes(40), "Error -3 while decompressing data"),
        (compressed(element(DOUBLE, bytes(64))), "expected a compressed matrix"),
        (compressed(compressed(VALID)), "expected a compressed matrix"),
        (compressed(struct.pack("<II", MATRIX, 2**32 - 8) + VALID[8:]), "cannot hold a matrix of 4294967288 bytes"),
        (compressed(matrix(DOUBLE_CLASS, (2, 3), element(77, bytes(48)))), "unknown data type 77"),
        (compressed(matrix(DOUBLE_CLASS, (9, 9), doubles(NUMBERS))), "expected 648 bytes for 9 × 9 numbers"),
        (compressed(matrix(255, (2, 3), doubles(NUMBERS))), "unknown array class 255"),
        (compressed(VALID + bytes(2**20)), "Did not fully consume"),
    ),
}


@pytest.mark.parametrize("part", DAMAGED)
def test_a_damaged_v5_file_is_refused(tmp_path, part, refused):
    for content, expected in DAMAGED[part]:
        path = write_v5(tmp_path / "a.mat", content)
        found = refused(matfiles.read, path, "x")
        assert found.startswith(f"{path}: "), found
        assert any(words in found for words in expected.split("|")), (expected, found)


def test_every_byte_of_the_header_may_change(tmp_path, refused):
    path = write_v5(tmp_path / "a.mat", VALID)
    valid = path.read_bytes()
    for offset in range(mat_check.HEADER):
        for bit in (1, 2, 128):
            path.write_bytes(valid[:offset] + bytes([valid[offset] ^ bit]) + valid[offset + 1 :])
            if offset < 124:  # description, and the offset of MATLAB's own data
                np.testing.assert_array_equal(matfiles.read(path, "x"), NUMBERS)
            else:
                expected = "expected format version 0x0100" if offset < 126 else "neither MAT v5 nor v7.3"
                assert expected in refused(matfiles.read, path, "x")
    path.write_bytes(bytes(4) + valid[4:])  # SciPy takes it for v4
    assert "neither MAT v5 nor v7.3" in refused(matfiles.read, path, "x")


def test_codes_written_into_a_file_of_scipy_are_refused(tmp_path, refused):
    """Of files with a changed byte between 128 and 512 these three crashed the interpreter.

    Offsets of savemat's first variable, a 2 × 3 double `x`: tag 128, flags 136 (class at 144), dimensions 152, name
    168 (in the tag), data tag 176 (type; size at 180).
    """
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"x": NUMBERS}, appendmat=False)
    valid = path.read_bytes()
    assert (valid[144], *struct.unpack("<II", valid[176:184])) == (DOUBLE_CLASS, DOUBLE, 48)
    for offset, codes in ((176, set(range(256)) - {DOUBLE, 12, 13}), (180, set(range(256)) - {48})):
        for code in codes:
            path.write_bytes(valid[:offset] + bytes([code]) + valid[offset + 1 :])
            assert "variable 'x' cannot be read" in refused(matfiles.read, path, "x")
    for code in set(range(256)) - set(range(6, 16)):  # another class of numbers is one that can be read
        path.write_bytes(valid[:144] + bytes([code]) + valid[145:])
        refused(matfiles.read, path, "x")


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("pack", [bytes, compressed], ids=["plain", "compressed"])
def test_both_byte_orders_are_read_plain_and_compressed(tmp_path, order, pack):
    def words(code, text):
        return element(code, text.encode("utf-16-le" if order == "<" else "utf-16-be"), order)

    def array(name, array_class, dimensions, *data, flags=0):
        return matrix(array_class, dimensions, *data, name=name, flags=flags, order=order)

    whole = np.array([[1, 200, 3], [4, 5, 6]])
    small = {"<": struct.pack("<HH", UINT8, 1), ">": struct.pack(">HH", 1, UINT8)}[order] + b"\x07\0\0\0"
    letters = [array(b"", CHAR, (1, 1), words(UTF16, letter)) for letter in "ab"]
    cell = [
        array(b"", CHAR, (1, 4), words(UINT16, "Löwe")),
        element(MATRIX, b"", order),  # MATLAB's empty entry
        array(b"", DOUBLE_CLASS, (1, 1), small),
        array(b"", CELL, (1, 2), *letters),
    ]
    elements = [
        array(b"real", DOUBLE_CLASS, (2, 3), doubles(NUMBERS, order)),
        array(b"short", DOUBLE_CLASS, (2, 3), element(UINT8, whole.astype(np.uint8).tobytes("F"), order)),
        array(b"wave", DOUBLE_CLASS, (2, 3), doubles(NUMBERS, order), doubles(-NUMBERS, order), flags=0x800),
        array(b"cell", CELL, (2, 2), *cell),
        array(b"rows", CHAR, (2, 3), element(UTF8, b"acbdee", order)),
        array(b"none", DOUBLE_CLASS, (0, 2**31 - 1), element(DOUBLE, b"", order)),
    ]
    packed = [compressed(item, order) if pack is compressed else item for item in elements]
    path = write_v5(tmp_path / "a.mat", *packed, order=order)
    assert matfiles.keys(path) == ["real", "short", "wave", "cell", "rows", "none"]
    np.testing.assert_array_equal(matfiles.read(path, "real"), NUMBERS)
    np.testing.assert_array_equal(matfiles.read(path, "short"), whole)
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


@pytest.mark.parametrize("value", [{"a": 1}, scipy.sparse.eye(3, format="csc"), np.array([[{"a": 1}]], object)])
@pytest.mark.parametrize("compress", [False, True])
def test_structs_and_sparse_arrays_are_refused_and_their_neighbours_read(tmp_path, value, compress, refused):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"other": value, "x": NUMBERS}, appendmat=False, do_compression=compress)
    assert matfiles.keys(path) == ["other", "x"]
    found = refused(matfiles.read, path, "other")
    assert "a struct, expected" in found or "a sparse array, expected" in found
    np.testing.assert_array_equal(matfiles.read(path, "x"), NUMBERS)


class CountingFile(io.BytesIO):
    """Bytes that count how many of them are read."""

    taken = 0

    def read(self, count=-1):
        data = super().read(count)
        self.taken += len(data)
        return data


@pytest.mark.parametrize("pack", [bytes, compressed], ids=["plain", "compressed"])
def test_the_check_reads_no_payload_of_numbers(tmp_path, pack):
    noise = np.random.default_rng(0).normal(size=(1000, 1000))  # 8 MB, incompressible
    content = write_v5(tmp_path / "a.mat", pack(matrix(DOUBLE_CLASS, noise.shape, doubles(noise)))).read_bytes()
    file = CountingFile(content)
    (variable,) = mat_check.variables(file)
    mat_check.check(file, variable)
    assert variable.name == "x" and file.taken < 300_000  # a buffer or two of compressed data


def test_arrays_in_a_cell_are_counted(tmp_path, monkeypatch, refused):
    path = write_v5(tmp_path / "a.mat", matrix(CELL, (4, 1), *[matrix(DOUBLE_CLASS, (1, 1), doubles([1.0]))] * 4))
    monkeypatch.setattr(mat_check, "MAX_ARRAYS", 5)  # the cell and its four entries
    assert matfiles.read(path, "x").shape == (4, 1)
    monkeypatch.setattr(mat_check, "MAX_ARRAYS", 4)
    assert "more than 4 arrays" in refused(matfiles.read, path, "x")


def test_a_compressed_variable_has_a_limit(tmp_path, monkeypatch, refused):
    path = write_v5(tmp_path / "a.mat", compressed(matrix(DOUBLE_CLASS, (100, 100), doubles(np.zeros((100, 100))))))
    assert matfiles.read(path, "x").shape == (100, 100)
    monkeypatch.setattr(mat_check, "MAX_BYTES", 80_000)
    assert "a compressed matrix of 80056 bytes, the limit is 80000" in refused(matfiles.read, path, "x")


def test_names_in_messages_are_printable_and_few(tmp_path, refused):
    one = [matrix(DOUBLE_CLASS, (1, 1), doubles([1.0]), name=b"a\nb%d" % number) for number in range(30)]
    path = write_v5(tmp_path / "a.mat", *one)
    found = refused(matfiles.read, path, "x")
    assert r"'a\nb0', 'a\nb1'" in found and found.endswith(", …")
