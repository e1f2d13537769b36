"""Files of word or class vectors -> the class vectors of a dataset.

word2vec binary (`.bin`) and GloVe or fastText text are streamed; only the words of the classes are kept. An `.npz`
holds an array `classes` (names) and one array of vectors per kind.
"""

import codecs
import difflib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zscmr.datasets.classes import class_key, class_positions, read_class_list
from zscmr.formats import matfiles
from zscmr.formats.dataset_directory import CLASS_VECTORS, FILES
from zscmr.utils.console import say
from zscmr.utils.errors import BadInput
from zscmr.utils.options import Options, setting

CHUNK = 2**24  # bytes of a binary file held at once


def class_vectors(path, classes, kinds=(), aliases=None):
    """Read the vectors of `classes` as [(kind, vectors (C, S))]; of several words it is their mean, as released.

    Args:
        path: a file of word vectors, which holds one kind, or an .npz.
        classes: C names.
        kinds: names of the arrays of an .npz to read; empty: word2vec if it is there, else the first.
        aliases: class key -> words to look up instead of the class name.

    Raises BadInput that names the class without a vector and the nearest spellings.
    """
    aliases = aliases or {}
    phrases = [aliases.get(class_key(name), name) for name in classes]
    if Path(path).suffix == ".npz":
        blocks = _of_npz(path, phrases, kinds)
    else:
        if kinds:
            raise BadInput(f"--kind: {path} holds one kind of vectors only; kinds are named in .npz files")
        blocks = [(Path(path).stem, _means_of_words(path, classes, phrases))]
    for kind, vectors in blocks:
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if bad.size:
            raise BadInput(f"{path}: '{kind}' of class '{classes[bad[0]]}' holds NaN or Inf")
    return blocks


def read_aliases(path):
    """Read a text file of lines `class = words` as {class key: words}; `#` starts a comment."""
    aliases = {}
    for line in read_class_list(path):
        name, equals, phrase = (part.strip() for part in line.partition("="))
        if not (name and equals and phrase):
            raise BadInput(f"{path}: expected lines 'class = words', received '{line}'")
        aliases[class_key(name)] = phrase
    return aliases


def words_of(name):
    """The words of a class name: `hot-air_balloon` -> hot, air, balloon; `car_(sedan)` -> car, sedan.

    Accents are joined to their letters, as files of word vectors have them and macOS file systems do not.
    """
    return re.findall(r"[^\s_\-()]+", unicodedata.normalize("NFC", name))


def _means_of_words(path, classes, phrases):
    """(C, S) float32: the mean of the vectors of each phrase's words, as spelt or, without such, in lower case."""
    spellings = {form for phrase in phrases for word in words_of(phrase) for form in (word, word.lower())}
    vector_of = _look_up(path, spellings)
    rows = []
    for name, tokens in zip(classes, map(words_of, phrases), strict=True):
        vectors = [vector_of.get(word, vector_of.get(word.lower())) for word in tokens]
        for word, vector in zip(tokens, vectors, strict=True):
            if vector is None:
                near = ", ".join(_nearest(path, word)) or "none"
                raise BadInput(
                    f"{path}: no vector of '{word}' for class '{name}'; nearest spellings: {near}; --alias mends it"
                )
        rows.append(np.mean(vectors, axis=0))
    return np.stack(rows).astype(np.float32)


def _look_up(path, spellings):
    """{word: its vector} of those `spellings` that the file holds; of a word that occurs twice, the first."""
    remaining = {word.encode("utf-8", "surrogateescape") for word in spellings}
    vectors, size = {}, None
    for word, numbers in _entries(path):
        if word not in remaining:
            continue
        remaining.remove(word)
        vector = _vector(path, word, numbers)
        if vector.size != (size := size or vector.size):
            raise BadInput(f"{path}: '{word.decode()}' has {vector.size} numbers, the words before it {size}")
        vectors[word.decode("utf-8", "surrogateescape")] = vector
    return vectors


def _vector(path, word, numbers):
    if isinstance(numbers, np.ndarray):
        return numbers.copy()
    try:
        return np.array(numbers.split(), np.float32)
    except ValueError as error:
        raise BadInput(f"{path}: '{word.decode()}' should be followed by numbers ({error})") from error


def _nearest(path, word):
    """The three words of the file spelt most like `word`, from a second pass over it."""
    candidates = set()
    for candidate, _ in _entries(path):
        candidate = candidate.decode(errors="replace")
        if candidate[:1].lower() == word[:1].lower() and abs(len(candidate) - len(word)) <= 2:
            candidates.add(candidate)
    return difflib.get_close_matches(word, candidates, n=3)


