"""Encoders: the one that comes with the project, what is taken for a picture, and one graph for both modalities."""

import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers.project import draw_pictures, picture_flags, trainer_settings
from PIL import Image

from zscmr.datasets.classes import class_key
from zscmr.datasets.preprocessing import Preprocessing
from zscmr.formats import matfiles
from zscmr.inference.windows import Windows
from zscmr.retrieval import Encoder, encoders
from zscmr.retrieval.encoder import SHIPPED, ModalityEncoder, as_file
from zscmr.utils.files import read_json, write_json

NAMES = ("ant", "bee", "cow", "dog")


@pytest.fixture
def pictures(tmp_path, random):
    draw_pictures(tmp_path, random, NAMES, per_class=3, size=(40, 40), unseen=("dog",))
    return tmp_path


@pytest.fixture(scope="module")
def shipped():
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    return Encoder.load()


def drawing(mode="RGB", size=(90, 60)):
    image = Image.new(mode, size, "white")
    image.paste(0 if mode == "L" else "black", (10, 20, 50, 30))
    return image


def test_shipped_encoder_is_small_and_names_no_place():
    both = [Encoder.shipped(kind) for kind in ("photo", "sketch")]
    assert {encoder.dim for encoder in both} == {64}
    assert both[0].preprocessing.ink is None and both[1].preprocessing.ink == 0.1
    assert both[0].shrink is both[1].shrink is None
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 20e6
    words = (SHIPPED / "about.json").read_text()
    assert not any(place in words for place in ("/home", "/root", "/work", "/tmp"))
    assert len(both[0].seen) == 194
    names, vectors = both[0].class_vectors.names, both[0].class_vectors.vectors
    assert set(map(class_key, names)) == both[0].seen and vectors.shape == (194, 64)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_encoders_are_listed_with_what_their_cards_say():
    (info,) = encoders()
    assert (info.name, info.dim, info.distance) == ("everyday", 64, "cosine") and 9 < info.megabytes < 11
    card = info.card.read_text()
    assert info.scores
    for name, score in info.scores.items():
        assert any(name in line and f"{score:.3f}"[1:] in line for line in card.splitlines())


def test_the_name_of_an_encoder_that_was_replaced_opens_its_successor(shipped):
    assert Encoder.load("lite0").folder == shipped.folder == SHIPPED


def test_every_form_of_a_picture_gives_the_same_embedding(shipped, tmp_path):
    path = tmp_path / "my.png"
    drawing().save(path)
    image, array = drawing(), np.asarray(drawing())
    forms = [path, str(path), path.read_bytes(), bytearray(path.read_bytes()), image, array]
    forms += [np.asarray(image.convert("L"))]
    forms += [np.dstack([array, np.full(array.shape[:2], 255, np.uint8)]), image.convert("RGBA"), image.convert("1")]
    for kind in ("sketch", "photo"):
        vectors = shipped.embed(forms, kind=kind)
        assert vectors.shape == (len(forms), 64) and vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, vectors[:1].repeat(len(forms), 0), atol=1e-6)
    np.testing.assert_array_equal(shipped.embed(str(path)), vectors_of(shipped, [path]))  # one picture, not letters
    np.testing.assert_array_equal(shipped.embed(np.stack([array, array])), vectors_of(shipped, [path, path]))
    assert shipped.embed([]).shape == (0, 64)


def vectors_of(encoder, paths):
    return encoder.of_kind("sketch").embed(paths)[0]


def test_an_image_is_turned_as_its_file_would_be(shipped, tmp_path):
    file, exif = tmp_path / "turned.jpg", Image.Exif()
    exif[0x0112] = 6
    drawing().save(file, exif=exif)
    with Image.open(file) as image:
        both = shipped.embed([file, image], kind="photo")
    assert both[0] @ both[1] > 0.999


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16", "PA"])
def test_images_of_every_mode_are_taken(mode):
    image = drawing("L").convert(mode) if mode != "PA" else drawing("L").convert("LA").convert("PA")
    assert Image.open(io.BytesIO(as_file(image))).size == image.size


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (None, "received NoneType"),
        (3, "received int"),
        ([3], "received int"),
        (np.zeros((4, 4)), r"expected a uint8 array .*, received float64 \(4, 4\)"),
        (np.zeros((4, 4, 2), np.uint8), r"received uint8 \(4, 4, 2\)"),
        (np.zeros((0, 4), np.uint8), r"received uint8 \(0, 4\)"),
        (np.zeros(7, np.uint8), r"received uint8 \(7,\)"),
        ([[b"nested"]], "received list"),
    ],
)
def test_what_is_no_picture_is_a_type_error(shipped, wrong, expected):
    with pytest.raises(TypeError, match=expected):
        shipped.embed(wrong)


