"""An encoder without a network, and a process that adds a folder with it, for tests of the gallery."""

import hashlib
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from zscmr.retrieval import updates
from zscmr.retrieval.schema import Identity
from zscmr.retrieval.table import Table

DIM = 8
IDENTITY = Identity(DIM, "euclidean", "toy")


class ToyEncoder:
    """Vectors are drawn from the hash of a file's content; files that begin with `bad` cannot be read.

    Most files are no pictures; those that are come to `notice`.
    """

    seen = frozenset({"ant"})

    def __init__(self, seconds=0.0):
        self.seconds, self.embedded = seconds, []

    def embed(self, paths, step=None, notice=None):
        self.embedded += paths
        vectors, readable = np.zeros((len(paths), DIM), np.float32), np.ones(len(paths), bool)
        for row, path in enumerate(paths):
            content = Path(path).read_bytes()
            readable[row] = not content.startswith(b"bad")
            vectors[row] = vector_of(content)
            if notice:
                with suppress(OSError), Image.open(path) as picture:
                    notice(path, picture.convert("RGB"))
            time.sleep(self.seconds)
            if step:
                step(row + 1)
        return vectors, readable

    def faults(self, paths, readable):
        return [f"{path}: bad" for path, good in zip(paths, readable, strict=True) if not good]


def vector_of(content):
    return np.random.default_rng(list(hashlib.sha256(content).digest())).normal(size=DIM).astype(np.float32)


def write_files(folder, count, start=0):
    """FOLDER/ant/N.png and FOLDER/bee/N.png, each with content of its own."""
    for number in range(start, start + count):
        file = folder / ("ant", "bee")[number % 2] / f"{number:05}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"picture {file}")


def main(location, folder, seconds, block=updates.BLOCK):
    """Print a line when all is loaded, then add the folder, `block` pictures a commit, with a line for each picture."""
    updates.BLOCK = int(block)
    gallery = Table.open(location, IDENTITY)
    print("ready", flush=True)
    gallery.update("photo", Path(folder), ToyEncoder(float(seconds)), lambda done, total: print(done, flush=True))


def adding(where, folder, seconds=0.0, block=updates.BLOCK):
    """A process that adds a folder; returns once it has begun."""
    words = [sys.executable, __file__, where, folder, str(seconds), str(block)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


def check_complete(gallery, *folders, modality="photo"):
    """Every picture of the folders once, with the vector of its content."""
    pictures = gallery.pictures(modality)
    files = [str(file) for folder in folders for file in folder.rglob("*.png")]
    assert sorted(pictures.paths) == sorted(files)
    for path, vector in zip(pictures.paths, pictures.vectors, strict=True):
        np.testing.assert_array_equal(vector, vector_of(Path(path).read_bytes()))


if __name__ == "__main__":
    main(*sys.argv[1:])
