"""The loader joins by class name and checks what it reads."""

from functools import partial

import numpy as np
import pytest
from helpers.project import CLASSES

from zscmr.datasets import loader
from zscmr.formats import matfiles


def rewrite(path, key, change, **more):
    """Applies `change` to one variable of a file and keeps the others."""
    variables = {name: matfiles.read(path, name) for name in matfiles.keys(path)}
    variables[key] = change(variables[key])
    matfiles.write(path, {**variables, **more})


def test_loads_what_was_written(dataset_folder):
    dataset = loader.load_dataset(dataset_folder)
    assert dataset.classes == CLASSES
    assert dataset.photo.features.shape == dataset.sketch.features.shape == (60, 12)
    assert dataset.photo.names[7] == "bee/bee_1.jpg" and dataset.sketch.names[-1] == "jay/jay_5.png"


def test_joins_by_class_name_whatever_the_row_order(dataset_folder):
    before = loader.load_dataset(dataset_folder)
    order = np.random.default_rng(1).permutation(len(CLASSES))
    spelt = [CLASSES[row].upper() for row in order]
    vectors = dataset_folder / "wv_embeddings.mat"
    rewrite(vectors, "features", lambda array: array[order], classes=spelt)
    labels = dataset_folder / "label_sk.mat"
    rewrite(labels, "label_sk", lambda array: np.argsort(order)[array], classes=spelt)
    names = dataset_folder / "names_sketches.mat"
    rewrite(names, "data3", lambda array: array[order], classes=spelt)
    after = loader.load_dataset(dataset_folder)
    np.testing.assert_array_equal(before.class_vectors, after.class_vectors)
    np.testing.assert_array_equal(before.sketch.labels, after.sketch.labels)
    assert before.sketch.names == after.sketch.names


def poisoned(array):
    array = array.copy()
    array[3, 2] = np.nan
    return array


def set_label(value):
    def change(array):
        array = array.astype(np.int32)
        array[5] = value
        return array

    return change


BAD_DATASETS = {
    "no directory": (lambda d: d.rename(d.with_name("gone")), "no such dataset directory"),
    "missing file": (lambda d: (d / "sketchmatnew.mat").unlink(), "sketchmatnew.mat: no such file"),
    "missing key": (
        lambda d: matfiles.write(d / "imagematnew.mat", {"feat": np.ones((2, 2))}),
        "imagematnew.mat: no variable 'feature', the file has feat",
    ),
    "wrong shape": (
        lambda d: matfiles.write(d / "imagematnew.mat", {"feature": np.ones((4, 3, 2))}),
        "imagematnew.mat: 'feature' should be an array of numbers of n × n, received float64 of 4 × 3 × 2",
    ),
    "row count": (
        lambda d: rewrite(d / "imagematnew.mat", "feature", lambda a: a[:-1]),
        "label_im.mat: 60 labels, but",
    ),
    "NaN row": (
        lambda d: rewrite(d / "sketchmatnew.mat", "feature", poisoned),
        "sketchmatnew.mat: 'feature' row 3 holds NaN or Inf (1 such rows of 60)",
    ),
    "label out of range": (
        lambda d: rewrite(d / "label_im.mat", "label_im", set_label(10)),
        "label_im.mat: 'label_im' row 5 is 10, expected 0 to 9",
    ),
    "negative label": (
        lambda d: rewrite(d / "label_sk.mat", "label_sk", set_label(-1)),
        "label_sk.mat: 'label_sk' row 5 is -1, expected 0 to 9",
    ),
    "class without sketches": (
        lambda d: (
            (d / "names_sketches.mat").unlink(),
            rewrite(d / "label_sk.mat", "label_sk", lambda a: np.where(a == 9, 8, a)),
        ),
        "label_sk.mat: 'label_sk' gives class 'jay' no sketch",
    ),
    "class without a vector": (
        lambda d: rewrite(d / "wv_embeddings.mat", "features", lambda a: a[:9], classes=list(CLASSES[:9])),
        "wv_embeddings.mat: no class 'jay'",
    ),
    "names do not add up": (
        lambda d: rewrite(d / "names_images.mat", "data", lambda a: a[:, :5]),
        "names_images.mat: 'data' has 5 names for class 'ant', but 6 labels say so",
    ),
    "labels from 1": (
        lambda d: rewrite(d / "label_sk.mat", "label_sk", lambda a: a + 1),
        "label_sk.mat: 'label_sk' row 54 is 10, expected 0 to 9; labels count from 0, not 1",
    ),
    "labels from 1, without classes": (
        lambda d: matfiles.write(
            d / "label_im.mat", {"label_im": matfiles.read(d / "label_im.mat", "label_im").astype(float) + 1}
        ),
        "label_im.mat: 'label_im' holds 1 to 10; labels count from 0",
    ),
    "a class twice": (
        lambda d: rewrite(d / "label_sk.mat", "label_sk", lambda a: a, classes=["ANT", "ant", *CLASSES[2:]]),
        "label_sk.mat: class 'ant' occurs twice (case, spaces, '_' and '-' do not count)",
    ),
    "not a mat file": (lambda d: (d / "label_im.mat").write_text("text"), "label_im.mat: not a readable .mat file"),
}


