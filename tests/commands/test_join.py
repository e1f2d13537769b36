"""The command that joins features: side by side, of the same pictures only, with every class that was trained on."""

import shutil

import numpy as np
import pytest

from zscmr.commands import join
from zscmr.datasets.loader import load_dataset
from zscmr.formats import matfiles
from zscmr.formats.dataset_directory import write_provenance
from zscmr.training.cnn_weights import find_weights
from zscmr.utils.errors import BadInput


@pytest.fixture
def other_folder(dataset_folder, tmp_path):
    """The same pictures with other features, three of each."""
    folder = tmp_path / "other"
    shutil.copytree(dataset_folder, folder)
    for file in ("imagematnew.mat", "sketchmatnew.mat"):
        rows = len(matfiles.read(folder / file, "feature"))
        matfiles.write(folder / file, {"feature": np.arange(3.0 * rows).reshape(rows, 3)})
    return folder


def joined(out, *folders):
    join.main(join.Settings(data=folders, out=out))
    return load_dataset(out)


def test_features_stand_side_by_side(dataset_folder, other_folder, tmp_path):
    one, other = load_dataset(dataset_folder), load_dataset(other_folder)
    both = joined(tmp_path / "out", dataset_folder, other_folder)
    for modality in ("photo", "sketch"):
        parts = [getattr(dataset, modality).features for dataset in (one, other)]
        np.testing.assert_array_equal(getattr(both, modality).features, np.hstack(parts))
        np.testing.assert_array_equal(getattr(both, modality).labels, getattr(one, modality).labels)
    np.testing.assert_array_equal(both.class_vectors, one.class_vectors)


def test_classifiers_add_up(dataset_folder, other_folder, tmp_path):
    """Logits of the joined features are the sums of both networks': kernels stand one above the other."""
    width = load_dataset(dataset_folder).photo.features.shape[1]
    kernels = np.ones((width, 4)), np.full((3, 4), 2.0)
    for folder, kernel in zip((dataset_folder, other_folder), kernels, strict=True):
        matfiles.write(folder / "classifier.mat", {"kernel": kernel})
    both = joined(tmp_path / "out", dataset_folder, other_folder)
    np.testing.assert_array_equal(both.classifier, np.vstack(kernels))


def test_a_kernel_of_one_network_alone_is_left_out(dataset_folder, other_folder, tmp_path):
    matfiles.write(other_folder / "classifier.mat", {"kernel": np.ones((3, 4))})
    assert joined(tmp_path / "out", dataset_folder, other_folder).classifier is None


def test_provenance_names_all_networks(dataset_folder, other_folder, tmp_path):
    """A class that either network learned is no unseen one; search, which takes one network, says so."""
    write_provenance(dataset_folder, {"backbone": "squeezenet", "trained_on": ["ant", "cow"]})
    write_provenance(other_folder, {"backbone": "resnet50", "trained_on": ["cow", "elk"]})
    about = joined(tmp_path / "out", dataset_folder, other_folder).provenance
    assert about["trained_on"] == ["ant", "cow", "elk"]
    assert about["backbone"] == "squeezenet + resnet50"
    assert [part["backbone"] for part in about["joined"]] == ["squeezenet", "resnet50"]
    with pytest.raises(BadInput, match="one network, and 2"):
        find_weights(about, [tmp_path], "photo", None, "run")


def test_other_pictures_are_refused(dataset_folder, other_folder, tmp_path):
    labels = matfiles.read(other_folder / "label_im.mat", "label_im")
    matfiles.write(other_folder / "label_im.mat", {"label_im": labels[::-1].copy()})
    (other_folder / "names_images.mat").unlink(missing_ok=True)
    with pytest.raises(BadInput, match="photo rows are other pictures"):
        joined(tmp_path / "out", dataset_folder, other_folder)
    assert not (tmp_path / "out").exists()


def test_other_unseen_classes_are_refused(dataset_folder, other_folder, tmp_path):
    (other_folder / "unseen.txt").write_text("ant\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"unseen\.txt: lists other classes"):
        joined(tmp_path / "out", dataset_folder, other_folder)


def test_nothing_is_overwritten(dataset_folder, other_folder, tmp_path):
    with pytest.raises(BadInput, match="holds files already"):
        joined(other_folder, dataset_folder, other_folder)
    with pytest.raises(BadInput, match="two dataset directories"):
        joined(tmp_path / "out", dataset_folder)
