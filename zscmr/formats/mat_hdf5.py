"""MAT v7.3 files, which are HDF5 with reversed axes: checked reading, and writing.

The sizes that a file declares are compared with what it stores before memory is asked for, chunks are inflated here
with a bound, and nothing is read that lies in another file.
"""

import itertools
import math
import os
import zlib

import numpy as np

from zscmr.formats.mat_check import MAX_ARRAYS, MAX_BYTES, MAX_DEPTH, MAX_RATIO, Damaged

LARGE_RATIO = 100  # bytes an array above MAX_BYTES may have per stored one; features deflate to a half or a tenth
_MAX_COMPACT = 2**16  # bytes of an array that HDF5 keeps in its description
_BLOCK = 2**24  # bytes written at a time
_DEFLATE, _SHUFFLE = 1, 2  # filter codes of HDF5
_MATLAB_CLASS = {"float32": "single", "float64": "double", "bool": "logical"}


def keys(path):
    """Names of the variables, in the file's order; those that begin with # are MATLAB's own."""
    import h5py  # a third of a second

    with h5py.File(path, "r") as file:
        return [name for name in file if not name.startswith("#")]


def read(path, key, large):
    """One variable, as `matfiles.read` returns it. Raises Damaged, or what h5py raises."""
    import h5py

    with h5py.File(path, "r") as file:
        if not isinstance(file.get(key, getlink=True), h5py.HardLink):
            raise Damaged("a link, expected data in the file itself")
        return _Reader(file, path, large).value(file[key])


class _Reader:
    """Decodes the values of one variable."""

    def __init__(self, file, path, large):
        self.file, self.path, self.large = file, path, large
        self.length = os.path.getsize(path)
        self.items = {}  # address -> value of what cells refer to; None while it is being read
        self.references = 0
        self.bytes = 0  # of arrays in cells

    def value(self, node, depth=0):
        import h5py

        if not isinstance(node, h5py.Dataset):
            raise Damaged("a struct, expected numbers, text or a cell")
        description = node.id.get_create_plist()
        if description.get_layout() == h5py.h5d.VIRTUAL or description.get_external_count():
            raise Damaged("data in other files")
        if node.shape is None:
            raise Damaged("no data")
        kind = _attribute(node, "MATLAB_class", "S")
        if _attribute(node, "MATLAB_empty", "iu"):
            return _empty(kind, self.numbers(node, depth + 1))
        if h5py.check_ref_dtype(node.dtype) is h5py.Reference:
            return self.cell(node, depth)
        if "MATLAB_object_decode" in node.attrs:
            raise Damaged("an object, expected numbers, text or a cell")
        numbers = self.numbers(node, depth)
        if kind == b"logical":
            return numbers.astype(bool)
        return _text(numbers) if kind == b"char" else numbers

    def numbers(self, node, depth):
        """An array of numbers, axes in MATLAB's order; mapped if it is `large` and lies in the file as it is."""
        import h5py

        if not _is_numeric(node.dtype) or h5py.h5t.py_create(node.dtype) != node.id.get_type():
            raise Damaged(f"values of type {node.dtype}, expected numbers, text or a cell")
        size = math.prod(node.shape) * node.dtype.itemsize
        if depth:
            self.bytes += size
            if self.bytes > MAX_BYTES:
                raise Damaged(f"a cell of more than {MAX_BYTES} bytes")
        if node.chunks:
            array = self.chunked(node, node.dtype)
        else:
            self.check_contiguous(node, size)
            if size >= self.large and size and not depth and node.id.get_offset() is not None:
                return np.memmap(self.path, node.dtype, "r", node.id.get_offset(), node.shape).T
            array = np.asarray(node[()])
        if array.dtype.names:
            array = array["real"] + 1j * array["imag"]
        return array.T

    def check_contiguous(self, node, size):
        offset = node.id.get_offset()  # None where the data lie in the description, or were never written
        if size > _MAX_COMPACT if offset is None else offset + size > self.length:
            raise Damaged(f"expected {size} bytes of data, the file has {self.length}")

    def chunked(self, node, dtype):
        """The array of a dataset that is stored in chunks of `dtype`. Every chunk has to be there."""
        size, stored = math.prod(node.shape) * dtype.itemsize, node.id.get_storage_size()
        chunk_size = math.prod(node.chunks) * dtype.itemsize
        if stored > self.length or max(size, chunk_size if size else 0) > MAX_RATIO * stored:
            raise Damaged(f"{stored} stored bytes cannot hold {size} bytes in chunks of {chunk_size}")
        if chunk_size > MAX_BYTES or size > max(MAX_BYTES, LARGE_RATIO * stored):
            raise Damaged(f"{stored} stored bytes claim to hold {size} in chunks of {chunk_size}")
        filters = _filters(node)
        array = np.empty(node.shape, dtype)
        corners = (range(0, length, step) for length, step in zip(node.shape, node.chunks, strict=True))
        for corner in itertools.product(*corners):
            skipped, data = node.id.read_direct_chunk(corner)
            block = _decoded(data, filters, skipped, chunk_size, dtype).reshape(node.chunks)
            place = tuple(slice(start, start + step) for start, step in zip(corner, node.chunks, strict=True))
            target = array[place]
            target[...] = block[tuple(slice(length) for length in target.shape)]
        return array

    def cell(self, node, depth):
        count = math.prod(node.shape)
        self.references += count
        if self.references > MAX_ARRAYS or depth > MAX_DEPTH:
            raise Damaged(f"more than {MAX_ARRAYS} arrays in cells, or nested deeper than {MAX_DEPTH}")
        address = np.dtype(np.uint64)
        if node.id.get_type().get_size() != address.itemsize:
            raise Damaged("references of an unknown form")
        if node.chunks:
            self.chunked(node, address)  # inflates within a bound, which h5py does not
        else:
            self.check_contiguous(node, count * address.itemsize)
        references = np.asarray(node[()]).T
        cell = np.empty(references.shape, dtype=object)
        for index, reference in np.ndenumerate(references):
            cell[index] = self.item(reference, depth + 1)
        return cell

    def item(self, reference, depth):
        """What a cell refers to. MATLAB lets all empty entries refer to one array: each is decoded once."""
        import h5py

        node = self.file[reference]
        address = h5py.h5o.get_info(node.id).addr
        if address not in self.items:
            self.items[address] = None
            self.items[address] = unwrapped(self.value(node, depth))
        if self.items[address] is None:
            raise Damaged("a cell that holds itself")
        return self.items[address]


