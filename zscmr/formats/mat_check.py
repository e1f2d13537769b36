"""Checks of MAT v5 files, made before SciPy reads them.

SciPy takes data type codes, array classes and sizes from the file as they are and crashes on some damaged ones. Here
the tags of a variable are followed first: every code has to be known, every size has to fit into what surrounds it and
to agree with the dimensions. Payloads of numbers are skipped, not read. What is accepted is what the datasets use:
numbers, real or complex, char arrays, and cells of these; structs, sparse arrays and objects are refused by name.

The format, MathWorks' "MAT-File Format", in short: a header of 128 bytes, then elements. An element is a tag (data type
code, size in bytes; uint32 each) and a payload, padded to 8 bytes; up to 4 bytes fit into the tag itself. A matrix
element holds the elements flags, dimensions, name, and data; a compressed element holds one matrix element, deflated.
"""

import io
import math
import struct
import zlib
from dataclasses import dataclass, replace
from typing import NamedTuple

HEADER = 128  # bytes
MAX_BYTES = 2**31  # of a variable, inflated: MATLAB's own limit for v5
MAX_ARRAYS = 2**22  # in a cell, nested ones included; each costs Python some 200 bytes, the file as few as 8
MAX_DEPTH = 16  # of nested cells; SciPy recurses in C
MAX_RATIO = 1032  # bytes that deflate can make of one, by its format
_MAX_DIMENSIONS = 32
_MAX_NAME = 4096  # bytes; MATLAB allows 63 characters
_MAX_BLANKS = 2**16  # characters of a char array, or rows of an empty one, for which the file holds no byte
_BLOCK = 2**16  # bytes inflated at a time

_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED, _UTF8 = 1, 5, 6, 14, 15, 16
_BYTES_PER_NUMBER = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}  # data type code -> bytes
_BYTES_PER_CHAR = {1: (1, 1), 2: (1, 1), 4: (2, 2), 16: (1, 4), 17: (2, 4), 18: (4, 4)}  # code -> least, most
_CELL, _CHAR, _OPAQUE = 1, 4, 17
_READABLE = (_CELL, _CHAR, *range(6, 16))  # 6 to 15: double, single, int8 … uint64
_REFUSED = {2: "a struct", 3: "an object", 5: "a sparse array", 16: "a function", 17: "an object"}


class Damaged(ValueError):
    """The file breaks the format, or asks for more memory than it justifies. The message is one line without a path."""


@dataclass(frozen=True)
class Variable:
    """A variable of a v5 file: its name, where its payload starts, its payload's size in bytes, deflated or not."""

    name: str
    start: int
    size: int
    compressed: bool


def byte_order(file):
    """'<' or '>' for an open v5 file. Raises Damaged if the header belongs to no v5 file."""
    file.seek(0)
    header = file.read(HEADER)
    order = {b"IM": "<", b"MI": ">"}.get(header[126:128])
    if order is None or 0 in header[:4]:
        raise Damaged("neither MAT v5 nor v7.3")
    (version,) = struct.unpack(order + "H", header[124:126])
    if version != 0x0100:
        raise Damaged(f"expected format version 0x0100, received {version:#06x}")
    return order


def variables(file):
    """The variables of an open v5 file, in file order, read from the start of each alone. Raises Damaged."""
    order = byte_order(file)
    length = file.seek(0, io.SEEK_END)
    found, position = [], HEADER
    while position < length:
        file.seek(position)
        kind, size = struct.unpack(order + "II", _take(file, 8))
        if kind not in (_MATRIX, _COMPRESSED):
            raise Damaged(f"byte {position}: expected a matrix (data type 14 or 15), received data type {kind}")
        if not 0 < size <= length - position - 8:
            raise Damaged(f"byte {position}: a variable of {size} bytes, but the file has {length - position - 8} left")
        variable = Variable("", position + 8, size, kind == _COMPRESSED)
        walk, room = _start(file, order, variable)
        name = walk.header(room).name
        if name:  # MATLAB keeps the workspaces of functions in a variable without a name
            found.append(replace(variable, name=name))
        position += 8 + size
    return found


