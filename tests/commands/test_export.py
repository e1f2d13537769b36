"""export.py: a run's graphs, as plain TensorFlow and a plain interpreter run them."""

import numpy as np
import pytest
import tensorflow as tf
from helpers.finished_run import make_small_dataset
from helpers.project import trainer_settings
from PIL import Image

from zscmr.commands import train as trainer
from zscmr.formats import matfiles


@pytest.mark.slow
def test_exported_graphs_answer_without_a_line_of_ours(tmp_path, script):
    """A SavedModel by plain TensorFlow and a .tflite by a plain interpreter give what the run exported."""
    make_small_dataset(tmp_path, np.random.default_rng(0), per_class=3, size=(40, 40), backbone="small", epochs=1)
    choices = {"model": "crossatnet", "bits": 8, "epochs": 2, "batch_size": 6, "no_encoders": True}
    trainer.main(trainer_settings(data=tmp_path / "data", path=tmp_path / "run", **choices))
    refusal = script("export.py", "--run", tmp_path / "data", cwd=tmp_path, status=2).stderr
    assert refusal == f"export.py: --run {tmp_path / 'data'}: no finished run (it has no results.json)\n"
    (tmp_path / "served/photo/1").mkdir(parents=True)
    script("export.py", "--run", tmp_path / "run", "--saved-models", tmp_path / "served")
    assert sorted(folder.name for folder in (tmp_path / "served/photo").iterdir()) == ["1", "2"]

    names = matfiles.read_names(tmp_path / "run/unified_features.mat", "namesx")
    expected = matfiles.read(tmp_path / "run/unified_features.mat", "featuresx")
    shown = np.stack([np.asarray(Image.open(tmp_path / "photo" / name).convert("RGB")) for name in names])
    loaded = tf.saved_model.load(str(tmp_path / "served/photo/2"))
    served = loaded.serve(tf.constant(shown)).numpy()
    interpreter = tf.lite.Interpreter(str(tmp_path / "run/encoders/photo.tflite"))
    interpreter.allocate_tensors()
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
    lite = []
    for picture in shown:
        interpreter.set_tensor(given["index"], picture[None])
        interpreter.invoke()
        lite.append(interpreter.get_tensor(found["index"])[0])
    for codes in (served, np.array(lite)):
        assert codes.shape == (18, 8) and set(np.unique(codes)) == {-1, 1}
        assert (codes == expected).mean() > 0.97  # a bit on the edge may fall either way