def unwrapped(value):
    """An entry of a cell as Python takes it: a lone string or number as str, int, float …; nothing as ''."""
    array = np.asarray(value)
    while array.dtype == object and array.size == 1:
        array = np.asarray(array.ravel()[0])
    if array.size == 1:
        return array.ravel()[0].item()
    return "" if array.size == 0 else array


def _attribute(node, name, kinds):
    """A lone attribute of one of these NumPy kinds, else None."""
    if name not in node.attrs:
        return None
    described = node.attrs.get_id(name)
    if described.shape not in ((), (1,)) or described.dtype.kind not in kinds:
        return None
    return np.ravel(node.attrs[name])[0]


def _empty(kind, sizes):
    """The empty value whose dimensions are stored in place of data."""
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


def _filters(node):
    """Codes of the filters that a dataset's chunks went through, in order."""
    description = node.id.get_create_plist()
    codes = [description.get_filter(number)[0] for number in range(description.get_nfilters())]
    if codes not in ([], [_DEFLATE], [_SHUFFLE], [_SHUFFLE, _DEFLATE]):
        raise Damaged(f"HDF5 filters {codes}, expected deflate ({_DEFLATE}), with or without shuffle ({_SHUFFLE})")
    return codes


def _decoded(data, filters, skipped, size, dtype):
    """The numbers of a chunk of `size` bytes; bit k of `skipped` says that it did not go through filter k."""
    for number, code in reversed(list(enumerate(filters))):
        if skipped >> number & 1:
            continue
        if code == _DEFLATE:
            inflate = zlib.decompressobj()
            data = inflate.decompress(data, size + 1)
            if not inflate.eof:
                raise Damaged(f"a chunk that does not inflate to {size} bytes")
        elif len(data) == size:
            data = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, -1).T.tobytes()
    if len(data) != size:
        raise Damaged(f"expected a chunk of {size} bytes, received {len(data)}")
    return np.frombuffer(data, dtype)


def write(path, variables):
    """Write `variables` (name -> array or str) as MATLAB does, uncompressed. The user block is left for the caller."""
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            _write_value(file, name, value)


def _write_value(file, name, value):
    """Write one value: axes reversed, text as UTF-16 codes, cells as references into `#refs#`, of an empty value its
    shape alone."""
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
