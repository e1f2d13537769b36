"""Damaged and hostile .mat files end in BadInput of one line; valid ones of every writer are read; rows are kept."""

import io
import multiprocessing
import os
import struct
import zlib

import h5py
import numpy as np
import pytest
import scipy.io

from zscmr import files, mat_check, mat_hdf5, matfiles
from zscmr.errors import BadInput

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


def message(function, *words):
    """The message of the BadInput that the call has to raise, which has to be one line."""
    with pytest.raises(BadInput) as caught:
        function(*words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


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
def test_a_damaged_v5_file_is_refused(tmp_path, part):
    for content, expected in DAMAGED[part]:
        path = write_v5(tmp_path / "a.mat", content)
        found = message(matfiles.read, path, "x")
        assert found.startswith(f"{path}: "), found
        assert any(words in found for words in expected.split("|")), (expected, found)


def test_every_byte_of_the_header_may_change(tmp_path):
    path = write_v5(tmp_path / "a.mat", VALID)
    valid = path.read_bytes()
    for offset in range(mat_check.HEADER):
        for bit in (1, 2, 128):
            path.write_bytes(valid[:offset] + bytes([valid[offset] ^ bit]) + valid[offset + 1 :])
            if offset < 124:  # description, and the offset of MATLAB's own data
                np.testing.assert_array_equal(matfiles.read(path, "x"), NUMBERS)
            else:
                expected = "expected format version 0x0100" if offset < 126 else "neither MAT v5 nor v7.3"
                assert expected in message(matfiles.read, path, "x")
    path.write_bytes(bytes(4) + valid[4:])  # SciPy takes it for v4
    assert "neither MAT v5 nor v7.3" in message(matfiles.read, path, "x")


def test_codes_written_into_a_file_of_scipy_are_refused(tmp_path):
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
            assert "variable 'x' cannot be read" in message(matfiles.read, path, "x")
    for code in set(range(256)) - set(range(6, 16)):  # another class of numbers is one that can be read
        path.write_bytes(valid[:144] + bytes([code]) + valid[145:])
        message(matfiles.read, path, "x")


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
        assert read.dtype == expected[key].dtype and read.shape == expected[key].shape
        np.testing.assert_array_equal(read, expected[key])


@pytest.mark.parametrize("value", [{"a": 1}, scipy.sparse.eye(3, format="csc"), np.array([[{"a": 1}]], object)])
@pytest.mark.parametrize("compress", [False, True])
def test_structs_and_sparse_arrays_are_refused_and_their_neighbours_read(tmp_path, value, compress):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"other": value, "x": NUMBERS}, appendmat=False, do_compression=compress)
    assert matfiles.keys(path) == ["other", "x"]
    found = message(matfiles.read, path, "other")
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


def test_arrays_in_a_cell_are_counted(tmp_path, monkeypatch):
    path = write_v5(tmp_path / "a.mat", matrix(CELL, (4, 1), *[matrix(DOUBLE_CLASS, (1, 1), doubles([1.0]))] * 4))
    monkeypatch.setattr(mat_check, "MAX_ARRAYS", 5)  # the cell and its four entries
    assert matfiles.read(path, "x").shape == (4, 1)
    monkeypatch.setattr(mat_check, "MAX_ARRAYS", 4)
    assert "more than 4 arrays" in message(matfiles.read, path, "x")


def test_a_compressed_variable_has_a_limit(tmp_path, monkeypatch):
    path = write_v5(tmp_path / "a.mat", compressed(matrix(DOUBLE_CLASS, (100, 100), doubles(np.zeros((100, 100))))))
    assert matfiles.read(path, "x").shape == (100, 100)
    monkeypatch.setattr(mat_check, "MAX_BYTES", 80_000)
    assert "a compressed matrix of 80056 bytes, the limit is 80000" in message(matfiles.read, path, "x")


# MAT v7.3


def chunked(file, **options):
    return file.create_dataset("x", data=NUMBERS.T, chunks=(2, 1), compression="gzip", **options)


def external_link(file):
    file["x"] = h5py.ExternalLink("other.mat", "/x")


def soft_link(file):
    file["y"] = NUMBERS
    file["x"] = h5py.SoftLink("/y")


def external_storage(file):
    file.create_dataset("x", shape=(2, 2), dtype="f8", external=[("secret.bin", 0, h5py.h5f.UNLIMITED)])


def virtual(file):
    layout = h5py.VirtualLayout(shape=(3,), dtype="f8")
    layout[:] = h5py.VirtualSource("other.mat", "x", shape=(3,))
    file.create_virtual_dataset("x", layout)


def strings(file):
    file.create_dataset("x", data=["a", "b"], dtype=h5py.string_dtype())


def ragged(file):
    file.create_dataset("x", shape=(2,), dtype=h5py.vlen_dtype(np.int32))