def _entries(path):
    """Yield (word, its numbers) of a word-vector file, the numbers as an array (binary) or unparsed text."""
    try:
        with open(path, "rb") as file:
            yield from _binary_entries(path, file) if Path(path).suffix == ".bin" else _text_entries(path, file)
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file") from error


def _binary_entries(path, file):
    try:
        count, size = map(int, file.readline().split())
    except ValueError as error:
        raise BadInput(f"{path}: not a word2vec binary, its first line should be two whole numbers") from error
    buffer, position = b"", 0
    for _ in range(count):
        space = buffer.find(b" ", position)
        while space < 0 or len(buffer) < space + 1 + 4 * size:
            more = file.read(CHUNK)
            if not more:
                raise BadInput(f"{path}: ends before the {count} words that its first line announces")
            buffer, position = buffer[position:] + more, 0
            space = buffer.find(b" ")
        yield buffer[position:space].lstrip(b"\n"), np.frombuffer(buffer, "<f4", size, space + 1)
        position = space + 1 + 4 * size


def _text_entries(path, file):
    for number, line in enumerate(file):
        word, _, numbers = line.rstrip().partition(b" ")
        if number == 0:
            word = word.removeprefix(codecs.BOM_UTF8)
            _check_first_line(path, word, numbers)
            if word.isdigit() and numbers.strip().isdigit():  # fastText's first line: words, dimensions
                continue
        yield word, numbers


def _check_first_line(path, word, numbers):
    """Raise BadInput where no numbers follow the word, as in a list of class names."""
    try:
        count = len(np.array(numbers.split(), np.float32))
    except ValueError:
        count = 0
    if not count:
        line = (word + b" " + numbers).decode(errors="replace").strip()
        raise BadInput(f"{path}: not a file of word vectors, no numbers follow the first word of '{line[:40]}'")


def _of_npz(path, phrases, kinds):
    try:
        with np.load(path) as file:
            arrays = dict(file)
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file") from error
    except Exception as error:
        raise BadInput(f"{path}: not a readable .npz file ({error})") from error
    if "classes" not in arrays:
        raise BadInput(f"{path}: no array 'classes', the file has {_some(arrays, 'classes')}")
    names = [name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in arrays.pop("classes")]
    if not arrays:
        raise BadInput(f"{path}: holds class names but no vectors")
    kinds = kinds or [next((name for name in arrays if name.startswith("word2vec")), next(iter(arrays)))]
    for kind in kinds:
        if kind not in arrays:
            raise BadInput(f"{path}: no vectors of kind '{kind}', the file has {_some(arrays, kind)}")
        if arrays[kind].ndim != 2 or len(arrays[kind]) != len(names):
            raise BadInput(f"{path}: '{kind}' should be {len(names)} classes × size, received {arrays[kind].shape}")
    rows = class_positions(phrases, names, path)
    return [(kind, arrays[kind][rows]) for kind in kinds]


def _some(names, most_like):
    """The names for a message; of more than 8 their number, those spelt `most_like` a name, and the first."""
    if len(names) <= 8:
        return ", ".join(names)
    near = difflib.get_close_matches(most_like, names, n=3)
    shown = [*near, *(name for name in names if name not in near)][:4]
    return f"{len(names)} arrays: {', '.join(shown)}, …"


@dataclass(frozen=True)
class WordVectorOptions(Options):
    data: Path = setting(help="dataset directory; its labels have to be there", metavar="DIR")
    vectors: tuple[Path, ...] = setting(help="file or files of word or class vectors", metavar="FILE")
    kind: tuple[str, ...] = setting(
        (), "which vectors of an .npz, one or several (default: word2vec if there, else the first)", metavar="KIND"
    )
    alias: Path | None = setting(None, "lines 'class = words', to look up in place of the name", metavar="FILE")


def join_vectors(options):
    """Write the class vectors of a dataset: those of several files, and several kinds, side by side."""
    classes = matfiles.read_names(options.data / FILES["photo"]["labels"][0], "classes")
    aliases = read_aliases(options.alias) if options.alias else {}
    blocks = []
    for path in options.vectors:
        kinds = options.kind if path.suffix == ".npz" or len(options.vectors) == 1 else ()
        blocks += class_vectors(path, classes, kinds, aliases)
    kind = " + ".join(name for name, _ in blocks)
    rows = np.concatenate([vectors for _, vectors in blocks], axis=1)
    path = options.data / CLASS_VECTORS[0]
    matfiles.write(path, {CLASS_VECTORS[1]: rows.astype(np.float64), "classes": classes, "kind": kind})
    say(f"wrote {len(rows)} class vectors, {rows.shape[1]}-d, '{kind}', to {path}")
