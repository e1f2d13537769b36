"""The process that reads .mat files for its parent (`mat_process`), so that a damaged one cannot crash the parent.

A request is a line of JSON with the file's `path`, the variable's `key` (null for the names alone) and the `seconds`
of computing allowed. The answer is the length of a JSON text (8 bytes, little-endian), the text, then the bytes of the
arrays described in it, column by column, in order. Texts and numbers in cells stand in the JSON itself; for numbers
that lie in the file as they are, only their offset is sent.
"""

import contextlib
import json
import math
import os
import signal
import struct
import sys
from dataclasses import dataclass, field

import numpy as np

from zscmr.formats import mat_hdf5
from zscmr.formats.mat_hdf5 import MAX_BYTES, Damaged, Slabs, Stored
from zscmr.utils.errors import first_line

MAX_ITEMS = 2**22  # entries of a cell, nested ones included; each costs Python some 200 bytes, the file as few as 8
MEMORY = 2 * MAX_BYTES  # bytes of address space on top of what the process starts with
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_HEADER = 128  # bytes of a v5 file before its first variable
_NUMBERS = {  # array class of v5 -> (data type code, NumPy type) of the same numbers
    **{6: (9, "f8"), 7: (7, "f4"), 8: (1, "i1"), 9: (2, "u1"), 10: (3, "i2"), 11: (4, "u2")},
    **{12: (5, "i4"), 13: (6, "u4"), 14: (12, "i8"), 15: (13, "u8")},
}
_COMPLEX_OR_LOGICAL = 0x800 | 0x200


