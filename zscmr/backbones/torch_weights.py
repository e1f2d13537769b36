"""State dicts from PyTorch's old (non-zip) `.pth` files, read without PyTorch and without executing anything.

Such a file is four pickles (a magic number, a protocol number, properties of the machine that wrote it, the state
dict), a fifth with the keys of the storages, and then for each key an int64 element count and the raw elements.
Python's unpickler is restricted twice: each pickle is scanned for operations that no state dict needs before it is
loaded, and names in it resolve to objects of this module only.
"""

import io
import math
import pickle
import pickletools
import struct
from typing import NamedTuple

import numpy as np

from zscmr.utils.errors import BadInput, first_line
from zscmr.utils.files import read_bytes

MAGIC = 119547037146038801333356
PROTOCOL = 1001
OPERATIONS = 1_000_000  # at most, in one pickle; EfficientNet-Lite2 has about 25,000
TUPLES = 20_000  # at most, in one pickle: hashing tuples nested deeper may overflow the C stack; a tensor has 4
DIMENSIONS = 8  # at most, of a tensor
_ORDERED_DICT, _REBUILD_TENSOR = "collections.OrderedDict", "torch._utils._rebuild_tensor_v2"
_DTYPES = {"torch.FloatStorage": np.dtype("<f4"), "torch.LongStorage": np.dtype("<i8")}
_ALLOWED = {
    *("PROTO", "STOP", "MARK", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "NONE", "NEWTRUE", "NEWFALSE"),
    *("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS", "GLOBAL", "BINPERSID", "REDUCE", "BUILD"),
}


def read_state_dict(path):
    """Name → array (float32 or int64): read-only views of the file's content, in the file's order.

    Raises BadInput for a file in another form, or a damaged one.
    """
    content = read_bytes(path)
    try:
        return _read(content)
    except _Malformed as error:
        raise BadInput(f"{path}: not a readable PyTorch weight file ({error})") from error


class _Malformed(Exception):
    """What is wrong with a file, without its name."""


# a pickle makes named tuples only, which have no attributes that its operation BUILD could set


class _Storage(NamedTuple):
    """What the state dict declares of a storage. The elements come later in the file."""

    key: str
    dtype: np.dtype
    count: int


class _Tensor(NamedTuple):
    """A view of a storage; offset and strides in elements."""

    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


class _Global(NamedTuple):
    """What stands for a function or class that a pickle names."""

    name: str

    def __call__(self, *arguments):
        """A new state dict, or a view of a storage: what a call in the pickle stands for."""
        match self.name, arguments:
            case "collections.OrderedDict", ():
                return _StateDict()
            case "torch._utils._rebuild_tensor_v2", (_Storage() as storage, offset, tuple(shape), tuple(strides), *_):
                return _checked(_Tensor(storage, offset, shape, strides))
        raise _Malformed("it calls something other than the constructors of a state dict and its tensors")


class _StateDict(dict):
    """An ordered dict of tensors by name."""

    __slots__ = ()

    def __setitem__(self, key, value):
        if not isinstance(key, str):
            raise _Malformed("a dict in it has a key that is not a string")
        if key in self:
            raise _Malformed(f"it holds {_short(key)} twice")
        super().__setitem__(key, value)

    def __setstate__(self, state):
        """Drop the version numbers of modules that the operation BUILD gives a state dict."""


class _Unpickler(pickle.Unpickler):
    """Loads one scanned pickle; the storages that it declares go to `storages`, {key: _Storage}."""

    def __init__(self, content, storages):
        super().__init__(io.BytesIO(content))
        self.storages = storages

    def find_class(self, module, name):
        if (full := f"{module}.{name}") not in (_ORDERED_DICT, _REBUILD_TENSOR, *_DTYPES):
            raise _Malformed(f"it names {_short(full)}, which no state dict needs")
        return _Global(full)

    def persistent_load(self, identity):
        """('storage', class, key, device, elements, None) → the storage, the same one for the same key."""
        match identity:
            case ("storage", _Global(name), str(key), str(), count, None) if name in _DTYPES and _is_size(count):
                storage = _Storage(key, _DTYPES[name], count)
            case _:
                raise _Malformed("it refers to something other than a storage of float32 or int64")
        if self.storages.setdefault(key, storage) != storage:
            raise _Malformed(f"it declares storage {_short(key)} twice and differently")
        return storage


def _read(content):
    if content.startswith(b"PK\x03\x04"):
        raise _Malformed("it has the newer zip form: save it with _use_new_zipfile_serialization=False")
    objects, storages, position = [], {}, 0
    for _ in range(5):
        end = _scanned(content, position)
        objects.append(_load(content[position:end], storages))
        position = end
        _check_header(objects)
    *_, tensors, keys = objects
    if not isinstance(tensors, _StateDict | dict) or not tensors:
        raise _Malformed("it holds no state dict")
    for name, tensor in tensors.items():
        if not isinstance(name, str):
            raise _Malformed("a dict in it has a key that is not a string")
        if not isinstance(tensor, _Tensor):
            raise _Malformed(f"its entry {_short(name)} is not a tensor")
    elements = _elements(content, position, storages, keys)
    return {name: _array(tensor, elements[tensor.storage.key]) for name, tensor in tensors.items()}


