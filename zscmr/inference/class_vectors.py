"""Class vectors beside an exported graph: where the photos of a class lie, for search by its name."""

import difflib
import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zscmr.datasets.classes import class_indices, class_key
from zscmr.inference.units import units
from zscmr.utils.errors import BadInput, first_line
from zscmr.utils.files import file_hash, read_bytes, whole_file

FILE = "classes.npz"
NEAR, LIKENESS = 3, 0.7  # names that are proposed for an unknown one; by difflib's ratio: "bike" is not "bucket"


@dataclass(frozen=True)
class ClassVectors:
    """Vectors by class name.

    Args:
        names: of the classes.
        vectors: (classes, dim) float32, the mean embedding of each class's photos.
    """

    names: tuple[str, ...]
    vectors: np.ndarray

    @classmethod
    def of_photos(cls, names, labels, embeddings, cosine):
        """The class vectors of photos.

        Args:
            names: of the classes by label.
            labels: (n,) class of each photo; classes without any are left out.
            embeddings: (n, dim).
            cosine: whether embeddings are compared by angle; vectors have length 1 then.
        """
        rows = units(embeddings) if cosine else embeddings
        present = np.unique(labels)
        means = [rows[labels == label].mean(axis=0, dtype=np.float64) for label in present]
        vectors = np.reshape(means, (len(present), rows.shape[1]))
        return cls(tuple(names[label] for label in present), (units(vectors) if cosine else vectors).astype(np.float32))

    @classmethod
    def read(cls, folder, entry, dim):
        """Those of a folder by the entry of its about.json. Raises BadInput for another file or another `dim`."""
        path = Path(folder) / FILE
        content = read_bytes(path)
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise BadInput(f"{path}: is not the file that was written")
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                names, vectors = stored["names"], stored["vectors"]
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise BadInput(f"{path}: not readable ({first_line(error)})") from error
        if names.dtype.kind != "U" or vectors.dtype != np.float32 or vectors.shape != (len(names), dim):
            raise BadInput(f"{path}: expected float32 vectors ({len(names)}, {dim}), received {vectors.shape}")
        return cls(tuple(map(str, names)), vectors)

    def write(self, folder):
        """Write the file; return the entry of about.json."""
        with whole_file(Path(folder) / FILE) as part, part.open("wb") as file:
            np.savez_compressed(file, names=np.array(self.names), vectors=self.vectors)
        return {"sha256": file_hash(Path(folder) / FILE)}

    def vector(self, name):
        """The vector (dim,) of a class; case, spaces, `_` and `-` do not count. Raises BadInput with near names."""
        positions = class_indices(self.names)
        if class_key(name) in positions:
            return self.vectors[positions[class_key(name)]]
        near = difflib.get_close_matches(class_key(name), positions, NEAR, LIKENESS)
        hint = f"; did you mean {', '.join(self.names[positions[key]] for key in near)}?" if near else ""
        raise BadInput(f"none of the {len(self.names)} class names that the encoder knows is {name[:80]!r}{hint}")
