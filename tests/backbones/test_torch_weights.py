"""PyTorch's old weight files are read without executing what they name; every other file is refused in one line."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from zscmr.backbones.torch_weights import read_state_dict
from zscmr.utils.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]


def text(string):
    content = string.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def integer(value):
    return b"J" + struct.pack("<i", value)


def items(*parts):
    return b"(" + b"".join(parts) + b"t"


def named(name):
    """The operation that puts a global, `module name`, on the stack."""
    return b"c" + name.replace(" ", "\n").encode() + b"\n"


def pickled(*parts):
    return b"\x80\x02" + b"".join(parts) + b"."


def tensor(key, count, offset, shape, strides, kind="torch FloatStorage"):
    storage = items(text("storage"), named(kind), text(key), text("cpu"), integer(count), b"N") + b"Q"
    sizes = (items(*map(integer, numbers)) for numbers in (shape, strides))
    arguments = items(storage, integer(offset), *sizes, b"\x89", named("collections OrderedDict") + b")R")
    return named("torch._utils _rebuild_tensor_v2") + arguments + b"R"


def state_dict(**tensors):
    pairs = (text(name) + content for name, content in tensors.items())
    return named("collections OrderedDict") + b")R" + b"(" + b"".join(pairs) + b"u"


MAGIC = pickled(b"\x8a\x0a" + (119547037146038801333356).to_bytes(10, "little"))
PROTOCOL = pickled(integer(1001))
MACHINE = pickled(b"}(" + text("little_endian") + b"\x88u")
NUMBERS = np.arange(6, dtype="<f4") + 0.5


def weight_file(state, storages=None, keys=None):
    """The content of a file: `state` is the pickled state dict, `storages` maps keys to arrays."""
    storages = {"a": NUMBERS} if storages is None else storages
    listed = pickled(b"](" + b"".join(map(text, storages if keys is None else keys)) + b"e")
    raw = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in storages.values())
    return MAGIC + PROTOCOL + MACHINE + pickled(state) + listed + raw


WHOLE = weight_file(
    state_dict(
        weight=tensor("a", 6, 0, (2, 3), (3, 1)),
        turned=tensor("a", 6, 0, (3, 2), (1, 3)),
        last=tensor("a", 6, 4, (2,), (1,)),
        steps=tensor("b", 1, 0, (), (), kind="torch LongStorage"),
        nothing=tensor("a", 6, 0, (0, 3), (3, 1)),
    )
    + b"}"
    + text("_metadata")
    + b"}sb",  # attributes of the state dict, as modules leave them
    {"a": NUMBERS, "b": np.array([7], "<i8")},
)


@pytest.fixture
def cause(tmp_path):
    """Writes a file, which has to be refused; what the message gives as the cause."""

    def refuse(content):
        path = tmp_path / "w.pth"
        path.write_bytes(content)
        with pytest.raises(BadInput) as caught:
            read_state_dict(path)
        message = str(caught.value)
        start = f"{path}: not a readable PyTorch weight file ("
        assert message.startswith(start) and "\n" not in message
        return message.removeprefix(start).removesuffix(")")

    return refuse


def test_tensors_are_views_of_their_storages(tmp_path):
    (tmp_path / "w.pth").write_bytes(WHOLE)
    arrays = read_state_dict(tmp_path / "w.pth")
    expected = {
        "weight": NUMBERS.reshape(2, 3),
        "turned": NUMBERS.reshape(2, 3).T,
        "last": NUMBERS[4:],
        "steps": np.array(7),
        "nothing": np.empty((0, 3)),
    }
    assert list(arrays) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array)
    assert arrays["weight"].dtype == np.float32 and arrays["steps"].dtype == np.int64
    assert not arrays["weight"].flags.writeable


def test_missing_file(tmp_path):
    with pytest.raises(BadInput, match=r"w\.pth: No such file"):
        read_state_dict(tmp_path / "w.pth")


SHELL = items(text("touch executed"))
ORDERED_DICT, FLOATS = named("collections OrderedDict"), named("torch FloatStorage")
CALL, LOADED = "calls something other than the constructors", "a pickle in it cannot be loaded"
ATTACKS = [
    ("names 'os.system'", named("os system") + SHELL + b"R"),
    ("names 'builtins.eval'", named("builtins eval") + SHELL + b"R"),
    ("names '__builtin__.exec'", named("__builtin__ exec") + SHELL + b"R"),
    ("names 'collections.OrderedDict.update'", named("collections OrderedDict.update")),
    ("names 'torch._utils._rebuild_parameter'", named("torch._utils _rebuild_parameter")),
    (CALL, FLOATS + b")R"),
    (LOADED, text("os.system") + SHELL + b"R"),
    (CALL, ORDERED_DICT + SHELL + b"R"),
    (LOADED, state_dict() + SHELL + b"R"),
    (CALL, named("torch._utils _rebuild_tensor_v2") + SHELL + b"R"),
    (LOADED, named("torch._utils _rebuild_tensor_v2") + b"N}" + text("__defaults__") + b")s\x86b"),
    (LOADED, named("torch FloatStorage") + b"}" + text("name") + text("os.system") + b"sb"),
    (LOADED, tensor("a", 6, 0, (2, 3), (3, 1)) + b"N}" + text("offset") + integer(9) + b"s\x86b"),
    (LOADED, ORDERED_DICT + b"}" + text("update") + b"Nsb"),
    ("operation b'i'", b"(" + text("touch executed") + b"ios\nsystem\n"),  # INST
    ("operation b'o'", b"(" + ORDERED_DICT + b"o"),  # OBJ
    ("operation b'\\x81'", ORDERED_DICT + b")\x81"),  # NEWOBJ
    ("operation b'\\x93'", text("os") + text("system") + b"\x93"),  # STACK_GLOBAL
    ("operation b'\\x82'", b"\x82\x01"),  # EXT1
    ("operation b'L'", b"L" + b"9" * 10_000 + b"L\n"),  # LONG in decimal, quadratic to read
    ("operation b'\\x8d'", b"\x8d" + b"\xff" * 8),  # BINUNICODE8 of 2^64 − 1 bytes
    ("a storage of float32 or int64", items(text("storage"), ORDERED_DICT, *3 * [text("1")], b"N") + b"Q"),
    ("a storage of float32 or int64", text("a") + b"Q"),
    ("more than 20000 tuples", b"})" + b"\x85" * 100_000 + b"Ns"),  # its hash would overflow the C stack
    ("key that is not a string", ORDERED_DICT + b")R)" + b"\x85" * 1000 + b"Ns"),
    ("skips places of its memo", b"Nr" + b"\xff" * 4),  # the unpickler would make a memo of 64 GB
    ("skips places of its memo", b"Nq\x00q\x02"),
    ("more than 1000000 operations", b"}" * 1_000_001),
]


@pytest.mark.parametrize(("expected", "state"), ATTACKS, ids=[expected for expected, _ in ATTACKS])
def test_nothing_is_executed(tmp_path, monkeypatch, cause, expected, state):
    monkeypatch.chdir(tmp_path)
    assert expected in cause(weight_file(state))
    assert expected in cause(pickled(state))  # in the place of the magic number
    assert not (tmp_path / "executed").exists()


def view(count=6, offset=0, shape=(2, 3), strides=(3, 1)):
    return tensor("a", count, offset, shape, strides)


def file_of(**tensors):
    return weight_file(state_dict(**tensors))


MALFORMED = [
    ("cut short", b""),
    ("cut short", MAGIC + PROTOCOL),
    ("magic number", pickled(integer(5))),
    ("protocol number", MAGIC + pickled(integer(1002))),
    ("little-endian", MAGIC + PROTOCOL + pickled(b"}" + text("little_endian") + b"\x89s")),
    ("newer zip form", b"PK\x03\x04" + bytes(50)),
    ("no state dict", file_of()),
    ("no state dict", weight_file(b")" + b"\x85" * 10_000)),
    ("'count' is not a tensor", file_of(count=integer(3))),
    ("'twice' twice", weight_file(ORDERED_DICT + b")R" + 2 * (text("twice") + view() + b"s"))),
    ("outside its storage of 6", file_of(w=view(offset=1))),
    ("outside its storage of 6", file_of(w=view(strides=(4, 1)))),
    ("outside its storage of 6", file_of(w=view(shape=(2000, 3), strides=(0, 1)))),
    ("offset, shape or strides", file_of(w=view(offset=-1))),
    ("offset, shape or strides", file_of(w=view(shape=(-2, 3)))),
    ("offset, shape or strides", file_of(w=view(strides=(3,)))),
    ("offset, shape or strides", file_of(w=view(shape=9 * (1,), strides=9 * (1,)))),
    ("storage 'a' of 7 elements ends after", file_of(w=view(count=7))),
    ("holds 6 elements, its tensors expect 5", file_of(w=view(count=5, shape=(1, 3)))),
    ("ends after the file does", file_of(w=view(count=2**31 - 1))),
    ("twice and differently", file_of(w=view(), v=view(count=3, shape=(1, 3)))),
    ("list of storages differs", weight_file(state_dict(w=view()), keys=["b"])),
    ("list of storages differs", weight_file(state_dict(w=view()), keys=["a", "a"])),
    ("1 bytes follow", file_of(w=view()) + b"0"),
    ("not of protocol 2", b"\x80\x04N."),
    ("Memo value not found", pickled(b"h\x05")),
    ("could not find MARK", pickled(b"t")),
    ("unexpected MARK", pickled(b"(Q")),
    ("can't decode byte 0xff", pickled(b"X\x01\0\0\0\xff")),
    ("no newline found", pickled(b"c" + b"a" * 300)),
]


@pytest.mark.parametrize(("expected", "content"), MALFORMED, ids=[expected for expected, _ in MALFORMED])
def test_malformed_files_are_refused(cause, expected, content):
    assert expected in cause(content)


def test_every_cut_is_refused(cause):
    for length in range(len(WHOLE)):
        cause(WHOLE[:length])


READ = """
import random, resource, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from zscmr.backbones.torch_weights import read_state_dict
from zscmr.utils.errors import BadInput

resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
path, mutants = Path(sys.argv[2]), int(sys.argv[3])
whole, draw, refused = path.read_bytes(), random.Random(0), 0

def read():
    try:
        for array in read_state_dict(path).values():
            array.sum()
    except BadInput as error:
        assert len(str(error).splitlines()) == 1
        return 1
    return 0

refused = read() if not mutants else 0
for _ in range(mutants):
    mutant = bytearray(whole)
    for _ in range(draw.randint(1, 3)):
        place = draw.randrange(len(mutant))
        mutant[place] = draw.choice((mutant[place] ^ 1 << draw.randrange(8), draw.randrange(256)))
    path.write_bytes(mutant)
    refused += read()
print(refused)
"""


def refused_in_a_child(path, mutants=0):
    """How many of so many mutants of a file, 0: of the file itself, a process of 1 GB of memory refuses."""
    pytest.importorskip("resource")
    command = [sys.executable, "-c", READ, str(ROOT), str(path), str(mutants)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr[-500:])
    return int(done.stdout)


@pytest.mark.slow
def test_damaged_files_are_read_or_refused(tmp_path):
    (tmp_path / "w.pth").write_bytes(WHOLE)
    assert 1000 < refused_in_a_child(tmp_path / "w.pth", 2000) < 2000


NESTED = b")" + b"\x85" * 19_990  # tuples in tuples
BOMBS = {
    "memo of 64 GB": b"}r" + b"\xff" * 4,
    "hash of nested tuples": b"}" + NESTED + b"Ns",
    "nested tuples as a name": ORDERED_DICT + b")R" + NESTED + b"Ns",
    "nested tuples as a storage": NESTED + b"Q",
    "nested tuples as arguments": named("torch._utils _rebuild_tensor_v2") + NESTED + b"R",
    "nested tuples as a shape": named("torch._utils _rebuild_tensor_v2")
    + items(
        items(text("storage"), FLOATS, text("a"), text("cpu"), integer(6), b"N") + b"Q",
        integer(0),
        NESTED,
        b")",
        b"\x89",
        b"}",
    )
    + b"R",
    "nested lists": b"]" * 450_000 + b"a" * 449_999,
    "nested dicts": b"}" + (text("a") + b"}") * 100_000 + b"s" * 100_000,
    "a list in itself": b"]q\x00h\x00a" * 100_000,
    "a string of 4 GB": b"X" + b"\xff" * 4,
    "many marks": b"(" * 900_000,
    "no end": b"N" * 999_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_go_off_nowhere(tmp_path, bomb):
    """Neither memory nor the C stack is used up, as the state dict or in the place of the magic number."""
    for content in (weight_file(BOMBS[bomb]), pickled(BOMBS[bomb])):
        (tmp_path / "w.pth").write_bytes(content)
        assert refused_in_a_child(tmp_path / "w.pth") == 1
