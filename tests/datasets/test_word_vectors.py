"""Class vectors are looked up by word in the files of the field."""

import itertools

import numpy as np
import pytest
from helpers.project import CLASSES

from zscmr.datasets import word_vectors as vector_files
from zscmr.datasets.word_vectors import WordVectorOptions, class_vectors, join_vectors
from zscmr.formats import matfiles

WORDS = {name: np.arange(3, dtype=np.float32) + 10 * number for number, name in enumerate(CLASSES)}


def write_word2vec(path, words, newline=b""):
    """The binary of word2vec: 'count size', then each word, a space, its float32 numbers, and maybe a newline."""
    with open(path, "wb") as file:
        file.write(f"{len(words)} {len(next(iter(words.values())))}\n".encode())
        for word, vector in words.items():
            file.write(word.encode() + b" " + vector.astype("<f4").tobytes() + newline)


def write_text(path, words, header=False):
    """GloVe's text, or with a header line that of fastText."""
    lines = [f"{word} {' '.join(map(str, vector))}" for word, vector in words.items()]
    head = [f"{len(words)} {len(next(iter(words.values())))}"] if header else []
    path.write_text("\n".join(head + lines) + "\n", encoding="utf-8")


WRITERS = {
    "word2vec.bin": write_word2vec,
    "word2vec-lines.bin": lambda path, words: write_word2vec(path, words, b"\n"),
    "glove.txt": write_text,
    "fasttext.vec": lambda path, words: write_text(path, words, header=True),
}


@pytest.mark.parametrize("name", WRITERS)
def test_word_files(dataset_folder, name, monkeypatch):
    """Among 500 other words; the binary is read in chunks that end within words and numbers."""
    monkeypatch.setattr(vector_files, "CHUNK", 37)
    noise = {f"wörd{number}": np.full(3, -1, np.float32) for number in range(500)}
    words = dict(itertools.islice(noise.items(), 250)) | WORDS | noise
    WRITERS[name](dataset_folder / name, words)
    join_vectors(WordVectorOptions(data=dataset_folder, vectors=(dataset_folder / name,)))
    path = dataset_folder / "wv_embeddings.mat"
    np.testing.assert_array_equal(matfiles.read(path, "features"), np.stack(list(WORDS.values())))
    assert matfiles.read_names(path, "classes") == list(CLASSES)


def test_unknown_word_is_an_error_that_an_alias_mends(dataset_folder, refused):
    file, alias = dataset_folder / "v.txt", dataset_folder / "alias.txt"
    words = {name: vector for name, vector in WORDS.items() if name != "ibis"}
    words |= {"ibiss": np.ones(3), "zebu": np.ones(3)}
    write_text(file, words)
    settings = WordVectorOptions(data=dataset_folder, vectors=(file,))
    before = (dataset_folder / "wv_embeddings.mat").read_bytes()
    message = refused(join_vectors, settings)
    assert f"{file}: no vector of 'ibis' for class 'ibis'; nearest spellings: ibiss; --alias mends it" in message
    assert (dataset_folder / "wv_embeddings.mat").read_bytes() == before
    alias.write_text("# mends\nIbis = hen jay\n")
    join_vectors(WordVectorOptions(data=dataset_folder, vectors=(file,), alias=alias))
    vectors = matfiles.read(dataset_folder / "wv_embeddings.mat", "features")
    np.testing.assert_allclose(vectors[CLASSES.index("ibis")], (WORDS["hen"] + WORDS["jay"]) / 2)
    alias.write_text("ibis hen\n")
    assert "expected lines 'class = words'" in refused(vector_files.read_aliases, alias)


