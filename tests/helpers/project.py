"""Datasets, runs and scripts of the project, made small for tests."""

import contextlib
import dataclasses
import importlib.util
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zscmr.datasets import batches
from zscmr.formats import matfiles
from zscmr.formats.dataset_directory import CLASS_VECTORS, FILES

ROOT = Path(__file__).resolve().parents[2]

#: for tests that send POSIX signals
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
CLASSES = ("ant", "bee", "cow", "dog", "elk", "fox", "gnu", "hen", "ibis", "jay")
UNSEEN = ("bee", "fox", "jay")
RUN_FILES = ("metrics.jsonl", "results.json", "unified_features.mat")


def load_script(path):
    """A script of the project, such as pretrain/class_graph.py, as a module."""
    spec = importlib.util.spec_from_file_location(f"script_{Path(path).stem}", ROOT / path)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend((ROOT / path).parent)
        sys.modules[spec.name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
    return module


def assert_same_bytes(one, other, files=RUN_FILES):
    for file in files:
        assert (one / file).read_bytes() == (other / file).read_bytes(), file


@contextlib.contextmanager
def interrupted_at(number):
    """Ctrl-C as stage II draws the batches of epoch `number`."""

    draw = batches.draw_epoch

    def stop(dataset, split, preset, seed, epoch):
        if epoch == number:
            raise KeyboardInterrupt
        return draw(dataset, split, preset, seed, epoch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "draw_epoch", stop)
        yield


def trainer_settings(**choices):
    """Settings of the trainer; what is none of its fields is a constant of the system, None leaves it out."""
    from zscmr.commands import train as trainer

    fields = {field.name for field in dataclasses.fields(trainer.Settings)}
    constants = {name: value for name, value in choices.items() if name not in fields and value is not None}
    return trainer.Settings(**{name: value for name, value in choices.items() if name in fields}, constants=constants)


def prepare(folder, **choices):
    """(settings, preset, dataset, split, draw) of a run on the dataset directory `folder`, as the trainer has them."""
    from zscmr.datasets import loader
    from zscmr.datasets.classes import read_split
    from zscmr.training.stage2.options import with_preset

    settings, preset = with_preset(trainer_settings(data=folder, **choices))
    dataset = loader.load_dataset(folder)
    split = read_split(dataset, settings.unseen, settings.held_out, settings.seed)
    return settings, preset, dataset, split, partial(batches.draw_epoch, dataset, split, preset, settings.seed)


def check_resumes(settings, files=RUN_FILES):
    """Interrupted after its first epoch and resumed, the run `parts` ends with the bytes of `whole`, both beside the
    dataset."""
    from zscmr.commands import train as trainer

    complete, parts = (settings.data.parent / name for name in ("whole", "parts"))
    trainer.main(dataclasses.replace(settings, path=complete))
    with interrupted_at(2), pytest.raises(KeyboardInterrupt, match=r"stopped after epoch 1; .* --resume goes on"):
        trainer.main(dataclasses.replace(settings, path=parts))
    trainer.main(trainer.Settings(path=parts, resume=True))
    assert_same_bytes(complete, parts, files)


def check_gradients(variables, gradients, slow, step, tolerance):
    """Central differences of the slow float64 loop in 40 random coordinates of the weights that have a gradient."""
    pairs = zip(variables, gradients, strict=True)
    variables, gradients = zip(*[pair for pair in pairs if pair[1] is not None], strict=True)
    random, moved = np.random.default_rng(0), 0
    for _ in range(40):
        which = random.integers(len(variables))
        variable, index = variables[which], tuple(random.integers(size) for size in variables[which].shape)
        start = variable.numpy()
        values = []
        for bump in (step, -step):
            bumped = np.array(start)  # a scalar variable gives no array
            bumped[index] += bump
            variable.assign(bumped)
            values.append((slow(), float(bumped[index])))
        variable.assign(start)
        expected = (values[0][0] - values[1][0]) / (values[0][1] - values[1][1])
        assert gradients[which].numpy()[index] == pytest.approx(expected, abs=tolerance * (1 + abs(expected)))
        moved += abs(expected) > 1e-3
    assert moved > 5  # the term does depend on the weights


def write_dataset(folder, classes=CLASSES, per_class=6, size=12, seed=0):
    """A small dataset directory with features that scatter about class points shared by both modalities."""
    random = np.random.default_rng(seed)
    points = random.normal(size=(len(classes), size))
    labels = np.repeat(np.arange(len(classes)), per_class)
    for modality, suffix in (("photo", "jpg"), ("sketch", "png")):
        files = FILES[modality]
        turn = random.normal(size=(size, size)) / np.sqrt(size)
        features = points[labels] @ turn + 0.3 * random.normal(size=(len(labels), size))
        cell = np.array([[f"{name}_{k}.{suffix}" for k in range(per_class)] for name in classes], dtype=object)
        for part, array in (
            ("features", features.astype(np.float32)),
            ("labels", labels[:, None].astype(np.int32)),
            ("names", cell),
        ):
            file, key = files[part]
            matfiles.write(folder / file, {key: array, "classes": classes})
    vectors = points @ random.normal(size=(size, 5))
    matfiles.write(folder / CLASS_VECTORS[0], {CLASS_VECTORS[1]: vectors, "classes": classes})
    (folder / "unseen.txt").write_text("# three of ten\n" + "\n".join(UNSEEN) + "\n")
    return folder


def draw_pictures(folder, random, classes, per_class, size, unseen):
    """photo/ and sketch/ with pictures of noise, (height, width) pixels, in class folders, and unseen.txt."""
    for modality, suffix in (("photo", "jpg"), ("sketch", "png")):
        for name in classes:
            (folder / modality / name).mkdir(parents=True)
            for number in range(per_class):
                noise = random.integers(0, 255, (*size, 3), dtype=np.uint8)
                Image.fromarray(noise).save(folder / modality / name / f"{name}_{number}.{suffix}")
    (folder / "unseen.txt").write_text("".join(f"{name}\n" for name in unseen))


def picture_flags(folder):
    """What stage I is told of pictures that lie as `draw_pictures` lays them."""
    return {"photos": folder / "photo", "sketches": folder / "sketch", "unseen": folder / "unseen.txt"}


def random_squeezenet(path):
    """A weight file of the right shapes."""
    random, arrays, inputs = np.random.default_rng(5), {}, 96
    arrays["conv1/kernel"] = random.normal(size=(7, 7, 3, 96), scale=0.02)
    for number, squeeze in zip(range(2, 10), (16, 16, 32, 32, 48, 48, 64, 64), strict=True):
        for part, shape in (
            ("squeeze1x1", (1, 1, inputs, squeeze)),
            ("expand1x1", (1, 1, squeeze, 4 * squeeze)),
            ("expand3x3", (3, 3, squeeze, 4 * squeeze)),
        ):
            scale = np.sqrt(2 / np.prod(shape[:3]))
            arrays[f"fire{number}/{part}/kernel"] = random.normal(size=shape, scale=scale)
        inputs = 8 * squeeze
    arrays |= {
        key.replace("kernel", "bias"): random.normal(size=array.shape[3], scale=0.1) for key, array in arrays.items()
    }
    np.savez(path, **{key: array.astype(np.float32) for key, array in arrays.items()})
    return path