def answer_requests():
    """Answer requests until standard input ends, which it does with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to report
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    _limit_memory()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        _limit_time(request["seconds"])
        reply(request, answers)
        answers.flush()


def reply(request, stream):
    """Write the answer to a request into a binary stream."""
    answer = _Answer()
    try:
        content = answer.content(request["path"], request["key"])
    except Exception as error:
        answer.payloads.clear()
        content = {"error": "not enough memory" if type(error) is MemoryError else first_line(error)}
    text = json.dumps(content).encode()
    stream.write(struct.pack("<Q", len(text)) + text)
    for blocks in answer.payloads:
        for block in blocks:
            stream.write(np.ascontiguousarray(block).data.cast("B") if block.size else b"")


@dataclass
class _Answer:
    """The answer to one request; `payloads`: for each array, its blocks in the order of their bytes."""

    payloads: list = field(default_factory=list)
    items: int = 0
    bytes: int = 0

    def content(self, path, key):
        status = os.stat(path)
        names, value = (mat_hdf5.read if _is_hdf5(path) else read_v5)(path, key)
        if value is None:
            return {"names": names}
        version = [status.st_size, status.st_mtime_ns]
        return {"names": names, "version": version, "value": self.encoded(value)}

    def encoded(self, value, depth=0):
        """`value` as JSON; its arrays join the payloads."""
        self.items += 1
        if self.items > MAX_ITEMS:
            raise Damaged(f"more than {MAX_ITEMS} entries in cells")
        if isinstance(value, (str, bool, int, float)):
            return value
        if isinstance(value, (Stored, Slabs)):
            about = {"dtype": value.dtype.str, "shape": list(value.shape)}
            if isinstance(value, Slabs):
                self.payloads.append(value.blocks)
                return about
            return about | {"offset": value.offset}
        if not isinstance(value, (np.ndarray, complex)) or np.asarray(value).dtype.names:
            raise Damaged("a struct, a sparse array or an object, expected numbers, text or a cell")
        value = np.asarray(value)
        shape = list(value.shape)
        if value.dtype == object:
            return {"shape": shape, "cell": [self.encoded(item, depth + 1) for item in value.ravel()]}
        if value.dtype.kind == "U":
            return {"shape": shape, "texts": value.ravel().tolist()}
        self.bytes += value.nbytes if depth else 0
        if self.bytes > MAX_BYTES:
            raise Damaged(f"a cell of more than {MAX_BYTES} bytes")
        self.payloads.append([value.T])
        return {"dtype": value.dtype.str, "shape": shape}


def _is_hdf5(path):
    with open(path, "rb") as file:
        return any(file.seek(offset) is not None and file.read(8) == _HDF5_MAGIC for offset in (0, 512))


def read_v5(path, key):
    """(names of the variables of a v5 file, the value of `key` or None if it is not among them)."""
    import scipy.io  # takes 0.3 s to import

    with open(path, "rb") as file:
        order = _byte_order(file)
        listed = scipy.io.whosmat(file)
        names = [name for name, _, _ in listed]
        if key not in names:  # MATLAB keeps the workspaces of functions in a variable without a name
            return [name for name in names if name != "__function_workspace__"], None
        stored = _stored(file, order, names.index(key))
        if stored:
            return names, stored
        file.seek(0)
        codec = "utf-16-le" if order == "<" else "utf-16-be"
        value = scipy.io.loadmat(file, variable_names=[key], chars_as_strings=True, uint16_codec=codec)[key]
    if isinstance(value, str):
        raise Damaged(value)  # SciPy's message in place of a value
    logical = listed[names.index(key)][2] == "logical"
    return names, value.astype(bool) if logical else _plain(value)


def _byte_order(file):
    """'<' or '>' of an open v5 file. Raises Damaged for other files, v4 among them."""
    file.seek(0)
    header = file.read(_HEADER)
    order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(header[124:128])
    if order is None or 0 in header[:4]:
        raise Damaged("neither MAT v5 nor v7.3")
    return order


def _stored(file, order, index):
    """Where the real numbers of a v5 file's variable number `index` lie; None if they have to be decoded."""
    position, length = _HEADER, os.fstat(file.fileno()).st_size
    for _ in range(index):
        file.seek(position + 4)
        position += 8 + struct.unpack(order + "I", file.read(4))[0]
    file.seek(position)
    head = file.read(1024)
    try:
        kind, _, flags_kind, _, flags, _, _, axes = struct.unpack_from(order + "8I", head)
        if kind != 14 or flags_kind != 6 or flags & _COMPLEX_OR_LOGICAL or flags & 0xFF not in _NUMBERS:
            return None
        code, dtype = _NUMBERS[flags & 0xFF]
        shape = struct.unpack_from(f"{order}{axes // 4}i", head, 32)
        name = 32 + axes + -axes % 8
        first, size = struct.unpack_from(order + "2I", head, name)
        data = name + 8 + (0 if first >> 16 else size + -size % 8)  # a name of up to 4 bytes lies in its tag
        data_kind, size = struct.unpack_from(order + "2I", head, data)
    except struct.error:
        return None
    stored = Stored(np.dtype(order + dtype), shape, position + data + 8)
    expected = math.prod(shape) * stored.dtype.itemsize
    complete = len(shape) > 1 and min(shape) >= 0 and size == expected and stored.offset + size <= length
    return stored if complete and data_kind == code else None


def _plain(value):
    """Unwrap SciPy's values: a string is a one-element array there, a number in a cell a matrix."""
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype == object:
        cell = np.empty(value.shape, dtype=object)
        for index, item in np.ndenumerate(value):
            cell[index] = mat_hdf5.unwrapped(_plain(item))
        return cell
    if value.dtype.kind == "U" and value.size <= 1:
        return "".join(value.ravel())
    return value


def _limit_memory():
    """Bound the address space, where the system can, and write no core file after a crash."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        _set(resource.RLIMIT_AS, used + MEMORY)
        _set(resource.RLIMIT_CORE, 0)


def _limit_time(seconds):
    """End the process by a signal once it has computed for so long from now; waiting for a disk does not count."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        _set(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + seconds))


def _set(limit, value):
    import resource

    most = resource.getrlimit(limit)[1]
    resource.setrlimit(limit, (value if most == resource.RLIM_INFINITY else min(value, most), most))
