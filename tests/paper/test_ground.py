"""What tables stand on: the published numbers, a dataset, and whether its numbers can be compared with them."""

import numpy as np
import pytest
from helpers.project import write_dataset

from zscmr.datasets import literature, loader
from zscmr.datasets.classes import read_class_list, split_classes
from zscmr.paper import ground
from zscmr.paper import tables as content


def test_published_numbers_agree_with_each_other():
    """The same number stands in several of the paper's tables."""
    data = ground.PUBLISHED
    ours = next(line for line in data["comparison"] if line["method"] == "ZSCMR")
    assert len(data["comparison"]) == 19
    for name in data["datasets"]:
        across = [data["directions"][direction][name] for direction in content.ACROSS]
        assert ours[name] == across[0]
        assert data["ablation"]["zscmr"]["full"][name] == [pair[0] for pair in across]
        for line in data["comparison"]:
            assert line[name] is None or (len(line[name]) == 2 and all(0 < number < 1 for number in line[name]))


def sketchy(photos=12_500, sketches=75_481, **provenance):
    """A dataset with Sketchy's counts and the class names that its lists tell, and the released list's split."""
    named = sorted({name for file in literature.SPLITS.glob("sketchy-*.txt") for name in read_class_list(file)})
    classes = (*named, *(f"further class {k}" for k in range(125 - len(named))))
    sides = [loader.Modality(np.zeros((n, 1), np.float32), np.arange(n) % 125, ()) for n in (photos, sketches)]
    provenance = {"backbone": "vgg16", "train": "head"} | provenance
    dataset = loader.Dataset(None, *sides, classes, np.zeros((125, 3)), np.empty((0, 2)), provenance)
    return dataset, split_classes(classes, named[:25], "list", held_out_share=0)


@pytest.mark.parametrize(
    ("changed", "unseen_list", "expected"),
    [
        ({}, "sketchy-25-released", ()),
        ({"sketches": 75_471}, "sketchy-25-released", ()),
        ({"photos": 3125}, "sketchy-25-released", ("3,125 photos, where Sketchy has 12,500",)),
        ({"backbone": "squeezenet"}, "sketchy-25-released", ("backbone squeezenet, where the release has vgg16",)),
        ({"train": "nothing"}, "sketchy-25-released", ("vgg16 not trained on the dataset",)),
        ({}, "sketchy-25-sake", ("unseen list sketchy-25-sake, where the released code implies sketchy-25-released",)),
    ],
)
def test_comparability_is_derived_from_facts(changed, unseen_list, expected):
    reasons = ground.reasons_not_comparable(*sketchy(**changed), unseen_list)
    assert len(reasons) == len(expected)
    assert all(reason.startswith(start) for reason, start in zip(reasons, expected, strict=True))


def test_features_made_anew_have_cells_of_their_own(tmp_path):
    folders = []
    for seed in (0, 1, 0):
        dataset = loader.load_dataset(write_dataset(tmp_path / "data", seed=seed))
        folders.append(ground.survey(dataset, (), tmp_path)[0].folder)
    assert folders[0] == folders[2] != folders[1]
