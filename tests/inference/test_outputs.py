"""Outputs of a network for picture files: in memory, kept, and resumed where a call was stopped."""

import numpy as np
import pytest
from PIL import Image

from zscmr.datasets.pictures import Preprocessing
from zscmr.inference.outputs import Reading, outputs, outputs_now

READING = Reading(Preprocessing(4), batch=3)


class Mean:
    """Mean colours; counts its pictures, and raises once `most` of them would be exceeded."""

    width = 3

    def __init__(self, most=100):
        self.most, self.seen = most, 0

    def __call__(self, images):
        if self.seen + len(images) > self.most:
            raise KeyboardInterrupt
        self.seen += len(images)
        return images.mean((1, 2), dtype=np.float32)


@pytest.fixture
def paths(tmp_path):
    """Eight files, of which the fifth is no picture."""
    files = [tmp_path / f"{number}.png" for number in range(8)]
    for number, file in enumerate(files):
        Image.new("RGB", (8, 8), (number, 10 * number, 255)).save(file)
    files[4].write_text("text")
    return [str(file) for file in files]


EXPECTED = np.array([[number, 10 * number, 255] for number in range(8)], np.float32)


def check(vectors, readable):
    assert readable.tolist() == [number != 4 for number in range(8)]
    np.testing.assert_array_equal(vectors[readable], EXPECTED[readable])


def test_in_memory(paths):
    done = []
    check(*outputs_now(Mean(), READING, paths, done.append))
    assert done == [3, 6, 8]
    vectors, readable = outputs_now(Mean(), READING, [])
    assert vectors.shape == (0, 3) and readable.shape == (0,)


def test_a_stopped_call_goes_on_and_a_finished_one_computes_nothing(paths, tmp_path, capsys):
    folder = tmp_path / "kept"
    with pytest.raises(KeyboardInterrupt):
        outputs(folder, "a", lambda: Mean(most=5), READING, paths, "photo")
    rest = Mean()
    check(*outputs(folder, "a", lambda: rest, READING, paths, "photo"))
    assert rest.seen == 5 and "photo: 3 of 8 pictures were done before" in capsys.readouterr().out
    check(*outputs(folder, "a", None, READING, paths, "photo"))


def test_outputs_of_another_identity_are_computed_anew(paths, tmp_path):
    folder, network = tmp_path / "kept", Mean()
    outputs(folder, {"seed": 0}, Mean, READING, paths, "photo")
    check(*outputs(folder, {"seed": 1}, lambda: network, READING, paths, "photo"))
    assert network.seen == 8
    (folder / "identity.json").unlink()  # killed while the arrays were made
    check(*outputs(folder, {"seed": 1}, lambda: network, READING, paths, "photo"))
    assert network.seen == 16
