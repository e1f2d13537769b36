"""Damaged files of every kind that the project reads, given to its readers and commands in a process of their own.

    python tests/helpers/fuzz.py KIND FIRST COUNT

reads so many mutants and prints each fault; `tests/test_fuzz.py` runs it for every kind. A reader may succeed or raise
BadInput, a command may exit with 0 or with 2 and a line that it begins: all else is a fault, and a signal or too much
memory ends the process.
"""

import contextlib
import io
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from helpers import pictures_fuzz  # noqa: E402
from helpers.project import CLASSES, write_dataset  # noqa: E402
from zscmr import commands  # noqa: E402
from zscmr.commands import train  # noqa: E402
from zscmr.datasets import drawings as quickdraw  # noqa: E402
from zscmr.datasets import loader  # noqa: E402
from zscmr.datasets import word_vectors as vector_files  # noqa: E402
from zscmr.datasets.classes import read_class_list, read_split  # noqa: E402
from zscmr.evaluation.embedding_files import read_embeddings  # noqa: E402
from zscmr.formats import matfiles, runs  # noqa: E402
from zscmr.formats.runs import config_settings  # noqa: E402
from zscmr.retrieval import Encoder  # noqa: E402
from zscmr.retrieval.encoder import SHIPPED  # noqa: E402
from zscmr.retrieval.run_gallery import encoder_identity  # noqa: E402
from zscmr.training.stage2.options import with_preset  # noqa: E402
from zscmr.training.stage2.records import cnn_leak, describe_dataset  # noqa: E402
from zscmr.utils.errors import BadInput  # noqa: E402
from zscmr.utils.files import read_json  # noqa: E402

MEMORY = 3 * 2**30  # bytes of address space that a reader may take


def mat_variables():
    random = np.random.default_rng(0)
    cell = np.array([["one", "two", 3.0], ["", random.normal(size=(2, 2)), "six"]], dtype=object)
    numbers = random.normal(size=(7, 5))
    return {"numbers": numbers, "single": numbers.astype(np.float32), "cell": cell, "word": "cosine", "classes": ["a"]}


def read_every_variable(path):
    for key in matfiles.keys(path):
        matfiles.read(path, key)
    matfiles.read_numbers(path, "numbers")
    matfiles.read_names(path, "classes")


def write_v5(folder):
    matfiles.write(folder / "f.mat", mat_variables())


def write_v5_compressed(folder):
    import scipy.io

    scipy.io.savemat(folder / "f.mat", mat_variables() | {"classes": np.array(["a"], object)}, do_compression=True)


def write_v73(folder):
    matfiles.write(folder / "f.mat", mat_variables(), large=1)


def write_embeddings(folder):
    random, labels = np.random.default_rng(0), np.arange(6)[:, None] % 3
    variables = {"featuresx": random.normal(size=(6, 4)), "featuresy": random.normal(size=(6, 4))}
    variables |= {"labelsx": labels, "labelsy": labels, "unseen": np.array([[1]]), "classes": ["a", "b", "c"]}
    variables |= {"distance": "cosine", "namesx": [f"a/{k}.jpg" for k in range(6)], "pairs": np.arange(6)[:, None]}
    matfiles.write(folder / "f.mat", variables)


def write_embeddings_npz(folder):
    write_embeddings(folder)
    arrays = {key: matfiles.read(folder / "f.mat", key) for key in ("featuresx", "featuresy", "labelsx", "labelsy")}
    np.savez(folder / "f.npz", **arrays)


def write_vectors(folder):
    np.savez(folder / "f.npz", classes=np.array(CLASSES), words=np.random.default_rng(0).normal(size=(10, 4)))


def write_vectors_text(folder):
    rows = "".join(f"{name} {' '.join('0.5' for _ in range(4))}\n" for name in CLASSES)
    (folder / "f.txt").write_text(rows, encoding="utf-8")


def write_vectors_binary(folder):
    content = io.BytesIO(b"10 4\n")
    content.seek(0, 2)
    for name in CLASSES:
        content.write(name.encode() + b" " + np.ones(4, np.float32).tobytes() + b"\n")
    (folder / "f.bin").write_bytes(content.getvalue())


def write_drawings(folder):
    stroke = [[0, 255, 12.5, 90], [3, 0, 255, 90]]
    lines = [json.dumps({"key_id": str(key), "recognized": True, "drawing": [stroke] * key}) for key in (1, 2, 3)]
    (folder / "f.ndjson").write_text("\n".join(lines))


