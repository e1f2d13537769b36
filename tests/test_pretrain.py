"""Pictures are decoded whatever their format, unreadable ones named and skipped; only seen classes train a CNN."""

import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow")

import matfiles
import UxUyLoader as loader
from pretrain import backbones, cnn, finetune, pictures, word_vectors

NAMES = ("ant", "bee", "cow", "dog", "elk")


@pytest.fixture
def trees(tmp_path):
    """photo/ and sketch/ with five classes of three 48-pixel pictures, and unseen.txt with one of them."""
    random = np.random.default_rng(0)
    for modality, suffix in (("photo", "jpg"), ("sketch", "png")):
        for name in NAMES:
            folder = tmp_path / modality / name
            folder.mkdir(parents=True)
            for number in range(3):
                noise = random.integers(0, 255, (48, 48, 3), dtype=np.uint8)
                Image.fromarray(noise).save(folder / f"{name}_{number}.{suffix}")
    (tmp_path / "unseen.txt").write_text("dog\n")
    return tmp_path


def settings(folder, **more):
    choices = {"backbone": "small", "freeze": True, "batch_size": 4, **more}
    return finetune.Settings(
        photos=folder / "photo",
        sketches=folder / "sketch",
        unseen=folder / "unseen.txt",
        out=folder / "out",
        **choices,
    )


def save(picture, path, **more):
    picture.save(path, **more)
    return pictures.read_picture(path, 8)


def test_every_kind_of_picture_becomes_rgb(tmp_path):
    """A flat red (or grey) picture keeps its colour through palette, CMYK, alpha and 16 bit."""
    red, grey = Image.new("RGB", (20, 10), (200, 30, 30)), Image.new("L", (20, 10), 128)
    for path, picture in {
        "palette.png": red.convert("P", palette=Image.Palette.ADAPTIVE),
        "cmyk.jpg": red.convert("CMYK"),
        "alpha.png": red.convert("RGBA"),
    }.items():
        pixels = save(picture, tmp_path / path)
        assert pixels.shape == (8, 8, 3) and pixels.dtype == np.uint8
        np.testing.assert_allclose(pixels.mean((0, 1)), (200, 30, 30), atol=6, err_msg=path)
    assert abs(save(grey, tmp_path / "grey.png").mean() - 128) < 2
    deep = Image.fromarray(np.full((10, 20), 128 * 257, np.uint16))
    assert abs(save(deep, tmp_path / "deep.png").mean() - 128) < 2
    clear = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    assert (save(clear, tmp_path / "clear.png") == 255).all()  # a transparent sketch stands on white


def test_export_writes_the_released_files(trees):
    finetune.main(settings(trees))
    out = trees / "out"
    for modality, files in loader.FILES.items():
        features = matfiles.read(out / files["features"][0], files["features"][1])
        labels = matfiles.read(out / files["labels"][0], files["labels"][1])
        cell = matfiles.read(out / files["names"][0], files["names"][1])
        assert features.shape == (15, 256) and features.dtype == np.float32
        np.testing.assert_array_equal(labels, np.repeat(np.arange(5), 3)[:, None])
        assert cell.shape == (5, 3) and cell[1, 2] == f"bee_2.{'jpg' if modality == 'photo' else 'png'}"
        assert matfiles.read_names(out / files["labels"][0], "classes") == list(NAMES)
    assert loader.read_made_with(out)["trained_on"] == []


