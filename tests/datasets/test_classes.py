"""Class names are compared by key; lists of unseen ones are read; the split is disjoint and replayable."""

import numpy as np
import pytest
from helpers.project import CLASSES, UNSEEN

from zscmr.datasets.classes import class_key, read_class_list, split_classes


@pytest.mark.parametrize(
    ("one", "other"),
    [("hot_air_balloon", "hot-air balloon"), ("jack-o-lantern", "Jack o Lantern"), ("car_(sedan)", "car (sedan)")],
)
def test_class_names_compare_without_case_and_separators(one, other):
    assert class_key(one) == class_key(other)


def test_unseen_list_with_unknown_class_names_the_nearest(tmp_path, refused):
    file = tmp_path / "unseen.txt"
    file.write_text("# a comment\nbee\ngnus # another\n")
    names = read_class_list(file)
    assert names == ["bee", "gnus"]
    assert refused(split_classes, CLASSES, names, file) == f"{file}: no class 'gnus'; nearest: gnu"


def test_split_is_disjoint_complete_and_replayable():
    split = split_classes(CLASSES, UNSEEN, "list", held_out_share=0.3, seed=4)
    parts = np.concatenate([split.seen, split.held_out, split.unseen])
    assert sorted(parts) == list(range(10)) and len(split.held_out) == 2
    assert [CLASSES[label] for label in split.unseen] == list(UNSEEN)
    again = split_classes(CLASSES, UNSEEN, "list", held_out_share=0.3, seed=4)
    np.testing.assert_array_equal(split.held_out, again.held_out)