@pytest.mark.parametrize("case", BAD_DATASETS)
def test_bad_datasets_are_refused_in_one_line(dataset_folder, refused, case):
    spoil, expected = BAD_DATASETS[case]
    spoil(dataset_folder)
    assert expected in refused(loader.load_dataset, dataset_folder)


def test_a_classifier_is_of_the_features(dataset_folder, refused):
    assert loader.load_dataset(dataset_folder).classifier is None
    kernel = np.arange(24, dtype=np.float32).reshape(12, 2)
    for rows, expected in (
        (kernel[:11], "'kernel' has 11 rows, but imagematnew.mat has 12"),
        (np.full((12, 2), np.nan), "NaN"),
    ):
        matfiles.write(dataset_folder / "classifier.mat", {"kernel": rows})
        assert expected in refused(loader.load_dataset, dataset_folder)
    matfiles.write(dataset_folder / "classifier.mat", {"kernel": kernel})
    np.testing.assert_array_equal(loader.load_dataset(dataset_folder).classifier, kernel)


def test_mapped_features_stay_on_disk_and_are_checked(dataset_folder, refused, monkeypatch):
    """A v7.3 file above the size from which arrays are mapped, here one byte."""
    path = dataset_folder / "imagematnew.mat"
    expected = matfiles.read(path, "feature")
    matfiles.write(path, {"feature": expected, "classes": CLASSES}, large=1)
    monkeypatch.setattr(matfiles, "read_numbers", partial(matfiles.read_numbers, large=1))
    features = loader.load_dataset(dataset_folder).photo.features
    assert isinstance(features, np.memmap) and features.flags.c_contiguous  # a row is in one piece
    np.testing.assert_array_equal(features, expected)
    matfiles.write(path, {"feature": poisoned(expected), "classes": CLASSES}, large=1)
    assert "'feature' row 3 holds NaN or Inf (1 such rows of 60)" in refused(loader.load_dataset, dataset_folder)


def test_released_files_are_read(real_data):
    """The release's own index, word-vector and graph files; their row order is not to be trusted, and that is said."""
    released = real_data / "released"
    vectors, names = loader.read_class_vectors(released / "wv_embeddings.mat")
    assert vectors.shape == (125, 300) and names is None
    assert loader.read_class_vectors(released / "wv_anjan_glove.mat")[0].shape == (125, 300)
    edges, names = loader.read_class_graph(released / "mst_graph.mat")
    assert edges.shape == (124, 2) and names is None and edges.min() == 0 and edges.max() == 124
    classes = tuple(f"class_{row}" for row in range(125))
    names = loader.read_names_of_rows(released / "names_images.mat", "data", np.repeat(np.arange(125), 100), classes)
    assert len(names) == 12500 and names[0] == "class_0/n02691156_10151.jpg"