def test_features_stand_beside_the_names_of_their_pictures(trees):
    """Row by row: the exported feature is that of the picture the names file says."""
    finetune.main(settings(trees, backbone="squeezenet", weights=random_squeezenet(trees / "w.npz")))
    model = backbones.squeezenet(trees / "w.npz")
    features = matfiles.read(trees / "out" / "sketchmatnew.mat", "feature")
    labels = np.repeat(np.arange(5), 3)
    names = loader.read_names_of_rows(trees / "out" / "names_sketches.mat", "data3", labels, NAMES)
    for row in (0, 7, 14):
        picture = pictures.read_picture(trees / "sketch" / names[row], 227)
        expected = model(picture[None]).numpy()[0]
        np.testing.assert_allclose(features[row], expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


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
    arrays |= {key.replace("kernel", "bias"): random.normal(size=array.shape[3]) for key, array in arrays.items()}
    np.savez(path, **{key: array.astype(np.float32) for key, array in arrays.items()})
    return path


def test_weight_file_lacking_an_array_is_named(tmp_path, refused):
    arrays = dict(np.load(random_squeezenet(tmp_path / "w.npz")))
    arrays["fire5/expand3x3/kernel"] = arrays["fire5/expand3x3/kernel"][..., :7]
    np.savez(tmp_path / "w.npz", **arrays)
    message = refused(backbones.squeezenet, tmp_path / "w.npz")
    assert "w.npz: 'fire5/expand3x3/kernel' should have shape (3, 3, 32, 128), found (3, 3, 32, 7)" in message


def test_corrupt_pictures_are_named_skipped_and_counted(trees, capsys):
    whole = (trees / "photo/bee/bee_1.jpg").read_bytes()
    (trees / "photo/bee/bee_1.jpg").write_bytes(whole[: len(whole) // 2])
    (trees / "sketch/ant/ant_0.png").write_bytes(b"")
    (trees / "sketch/cow/cow_2.png").write_text("not a picture")
    finetune.main(settings(trees))
    told = capsys.readouterr().err
    for file in ("photo/bee/bee_1.jpg", "sketch/ant/ant_0.png", "sketch/cow/cow_2.png"):
        assert f"{trees / file}: not a readable picture, skipped" in told
    assert "1 of 15 pictures skipped" in told and "2 of 15 pictures skipped" in told
    assert matfiles.read(trees / "out/imagematnew.mat", "feature").shape[0] == 14
    assert loader.read_made_with(trees / "out")["skipped"]["sketch"] == ["ant/ant_0.png", "cow/cow_2.png"]
    assert matfiles.read(trees / "out/names_images.mat", "data")[1].tolist() == ["bee_0.jpg", "bee_2.jpg", 0]


def test_class_left_without_readable_pictures_is_an_error(trees, refused):
    for file in (trees / "photo/elk").iterdir():
        file.write_bytes(b"gone")
    assert refused(finetune.main, settings(trees)) == f"{trees}/photo/elk: no readable picture left in this class"
    assert not (trees / "out" / loader.PICTURES).exists()


def test_unseen_pictures_never_reach_a_training_batch(trees, monkeypatch):
    """Each class is one flat grey, so that a training batch tells which classes are in it; the unseen one never is."""
    for level, name in enumerate(NAMES):
        for file in [*(trees / "photo" / name).iterdir(), *(trees / "sketch" / name).iterdir()]:
            Image.new("L", (48, 48), 50 * level).convert("RGB").save(file)
    streams, original = [], cnn.training_stream
    monkeypatch.setattr(cnn, "training_stream", lambda *a: streams.append(original(*a)) or streams[-1])
    finetune.main(settings(trees, freeze=False, epochs=1))
    levels = [np.round(batch[:, 20, 20, 0].numpy() / 50) for stream in streams for batch, _ in stream.take(3)]
    assert len(streams) == 2 and len(np.concatenate(levels)) == 2 * 4 * 3
    assert set(np.concatenate(levels)) == {0, 1, 2, 4}  # 3 is dog
    assert loader.read_made_with(trees / "out")["trained_on"] == ["ant", "bee", "cow", "elk"]


def test_other_features_are_not_overwritten_unasked(trees, refused, capsys):
    finetune.main(settings(trees))
    finetune.main(settings(trees))
    assert "already holds these features" in capsys.readouterr().out
    message = refused(finetune.main, settings(trees, freeze=False))
    assert "holds features made with another frozen; --overwrite replaces them" in message
    before = (trees / "out/imagematnew.mat").read_bytes()
    finetune.main(settings(trees, freeze=False, epochs=1, overwrite=True))
    assert (trees / "out/imagematnew.mat").read_bytes() != before


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda d: (d / "photo").rename(d / "photos"), "photo: no such folder of class folders"),
        (lambda d: (d / "unseen.txt").write_text("unicorn\n"), "unseen.txt: no class 'unicorn'"),
        (lambda d: (d / "unseen.txt").unlink(), "unseen.txt: not a readable list of class names"),
        (lambda d: [file.unlink() for file in (d / "sketch/bee").iterdir()], "bee: no pictures in this class folder"),
    ],
)
def test_bad_input_is_refused(trees, refused, spoil, expected):
    spoil(trees)
    assert expected in refused(finetune.main, settings(trees))


