"""Names of things and the ImageNet classes that show them."""

import numpy as np

from zscmr.backbones import imagenet


def test_names_are_compared_as_class_names_are():
    table = imagenet.membership(["Hot-air_balloon", "T SHIRT", "no such thing", "tiger"])
    assert table.shape == (4, imagenet.CLASSES) and table.dtype == np.float32
    assert [np.flatnonzero(row).tolist() for row in table] == [[417], [610], [], [292]]


def test_runs_have_both_ends():
    assert np.flatnonzero(imagenet.membership(["bear"])[0]).tolist() == [294, 295, 296, 297]


def test_every_name_has_classes():
    table = imagenet.membership(list(imagenet.NUMBERS))
    assert (table.sum(1) >= 1).all()