def test_what_cannot_be_embedded_is_named(shipped, tmp_path, refused):
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    drawing().save(good)
    bad.write_text("text")
    assert refused(shipped.embed, [good, bad, "none.png"]).startswith(f"{bad}: neither JPEG")
    assert refused(shipped.embed, [good, b"text"]).startswith("picture 2: neither JPEG")
    assert refused(shipped.embed, "none.png") == "none.png: No such file or directory"
    assert refused(shipped.embed, good, kind="drawing") == "kind: expected any of photo, sketch, received 'drawing'"
    good.write_bytes(good.read_bytes()[:60])
    with Image.open(good) as cut:
        assert f"PIL image {good}: " in refused(shipped.embed, cut)
    vectors, readable = Encoder.shipped("sketch").embed([bad])
    assert not readable.any() and not vectors.any()


def test_what_is_no_encoder_is_refused(tmp_path, refused):
    assert refused(Encoder.load, "lite9").endswith("none of the encoders that come with the project (everyday)")
    assert refused(Encoder.load, tmp_path).endswith("neither a run directory nor one of exported encoders")
    (tmp_path / "config.json").write_text("{}")
    message = f"{tmp_path}: its encoders are not exported; python export.py --run {tmp_path} writes them"
    assert refused(Encoder.load, tmp_path) == message


def test_the_cutoff_is_read_from_the_folder(tmp_path, refused):
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    assert Encoder.shipped("sketch").cutoff == 0.63
    folder = shutil.copytree(SHIPPED, tmp_path / "encoder")
    about = read_json(folder / "about.json")
    for cutoff in (0.5, 1):
        write_json(folder / "about.json", {**about, "cutoff": cutoff})
        assert Encoder.load(folder).of_kind("sketch").cutoff == cutoff
    write_json(folder / "about.json", {**about, "cutoff": "near"})
    assert "'cutoff'" in refused(Encoder.load, folder)


class Network:
    """Rows of a constant; `step()` is called for each batch."""

    def __init__(self, constant, width, step=lambda: None):
        self.constant, self.width, self.step = constant, width, step

    def __call__(self, images):
        self.step()
        return np.full((len(images), self.width), self.constant, np.float32)


def test_the_whole_picture_is_embedded_at_its_own_size(tmp_path):
    """One of the two pictures is deleted between the two reads: it counts as unreadable."""
    paths = [tmp_path / "1.png", tmp_path / "2.png"]
    for path in paths:
        Image.new("RGB", (8, 8)).save(path)
    windows = Windows("thorough", 8, 4, ((2, 2),), 0.1, own_whole=True)
    windowed = Network(2, 5 * 3, lambda: paths[1].unlink(missing_ok=True))
    encoder = ModalityEncoder(Network(1, 3), Preprocessing(4), open_windowed=lambda windows: windowed)
    vectors, readable = encoder.embed_windows(paths, windows)
    assert vectors[0].tolist() == [[1] * 3] + [[2] * 3] * 4
    assert readable.tolist() == [True, False] and not vectors[1].any()


def test_windows_lean_towards_the_whole_picture(tmp_path):
    """The whole picture gives (1, 0), a window (0, 1): .4 · (1, 0) + .6 · (0, 1)."""
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    windows = Windows("fast", 8, 4, ((4, 1),), 0.0, context=0.4)
    encoder = ModalityEncoder(Network([1, 0], 2), Preprocessing(4), open_windowed=lambda _: Network([1, 0, 0, 1], 4))
    vectors, _ = encoder.embed_windows([tmp_path / "1.png"], windows)
    np.testing.assert_allclose(vectors[0], [[1, 0], [0.4, 0.6]], rtol=1e-6)


class LeftAndRight:
    """The whole picture's row (1, 1), then a row each for its left and right half: (the half's first grey, 1)."""

    width = 3 * 2

    def __call__(self, images):
        left, right = images[:, 0, 0, :1], images[:, 0, -1, :1]
        ones = np.ones_like(left)
        return np.hstack([ones, ones, left, ones, right, ones]).astype(np.float32)


