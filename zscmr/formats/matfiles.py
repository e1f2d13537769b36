"""MATLAB files, v5 and v7.3, for dataset directories and `unified_features.mat`: both give the same arrays.

A v5 file cannot hold a variable of 2 GB, so larger ones are written as v7.3, and read memory-mapped. SciPy and h5py
read in a process of their own (mat_process.py): a damaged file ends in BadInput, whatever it does to them.
"""

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path

import numpy as np

from zscmr.formats import mat_hdf5, mat_process
from zscmr.utils import files
from zscmr.utils.console import track, warn
from zscmr.utils.errors import BadInput, first_line

LARGE = 2**31  # bytes of a variable: from here on v7.3 is written, and arrays are mapped rather than read
_BLOCK = 2**26  # bytes of rows copied at a time
_SAMPLES = 64  # blocks of 4 KiB, spread over a .mat file, that tell one version of it from another
_LISTED = 20  # variables named in a message


def keys(path):
    """Names of the variables in a .mat file, in file order. Raises BadInput if it is missing or is no .mat file."""
    return _answer(_existing(path), None)[0]


def read(path, key, large=LARGE):
    """One variable of a .mat file.

    Numbers keep MATLAB's shape (at least 2-D); a cell is an object array of str, numbers and arrays; a char array is
    a str, or an array with a str a row; a MATLAB logical is an array of bool. Structs, sparse arrays and objects are
    refused. An array of `large` bytes or more that lies in the file as it is becomes a read-only np.memmap,
    column-major. Raises BadInput naming the file and the key.
    """
    path = _existing(path)
    names, value = _answer(path, key, large)
    if value is None:
        raise BadInput(f"{path}: no variable '{key}', the file has {_listed(names) or 'none'}")
    return value


def _answer(path, key, large=LARGE):
    """(names of the variables, value of `key` or None) from the process that reads. Raises BadInput."""
    try:
        return mat_process.reader().read(path, key, large)
    except Exception as error:  # NumPy raises of many kinds for a damaged answer
        fault = "not a readable .mat file" if key is None else f"variable '{key}' cannot be read"
        raise BadInput(f"{path}: {fault} ({first_line(error)})") from error


def read_numbers(path, key, shape=None, large=LARGE):
    """A variable that has to be an array of real numbers, as `read` returns it.

    `shape` gives its axes, None for one of any length: (None, 2) takes an edge list. Raises BadInput naming the file,
    the key, and both the expected and the received shape.
    """
    value = read(path, key, large)
    if _is_real(value) and (shape is None or _fits(value.shape, shape)):
        return value
    sizes = "" if shape is None else f" of {' × '.join('n' if size is None else str(size) for size in shape)}"
    raise BadInput(f"{path}: '{key}' should be an array of numbers{sizes}, received {_described(value)}")


def read_cell(path, key):
    """A variable that has to be a cell: an object array, at least 2-D. Raises BadInput naming expected and received."""
    value = read(path, key)
    if isinstance(value, np.ndarray) and value.dtype == object:
        return value
    raise BadInput(f"{path}: '{key}' should be a cell, received {_described(value)}")


def read_text(path, key):
    """A variable that has to be one text, as a stripped str: characters in a row or column, or a cell that holds one.

    Raises BadInput for anything else, MATLAB's string objects among it.
    """
    value = text = read(path, key)
    if isinstance(value, np.ndarray) and value.dtype == np.dtype("U1"):
        text = "".join(value.ravel())
    elif isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
        text = value.item()
    if isinstance(text, str):
        return text.strip()
    raise BadInput(f"{path}: '{key}' should be a text, received {_described(value)}")


def read_names(path, key):
    """A cell of names, a char matrix with a name a row, or a single name, as a list of str; BadInput for others."""
    value = read(path, key)
    if isinstance(value, str):
        return [value]
    received = _described(value)
    if value.dtype.kind in "OU" or value.size == 0:
        wrong = next((name for name in np.ravel(value) if not isinstance(name, str)), None)
        if wrong is None:
            return [str(name).strip() for name in np.ravel(value)]
        received = f"a cell that holds {_described(wrong)}"
    raise BadInput(f"{path}: '{key}' should be a cell of names, received {received}")


