"""State dicts from PyTorch's old (non-zip) `.pth` files, read without PyTorch and without executing anything.

Such a file is four pickles (a magic number, a protocol number, properties of the machine that wrote it, the state
dict), a fifth with the keys of the storages, and then for each key an int64 element count and the raw elements.
Python's own unpickler calls what a file names. `_Pickle` interprets the few operations that a state dict needs, and
refuses every other.
"""

import math
import pickle
import struct
from dataclasses import dataclass

import numpy as np

from zscmr.utils.errors import BadInput
from zscmr.utils.files import read_bytes

MAGIC = 119547037146038801333356
PROTOCOL = 1001
OPERATIONS = 1_000_000  # at most, in one pickle; EfficientNet-Lite2 has about 25,000
DIMENSIONS = 8  # at most, of a tensor

_ORDERED_DICT, _REBUILD_TENSOR = "collections.OrderedDict", "torch._utils._rebuild_tensor_v2"
_DTYPES = {"torch.FloatStorage": np.dtype("<f4"), "torch.LongStorage": np.dtype("<i8")}
_GLOBALS = {_ORDERED_DICT, _REBUILD_TENSOR, *_DTYPES}


def read_state_dict(path):
    """Name -> array (float32 or int64): read-only views of the file's content, in the file's order.

    Raises BadInput for a file in another form, or a damaged one.
    """
    content = read_bytes(path)
    try:
        return _read(content)
    except _Malformed as error:
        raise BadInput(f"{path}: not a readable PyTorch weight file ({error})") from error


#: operation that pushes a whole number -> its form in the file
_FORMS = {pickle.BININT1: "<B", pickle.BININT2: "<H", pickle.BININT: "<i"}


class _Malformed(Exception):
    """What is wrong with a file, without its name."""


@dataclass(frozen=True)
class _Global:
    """A function or class that a pickle names. Never looked up, never called."""

    name: str


