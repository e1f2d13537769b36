"""Pictures of both modalities, and the rows that stay."""

from pathlib import Path

import numpy as np

from zscmr.evaluation.embeddings import Features, Items, drawn_photo, printable, stems


def items(key, labels, names=(), folder=None):
    rows = np.arange(len(labels))
    return Items(key, rows[:, None].astype(np.float32), np.array(labels), rows, names, folder)


def features(classes=("ant", "bee\x1b")):
    sides = items("x", [0, 1, 1], ("ant/a.jpg", "bee/b.jpg", "bee/c.jpg"), Path("photo")), items("y", [1, 0])
    return Features(*sides, classes, np.array([1]), True, "cosine", "")


def test_kept_rows_carry_labels_names_and_their_row_numbers():
    unseen = features().keep(lambda side: side.labels == 1)
    assert unseen.photo.rows.tolist() == [1, 2] and unseen.photo.names == ("bee/b.jpg", "bee/c.jpg")
    assert unseen.photo.vectors.tolist() == [[1], [2]]
    assert unseen.sketch.rows.tolist() == [0] and unseen.sketch.names == ()
    assert unseen.photo.path(1) == Path("photo/bee/c.jpg") and unseen.sketch.path(0) is None


def test_all_rows_in_order_are_not_copied():
    photo = features().photo
    assert photo.take(np.arange(3)) is photo
    assert photo.take(np.array([2, 1, 0])).vectors.tolist() == [[2], [1], [0]]


def test_queries_come_first_in_a_direction():
    both = features()
    assert both.sides("sketch->image") == (both.sketch, both.photo)
    assert both.sides("image->image") == (both.photo, both.photo)


def test_class_names_cannot_steer_the_terminal():
    assert features().class_name(1) == "bee\ufffd" == printable("bee\x1b")
    assert features(classes=()).class_name(1) == "class 1"


def test_a_sketch_of_sketchy_is_named_after_the_photo_it_draws():
    photo, sketch = items("x", [4], ("zebra/n02391049_12.jpg",)), items("y", [4], ("zebra/n02391049_12-3.png",))
    assert [drawn_photo(*stem) for stem in stems(sketch)] == stems(photo) == [(4, "n02391049_12")]
    assert stems(items("x", [0])) == []