def row_major(path, key):
    """The numbers of a variable as a read-only row-major np.memmap, for access row by row.

    MATLAB stores columns, so that reading a row touches every page of the file. The rows are kept beside it in
    `<stem>.<key>.<digest>.rows.npy`, created when missing. The digest is one of the .mat file's size, modification
    time and 64 samples of its content, so that a copy of another version has another name; such copies are deleted.
    Where the folder cannot be written, warns and returns what `read` gives. Raises BadInput like `read_numbers`.
    """
    path = _existing(path)
    rows = path.with_name(f"{path.stem}.{key}.{_digest(path)}.rows.npy")
    mapped = mapped_rows(rows)
    if mapped is not None:
        return mapped
    array = read_numbers(path, key, large=1)
    if array.size == 0:  # there is nothing to map
        return array
    try:
        with files.lock(path.with_name(f".{path.stem}.{key}.rows.lock")):
            mapped = mapped_rows(rows)  # another process may have been first
            if mapped is None:
                _write_rows(rows, array)
                mapped = mapped_rows(rows)
            return mapped
    except OSError as error:
        reason = error.strerror or first_line(error)
        warn(f"{path.parent}: cannot keep the rows of '{key}' ({reason}); reading {path.name} by columns is slow")
        return array


def write(path, variables, large=LARGE):
    """Write `variables` (name -> array, list of str, or str) into a file that appears whole.

    Lists of str become n × 1 cells, object arrays cells of their shape. The file is uncompressed v5, or v7.3 if an
    array has `large` bytes or more. The same variables give the same bytes.
    """
    import scipy.io

    ready = {name: _cell(value) if isinstance(value, (list, tuple)) else value for name, value in variables.items()}
    with files.whole_file(path) as part:
        if any(isinstance(value, np.ndarray) and value.nbytes >= large for value in ready.values()):
            mat_hdf5.write(part, ready)
            _write_header(part, b"MATLAB 7.3 MAT-file, written by ZSCMR".ljust(116) + bytes(8) + b"\x00\x02IM")
        else:
            scipy.io.savemat(part, ready, appendmat=False, oned_as="column")
            _write_header(part, b"MATLAB 5.0 MAT-file, written by ZSCMR".ljust(116))


def _write_header(path, header):
    """Overwrite the first bytes, where SciPy writes platform and time of day."""
    with open(path, "r+b") as file:
        file.write(header)


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


def _listed(names):
    shown = [name if name.isprintable() else ascii(name) for name in names[:_LISTED]]
    return ", ".join(shown + ["…"] * (len(names) > _LISTED))


def _is_real(value):
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiub"


def _fits(sizes, shape):
    return len(sizes) == len(shape) and all(n is None or n == size for size, n in zip(sizes, shape, strict=True))


def _described(value):
    """Describe a variable or an entry of a cell for a message."""
    if isinstance(value, str):
        return "text"
    if not isinstance(value, np.ndarray):
        return f"the number {value}"
    if value.dtype.kind == "U":
        return f"{value.size} rows of text"
    return f"{'a cell' if value.dtype == object else value.dtype} of {' × '.join(map(str, value.shape))}"


def _digest(path):
    """16 digits that change when the file does: of its size, its time of modification (ns), and samples of it."""
    status = os.stat(path)
    digest = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}".encode())
    with open(path, "rb") as file:
        for sample in range(_SAMPLES):
            file.seek(max(0, status.st_size - 4096) * sample // (_SAMPLES - 1))
            digest.update(file.read(4096))
    return digest.hexdigest()[:16]


def mapped_rows(rows):
    """The array of a .npy file, mapped; None if there is no such file, or one that is damaged or not row-major."""
    try:
        mapped = np.load(rows, mmap_mode="r", allow_pickle=False)
        complete = mapped.offset + mapped.nbytes == os.path.getsize(rows)
    except Exception:  # what NumPy raises for a damaged header differs by the byte
        return None
    return mapped if complete and mapped.flags.c_contiguous and _is_real(mapped) else None


def _write_rows(rows, array):
    """Write `array` as a .npy file in row-major order, in blocks, and delete the copies of other versions."""
    dtype = array.dtype.newbyteorder("=")
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": array.shape}
    step = max(1, _BLOCK // max(1, array[:1].nbytes))
    with files.whole_file(rows) as part, open(part, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in track(range(0, len(array), step), f"{rows.name}, blocks of {step} rows"):
            file.write(np.ascontiguousarray(array[start : start + step], dtype).data)
    version = re.compile(re.escape(rows.name[: -len("0123456789abcdef.rows.npy")]) + r"[0-9a-f]{16}\.rows\.npy")
    for stale in rows.parent.iterdir():
        if stale != rows and version.fullmatch(stale.name):
            with suppress(OSError):  # Windows keeps what another process has mapped
                stale.unlink()
