"""Image models of KerasHub: small random presets in folders, against the library's own output and preprocessing."""

import json
import shutil

import keras
import numpy as np
import pytest
from helpers.project import draw_pictures, picture_flags
from PIL import Image

from zscmr.backbones import backbone, networks
from zscmr.formats import matfiles
from zscmr.inference.export_graph import write_tflite
from zscmr.inference.graph import Graph
from zscmr.training.stage1.dataset import make_dataset
from zscmr.training.stage1.options import Stage1Options, by_modality

keras_hub = pytest.importorskip("keras_hub", reason="KerasHub is not installed: its presets are not tested")
SIZE, PATCHES = 32, 16  # 4 × 4 patches of 8 pixels
TRANSFORMER = {"patch_size": 8, "num_layers": 1, "num_heads": 2, "hidden_dim": 16}
VISION = {**TRANSFORMER, "intermediate_dim": 32, "image_shape": (SIZE, SIZE, 3)}
TEXT = {
    **{"vocabulary_size": 30, "embedding_dim": 16, "hidden_dim": 16, "num_layers": 1, "num_heads": 2},
    **{"intermediate_dim": 32, "max_sequence_length": 8},
}
PIXELS = {"scale": [1 / 127.5, 1 / 128, 1 / 129], "offset": [-1.0, -0.9, -0.8], "image_size": (SIZE, SIZE)}


def make_model(name):
    models = keras_hub.models
    if name == "ViT":
        return models.ViTBackbone(**TRANSFORMER, mlp_dim=32, image_shape=(SIZE, SIZE, 3))
    if name == "DINOV2":
        return models.DINOV2Backbone(**VISION, num_register_tokens=3, position_embedding_shape=(SIZE, SIZE, 3))
    if name == "CLIP":
        return models.CLIPBackbone(models.CLIPVisionEncoder(**VISION), models.CLIPTextEncoder(**TEXT), projection_dim=8)
    if name == "SigLIP":
        return models.SigLIPBackbone(models.SigLIPVisionEncoder(**VISION), models.SigLIPTextEncoder(**TEXT))
    return models.DenseNetBackbone(stackwise_num_repeats=[1, 1], compression_ratio=0.5, growth_rate=8)


@pytest.fixture
def preset(tmp_path):
    """A function name -> folder of a preset with random weights."""

    def make(name, **converter):
        folder = tmp_path / name
        make_model(name).save_to_preset(str(folder))
        convert = getattr(keras_hub.layers, f"{name}ImageConverter")
        convert(**{**PIXELS, **converter}).save_to_preset(str(folder))
        return folder

    return make


def noise(random, count, size):
    return random.integers(0, 256, (count, size, size, 3), np.uint8)


def converted(folder, pictures):
    return keras_hub.layers.ImageConverter.from_preset(str(folder))(pictures.astype(np.float32))


@pytest.mark.parametrize(("name", "special"), [("ViT", 1), ("DINOV2", 4), ("CLIP", 1), ("SigLIP", 1), ("DenseNet", 0)])
def test_network_gives_what_the_library_gives(name, special, preset, random, tmp_path):
    folder = preset(name)
    model = keras_hub.models.Backbone.from_preset(str(folder))
    tower = getattr(model, "vision_encoder", model)
    pictures = noise(random, 2, SIZE)
    pixels = converted(folder, pictures)
    expected = np.asarray(tower({"images": pixels} if isinstance(tower.input, dict) else pixels))
    entry = backbone(f"hub:{folder}")
    network = networks.build(entry, entry.packaged())
    received = np.asarray(network(pictures))
    assert entry.special == special
    if name == "SigLIP":  # its own vector first, then the tokens that it was pooled of
        np.testing.assert_array_equal(received[:, 0], expected)
        tokens = keras.Model(tower.inputs, tower.layers[-1].input)({"images": pixels})
        np.testing.assert_array_equal(received[:, 1:], np.asarray(tokens))
    else:
        np.testing.assert_array_equal(received, expected)
    for pool in ("class", "average") if special else ("average",):
        pooled = networks.pooled(network, pool, entry.special)
        vectors = np.asarray(pooled(pictures))
        if special:
            assert received.shape[1] == special + PATCHES
            by_hand = received[:, 0] if pool == "class" else received[:, special:].mean(1)
            np.testing.assert_allclose(vectors, by_hand, atol=1e-6)
        write_tflite(pooled, tmp_path / "network.tflite")
        np.testing.assert_allclose(Graph(tmp_path / "network.tflite")(pictures), vectors, atol=1e-4)


