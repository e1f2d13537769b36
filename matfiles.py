"""MATLAB files in and out, v5 and v7.3 alike, for the dataset directories and `unified_features.mat`.

Version 7.3 files are HDF5 with the axes reversed and a user block in front; both versions give the same arrays here.
A v5 file cannot hold a variable of 2 GB, so larger ones are written as v7.3, and read memory-mapped.
"""

from pathlib import Path

import numpy as np

from cli import BadInput, whole_file

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
LARGE = 2**31  # bytes of a variable: from here on v7.3 is written, and arrays are mapped rather than read
_BLOCK = 2**24  # bytes copied at a time


def keys(path):
    """Names of the variables in a .mat file, in file order. Raises BadInput if it is missing or is no .mat file."""
    path = _existing(path)
    try:
        if _is_hdf5(path):
            import h5py  # these two take half a second, which `import knn_eval` must not

            with h5py.File(path, "r") as file:
                return [name for name in file if not name.startswith("#")]
        import scipy.io

        return [name for name, _, _ in scipy.io.whosmat(path)]
    except Exception as error:
        raise BadInput(f"{path}: not a readable .mat file ({_first_line(error)})") from error


def read(path, key, large=LARGE):
    """One variable of a .mat file.

    Numeric arrays keep MATLAB's shape (at least 2-D); cell arrays come as object arrays of str, numbers and arrays;
    char arrays as str. An array of `large` bytes or more in a v7.3 file comes as a read-only np.memmap where it lies
    there in one piece. Raises BadInput naming the file and the key.
    """
    path = _existing(path)
    present = keys(path)
    if key not in present:
        raise BadInput(f"{path}: no variable '{key}', the file has {', '.join(present) or 'none'}")
    try:
        if _is_hdf5(path):
            import h5py

            with h5py.File(path, "r") as file:
                if _mappable(file[key]) and file[key].nbytes >= large:
                    offset, shape = file[key].id.get_offset(), file[key].shape
                    return np.memmap(path, file[key].dtype, "r", offset, shape).T
                return _from_hdf5(file, file[key])
        import scipy.io

        return _plain(scipy.io.loadmat(path, variable_names=[key], chars_as_strings=True)[key])
    except Exception as error:
        raise BadInput(f"{path}: variable '{key}' cannot be read ({_first_line(error)})") from error


def read_names(path, key):
    """A cell array of names (or a char matrix with a name per row) as a list of str."""
    value = read(path, key)
    names = [value] if isinstance(value, str) else [str(name).strip() for name in np.ravel(value)]
    return names


def write(path, variables, large=LARGE):
    """Writes `variables` (name -> array, list of str, or str) into a file that appears whole.

    Lists of str become n × 1 cells, object arrays cells of their shape. The file is uncompressed v5, or v7.3 if an
    array has `large` bytes or more. The same variables give the same bytes.
    """
    import scipy.io

    ready = {name: _cell(value) if isinstance(value, (list, tuple)) else value for name, value in variables.items()}
    with whole_file(path) as part:
        if any(isinstance(value, np.ndarray) and value.nbytes >= large for value in ready.values()):
            _write_v73(part, ready)
        else:
            scipy.io.savemat(part, ready, appendmat=False, oned_as="column")
            _write_header(part, b"MATLAB 5.0 MAT-file, written by ZSCMR".ljust(116))


def _write_v73(path, variables):
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            _to_hdf5(file, name, value)
    _write_header(path, b"MATLAB 7.3 MAT-file, written by ZSCMR".ljust(116) + bytes(8) + b"\x00\x02IM")


def _write_header(path, header):
    """Overwrites the first bytes, which would tell platform and time of day."""
    with open(path, "r+b") as file:
        file.write(header)


def _to_hdf5(file, name, value):
    """Writes one value as MATLAB does: axes reversed, text as UTF-16 codes, cells as references into `#refs#`, and of
    an empty value its shape alone."""
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
            references[index] = _to_hdf5(file, key, item).ref
        node = file.create_dataset(name, data=references)
    else:
        node = file.create_dataset(name, shape=array.shape[::-1], dtype=array.dtype)
        rows = _BLOCK // array[:1].nbytes + 1
        for start in range(0, len(array), rows):  # in blocks: the array may be larger than memory
            node[..., start : start + rows] = array[start : start + rows].T
    node.attrs["MATLAB_class"] = np.bytes_(kind)
    if kind == "char":
        node.attrs["MATLAB_int_decode"] = np.int32(2)
    return node


_MATLAB_CLASS = {"float32": "single", "float64": "double"}


def _mappable(node):
    """Numbers in one uncompressed piece; MATLAB compresses what it writes, `write` does not."""
    return node.dtype.kind in "fiu" and node.chunks is None and node.id.get_offset() is not None


def _cell(names):
    if not all(isinstance(name, str) for name in names):
        raise TypeError("a list becomes a cell of names and has to hold str; give numbers as an array")
    cell = np.empty((len(names), 1), dtype=object)
    cell[:, 0] = names
    return cell


def _existing(path):
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    return path


def _is_hdf5(path):
    with open(path, "rb") as file:
        return any(file.seek(offset) is not None and file.read(8) == _HDF5_MAGIC for offset in (0, 512))


def _plain(value):
    """SciPy's cells hold each string as a one-element array, each number as a matrix: unwrap both."""
    if value.dtype == object:
        cell = np.empty(value.shape, dtype=object)
        for index, item in np.ndenumerate(value):
            cell[index] = _unwrapped(item)
        return cell
    if value.dtype.kind == "U" and value.size <= 1:
        return "".join(value.ravel())
    return value


def _unwrapped(item):
    array = np.asarray(item)
    if array.size == 1:
        return array.ravel()[0].item()
    return "" if array.size == 0 else array


def _from_hdf5(file, node):
    import h5py

    kind = node.attrs.get("MATLAB_class", b"")
    if node.attrs.get("MATLAB_empty", 0):
        return "" if kind == b"char" else np.empty(tuple(node[()]), dtype=object if kind == b"cell" else float)
    if kind == b"char":
        return np.ravel(node[()]).astype(np.uint16).tobytes().decode("utf-16-le")
    if node.dtype == h5py.ref_dtype:
        references = node[()].T
        cell = np.empty(references.shape, dtype=object)
        for index, reference in np.ndenumerate(references):
            item = _from_hdf5(file, file[reference])
            cell[index] = item if isinstance(item, str) else _unwrapped(item)
        return cell
    return node[()].T


def _first_line(error):
    return (str(error).splitlines() or [type(error).__name__])[0]