def bytes_of_text(file):
    file["x"] = np.array([b"ab", b"cd"])


def group(file):
    file["x/field"] = NUMBERS


def nothing(file):
    file["x"] = h5py.Empty("f8")


def null_reference(file):
    file.create_dataset("x", shape=(1, 2), dtype=h5py.ref_dtype)


def dangling_reference(file):
    item = file.create_dataset("#refs#/0", data=NUMBERS)
    file["x"] = np.array([[item.ref]], dtype=h5py.ref_dtype)
    del file["#refs#/0"]


def reference_to_group(file):
    file["x"] = np.array([[file.create_group("#refs#/0").ref]], dtype=h5py.ref_dtype)


def cell_that_holds_itself(file):
    cell = file.create_dataset("x", shape=(1, 1), dtype=h5py.ref_dtype)
    outer = file.create_dataset("#refs#/0", data=np.array([[cell.ref]], dtype=h5py.ref_dtype))
    cell[0, 0] = outer.ref


def deep_cell(file):
    reference = file.create_dataset("#refs#/0", data=NUMBERS).ref
    for depth in range(1, mat_check.MAX_DEPTH + 2):
        reference = file.create_dataset(f"#refs#/{depth}", data=np.array([[reference]], dtype=h5py.ref_dtype)).ref
    file["x"] = np.array([[reference]], dtype=h5py.ref_dtype)


def huge_and_empty(file):
    file.create_dataset("x", shape=(2**30, 2**20), dtype="f8", chunks=(2**10, 2**10), compression="gzip")


def huge_unwritten(file):
    file.create_dataset("x", shape=(2**30, 2**20), dtype="f8")


def huge_chunk(file):
    file.create_dataset("x", shape=(1,), maxshape=(None,), dtype="u1", chunks=(2**31,), compression="gzip")


def missing_chunk(file):
    data = file.create_dataset("x", shape=(64,), dtype="f8", chunks=(32,), compression="gzip")
    data[:32] = 1


def bomb(file):
    data = file.create_dataset("x", shape=(100,), dtype="f8", chunks=(100,), compression="gzip")
    data.id.write_direct_chunk((0,), zlib.compress(bytes(2**24)))


def short_chunk(file):
    data = file.create_dataset("x", shape=(100,), dtype="f8", chunks=(100,), compression="gzip")
    data.id.write_direct_chunk((0,), zlib.compress(bytes(8 * 99)))


def two_filters(file):
    options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    options.set_chunk((100,))
    options.set_deflate(9)
    options.set_deflate(9)
    space = h5py.h5s.create_simple((100,))
    h5py.Dataset(h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F64LE, space, options))[:] = np.zeros(100)


def checksums(file):
    chunked(file, fletcher32=True)


def logical_enum(file):
    file["x"] = np.array([True, False])


def odd_pairs(file):
    file["x"] = np.zeros(3, np.dtype([("real", "f8"), ("imag", "i8")]))


def huge_empty_value(file):
    file["x"] = np.array([2**31 - 1, 2**31 - 1], np.uint64)
    file["x"].attrs["MATLAB_empty"] = np.uint8(1)


def text_of_floats(file):
    file["x"] = NUMBERS
    file["x"].attrs["MATLAB_class"] = np.bytes_("char")


HOSTILE = {
    external_link: "a link, expected data in the file itself",
    soft_link: "a link, expected data in the file itself",
    external_storage: "data in other files",
    virtual: "data in other files",
    strings: "values of type object",
    ragged: "values of type object",
    bytes_of_text: "values of type |S2",
    group: "a struct",
    nothing: "no data",
    null_reference: "cannot be read",
    dangling_reference: "cannot be read",
    reference_to_group: "a struct",
    cell_that_holds_itself: "a cell that holds itself",
    deep_cell: "nested deeper than 16",
    huge_and_empty: "0 stored bytes cannot hold",
    huge_unwritten: "expected 9007199254740992 bytes of data",
    huge_chunk: "0 stored bytes cannot hold",
    missing_chunk: "cannot be read",
    bomb: "a chunk that does not inflate to 800 bytes",
    short_chunk: "expected a chunk of 800 bytes, received 792",
    two_filters: "HDF5 filters [1, 1]",
    checksums: "HDF5 filters [1, 3]",
    logical_enum: "values of type bool",
    odd_pairs: "values of type",
    huge_empty_value: "an empty array whose dimensions are not those of one",
    text_of_floats: "characters of type float64",
}


@pytest.mark.parametrize("build", HOSTILE, ids=lambda build: build.__name__)
def test_a_hostile_v73_file_is_refused(tmp_path, build):
    scipy.io.savemat(tmp_path / "other.mat", {"x": NUMBERS})
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    path = tmp_path / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        build(file)
    assert "x" in matfiles.keys(path)
    found = message(matfiles.read, path, "x")
    assert found.startswith(f"{path}: variable 'x' cannot be read (") and HOSTILE[build] in found