def render_all(path):
    return [quickdraw.draw(strokes, 32) for _, strokes in quickdraw.read_drawings(path)]


def write_weights_npz(folder):
    model = small_network()
    arrays = {weight.path: weight.numpy() for weight in model.weights}
    np.savez(folder / "f.npz", **arrays)


def write_weights_h5(folder):
    small_network().save_weights(folder / "f.weights.h5")


def small_network():
    import keras

    pictures = keras.Input((4, 4, 3), dtype="uint8")
    x = keras.layers.Conv2D(2, 3, name="conv")(keras.layers.Rescaling(1.0)(pictures))
    return keras.Model(pictures, x)


def load_weights(path):
    from zscmr.backbones import weights

    weights.load(small_network(), path)


def of_dataset(file):
    """(write, file to damage, read) of one file of a dataset directory."""

    def read(path):
        loader.load_dataset(path.parent)

    return (lambda folder: write_dataset(folder, per_class=2), file, read)


def write_with_classifier(folder):
    write_dataset(folder, per_class=2)
    matfiles.write(folder / "classifier.mat", {"kernel": np.ones((12, 5), np.float32)})


def class_vectors(path):
    vector_files.class_vectors(path, CLASSES)


def by_command(name, *flags):
    """Reader that runs `zscmr NAME FLAGS…`; `{file}` and `{folder}` in a flag are the damaged file and its folder."""

    def read(path):
        words = [flag.format(file=path, folder=path.parent) for flag in flags]
        written = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(written):
            try:
                commands.run(name, words)
            except SystemExit as stop:
                lines = [line for line in written.getvalue().splitlines() if not line.startswith("warning: ")]
                if stop.code == 2 and len(lines) == 1:
                    raise BadInput(lines[0]) from None
                raise AssertionError(f"status {stop.code}, {lines}") from None

    return read


def write_picture(kind):
    """A picture to search with, and pictures to search in."""

    def write(folder):
        (folder / "photos").mkdir()
        for number in range(3):
            (folder / f"photos/{number}.png").write_bytes(pictures_fuzz.valid("png"))
        (folder / "query").write_bytes(pictures_fuzz.valid(kind))
        by_command("search", "--gallery", "{folder}/gallery", "--add", "{folder}/photos")(folder / "query")

    return write


def write_with_provenance(folder):
    write_dataset(folder, per_class=2)
    made = {
        "backbone": "small",
        "train": "all",
        "pool": "average",
        "trained_on": ["ant"],
        "photos": "p",
        "sketches": "s",
    }
    made |= {
        "size": 40,
        "dense": 0,
        "shrink": None,
        "cnn_sha256": {"photo": "0", "sketch": "1"},
        "sketch": {"size": 48},
    }
    (folder / "pictures.json").write_text(json.dumps(made))


def read_provenance_of_dataset(path):
    dataset = loader.load_dataset(path.parent)
    describe_dataset(dataset)
    cnn_leak(dataset, read_split(dataset, None, 0.2, 0))


def write_run(folder):
    content = {
        "settings": config_settings(train.Settings()),
        "classes": {"seen": ["a"], "held_out": [], "unseen": ["b"]},
    }
    (folder / "config.json").write_text(json.dumps(content, default=str))


def resume_run(path):
    settings, _ = runs.open_run(train.Settings(path=path.parent, resume=True))
    with_preset(settings)
    runs.Run(path.parent).trained_classes()


def write_encoder(folder):
    for file in SHIPPED.iterdir():
        shutil.copy(file, folder)


def write_dataset_and_vectors(folder):
    write_dataset(folder, per_class=2)
    write_vectors_text(folder)


KNN_EVAL = "evaluate", "{file}", "--compare", "--per-class", "--json", "{folder}/results.json"
WORD_VECTORS = "word-vectors", "--vectors", "{file}", "--data", "{folder}"
QUICKDRAW = "quickdraw", "--drawings", "{file}", "--out", "{folder}/out"
SEARCH = "search", "--gallery", "{folder}/gallery", "--query", "{file}", "--grid", "{folder}/grid.png"

