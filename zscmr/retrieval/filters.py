"""Which pictures of a gallery may be found."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zscmr.datasets.classes import class_key
from zscmr.utils.errors import BadInput
from zscmr.utils.files import is_uri


@dataclass(frozen=True)
class Wanted:
    """Pictures of `classes`, below `folder`, of unseen or of seen classes; what is left out restricts nothing.

    A `folder` that is text, not a Path, is compared with the paths as they are listed, and no file system is asked.
    """

    classes: tuple[str, ...] = ()
    folder: Path | str | None = None
    unseen: bool | None = None

    def __bool__(self):
        return self != EVERYTHING

    def mask(self, pictures):
        """Which of `pictures` (n,) are wanted. Raises BadInput for a class or folder that none of them has."""
        mask = np.ones(len(pictures.ids), bool)
        if self.classes:
            mask &= np.isin(pictures.classes, self._named(np.unique(pictures.classes)))
        if self.folder is not None:
            start = inside(self.folder)
            below = np.fromiter((path.startswith(start) for path in pictures.paths), bool, len(mask))
            if not below.any():
                raise BadInput(f"folder: no picture of '{self.folder}' in the gallery")
            mask &= below
        return mask if self.unseen is None else mask & (pictures.unseen == self.unseen)

    def condition(self, modality, present):
        """The same as a condition of LanceDB, for pictures of `modality`; `present`: the gallery's class names."""
        parts = [f"modality = {_quoted(modality)}"]
        if self.classes:
            parts.append(f"class IN ({', '.join(map(_quoted, self._named(present)))})")
        if self.folder is not None:
            parts.append(f"starts_with(path, {_quoted(inside(self.folder))})")
        if self.unseen is not None:
            parts.append("unseen" if self.unseen else "NOT unseen")
        return " AND ".join(parts)

    def _named(self, present):
        names = {class_key(name): name for name in present}
        if missing := [name for name in self.classes if class_key(name) not in names]:
            raise BadInput(f"the gallery has no class '{missing[0]}'")
        return [names[class_key(name)] for name in self.classes]


EVERYTHING = Wanted()


def inside(folder):
    """How the paths of all files in a folder, or below a URI, begin; text is taken as it is."""
    place = folder if isinstance(folder, str) else str(folder.resolve())
    separator = "/" if is_uri(place) else os.sep
    return f"{place.rstrip(separator)}{separator}"


def _quoted(text):
    return "'" + text.replace("'", "''") + "'"