@pytest.mark.parametrize("crop", [True, False])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_pictures_are_scaled_and_cropped_as_by_the_library(crop, interpolation, preset):
    folder = preset("ViT", crop_to_aspect_ratio=crop, interpolation=interpolation)
    across, down = np.meshgrid(np.arange(96), np.arange(48))  # smooth, so that no filter matters where it is made small
    picture = np.stack([across * 2, down * 5, (across + down)], axis=2).astype(np.uint8)
    ours = np.asarray(backbone(f"hub:{folder}").preprocessing.apply(Image.fromarray(picture)), np.float32)
    theirs = np.asarray(converted(folder, picture[None]))[0]
    ours = ours * PIXELS["scale"] + PIXELS["offset"]
    np.testing.assert_allclose(ours, theirs, atol=3 / 127.5)  # of 2: Pillow rounds to integers
    assert np.abs(ours - np.asarray(converted(folder, picture[None, :, ::-1]))[0]).max() > 0.3


def test_frozen_features_of_a_preset(preset, random, tmp_path):
    folder = preset("DINOV2")
    draw_pictures(tmp_path, random, ("ant", "bee", "cow", "dog"), per_class=3, size=(SIZE, SIZE), unseen=("dog",))
    options = Stage1Options(**picture_flags(tmp_path), out=tmp_path / "out", backbone=f"hub:{folder}", freeze=True)
    make_dataset(options)
    features = matfiles.read(tmp_path / "out/imagematnew.mat", "feature")
    assert features.shape == (12, 16) and np.ptp(features, axis=0).min() > 0


def broken(folder, fault):
    config = json.loads((folder / "config.json").read_text())
    if fault == "module":
        config["module"] = "os.path"
    if fault == "class":
        config["registered_name"] = "keras_hub>Nothing"
    (folder / "config.json").write_text("{" if fault == "json" else json.dumps(config))
    if fault == "weights":
        content = (folder / "model.weights.h5").read_bytes()
        (folder / "model.weights.h5").write_bytes(content[: len(content) // 2])
    if fault == "other weights":
        shutil.copy(folder.parent / "other.weights.h5", folder / "model.weights.h5")
    if fault == "no weights":
        (folder / "model.weights.h5").unlink()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("module", "names the module 'os.path', which is not of Keras"),
        ("class", "not a readable KerasHub preset"),
        ("json", "config.json: not readable as JSON"),
        ("weights", "model.weights.h5: not a readable weight file"),
        ("other weights", "not a readable KerasHub preset ("),
        ("no weights", "model.weights.h5: no such file"),
    ],
)
def test_damaged_preset_is_refused(fault, words, preset, refused, tmp_path):
    folder = preset("ViT")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(tmp_path / "other.weights.h5")
    broken(folder, fault)

    def build():
        entry = backbone(f"hub:{folder}")
        networks.build(entry, entry.packaged())

    assert words in refused(build)


def test_folder_without_preset_and_text_model_are_refused(preset, refused, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "config.json: no such file" in refused(backbone, f"hub:{tmp_path / 'empty'}")
    folder = preset("ViT")
    keras_hub.models.BertBackbone(
        vocabulary_size=9, num_layers=1, num_heads=1, hidden_dim=4, intermediate_dim=4
    ).save_to_preset(str(folder))
    assert "expected an image model, received BertBackbone" in refused(backbone, f"hub:{folder}")
    padded = preset("CLIP", crop_to_aspect_ratio=False, pad_to_aspect_ratio=True)
    assert "padded to a square" in refused(backbone, f"hub:{padded}")


def test_pool_that_the_network_has_not_is_refused(preset, refused, tmp_path):
    options = {"photos": tmp_path, "sketches": tmp_path, "unseen": tmp_path, "out": tmp_path, "freeze": True}
    name = f"hub:{preset('DenseNet')}"
    assert "has no class token" in refused(by_modality, Stage1Options(**options, backbone=name, pool="class"))
