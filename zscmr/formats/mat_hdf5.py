"""MAT v7.3 files, which are HDF5 with reversed axes: reading, in the worker of `mat_process`, and writing.

Data have to lie in the file itself, and a declared size has to agree with the bytes stored.
"""

import math
import os
from collections.abc import Iterable
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np

MAX_BYTES = 2**31  # of an array that few bytes are stored for; MATLAB's own limit for v5
LARGE_RATIO = 100  # bytes a larger array may have per stored one; features deflate to a half or a tenth
_BLOCK = 2**24  # bytes read or written at a time
_MATLAB_CLASS = {"float32": "single", "float64": "double", "bool": "logical"}


class Damaged(ValueError):
    """The file breaks the format, or holds what datasets do not. The message is one line without a path."""


class Stored(NamedTuple):
    """Numbers that lie in the file as they are, column-major, from byte `offset` on."""

    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int


class Slabs(NamedTuple):
    """Numbers that are decoded part by part: `blocks` of the array with reversed axes, row-major, in order."""

    dtype: np.dtype
    shape: tuple[int, ...]
    blocks: Iterable[np.ndarray]


def read(path, key):
    """(names of the variables, the value of `key` or None if it is not among them).

    Numbers are `Stored` or `Slabs`, other values as `matfiles.read` returns them. Raises Damaged, or what h5py raises.
    """
    import h5py  # takes 0.3 s to import

    with ExitStack() as stack:
        file = stack.enter_context(h5py.File(path, "r"))
        names = [name for name in file if not name.startswith("#")]  # those that begin with # are MATLAB's own
        if key not in names:
            return names, None
        if not isinstance(file.get(key, getlink=True), h5py.HardLink):
            raise Damaged("a link, expected data in the file itself")
        value = _Reader(file, os.path.getsize(path)).value(file[key])
        if isinstance(value, Slabs):
            stack.pop_all()  # the blocks close the file
        return names, value