def check(file, variable):
    """Raise Damaged unless SciPy can read `variable` of an open v5 file: all of its tags are followed."""
    walk, room = _start(file, byte_order(file), variable)
    walk.matrix(room, depth=0)


def _start(file, order, variable):
    """(walk that stands at the first element of the matrix, size of the matrix in bytes)."""
    file.seek(variable.start)
    if not variable.compressed:
        return _Walk(file, order), variable.size
    walk = _Walk(io.BufferedReader(_Inflated(file, variable.size), _BLOCK), order)
    kind, size = walk.two_words(_take(walk.source, 8))
    if kind != _MATRIX:
        raise Damaged(f"expected a compressed matrix (data type 14), received data type {kind}")
    if size > MAX_RATIO * variable.size:
        raise Damaged(f"{variable.size} compressed bytes cannot hold a matrix of {size} bytes")
    if size > MAX_BYTES:
        raise Damaged(f"a compressed matrix of {size} bytes, the limit is {MAX_BYTES}")
    return walk, size


class _Inflated(io.RawIOBase):
    """What the next `size` bytes of `file` inflate to, a stream to read forwards."""

    def __init__(self, file, size):
        super().__init__()
        self.file, self.left, self.inflate = file, size, zlib.decompressobj()

    def readable(self):
        return True

    def readinto(self, buffer):
        while not self.inflate.eof:
            deflated = self.inflate.unconsumed_tail
            if not deflated:
                deflated = self.file.read(min(_BLOCK, self.left))
                self.left -= len(deflated)
            data = self.inflate.decompress(deflated, len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)
            if not deflated:
                break
        return 0


class _Tag(NamedTuple):
    """An element: data type code, payload in bytes, the payload if the tag holds it, bytes to the next element."""

    kind: int
    size: int
    small: bytes | None
    whole: int


class _Header(NamedTuple):
    """Start of a matrix: array class, whether complex, dimensions, name, and the bytes read so far."""

    array_class: int
    is_complex: bool
    dimensions: tuple[int, ...]
    name: str
    used: int