@pytest.mark.parametrize("length", [0, 100, 512, 520, 600, 2000])
def test_a_cut_v73_file_is_refused(tmp_path, length):
    path = tmp_path / "a.mat"
    matfiles.write(path, {"x": NUMBERS}, large=1)
    path.write_bytes(path.read_bytes()[:length])
    assert str(path) in message(matfiles.read, path, "x")


def test_a_map_beyond_the_end_of_the_file_is_refused(tmp_path):
    """Reading such a map would end the process with SIGBUS. The length in the superblock hides the cut from HDF5."""
    path = tmp_path / "a.mat"
    matfiles.write(path, {"x": np.arange(5000.0).reshape(100, 50)}, large=1)
    content = bytearray(path.read_bytes())
    with h5py.File(path, "r") as file:
        offset = file["x"].id.get_offset()
    cut = offset + 1000
    end = 512 + 40  # superblock, version 0: the end of the file's addresses
    assert content[end : end + 8] == struct.pack("<Q", len(content))
    content[end : end + 8] = struct.pack("<Q", cut)
    path.write_bytes(content[:cut])
    assert "variable 'x' cannot be read" in message(matfiles.read, path, "x", 1)


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "<i2", "u1", "f2"])
@pytest.mark.parametrize("options", [
    {}, {"chunks": (7, 3)}, {"chunks": (7, 3), "compression": "gzip"}, {"chunks": (40, 3), "maxshape": (None, 10)},
    {"chunks": (7, 3), "compression": "gzip", "shuffle": True}, {"chunks": (1, 10), "shuffle": True},
], ids=str)  # fmt: skip
def test_every_layout_of_numbers_is_read(tmp_path, dtype, options):
    value = np.arange(300).reshape(30, 10).astype(dtype)
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file.create_dataset("x", data=value, **options)
    read = matfiles.read(tmp_path / "a.mat", "x")
    assert read.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(read, value.T)


def test_a_chunk_that_skipped_its_filter_is_read(tmp_path):
    """HDF5 stores what deflate cannot shorten as it is, and says so in a bit of the chunk's mask."""
    value = np.random.default_rng(0).integers(256, size=(2, 50), dtype=np.uint8)
    with h5py.File(tmp_path / "a.mat", "w") as file:
        data = file.create_dataset("x", shape=value.shape, dtype="u1", chunks=(1, 50), compression="gzip")
        data.id.write_direct_chunk((0, 0), value[0].tobytes(), 1)
        data.id.write_direct_chunk((1, 0), zlib.compress(value[1].tobytes()))
    np.testing.assert_array_equal(matfiles.read(tmp_path / "a.mat", "x"), value.T)


