"""MATLAB files in and out, v5 and v7.3 alike, for the dataset directories and `unified_features.mat`.

Version 7.3 files are HDF5 with the axes reversed and a user block in front; both versions give the same arrays here.
"""

from pathlib import Path

import numpy as np

from cli import BadInput, whole_file

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


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


def read(path, key):
    """One variable of a .mat file.

    Numeric arrays keep MATLAB's shape (at least 2-D); cell arrays come as object arrays of str, numbers and arrays;
    char arrays as str. Raises BadInput naming the file and the key.
    """
    path = _existing(path)
    present = keys(path)
    if key not in present:
        raise BadInput(f"{path}: no variable '{key}', the file has {', '.join(present) or 'none'}")
    try:
        if _is_hdf5(path):
            import h5py

            with h5py.File(path, "r") as file:
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


def write(path, variables):
    """Writes `variables` (name -> array, list of str, or str) as an uncompressed v5 file that appears whole.

    Lists of str become n × 1 cells, object arrays cells of their shape. The same variables give the same bytes.
    """
    import scipy.io

    ready = {name: _cell(value) if isinstance(value, (list, tuple)) else value for name, value in variables.items()}
    with whole_file(path) as part:
        scipy.io.savemat(part, ready, appendmat=False, oned_as="column")
        with open(part, "r+b") as file:  # in place of the platform and the time of day
            file.write(b"MATLAB 5.0 MAT-file, written by ZSCMR".ljust(116))


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
        return "".join(map(chr, np.ravel(node[()])))
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
