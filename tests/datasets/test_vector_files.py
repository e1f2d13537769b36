"""Files of word vectors are read word by word; broken ones are named."""

import numpy as np
import pytest

from zscmr.datasets.word_vectors import class_vectors


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
