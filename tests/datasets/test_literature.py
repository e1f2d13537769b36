"""Class lists of the literature."""

from zscmr.datasets import literature
from zscmr.datasets.classes import read_class_list


def test_an_unseen_list_is_known_by_its_classes(tmp_path):
    copy = tmp_path / "unseen.txt"
    copy.write_text((literature.SPLITS / "sketchy-25-sake.txt").read_text().upper())
    assert literature.list_name(read_class_list(copy), copy.stem) == "sketchy-25-sake"
    copy.write_text("zebra\n")
    assert literature.list_name(read_class_list(copy), copy.stem) == "unseen"
