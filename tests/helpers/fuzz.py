"""Damaged files of every kind that the project reads, given to its readers in a process of their own.

    python tests/helpers/fuzz.py KIND FIRST COUNT

reads so many mutants and prints each fault; `tests/test_fuzz.py` runs it for every kind. A reader may succeed or raise
BadInput: any other exception is a fault, and a signal or too much memory ends the process.
"""

import io
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from helpers.project import CLASSES, write_dataset  # noqa: E402
from zscmr.datasets import drawings as quickdraw  # noqa: E402
from zscmr.datasets import loader  # noqa: E402
from zscmr.datasets import word_vectors as vector_files  # noqa: E402
from zscmr.datasets.classes import read_class_list  # noqa: E402
from zscmr.evaluation.embedding_files import read_embeddings  # noqa: E402
from zscmr.formats import matfiles  # noqa: E402
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
}


def mutant(valid, random):
    """`valid` with bytes changed, cut, spliced or inserted, mostly near the beginning, where headers are."""
    content, kind = bytearray(valid), random.integers(5)
    reach = len(content) if random.random() < 0.4 else min(len(content), 700)
    place = int(random.integers(reach))
    if kind == 0:
        return bytes(content[:place])
    if kind == 1:
        content[place:place] = random.bytes(int(random.integers(1, 9)))
    elif kind == 2:
        other, length = int(random.integers(len(content))), int(random.integers(1, 64))
        content[place : place + length] = content[other : other + length]
    else:
        for _ in range(int(random.integers(1, 4))):
            at = int(random.integers(reach))
            content[at] = int(random.integers(256)) if kind == 3 else content[at] ^ 1 << int(random.integers(8))
    return bytes(content)


def main(kind, first, count):
    write, name, read = KINDS[kind]
    folder = Path(tempfile.mkdtemp())
    write(folder)
    path, before = folder / name, {file: file.read_bytes() for file in folder.iterdir()}
    read(path)  # the valid file is read
    limit_memory()
    for number in range(first, first + count):
        print("at", number, flush=True)
        for file, content in before.items():
            file.write_bytes(content)
        path.write_bytes(mutant(before[path], np.random.default_rng([number, len(kind)])))
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
