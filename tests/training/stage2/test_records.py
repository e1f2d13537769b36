"""What a run records of its dataset."""

import dataclasses

import numpy as np
import pytest

from zscmr.datasets import loader
from zscmr.datasets.classes import Split
from zscmr.training.stage2.records import cnn_leak, describe_dataset, features_digest


@pytest.fixture
def dataset(dataset_folder):
    return loader.load_dataset(dataset_folder)


def test_widths_and_directory(dataset, dataset_folder):
    record = describe_dataset(dataset)
    assert record.pop("features_sha256") == features_digest(dataset).hexdigest()
    assert record == {
        "directory": str(dataset_folder.resolve()),
        "photo": 12,
        "sketch": 12,
        "class_vectors": 5,
        "classifier": 0,
    }


def test_digest_covers_all_that_training_reads(dataset):
    """One changed number of either modality, of labels, class vectors or classifier gives another digest."""
    others = [
        dataclasses.replace(dataset, class_vectors=dataset.class_vectors + 1),
        dataclasses.replace(dataset, classifier=np.zeros((12, 3), np.float32)),
    ]
    for modality in ("photo", "sketch"):
        items = {"photo": dataset.photo, "sketch": dataset.sketch}[modality]
        features = np.array(items.features)
        features[-1, -1] += 1
        others.append(dataclasses.replace(dataset, **{modality: dataclasses.replace(items, features=features)}))
        turned = dataclasses.replace(items, labels=items.labels[::-1].copy())
        others.append(dataclasses.replace(dataset, **{modality: turned}))
    digests = {features_digest(one).hexdigest() for one in (dataset, *others)}
    assert len(digests) == 1 + len(others)


def test_leak_names_unseen_classes_that_the_cnns_were_trained_on(dataset):
    split = Split(seen=np.arange(3, 10), held_out=np.empty(0, int), unseen=np.array([1, 2]))
    assert cnn_leak(dataset, split) == ""
    leaked = dataclasses.replace(dataset, provenance={"trained_on": ["ANT", "bee"]})
    assert cnn_leak(leaked, split) == "the CNNs were trained on 1 of the 2 unseen classes, bee among them"