def _check_header(objects):
    """Raise _Malformed if the last of the objects read so far is a wrong header."""
    last = objects[-1]
    if len(objects) <= 2:
        part, expected = (("magic number", MAGIC), ("protocol number", PROTOCOL))[len(objects) - 1]
        if not _is_integer(last) or last != expected:
            raise _Malformed(f"its {part} is not {expected}")
    if len(objects) == 3 and not (isinstance(last, dict) and last.get("little_endian") is True):
        raise _Malformed("it was not written on a little-endian machine")


def _scanned(content, position):
    """Return the end of the pickle at `position`. Raises _Malformed for operations that no state dict needs.

    The unpickler makes its memo as large as the highest index in it, so indices have to come in order.
    """
    stream, memo_size, tuples = io.BytesIO(content), 0, 0
    stream.seek(position)
    for _ in range(OPERATIONS):
        code = stream.read(1).decode("latin-1")
        if not code:
            raise _Malformed("it is cut short")
        operation = pickletools.code2op.get(code)
        if operation is None or operation.name not in _ALLOWED:
            raise _Malformed(f"it uses the pickle operation {code.encode('latin-1')!r}, which no state dict needs")
        try:
            argument = operation.arg.reader(stream) if operation.arg else None
        except (ValueError, struct.error) as error:
            raise _Malformed(f"it is cut short or damaged, {first_line(error)[:80]}") from error
        if operation.name == "STOP":
            return stream.tell()
        if operation.name == "PROTO" and argument != 2:
            raise _Malformed("a pickle in it is not of protocol 2")
        if operation.name.endswith("BINPUT"):
            memo_size += 1
            if argument >= memo_size:
                raise _Malformed("a pickle in it skips places of its memo")
        tuples += operation.name.startswith("TUPLE")
        if tuples > TUPLES:
            raise _Malformed(f"a pickle in it has more than {TUPLES} tuples")
    raise _Malformed(f"a pickle in it has more than {OPERATIONS} operations")


def _load(content, storages):
    try:
        return _Unpickler(content, storages).load()
    except _Malformed:
        raise
    except Exception as error:  # the unpickler raises of every kind
        raise _Malformed(f"a pickle in it cannot be loaded, {first_line(error)[:80]}") from error


def _elements(content, position, storages, keys):
    """{key: content of a storage, as bytes}. The storages begin at `position` and must end where the file ends."""
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise _Malformed("it holds no list of storage keys")
    if len(set(keys)) != len(keys) or set(keys) != set(storages):
        raise _Malformed("its list of storages differs from what its tensors refer to")
    elements, view = {}, memoryview(content)
    for key in keys:
        storage = storages[key]
        start, stop = position + 8, position + 8 + storage.count * storage.dtype.itemsize
        if stop > len(content):
            raise _Malformed(f"storage {_short(key)} of {storage.count} elements ends after the file does")
        (count,) = struct.unpack_from("<q", content, position)
        if count != storage.count:
            raise _Malformed(f"storage {_short(key)} holds {count} elements, its tensors expect {storage.count}")
        elements[key], position = view[start:stop], stop
    if position != len(content):
        raise _Malformed(f"{len(content) - position} bytes follow its last storage")
    return elements


def _array(tensor, elements):
    """The view, taken from the content of its storage; its bounds have been checked."""
    dtype = tensor.storage.dtype
    if 0 in tensor.shape:
        return np.empty(tensor.shape, dtype)
    strides = [stride * dtype.itemsize for stride in tensor.strides]
    return np.ndarray(tensor.shape, dtype, elements, tensor.offset * dtype.itemsize, strides)


def _checked(tensor):
    """The tensor, if every element of it lies within its storage and is not repeated by a stride of 0."""
    sizes = (tensor.offset, *tensor.shape, *tensor.strides)
    if len(tensor.shape) != len(tensor.strides) or len(tensor.shape) > DIMENSIONS or not all(map(_is_size, sizes)):
        raise _Malformed("it declares a tensor whose offset, shape or strides are no sizes")
    elements = math.prod(tensor.shape)
    steps = zip(tensor.shape, tensor.strides, strict=True)
    last = tensor.offset + sum((size - 1) * stride for size, stride in steps) if elements else 0
    if last >= max(tensor.storage.count, 1) or elements > tensor.storage.count:
        raise _Malformed(f"it declares a tensor outside its storage of {tensor.storage.count} elements")
    return tensor


def _is_integer(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _is_size(value):
    return _is_integer(value) and 0 <= value < 2**40


def _short(text):
    """The start of a string, quoted, without control characters."""
    return ascii(text if len(text) <= 80 else text[:80] + "…")