class _Walk:
    """Follows the tags in `source`, a stream of bytes in byte order `order`. `room` is what a matrix has left."""

    def __init__(self, source, order):
        self.source, self.order, self.arrays = source, order, 0
        self.two_words = struct.Struct(order + "II").unpack

    def tag(self, room):
        if room < 8:
            raise Damaged("a matrix ends before its elements do")
        start = _take(self.source, 8)
        kind, size = self.two_words(start)
        if kind >> 16:
            kind, size = kind & 0xFFFF, kind >> 16
            if size > 4:
                raise Damaged(f"an element of {size} bytes inside a tag of 4")
            return _Tag(kind, size, start[4 : 4 + size], 8)
        if size > room - 8:
            raise Damaged(f"an element of {size} bytes in a matrix that has {room - 8} left")
        return _Tag(kind, size, None, min(8 + size + -size % 8, room))

    def payload(self, tag):
        """The bytes of an element that is known to be short."""
        return tag.small if tag.small is not None else _take(self.source, tag.whole - 8)[: tag.size]

    def skip(self, tag):
        count = 0 if tag.small is not None else tag.whole - 8
        if self.source.seekable():
            self.source.seek(count, io.SEEK_CUR)
            return
        while count:
            count -= len(_take(self.source, min(count, _BLOCK)))

    def header(self, room):
        flags = self.tag(room)
        if (flags.kind, flags.size, flags.small) != (_UINT32, 8, None):
            raise Damaged(f"expected array flags (data type 6, 8 bytes), received {flags.kind}, {flags.size} bytes")
        word, _ = self.two_words(self.payload(flags))
        array_class, used = word & 0xFF, flags.whole
        if array_class not in _READABLE and array_class not in _REFUSED:
            raise Damaged(f"unknown array class {array_class}")
        dimensions = ()
        if array_class != _OPAQUE:
            dimensions, size = self.dimensions(room - used)
            used += size
        name = self.tag(room - used)
        if name.kind not in (_INT8, _UTF8) or name.size > _MAX_NAME:
            raise Damaged(f"expected a name (data type 1), received data type {name.kind}, {name.size} bytes")
        text = self.payload(name).decode("latin-1")
        if name.kind == _UTF8 and not text.isascii():
            raise Damaged("a name that is not ASCII")
        return _Header(array_class, bool(word & 0x800), dimensions, text, used + name.whole)

    def dimensions(self, room):
        """(dimensions, bytes read)."""
        tag = self.tag(room)
        if tag.kind not in (_INT32, _UINT32) or tag.size % 4 or not 8 <= tag.size <= 4 * _MAX_DIMENSIONS:
            raise Damaged(f"expected dimensions (data type 5), received data type {tag.kind}, {tag.size} bytes")
        sizes = struct.unpack(f"{self.order}{tag.size // 4}i", self.payload(tag))
        if min(sizes) < 0:
            raise Damaged(f"a negative dimension: {_shape(sizes)}")
        return sizes, tag.whole

    def matrix(self, room, depth):
        """Follow a matrix to its end, and whatever it holds."""
        self.arrays += 1
        if self.arrays > MAX_ARRAYS or depth > MAX_DEPTH:
            raise Damaged(f"more than {MAX_ARRAYS} arrays, or nested deeper than {MAX_DEPTH}")
        header = self.header(room)
        room -= header.used
        if header.array_class in _REFUSED:
            raise Damaged(f"{_REFUSED[header.array_class]}, expected numbers, text or a cell")
        if header.array_class == _CELL:
            room -= self.cell(header, room, depth)
        elif header.array_class == _CHAR:
            room -= self.text(header, room)
        else:
            for _ in range(1 + header.is_complex):
                room -= self.numbers(header, room, depth)
        if room:
            raise Damaged(f"{room} bytes more than an array of {_shape(header.dimensions)} has")

    def numbers(self, header, room, depth):
        tag = self.tag(room)
        if tag.kind not in _BYTES_PER_NUMBER:
            raise Damaged(f"unknown data type {tag.kind} of numbers")
        expected = math.prod(header.dimensions) * _BYTES_PER_NUMBER[tag.kind]
        if tag.size != expected:
            raise Damaged(f"expected {expected} bytes for {_shape(header.dimensions)} numbers, received {tag.size}")
        if depth or tag.whole < room:  # nothing follows the last payload of a variable: do not inflate it here
            self.skip(tag)
        return tag.whole

    def text(self, header, room):
        tag = self.tag(room)
        if tag.kind not in _BYTES_PER_CHAR:
            raise Damaged(f"unknown data type {tag.kind} of characters")
        least, most = (width * math.prod(header.dimensions) for width in _BYTES_PER_CHAR[tag.kind])
        if tag.size:  # files without a byte for their characters exist and read as blanks
            if not least <= tag.size <= most:
                shape = _shape(header.dimensions)
                raise Damaged(f"expected {least} to {most} bytes for {shape} characters, received {tag.size}")
        elif max(math.prod(header.dimensions), math.prod(header.dimensions[:-1])) > _MAX_BLANKS:
            raise Damaged(f"no bytes for {_shape(header.dimensions)} characters")
        self.skip(tag)
        return tag.whole

    def cell(self, header, room, depth):
        count, used = math.prod(header.dimensions), 0
        if count > room // 8:
            raise Damaged(f"a cell of {_shape(header.dimensions)} in {room} bytes")
        for _ in range(count):
            tag = self.tag(room - used)
            if tag.kind != _MATRIX or tag.small is not None or tag.size % 8:
                raise Damaged(f"expected a matrix (data type 14) in a cell, received data type {tag.kind}")
            if tag.size:
                self.matrix(tag.size, depth + 1)
            used += tag.whole
        return used


def _take(source, count):
    """`count` bytes of a stream. Raises Damaged where it ends before."""
    data = source.read(count)
    if len(data) != count:
        raise Damaged("the data end early")
    return data


def _shape(dimensions):
    return " × ".join(map(str, dimensions))