def test_class_vectors_of_an_npz_are_joined_by_name(dataset_folder, refused):
    names = ["JAY", "ant", "bee", "cow", "dog", "elk", "fox", "gnu", "hen", "I_bis", "zebu"]
    vectors = np.arange(22, dtype=np.float32).reshape(11, 2)
    file = dataset_folder / "vectors.npz"
    rows = [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    np.savez(file, classes=np.array(names), glove=vectors, word2vec=vectors + 100)

    def joined(*kinds):
        join_vectors(WordVectorOptions(data=dataset_folder, vectors=(file,), kind=kinds))
        return matfiles.read(dataset_folder / "wv_embeddings.mat", "features")

    np.testing.assert_array_equal(joined(), vectors[rows] + 100)
    np.testing.assert_array_equal(joined("glove", "word2vec"), np.hstack([vectors[rows], vectors[rows] + 100]))
    assert matfiles.read(dataset_folder / "wv_embeddings.mat", "kind") == "glove + word2vec"
    assert refused(joined, "bert") == f"{file}: no vectors of kind 'bert', the file has glove, word2vec"
    np.savez(file, **{f"layer{number}": vectors for number in range(51)}, glove=vectors)
    shown = "the file has 52 arrays: "
    assert refused(joined).startswith(f"{file}: no array 'classes', {shown}") and len(refused(joined)) < 300
    np.savez(file, classes=np.array(names), **{f"layer{number}": vectors for number in range(51)}, glove=vectors)
    assert refused(joined, "glov") == f"{file}: no vectors of kind 'glov', {shown}glove, layer0, layer1, layer2, …"
    np.savez(file, classes=np.array(names[:-2]), glove=vectors[:-2])
    assert refused(joined) == f"{file}: no class 'ibis'"


def test_several_words_are_averaged_and_case_gives_way(tmp_path):
    (tmp_path / "v.txt").write_text("hot 1 2\nair 2 4\nballoon 6 0\n")
    (_, vectors), *_ = class_vectors(tmp_path / "v.txt", ["Hot-air_balloon", "air_(hot)"])
    np.testing.assert_allclose(vectors, [[3, 2], [1.5, 3]])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"no header\n", "not a word2vec binary, its first line should be two whole numbers"),
        (b"3 2\nant " + bytes(8) + b"bee " + bytes(3), "ends before the 3 words that its first line announces"),
    ],
)
def test_broken_binaries_are_named(tmp_path, refused, content, expected):
    file = tmp_path / "v.bin"
    file.write_bytes(content)
    assert refused(class_vectors, file, ["ant"]) == f"{file}: {expected}"


def test_broken_text_is_named(tmp_path, refused):
    file = tmp_path / "v.txt"
    file.write_text("ant 1 2\nbee 1 two\n")
    assert "'bee' should be followed by numbers" in refused(class_vectors, file, ["ant", "bee"])
    file.write_text("ant 1 2\nbee 1\n")
    assert "'bee' has 1 numbers, the words before it 2" in refused(class_vectors, file, ["ant", "bee"])
    assert "no such file" in refused(class_vectors, tmp_path / "gone.txt", ["ant"])


@pytest.mark.parametrize("first", ["ant", "hot air balloon", "# the unseen classes"])
def test_a_list_of_names_is_no_vector_file(tmp_path, refused, first):
    (tmp_path / "unseen.txt").write_text(f"{first}\nbee\n")
    message = refused(class_vectors, tmp_path / "unseen.txt", ["ant", "bee"])
    assert message.endswith(f"not a file of word vectors, no numbers follow the first word of '{first}'")


def test_marks_accents_and_bytes_do_not_matter(tmp_path):
    """A byte-order mark before the first word, a class name as macOS spells it, names of an .npz as bytes."""
    (tmp_path / "v.txt").write_bytes("\ufeffcafé 1 2\nowl 3 4\n".encode())
    (_, vectors), *_ = class_vectors(tmp_path / "v.txt", ["cafe\u0301", "owl"])
    np.testing.assert_array_equal(vectors, [[1, 2], [3, 4]])
    np.savez(tmp_path / "v.npz", classes=np.array([b"owl", b"bat"]), words=np.eye(2))
    (_, vectors), *_ = class_vectors(tmp_path / "v.npz", ["bat", "owl"])
    np.testing.assert_array_equal(vectors, [[0, 1], [1, 0]])