class _Reader:
    """Decodes the values of one variable of an open file of `length` bytes."""

    def __init__(self, file, length):
        self.file, self.length = file, length
        self.items = {}  # address -> value of what cells refer to; None while it is being read

    def value(self, node, inside=False):
        """The value of a dataset; `inside` a cell, numbers are arrays."""
        import h5py

        if not isinstance(node, h5py.Dataset):
            raise Damaged("a struct, expected numbers, text or a cell")
        if node.shape is None:
            raise Damaged("no data")
        self.check_storage(node)
        kind = _attribute(node, "MATLAB_class", "S")
        if _attribute(node, "MATLAB_empty", "iu"):
            return _empty(kind, node[()])
        if "MATLAB_object_decode" in node.attrs:
            raise Damaged("an object, expected numbers, text or a cell")
        if h5py.check_ref_dtype(node.dtype) is h5py.Reference:
            return self.cell(node[()].T)
        if not _is_numeric(node.dtype) or h5py.h5t.py_create(node.dtype) != node.id.get_type():
            raise Damaged(f"values of type {node.dtype}, expected numbers, text or a cell")
        if kind == b"char":
            return _text(node[()].T)
        dtype = bool if kind == b"logical" else _number_type(node.dtype)
        if inside or kind == b"logical" or node.dtype == bool or node.ndim < 1:
            numbers = node[()].T
            return numbers.astype(dtype) if kind == b"logical" else numbers.view(dtype)
        offset, shape = node.id.get_offset(), node.shape[::-1]
        if offset is not None:
            return Stored(dtype, shape, offset)
        return Slabs(dtype, shape, self.blocks(node, dtype))

    def blocks(self, node, dtype):
        rows = node.chunks[0] if node.chunks else 1  # a chunk read in two parts would be inflated twice
        step = rows * max(1, _BLOCK * len(node) // max(1, node.nbytes * rows))
        with self.file:
            for start in range(0, len(node), step):
                yield node[start : start + step].view(dtype)

    def check_storage(self, node):
        """Raise Damaged unless all data of a dataset are there, in this file, and no more than it can hold."""
        import h5py

        description, stored = node.id.get_create_plist(), node.id.get_storage_size()
        if description.get_layout() == h5py.h5d.VIRTUAL or description.get_external_count():
            raise Damaged("data in other files")
        if node.chunks:
            axes = zip(node.shape, node.chunks, strict=True)
            expected = math.prod(-(-length // step) for length, step in axes)
            if node.nbytes > max(MAX_BYTES, LARGE_RATIO * stored) or stored > self.length:
                raise Damaged(f"{stored} stored bytes claim to hold {node.nbytes}")
            if node.id.get_num_chunks() != expected:
                raise Damaged(f"expected {expected} chunks of data, the file has {node.id.get_num_chunks()}")
        elif stored < node.nbytes or (node.id.get_offset() or 0) + node.nbytes > self.length:
            raise Damaged(f"expected {node.nbytes} bytes of data, the file has {self.length}")

    def cell(self, references):
        cell = np.empty(references.shape, dtype=object)
        for index, reference in np.ndenumerate(references):
            cell[index] = self.item(reference)
        return cell

    def item(self, reference):
        """What a cell refers to. MATLAB lets all empty entries refer to one array: each is decoded once."""
        import h5py

        node = self.file[reference]
        address = h5py.h5o.get_info(node.id).addr
        if address not in self.items:
            self.items[address] = None
            self.items[address] = unwrapped(self.value(node, inside=True))
        if self.items[address] is None:
            raise Damaged("a cell that holds itself")
        return self.items[address]


def unwrapped(value):
    """An entry of a cell as Python takes it: a lone string or number as str, int, float …; nothing as ''."""
    while isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    return "" if isinstance(value, np.ndarray) and value.size == 0 else value


def _attribute(node, name, kinds):
    """A lone attribute of one of these NumPy kinds, else None."""
    if name not in node.attrs:
        return None
    described = node.attrs.get_id(name)
    if described.shape not in ((), (1,)) or described.dtype.kind not in kinds:
        return None
    return np.ravel(node.attrs[name])[0]


def _empty(kind, sizes):
    """Return the empty value whose dimensions `sizes` are stored in place of data."""
    shape = tuple(int(size) for size in np.ravel(sizes)[:33])
    if len(shape) > 32 or not shape or math.prod(shape) or not 0 <= min(shape) <= max(shape) < 2**31:
        raise Damaged("an empty array whose dimensions are not those of one")
    return "" if kind == b"char" else np.empty(shape, dtype=object if kind == b"cell" else float)


def _text(codes):
    """UTF-16 codes as str; a matrix of several rows as an array with a str a row, like SciPy's for v5."""
    if codes.dtype.kind not in "iu":
        raise Damaged(f"characters of type {codes.dtype}")
    codes = np.ascontiguousarray(codes, np.dtype("<u2"))
    if codes.ndim == 2 and len(codes) > 1:
        return np.array([row.tobytes().decode("utf-16-le") for row in codes])
    return np.ravel(codes).tobytes().decode("utf-16-le")


def _is_numeric(dtype):
    """Integers, bool, floats of at most 8 bytes, or MATLAB's complex numbers: pairs `real`, `imag` of a float type."""
    if dtype.names == ("real", "imag"):
        return dtype["real"] == dtype["imag"] and dtype["real"].kind == "f" and dtype["real"].itemsize in (4, 8)
    return dtype.kind in "fiub" and dtype.itemsize <= 8


def _number_type(dtype):
    """`dtype`, or the complex type of MATLAB's pairs."""
    return np.dtype(f"{dtype['real'].str[0]}c{dtype.itemsize}") if dtype.names else dtype


def write(path, variables):
    """Write `variables` (name -> array or str) as MATLAB does, uncompressed. The user block is left for the caller."""
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            _write_value(file, name, value)


def _write_value(file, name, value):
    """Write one value: axes reversed, text as UTF-16 codes, cells as references into `#refs#`, empty values as their
    shape."""
    import h5py

    if isinstance(value, str):
        array, kind = np.frombuffer(value.encode("utf-16-le"), np.uint16)[None], "char"
    else:
        array = np.atleast_2d(value)
        kind = "cell" if array.dtype == object else _MATLAB_CLASS.get(array.dtype.name, array.dtype.name)
    if array.size == 0:
        node = file.create_dataset(name, data=np.array(array.shape, np.uint64))
        node.attrs["MATLAB_empty"] = np.uint8(1)
    elif kind == "cell":
        references = np.empty(array.shape[::-1], dtype=h5py.ref_dtype)
        for index, item in np.ndenumerate(array.T):
            key = f"#refs#/{len(file['#refs#']) if '#refs#' in file else 0}"
            references[index] = _write_value(file, key, item).ref
        node = file.create_dataset(name, data=references)
    else:
        stored = np.uint8 if kind == "logical" else array.dtype
        node = file.create_dataset(name, shape=array.shape[::-1], dtype=stored)
        rows = _BLOCK // array[:1].nbytes + 1
        for start in range(0, len(array), rows):  # in blocks: the array may be larger than memory
            node[..., start : start + rows] = array[start : start + rows].T
    node.attrs["MATLAB_class"] = np.bytes_(kind)
    if kind in ("char", "logical"):
        node.attrs["MATLAB_int_decode"] = np.int32(2 if kind == "char" else 1)  # bytes of an entry
    return node