def test_classes_of_one_side_only_are_left_out_and_reported(trees, capsys):
    (trees / "sketch/bee").rename(trees / "sketch/Bumble_Bee")
    (trees / "sketch/elk").rename(trees / "sketch/E-L K")  # the same class, spelt otherwise
    finetune.main(settings(trees))
    told = capsys.readouterr().err
    assert "1 classes have no sketch folder and are left out: bee" in told
    assert "1 classes have no photo folder and are left out: Bumble_Bee" in told
    assert matfiles.read_names(trees / "out/label_sk.mat", "classes") == ["ant", "cow", "dog", "elk"]


def test_word_vectors_are_joined_by_name(dataset_folder, refused):
    names = ["JAY", "ant", "bee", "cow", "dog", "elk", "fox", "gnu", "hen", "I_bis", "zebu"]
    vectors = np.arange(22, dtype=np.float32).reshape(11, 2)
    file = dataset_folder / "vectors.npz"
    np.savez(file, classes=np.array(names), glove=vectors, word2vec=vectors + 100)
    word_vectors.main(word_vectors.Settings(data=dataset_folder, vectors=file))
    joined = matfiles.read(dataset_folder / "wv_embeddings.mat", "features")
    np.testing.assert_array_equal(joined, vectors[[1, 2, 3, 4, 5, 6, 7, 8, 9, 0]] + 100)
    np.savez(file, classes=np.array(names[:-2]), glove=vectors[:-2])
    message = refused(word_vectors.main, word_vectors.Settings(data=dataset_folder, vectors=file))
    assert message == f"{file}: no class 'ibis'"
    message = refused(word_vectors.main, word_vectors.Settings(data=dataset_folder, vectors=file, kind="bert"))
    assert message == f"{file}: no vectors of kind 'bert', the file has glove"


def test_squeezenet_knows_imagenet(real_data):
    """Of the 25 photos of a class, top-1 is zebra for 19 zebras, volcano for 19 or 20 volcanoes (by the picture
    decoder), airliner for 12 airplanes; the ImageNet indices are 340, 980 and 404."""
    model = backbones.squeezenet(real_data / "weights/squeezenet_v1.0_imagenet.npz", top=True)
    assert model.count_params() == 1_248_424
    tree = pictures.list_pictures(real_data / "sketchy-mini/photo")
    for name, index, least in (("zebra", 340, 18), ("volcano", 980, 18), ("airplane", 404, 11)):
        paths = [path for path, file in zip(tree.paths(), tree.files, strict=True) if file.startswith(f"{name}/")]
        logits, readable = cnn.extract(model, 227, paths, 25, name)
        assert readable.all() and (logits.argmax(1) == index).sum() >= least


def test_pictures_json_names_everything_that_made_the_features(trees):
    finetune.main(settings(trees, freeze=False, epochs=1, seed=3))
    made = json.loads((trees / "out" / loader.PICTURES).read_text())
    assert made["backbone"] == "small" and made["seed"] == 3 and made["photos"] == str(trees / "photo")
