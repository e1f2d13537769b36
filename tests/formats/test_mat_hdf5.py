"""Damaged and hostile MAT v7.3 files end in BadInput of one line; valid ones of every writer are read."""

import struct
import zlib

import h5py
import numpy as np
import pytest
import scipy.io

from zscmr.formats import mat_hdf5, matfiles

NUMBERS = np.array([[1.5, -2.0, 3.0], [4.0, 5.0, -6.25]])


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


def huge_and_empty(file):
    file.create_dataset("x", shape=(2**30, 2**20), dtype="f8", chunks=(2**10, 2**10), compression="gzip")


def huge_unwritten(file):
    file.create_dataset("x", shape=(2**30, 2**20), dtype="f8")


def huge_chunk(file):
    file.create_dataset("x", shape=(1,), maxshape=(None,), dtype="u1", chunks=(2**31,), compression="gzip")


def missing_chunk(file):
    data = file.create_dataset("x", shape=(64,), dtype="f8", chunks=(32,), compression="gzip")
    data[:32] = 1


def odd_pairs(file):
    file["x"] = np.zeros(3, np.dtype([("real", "f8"), ("imag", "i8")]))


def huge_empty_value(file):
    file["x"] = np.array([2**31 - 1, 2**31 - 1], np.uint64)
    file["x"].attrs["MATLAB_empty"] = np.uint8(1)


def string_object(file):
    """What MATLAB writes for x = "cosine": numbers that point into its own data."""
    file["x"] = np.array([[0xDD000000, 2, 1, 1, 1, 1]], np.uint32).T
    file["x"].attrs["MATLAB_class"] = np.bytes_("string")
    file["x"].attrs["MATLAB_object_decode"] = np.int32(3)


def text_of_floats(file):
    file["x"] = NUMBERS
    file["x"].attrs["MATLAB_class"] = np.bytes_("char")


HOSTILE = {
    external_link: "a link, expected data in the file itself",
    soft_link: "a link, expected data in the file itself",
    external_storage: "data in other files",
    virtual: "data in other files",
    strings: "values of type object",
    ragged: "cannot be read",
    bytes_of_text: "values of type |S2",
    group: "a struct",
    nothing: "no data",
    null_reference: "cannot be read",
    dangling_reference: "cannot be read",
    reference_to_group: "a struct",
    cell_that_holds_itself: "a cell that holds itself",
    huge_and_empty: "0 stored bytes claim to hold",
    huge_unwritten: "expected 9007199254740992 bytes of data",
    huge_chunk: "expected 1 chunks of data",
    missing_chunk: "expected 2 chunks of data, the file has 1",
    string_object: "an object, expected numbers",
    odd_pairs: "values of type",
    huge_empty_value: "an empty array whose dimensions are not those of one",
    text_of_floats: "characters of type float64",
}


@pytest.mark.parametrize("build", HOSTILE, ids=lambda build: build.__name__)
def test_a_hostile_v73_file_is_refused(tmp_path, build, refused):
    scipy.io.savemat(tmp_path / "other.mat", {"x": NUMBERS})
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    path = tmp_path / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        build(file)
    assert "x" in matfiles.keys(path)
    message = refused(matfiles.read, path, "x")
    assert message.startswith(f"{path}: variable 'x' cannot be read (") and HOSTILE[build] in message


@pytest.mark.parametrize("length", [0, 100, 512, 520, 600, 2000])
def test_a_cut_v73_file_is_refused(tmp_path, length, refused):
    path = tmp_path / "a.mat"
    matfiles.write(path, {"x": NUMBERS}, large=1)
    path.write_bytes(path.read_bytes()[:length])
    assert str(path) in refused(matfiles.read, path, "x")


def test_a_map_beyond_the_end_of_the_file_is_refused(tmp_path, refused):
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
    assert "variable 'x' cannot be read" in refused(matfiles.read, path, "x", 1)


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "<i2", "u1", "f2"])
@pytest.mark.parametrize("options", [
    {}, {"chunks": (7, 3)}, {"chunks": (7, 3), "compression": "gzip"}, {"chunks": (40, 3), "maxshape": (None, 10)},
    {"chunks": (7, 3), "compression": "gzip", "shuffle": True}, {"chunks": (1, 10), "shuffle": True},
    {"chunks": (7, 3), "compression": "gzip", "fletcher32": True}, {"chunks": (7, 3), "compression": "lzf"},
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


def test_a_damaged_chunk_is_refused_after_others_were_sent(tmp_path, refused):
    """The header of the answer is on its way when the chunk turns out damaged."""
    path = tmp_path / "a.mat"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=NUMBERS, chunks=(1, 3), compression="gzip")
        rows = np.arange(2**12).reshape(64, 64)
        chunk = file.create_dataset("y", data=rows, chunks=(64, 64), compression=1).id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    middle = chunk.byte_offset + chunk.size // 2
    content[middle : middle + 8] = bytes(8)
    path.write_bytes(content)
    for _ in range(2):
        assert "cannot be read" in refused(matfiles.read, path, "y")
        np.testing.assert_array_equal(matfiles.read(path, "x"), NUMBERS.T)


def test_few_bytes_do_not_become_many(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file.create_dataset("zeros", data=np.zeros((100, 100)), chunks=(100, 100), compression="gzip")
    assert mat_hdf5.read(tmp_path / "a.mat", "zeros")[1].shape == (100, 100)
    monkeypatch.setattr(mat_hdf5, "MAX_BYTES", 79_999)
    with pytest.raises(mat_hdf5.Damaged, match="claim to hold 80000"):
        mat_hdf5.read(tmp_path / "a.mat", "zeros")
