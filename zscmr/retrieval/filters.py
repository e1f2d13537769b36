"""Filters of a search, as a mask of pictures in memory and as a condition of the table.

docs/extend.md names the flag, the parameter and the control that a further one takes.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zscmr.datasets.classes import class_key
from zscmr.utils.errors import BadInput
from zscmr.utils.files import is_uri

if TYPE_CHECKING:
    import numpy.typing as npt

    from zscmr.retrieval.schema import Pictures


@dataclass(frozen=True)
class Filter:
    """Restricts a search; fields left out restrict nothing.

    Args:
        classes: names of classes; case, spaces, '_' and '-' do not count.
        folder: pictures below it. A Path is resolved; text is compared with the paths as the gallery lists them.
        unseen: True for classes that the encoder was not trained on, False for those that it was.
        since, until: first and last day on which pictures were taken; those without a date are left out.

    Raises BadInput if `since` is after `until`.
    """

    classes: tuple[str, ...] = ()
    folder: Path | str | None = None
    unseen: bool | None = None
    since: date | None = None
    until: date | None = None

    def __post_init__(self) -> None:
        if self.since and self.until and self.since > self.until:
            raise BadInput(f"since: {self.since} is after until, {self.until}")

    def __bool__(self) -> bool:
        return self != EVERYTHING

    def mask(self, pictures: "Pictures") -> "npt.NDArray[np.bool_]":
        """Mask (n,) of `Pictures`. Raises BadInput for a class or folder that none of them has."""
        mask = np.ones(len(pictures.ids), bool)
        if self.classes:
            names, codes = pictures.class_codes
            mask &= np.isin(names, self._spelt(names))[codes]
        if self.folder is not None:
            folders, codes = pictures.folder_codes
            start = inside(self.folder)
            below = np.array([name.startswith(start) for name in folders], bool)[codes]
            if not below.any():
                raise self.no_such_folder()
            mask &= below
        if self.unseen is not None:
            mask &= pictures.unseen == self.unseen
        if self.since is not None or self.until is not None:
            taken = np.full(len(mask), "NaT", "M8[s]") if pictures.taken is None else pictures.taken
            days = taken.astype("M8[D]")
            mask &= (days >= np.datetime64(self.since or date.min)) & (days <= np.datetime64(self.until or date.max))
        return mask

    def condition(self, modality: str, names: Iterable[str], dated: bool = True) -> str:
        """The filter as a condition of LanceDB.

        Args:
            modality: "photo" or "sketch".
            names: the class names of the gallery. Raises BadInput for a class that is none of them.
            dated: whether the table has the column of dates.
        """
        parts = [f"modality = {quoted(modality)}"]
        if self.classes:
            parts.append(f"class IN ({', '.join(map(quoted, self._spelt(names)))})")
        if self.folder is not None:
            parts.append(f"starts_with(path, {quoted(inside(self.folder))})")
        if self.unseen is not None:
            parts.append("unseen" if self.unseen else "NOT unseen")
        for sign, day in ((">=", self.since), ("<=", self.until)):
            if day is not None:
                parts.append(f"CAST(taken AS DATE) {sign} date '{day}'" if dated else "false")
        return " AND ".join(parts)

    def no_such_folder(self) -> BadInput:
        """The BadInput for a folder without pictures in the gallery."""
        return BadInput(f"folder: no picture of '{self.folder}' in the gallery")

    def _spelt(self, names: Iterable[str]) -> list[str]:
        """`classes` as the gallery spells them."""
        spelt = {class_key(name): name for name in names}
        if missing := [name for name in self.classes if class_key(name) not in spelt]:
            raise BadInput(f"the gallery has no class '{missing[0]}'")
        return [spelt[class_key(name)] for name in self.classes]


EVERYTHING = Filter()


def inside(folder: Path | str) -> str:
    """How the paths of all files in a folder, or below a URI, begin; text is taken as it is."""
    root = folder if isinstance(folder, str) else str(folder.resolve())
    separator = "/" if is_uri(root) else os.sep
    return f"{root.rstrip(separator)}{separator}"


def quoted(text: str) -> str:
    """Text as a literal of a LanceDB condition."""
    return "'" + text.replace("'", "''") + "'"