def test_embeddings_are_averaged_with_those_of_the_mirror_image(tmp_path):
    """The left half in the picture is the right one in its mirror image: (3, 1) and (3, 1), not (3, 1) and (0, 1)."""
    picture = Image.fromarray(np.array([[[3] * 3, [0] * 3]] * 2, np.uint8))
    picture.save(tmp_path / "1.png")

    class Halves(Windows):
        def cells(self):
            return np.array([[0, 0, 2, 2], [0, 0, 1, 2], [1, 0, 2, 2]])

    windows = Halves("thorough", 2, 2, ((1, 1),), 0.0, mirrored=True)
    encoder = ModalityEncoder(Network(1, 2), Preprocessing(2), open_windowed=lambda _: LeftAndRight())
    vectors, readable = encoder.embed_windows([tmp_path / "1.png"], windows)
    assert readable.all()
    expected = [[0.5**0.5, 0.5**0.5], [0.9**0.5, 0.1**0.5], [0, 1]]
    np.testing.assert_allclose(vectors[0], expected, atol=1e-6)


@pytest.mark.slow
def test_one_graph_gives_what_the_run_has_embedded(pictures, refused, random):
    """In half precision, to a hundredth; the modalities' halves of the vector are told apart. Of a run with likenesses
    to a classifier's classes, whose map amplifies rounding, to hundredths, and its own graphs to 1e-4."""
    from zscmr.commands import train as trainer
    from zscmr.training.export import write_shared_encoder
    from zscmr.training.stage1.dataset import make_dataset
    from zscmr.training.stage1.options import Stage1Options

    small = {"train": "joint", "backbone": "small", "batch_size": 4, "epochs": 1}
    runs = {}
    for share in ("all", "none"):
        data = pictures / f"data-{share}"
        make_dataset(Stage1Options(**picture_flags(pictures), out=data, share=share, **small))
        runs[share] = pictures / f"run-{share}"
        trainer.main(trainer_settings(data=data, preset="aligned", path=runs[share]))
    assert "a CNN of its own" in refused(write_shared_encoder, runs["none"], pictures / "other")
    folder = write_shared_encoder(runs["all"], pictures / "shared", sketch_shrink=48)
    assert [read_json(folder / "about.json")[modality]["shrink"] for modality in ("photo", "sketch")] == [None, 48]
    folder = write_shared_encoder(runs["all"], pictures / "shared")
    assert read_json(folder / "about.json")["sketch"]["columns"] == [64, 128]
    data, likened = pictures / "data-all", pictures / "run-likened"
    kernel = random.normal(size=(matfiles.read(data / "imagematnew.mat", "feature").shape[1], 9)).astype(np.float32)
    matfiles.write(data / "classifier.mat", {"kernel": kernel})
    trainer.main(trainer_settings(data=data, preset="aligned", path=likened))
    other = write_shared_encoder(likened, pictures / "shared-likened")
    for encoder in (folder, runs["all"]):  # of three trained classes the unit mean of photos, which have length 1
        known = Encoder.open(encoder, "photo").class_vectors
        rows = matfiles.read(runs["all"] / "unified_features.mat", "featuresx")
        assert known.names == ("ant", "bee", "cow")
        np.testing.assert_allclose(known.vectors[1], rows[3:6].mean(0) / np.linalg.norm(rows[3:6].mean(0)), atol=1e-5)
    for modality, key, suffix in (("photo", "featuresx", "jpg"), ("sketch", "featuresy", "png")):
        paths = sorted((pictures / modality).glob(f"*/*.{suffix}"))
        for run, where, allowed in ((runs["all"], folder, 0.02), (likened, other, 0.05), (likened, likened, 1e-4)):
            rows = matfiles.read(run / "unified_features.mat", key)
            vectors, readable = Encoder.open(where, modality).embed(paths)
            assert readable.all()
            np.testing.assert_allclose(vectors, rows, atol=allowed)


def test_an_encoder_serves_several_threads(finished):
    """Four threads at once get what one gets; nothing is printed."""
    encoder = Encoder.open(finished / "run", "photo")
    paths = sorted((finished / "photo").rglob("*.jpg"))
    alone = [encoder.embed([path])[0] for path in paths]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda path: encoder.embed([path])[0], paths))
    np.testing.assert_allclose(np.concatenate(together), np.concatenate(alone), rtol=1e-5, atol=1e-6)


def test_damaged_encoder_is_refused(finished, tmp_path, refused):
    folder = shutil.copytree(finished / "run/encoders", tmp_path / "encoders")
    graph, about = folder / "photo.tflite", folder / "about.json"
    content = graph.read_bytes()
    graph.write_bytes(content[:-100])
    assert f"{graph}: expected SHA-256 " in refused(Encoder.open, folder, "photo")
    graph.write_bytes(content)
    written = json.loads(about.read_text())
    about.write_text(json.dumps({name: value for name, value in written.items() if name != "photo"}))
    assert f"{about}: expected an entry 'photo', received none" == refused(Encoder.open, folder, "photo")