@dataclass(frozen=True)
class _Storage:
    """What the state dict declares of a storage. The elements come later in the file."""

    key: str
    dtype: np.dtype
    count: int


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage; offset and strides in elements."""

    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


def _read(content):
    if content.startswith(b"PK\x03\x04"):
        raise _Malformed("it has the newer zip form: save it with _use_new_zipfile_serialization=False")
    reader = _Pickle(content)
    for part, expected in (("magic number", MAGIC), ("protocol number", PROTOCOL)):
        received = reader.load()
        if not _is_integer(received) or received != expected:
            raise _Malformed(f"its {part} is not {expected}")
    machine = reader.load()
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise _Malformed("it was not written on a little-endian machine")
    tensors = reader.load()
    if not isinstance(tensors, dict) or not tensors:
        raise _Malformed("it holds no state dict")
    for name, tensor in tensors.items():
        if not isinstance(tensor, _Tensor):
            raise _Malformed(f"its entry {_short(name)} is not a tensor")
    elements = _storages(content, reader)
    return {name: _array(tensor, elements[tensor.storage.key]) for name, tensor in tensors.items()}


def _storages(content, reader):
    """Key -> content of each storage, as bytes. They must end where the file ends."""
    keys = reader.load()
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise _Malformed("it holds no list of storage keys")
    if len(set(keys)) != len(keys) or set(keys) != set(reader.storages):
        raise _Malformed("its list of storages differs from what its tensors refer to")
    elements, position, view = {}, reader.position, memoryview(content)
    for key in keys:
        storage = reader.storages[key]
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


class _Pickle:
    """Interprets pickles of numbers, strings, tuples, lists, dicts with string keys, and tensors."""

    def __init__(self, content):
        self.content, self.position = content, 0
        self.storages = {}  # key -> _Storage, of all pickles

    def load(self):
        """The object in the next pickle."""
        self.stack, self.marks, self.memo = [], [], {}
        for _ in range(OPERATIONS):
            operation = self._take(1)
            if operation == pickle.STOP:
                return self._pop()
            self._execute(operation)
        raise _Malformed(f"a pickle in it has more than {OPERATIONS} operations")

    def _execute(self, operation):
        push = self.stack.append
        match operation:
            case pickle.PROTO:
                if self._number("<B") != 2:
                    raise _Malformed("a pickle in it is not of protocol 2")
            case pickle.BINPUT | pickle.LONG_BINPUT:
                self.memo[self._number("<B" if operation == pickle.BINPUT else "<I")] = self._top()
            case pickle.BINGET | pickle.LONG_BINGET:
                place = self._number("<B" if operation == pickle.BINGET else "<I")
                if place not in self.memo:
                    raise _Malformed("a pickle in it refers to an object that it does not hold")
                push(self.memo[place])
            case pickle.NONE:
                push(None)
            case pickle.NEWTRUE | pickle.NEWFALSE:
                push(operation == pickle.NEWTRUE)
            case pickle.BININT1 | pickle.BININT2 | pickle.BININT:
                push(self._number(_FORMS[operation]))
            case pickle.LONG1:
                push(int.from_bytes(self._take(self._number("<B")), "little", signed=True))
            case pickle.BINUNICODE:
                push(_decoded(self._take(self._number("<I"))))
            case pickle.EMPTY_TUPLE:
                push(())
            case pickle.TUPLE1 | pickle.TUPLE2 | pickle.TUPLE3:
                length = (pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3).index(operation) + 1
                push(tuple([self._pop() for _ in range(length)][::-1]))
            case pickle.MARK:
                self.marks.append(len(self.stack))
            case pickle.TUPLE:
                push(tuple(self._pop_to_mark()))
            case pickle.EMPTY_LIST:
                push([])
            case pickle.APPEND:
                self._append([self._pop()])
            case pickle.APPENDS:
                self._append(self._pop_to_mark())
            case pickle.EMPTY_DICT:
                push({})
            case pickle.SETITEM:
                self._set([self._pop(), self._pop()][::-1])
            case pickle.SETITEMS:
                self._set(self._pop_to_mark())
            case pickle.GLOBAL:
                push(_global(f"{self._line()}.{self._line()}"))
            case pickle.BINPERSID:
                push(self._storage(self._pop()))
            case pickle.REDUCE:
                arguments, function = self._pop(), self._pop()
                push(_call(function, arguments))
            case pickle.BUILD:  # gives a state dict the version numbers of its modules, which nothing here needs
                self._pop()
                if not isinstance(self._top(), dict):
                    raise _Malformed("it sets attributes of something other than a state dict")
            case _:
                raise _Malformed(f"it uses the pickle operation {operation!r}, which no state dict needs")

    def _take(self, length):
        taken = self.content[self.position : self.position + length]
        if len(taken) < length:
            raise _Malformed("it is cut short")
        self.position += length
        return taken

    def _number(self, form):
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _line(self):
        end = self.content.find(b"\n", self.position, self.position + 256)
        if end < 0:
            raise _Malformed("it names a function or class of more than 256 characters")
        return _decoded(self._take(end + 1 - self.position)[:-1])

    def _top(self):
        if len(self.stack) == (self.marks[-1] if self.marks else 0):
            raise _Malformed("a pickle in it takes an object that is not there")
        return self.stack[-1]

    def _pop(self):
        self._top()
        return self.stack.pop()

    def _pop_to_mark(self):
        if not self.marks:
            raise _Malformed("a pickle in it goes back to a mark that is not there")
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def _append(self, items):
        if not isinstance(target := self._top(), list):
            raise _Malformed("it appends to something other than a list")
        target.extend(items)

    def _set(self, pairs):
        if not isinstance(target := self._top(), dict) or len(pairs) % 2:
            raise _Malformed("it sets items of something other than a dict")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if not isinstance(key, str):  # the hash of a deeply nested tuple would overflow the C stack
                raise _Malformed("a dict in it has a key that is not a string")
            if key in target:
                raise _Malformed(f"it holds {_short(key)} twice")
            target[key] = value

    def _storage(self, identity):
        """('storage', class, key, device, elements, None) -> the storage, the same one for the same key."""
        match identity:
            case ("storage", _Global(name), str(key), str(), count, None) if name in _DTYPES and _is_size(count):
                storage = _Storage(key, _DTYPES[name], count)
            case _:
                raise _Malformed("it refers to something other than a storage of float32 or int64")
        if count * storage.dtype.itemsize > len(self.content):
            raise _Malformed(f"storage {_short(key)} of {count} elements is larger than the file")
        if self.storages.setdefault(key, storage) != storage:
            raise _Malformed(f"it declares storage {_short(key)} twice and differently")
        return storage


def _global(name):
    if name not in _GLOBALS:
        raise _Malformed(f"it names {_short(name)}, which no state dict needs")
    return _Global(name)


def _call(function, arguments):
    """What a call in the pickle stands for: a new dict, or a view of a storage."""
    match function, arguments:
        case _Global(name), () if name == _ORDERED_DICT:
            return {}
        case _Global(name), (_Storage() as storage, offset, tuple(shape), tuple(strides), bool(), {}, *_) if (
            name == _REBUILD_TENSOR
        ):
            return _checked(_Tensor(storage, offset, shape, strides))
    raise _Malformed("it calls something other than the constructors of a state dict and its tensors")


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


def _decoded(content):
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise _Malformed("a string in it is not UTF-8") from None


def _short(text):
    """The start of a string, quoted, without control characters."""
    return ascii(text if len(text) <= 80 else text[:80] + "…")