#: kind -> (write a folder with a valid file, name of the file to damage, reader of its path)
KINDS = {
    "mat v5": (write_v5, "f.mat", read_every_variable),
    "mat v5 compressed": (write_v5_compressed, "f.mat", read_every_variable),
    "mat v7.3": (write_v73, "f.mat", read_every_variable),
    "embeddings": (write_embeddings, "f.mat", read_embeddings),
    "embeddings npz": (write_embeddings_npz, "f.npz", read_embeddings),
    "features": of_dataset("imagematnew.mat"),
    "labels": of_dataset("label_sk.mat"),
    "names": of_dataset("names_images.mat"),
    "class vectors": of_dataset("wv_embeddings.mat"),
    "classifier": (write_with_classifier, "classifier.mat", lambda path: loader.load_dataset(path.parent)),
    "vectors npz": (write_vectors, "f.npz", class_vectors),
    "vectors text": (write_vectors_text, "f.txt", class_vectors),
    "vectors binary": (write_vectors_binary, "f.bin", class_vectors),
    "drawings": (write_drawings, "f.ndjson", render_all),
    "weights npz": (write_weights_npz, "f.npz", load_weights),
    "weights h5": (write_weights_h5, "f.weights.h5", load_weights),
    "json": (lambda folder: (folder / "f.json").write_text('{"a": [1, {"b": "c"}]}'), "f.json", read_json),
    "class list": (lambda folder: (folder / "f.txt").write_text("ant\nbee\n"), "f.txt", read_class_list),
    "provenance": (write_with_provenance, "pictures.json", read_provenance_of_dataset),
    "run config": (write_run, "config.json", resume_run),
    "encoder": (write_encoder, "about.json", lambda path: encoder_identity(Encoder.load(path.parent).folder)),
    "evaluate": (write_embeddings, "f.mat", by_command(*KNN_EVAL, "--instances")),
    "evaluate npz": (write_embeddings_npz, "f.npz", by_command(*KNN_EVAL)),
    "word-vectors": (write_dataset_and_vectors, "f.txt", by_command(*WORD_VECTORS)),
    "quickdraw": (write_drawings, "f.ndjson", by_command(*QUICKDRAW)),
    "search, PNG": (write_picture("png"), "query", by_command(*SEARCH)),
    "search, JPEG": (write_picture("jpeg"), "query", by_command(*SEARCH)),
}


def mutant(valid, random):
    """`valid` with bytes changed, cut, spliced or inserted, mostly near the beginning, where headers are."""
    content, kind = bytearray(valid), random.integers(5)
    reach = len(content) if random.random() < 0.4 else min(len(content), 700)
    position = int(random.integers(reach))
    if kind == 0:
        return bytes(content[:position])
    if kind == 1:
        content[position:position] = random.bytes(int(random.integers(1, 9)))
    elif kind == 2:
        other, length = int(random.integers(len(content))), int(random.integers(1, 64))
        content[position : position + length] = content[other : other + length]
    else:
        for _ in range(int(random.integers(1, 4))):
            at = int(random.integers(reach))
            content[at] = int(random.integers(256)) if kind == 3 else content[at] ^ 1 << int(random.integers(8))
    return bytes(content)


def json_mutant(valid, random):
    """Valid JSON in which a value, of any depth, is another, has gone, or has another key."""
    content = json.loads(valid)
    holders = [content]
    for holder in holders:
        values = holder.values() if isinstance(holder, dict) else holder
        holders += [value for value in values if isinstance(value, dict | list)]
    holders = [holder for holder in holders if holder]
    holder = holders[random.integers(len(holders))]
    keys = list(holder) if isinstance(holder, dict) else range(len(holder))
    key = keys[random.integers(len(keys))]
    others = (None, True, -1, 0, 2**70, 1e308, "", "\0", "x" * 300, "../..", [], {}, [[]], ["a", 1], {"a": None})
    kind = random.integers(4)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[str(key) + "x"] = holder.pop(key)
    else:
        holder[key] = others[random.integers(len(others))]
    return json.dumps(content).encode()


def main(kind, first, count):
    write, name, read = KINDS[kind]
    folder = Path(tempfile.mkdtemp())
    write(folder)
    path, before = folder / name, {file: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    read(path)  # the valid file is read
    limit_memory()
    for number in range(first, first + count):
        print("at", number, flush=True)
        for file, content in before.items():
            file.write_bytes(content)
        damage = json_mutant if number % 2 and path.suffix == ".json" else mutant
        path.write_bytes(damage(before[path], np.random.default_rng([number, len(kind)])))
        try:
            read(path)
        except BadInput as error:
            if "\n" in str(error):
                print("fault", number, "several lines:", repr(str(error)), flush=True)
        except Exception as error:
            print("fault", number, repr(error), flush=True)
    shutil.rmtree(folder)


def limit_memory():
    try:
        import resource
    except ImportError:  # Windows
        return
    used = int(Path("/proc/self/statm").read_text().split()[0]) * 4096 if Path("/proc/self/statm").exists() else 0
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
