"""pictures.json tells features from others: by what made them, not by where the files lie."""

import pytest

from zscmr.formats.dataset_directory import PICTURES, changed_keys, differing_keys, read_provenance, write_provenance

MADE = {
    "photos": "/gone/photo",
    "sketches": "/gone/sketch",
    "weights": "vgg16.npz",
    "weights_file": "/gone/vgg16.npz",
    "weights_sha256": "ab",
    "dense": 0,
    "classes": ["ant", "bee"],
}


@pytest.mark.parametrize(
    ("change", "differing"),
    [
        ({}, []),
        ({"weights": "renamed.npz", "weights_file": "/elsewhere/renamed.npz"}, []),
        ({"photos": "/elsewhere/photo", "sketches": "/elsewhere/sketch"}, []),
        ({"skipped": {"photo": ["ant/a.jpg"]}, "cnn_sha256": {"photo": "cd"}}, []),
        ({"weights_sha256": "ef"}, ["weights_sha256"]),
        ({"dense": 4096, "classes": ["ant"]}, ["dense", "classes"]),
        ({"epochs": 3}, ["epochs"]),
    ],
)
def test_features_differ_by_what_made_them(change, differing):
    """Either way round: a key that only one of the two has counts, null or not."""
    changed = MADE | change
    assert differing_keys(MADE, changed) == differing_keys(changed, MADE) == differing
    assert changed_keys(MADE, changed) == differing


def test_pictures_of_a_folder_that_is_still_there_are_others(tmp_path):
    """A folder of another name may hold the same pictures, moved, unless the former one still exists."""
    (tmp_path / "photo").mkdir()
    present = MADE | {"photos": str(tmp_path / "photo"), "sketches": str(tmp_path / "sketch")}
    current = MADE | {"photos": str(tmp_path / "other"), "sketches": str(tmp_path / "another")}
    assert differing_keys(present, current) == [] and changed_keys(present, current) == ["photos"]
    assert changed_keys(present, present) == []


def test_provenance_is_read_as_written(tmp_path, refused):
    assert read_provenance(tmp_path) == {}
    write_provenance(tmp_path, MADE)
    assert read_provenance(tmp_path) == MADE
    (tmp_path / PICTURES).write_text("{'photos'")
    assert refused(read_provenance, tmp_path).startswith(f"{tmp_path / PICTURES}: not readable as JSON (")
    (tmp_path / PICTURES).write_bytes(b"\xff\xfe{")
    assert refused(read_provenance, tmp_path).startswith(f"{tmp_path / PICTURES}: not readable as JSON (")
