"""TensorBoard's files of a run."""

from dataclasses import dataclass

import numpy as np

from zscmr.training.stage2 import tensorboard


@dataclass
class Items:
    vectors: np.ndarray
    labels: np.ndarray


class Features:
    photo = Items(np.array([[1.0, 0.25], [0.5, 2.0]]), np.array([1, 0]))
    sketch = Items(np.array([[1e-7, 3.0]]), np.array([1]))

    def class_name(self, label):
        return ("ant", "bee")[label]


def test_the_projector_s_files_name_vectors_and_labels_row_by_row(tmp_path):
    tensorboard.write_projector(tmp_path, Features())
    folder = tmp_path / "tensorboard"
    assert (folder / "vectors.tsv").read_text() == "1\t0.25\n0.5\t2\n1e-07\t3\n"
    assert (folder / "labels.tsv").read_text() == "class\tmodality\nbee\tphoto\nant\tphoto\nbee\tsketch\n"
    assert 'tensor_path: "vectors.tsv"' in (folder / "projector_config.pbtxt").read_text()


def test_scalars_are_logged_where_tensorboard_is_installed(tmp_path):
    log = tensorboard.open_log(tmp_path)
    assert (log is not None) == tensorboard.is_installed()
    if log:
        log.scalars({"epoch": 1, "latent": 0.5})
        assert any((tmp_path / "tensorboard").iterdir())
