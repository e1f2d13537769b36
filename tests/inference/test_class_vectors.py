"""Class vectors: means of photos, their file, and names."""

import numpy as np
import pytest

from zscmr.inference.class_vectors import ClassVectors

NAMES = ("ant", "hot-air_balloon", "zebra")
LABELS, ROWS = np.array([0, 0, 2]), np.array([[3, 4], [1, 0], [0, 2]], np.float32)


@pytest.fixture
def known():
    return ClassVectors(NAMES, np.eye(3, dtype=np.float32))


def test_vectors_are_means_of_photos():
    """By angle (.6, .8) and (1, 0): mean (.8, .4), of length √.8 = .894; the class without photos is left out."""
    by_angle = ClassVectors.of_photos(NAMES, LABELS, ROWS, cosine=True)
    assert by_angle.names == ("ant", "zebra") and by_angle.vectors.dtype == np.float32
    np.testing.assert_allclose(by_angle.vectors, [[0.894427, 0.447214], [0, 1]], atol=1e-6)
    np.testing.assert_array_equal(ClassVectors.of_photos(NAMES, LABELS, ROWS, cosine=False).vectors, [[2, 2], [0, 2]])


def test_names_are_compared_as_class_names_and_near_ones_are_named(known, refused):
    for name in ("hot-air_balloon", "Hot air balloon"):
        np.testing.assert_array_equal(known.vector(name), [0, 1, 0])
    message = "none of the 3 class names that the encoder knows is 'zebro'; did you mean zebra?"
    assert refused(known.vector, "zebro") == message
    assert refused(known.vector, "zoo").endswith("knows is 'zoo'")  # not near enough to be meant
    assert refused(known.vector, "").endswith("knows is ''")


def test_the_file_that_was_written_is_read_and_no_other(known, tmp_path, refused):
    entry = known.write(tmp_path)
    read = ClassVectors.read(tmp_path, entry, 3)
    assert read.names == NAMES
    np.testing.assert_array_equal(read.vectors, known.vectors)
    assert "expected float32 vectors (3, 4), received (3, 3)" in refused(ClassVectors.read, tmp_path, entry, 4)
    assert refused(ClassVectors.read, tmp_path, {"sha256": "other"}, 3).endswith("is not the file that was written")
    (tmp_path / "classes.npz").unlink()
    assert "No such file" in refused(ClassVectors.read, tmp_path, entry, 3)