def test_complex_numbers_text_and_shared_entries_of_v73_are_read(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        pairs = np.zeros((3, 2), np.dtype([("real", "f4"), ("imag", "f4")]))
        pairs["real"], pairs["imag"] = NUMBERS.T, -NUMBERS.T
        file["wave"] = pairs
        codes = np.array([[ord(c) for c in row] for row in ("ant", "bee")], np.uint16)
        file["rows"] = codes.T
        file["rows"].attrs["MATLAB_class"] = np.bytes_("char")
        empty = file.create_dataset("#refs#/a", data=np.zeros(2, np.uint64))  # MATLAB's one for all empty entries
        empty.attrs["MATLAB_class"] = np.bytes_("double")
        empty.attrs["MATLAB_empty"] = np.uint8(1)
        file["cell"] = np.array([[empty.ref, empty.ref, file["rows"].ref]], dtype=h5py.ref_dtype)
    path = tmp_path / "a.mat"
    wave = matfiles.read(path, "wave")
    assert wave.dtype == np.complex64
    np.testing.assert_array_equal(wave, NUMBERS - 1j * NUMBERS)
    assert matfiles.read_names(path, "rows") == ["ant", "bee"]
    cell = matfiles.read(path, "cell").ravel()
    assert cell[0] == cell[1] == "" and cell[2].tolist() == ["ant", "bee"]


def test_limits_of_v73(tmp_path, monkeypatch):
    path = tmp_path / "a.mat"
    with h5py.File(path, "w") as file:
        file.create_dataset("zeros", data=np.zeros((100, 100)), chunks=(100, 100), compression="gzip")
        items = [file.create_dataset(f"#refs#/{n}", data=NUMBERS).ref for n in range(3)]
        file["cell"] = np.array([items], dtype=h5py.ref_dtype)
    assert matfiles.read(path, "zeros").shape == (100, 100) and matfiles.read(path, "cell").shape == (3, 1)
    monkeypatch.setattr(mat_hdf5, "MAX_BYTES", 3 * NUMBERS.nbytes - 1)
    assert "claim to hold 80000" in message(matfiles.read, path, "zeros")
    assert "a cell of more than 143 bytes" in message(matfiles.read, path, "cell")
    monkeypatch.setattr(mat_hdf5, "MAX_ARRAYS", 2)
    assert "more than 2 arrays in cells" in message(matfiles.read, path, "cell")


# What a caller expects of a variable


@pytest.mark.parametrize("large", [1, matfiles.LARGE], ids=["v7.3", "v5"])
def test_another_kind_of_variable_is_refused_by_name(tmp_path, large):
    path = tmp_path / "a.mat"
    cell = np.array([["a", 7], [NUMBERS, ""]], dtype=object)
    matfiles.write(path, {"n": NUMBERS, "t": "word", "c": cell, "names": ["ant", "bee"]}, large)
    np.testing.assert_array_equal(matfiles.read_numbers(path, "n"), NUMBERS)
    np.testing.assert_array_equal(matfiles.read_numbers(path, "n", (None, 3)), NUMBERS)
    assert matfiles.read_cell(path, "c").shape == (2, 2) and matfiles.read_names(path, "names") == ["ant", "bee"]
    assert matfiles.read_names(path, "t") == ["word"]
    start, numbers = f"{path}: '{{}}' should be {{}}, received {{}}", "an array of numbers"
    for function, words, expected in (
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
        assert message(function, path, *words) == expected


def test_complex_numbers_and_rows_of_text_are_no_real_numbers(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"wave": NUMBERS + 1j, "rows": np.array(["ab", "cd"])}, appendmat=False)
    assert "received complex128 of 2 × 3" in message(matfiles.read_numbers, path, "wave")
    assert "received 2 rows of text" in message(matfiles.read_numbers, path, "rows")


def test_names_in_messages_are_printable_and_few(tmp_path):
    one = [matrix(DOUBLE_CLASS, (1, 1), doubles([1.0]), name=b"a\nb%d" % number) for number in range(30)]
    path = write_v5(tmp_path / "a.mat", *one)
    found = message(matfiles.read, path, "x")
    assert r"'a\nb0', 'a\nb1'" in found and found.endswith(", …")


# Rows kept beside a column-major file


@pytest.fixture
def columns(tmp_path):
    """A v7.3 file, as written for features above 2 GB: (path, its array)."""
    value = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    matfiles.write(tmp_path / "imagematnew.mat", {"feature": value}, large=1)
    return tmp_path / "imagematnew.mat", value


def kept(path):
    return sorted(path.parent.glob("*.rows.npy"))


def check_rows(array, value):
    assert isinstance(array, np.memmap) and array.flags.c_contiguous and not array.flags.writeable
    assert array.dtype == value.dtype
    np.testing.assert_array_equal(array, value)


def test_rows_are_written_in_blocks_once_and_used_again(columns, monkeypatch):
    path, value = columns
    monkeypatch.setattr(matfiles, "_BLOCK", 100)  # three rows of 28 bytes
    check_rows(matfiles.row_major(path, "feature"), value)
    (rows,) = kept(path)
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
    (rows,) = kept(path)
    content = rows.read_bytes()
    rows.write_bytes(damage or content[:-4])
    check_rows(matfiles.row_major(path, "feature"), value)
    assert kept(path) == [rows] and rows.read_bytes() == content


def test_rows_of_another_version_are_replaced_and_other_files_are_not(columns):
    path, value = columns
    matfiles.row_major(path, "feature")
    (old,) = kept(path)
    others = [path.with_name(name) for name in ("imagematnew.feature.mine.rows.npy", "sketchmatnew" + old.name[11:])]
    for other in others:
        other.write_bytes(b"")
    matfiles.write(path, {"feature": 2 * value}, large=1)
    os.utime(path, ns=(1, 1))  # within the clock's resolution the time of modification may be the same
    check_rows(matfiles.row_major(path, "feature"), 2 * value)
    assert not old.exists() and len(kept(path)) == 3 and all(other.exists() for other in others)


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
    assert isinstance(array, np.memmap) and kept(path) == []
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {path.parent}: cannot keep the rows of 'feature' (No space left on device)")


def test_rows_of_text_or_of_nothing(tmp_path):
    path = tmp_path / "a.mat"
    matfiles.write(path, {"word": "cosine", "none": np.empty((0, 3))})
    assert "'word' should be an array of numbers, received text" in message(matfiles.row_major, path, "word")
    assert matfiles.row_major(path, "none").shape == (0, 3) and kept(path) == []


def sum_of_rows(path, barrier, results):
    barrier.wait()
    results.put(float(matfiles.row_major(path, "feature").sum(dtype=np.float64)))


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
    assert sums == [float(value.sum(dtype=np.float64))] * 3 and len(kept(path)) == 1
