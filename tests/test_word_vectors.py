"""Class vectors are looked up by word in the files of the field; the class graph is a true one, of seen classes."""

import itertools

import numpy as np
import pytest
from conftest import CLASSES, UNSEEN, load_script

import UxUyLoader as loader
from zscmr import class_graph, matfiles, vector_files
from zscmr.word_vectors import WordVectorOptions, join_vectors

WORDS = {name: np.arange(3, dtype=np.float32) + 10 * number for number, name in enumerate(CLASSES)}

class_graph_script = load_script("pretrain/class_graph.py")


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
    monkeypatch.setattr(vector_files, "_CHUNK", 37)
    noise = {f"wörd{number}": np.full(3, -1, np.float32) for number in range(500)}
    words = dict(itertools.islice(noise.items(), 250)) | WORDS | noise
    WRITERS[name](dataset_folder / name, words)
    join_vectors(WordVectorOptions(data=dataset_folder, vectors=(dataset_folder / name,)))
    path = dataset_folder / "wv_embeddings.mat"
    np.testing.assert_array_equal(matfiles.read(path, "features"), np.stack(list(WORDS.values())))
    assert matfiles.read_names(path, "classes") == list(CLASSES)


def test_several_words_are_averaged_and_case_gives_way(tmp_path):
    write_text(tmp_path / "v.txt", {"hot": np.array([1, 2]), "air": np.array([2, 4]), "balloon": np.array([6, 0])})
    (_, vectors), *_ = vector_files.class_vectors(tmp_path / "v.txt", ["Hot-air_balloon", "air_(hot)"])
    np.testing.assert_allclose(vectors, [[3, 2], [1.5, 3]])


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
    assert refused(vector_files.class_vectors, file, ["ant"]) == f"{file}: {expected}"


def test_broken_text_is_named(tmp_path, refused):
    file = tmp_path / "v.txt"
    file.write_text("ant 1 2\nbee 1 two\n")
    assert "'bee' should be followed by numbers" in refused(vector_files.class_vectors, file, ["ant", "bee"])
    file.write_text("ant 1 2\nbee 1\n")
    assert "'bee' has 1 numbers, the words before it 2" in refused(vector_files.class_vectors, file, ["ant", "bee"])
    assert "no such file" in refused(vector_files.class_vectors, tmp_path / "gone.txt", ["ant"])


@pytest.mark.parametrize("first", ["ant", "hot air balloon", "# the unseen classes"])
def test_a_list_of_names_is_no_vector_file(tmp_path, refused, first):
    (tmp_path / "unseen.txt").write_text(f"{first}\nbee\n")
    message = refused(vector_files.class_vectors, tmp_path / "unseen.txt", ["ant", "bee"])
    assert message.endswith(f"not a file of word vectors, no numbers follow the first word of '{first}'")


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


def graph_of(folder, **flags):
    class_graph_script.main(class_graph_script.Settings(data=folder, **flags))
    edges, names = loader.read_class_graph(folder / "mst_graph.mat")
    return {tuple(sorted((names[one], names[other]))) for one, other in edges}


def put_vectors(folder, vectors):
    matfiles.write(folder / "wv_embeddings.mat", {"features": np.array(vectors, float), "classes": CLASSES})


def test_tree_on_a_line(dataset_folder, capsys):
    """Classes at 0, 1, 3, 6, 10, … on a line (in the first of two dimensions): the tree joins neighbours in order.

    Unseen bee, fox and jay drop out, their neighbours are joined instead.
    """
    put_vectors(dataset_folder, [[n * (n + 1) / 2, 0] for n in range(10)])
    seen = [name for name in CLASSES if name not in UNSEEN]
    assert graph_of(dataset_folder, distance="euclidean") == {tuple(sorted(pair)) for pair in itertools.pairwise(seen)}
    assert not np.any(matfiles.read(dataset_folder / "mst_graph.mat", "transductive"))
    everyone = graph_of(dataset_folder, distance="euclidean", all_classes=True)
    assert everyone == {tuple(sorted(pair)) for pair in itertools.pairwise(CLASSES)}
    assert np.any(matfiles.read(dataset_folder / "mst_graph.mat", "transductive"))


def test_a_class_of_two_words_is_no_hub_by_default(dataset_folder):
    """Nine unit vectors at right angles, and jay, the mean of two more: √½ long, hence √1.5 from each of the nine,
    which are √2 apart. Euclid's tree is a star about jay; by cosine all are 1 apart, and jay is like any other."""
    axes = np.eye(11)
    put_vectors(dataset_folder, [*axes[:9], axes[9:].mean(0)])
    degree = {}
    for distance in ("euclidean", "cosine"):
        edges = graph_of(dataset_folder, all_classes=True, distance=distance)
        degree[distance] = sum("jay" in edge for edge in edges)
    assert degree == {"euclidean": 9, "cosine": 1}
    assert graph_of(dataset_folder, all_classes=True) == edges


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_tree_is_the_least_of_all(metric):
    """Against every spanning tree of 5 points: all choices of 4 of the 10 edges that connect them."""
    vectors = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    distances = class_graph.class_distances(vectors, metric)
    least = np.inf
    for edges in itertools.combinations(itertools.combinations(range(5), 2), 4):
        group = list(range(5))
        for one, other in edges:
            group = [group[one] if label == group[other] else label for label in group]
        if len(set(group)) == 1:
            least = min(least, sum(distances[edge] for edge in edges))
    found = class_graph.minimum_spanning_tree(vectors, metric)
    assert len(found) == 4 and distances[found[:, 0], found[:, 1]].sum() == pytest.approx(least)


def test_tree_joins_equal_vectors():
    vectors = np.array([[0.0, 0], [0, 0], [1, 0], [1, 0]])
    found = class_graph.minimum_spanning_tree(vectors, "euclidean")
    assert len(found) == 3 and {(0, 1), (2, 3)} <= set(map(tuple, found.tolist()))


def test_nearest_neighbours(dataset_folder, refused):
    """At 0, 1, 3, 6, 10 …, each class's nearest is the one before it."""
    put_vectors(dataset_folder, [[n * (n + 1) / 2, 0] for n in range(10)])
    nearest = graph_of(dataset_folder, kind="knn", neighbours=1, distance="euclidean", all_classes=True)
    assert nearest == {tuple(sorted(pair)) for pair in itertools.pairwise(CLASSES)}
    settings = class_graph_script.Settings(data=dataset_folder, kind="knn", neighbours=9, distance="euclidean")
    assert "--neighbours should be from 1 to 6, received 9" in refused(class_graph_script.main, settings)
    put_vectors(dataset_folder, [[n, 0] for n in range(10)])
    settings = class_graph_script.Settings(data=dataset_folder)
    assert "the vector of class 'ant' is zero, which has no cosine" in refused(class_graph_script.main, settings)


def test_true_tree_and_the_released_one(real_data):
    """The released graph is the tree of the released vectors' last dimension, edge for edge; with the tree of the whole
    vectors it shares three, and the one that joins the rows 5 and 6, which are alike."""
    edges, _ = loader.read_class_graph(real_data / "released/mst_graph.mat")
    vectors = matfiles.read(real_data / "released/wv_embeddings.mat", "features")
    released = {tuple(sorted(edge)) for edge in edges.tolist()}
    whole, last = (class_graph.minimum_spanning_tree(part, "euclidean") for part in (vectors, vectors[:, -1:]))
    assert set(map(tuple, last.tolist())) == released
    shared = set(map(tuple, whole.tolist())) & released
    assert (5, 6) in shared and len(shared) == 4
