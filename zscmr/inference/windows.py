"""Windows of a network's last maps: parts of a picture that are embedded along with the whole of it."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zscmr.inference.units import units

NONE = "0"  # the mode without windows
DEFAULT = "fast"
MODES = (NONE, DEFAULT, "thorough")


@dataclass(frozen=True)
class Windows:
    """Which windows of the last maps are embedded, and how they are ranked.

    Args:
        mode: one of MODES but NONE.
        size: side of the pictures in pixels.
        maps: side of the last maps of such pictures.
        sides: (side, stride) of square windows in cells of the maps; several for windows of several sizes.
        penalty: added to the distance of a window, so that photos of single things keep their ranks.
        own_whole: embed the whole picture at the size without windows; at a much larger one it is found less well.
        context: share of the whole picture's embedding in that of a window, 0 to below 1.
        mirrored: average embeddings with those of the picture's mirror image.
    """

    mode: str
    size: int
    maps: int
    sides: tuple[tuple[int, int], ...]
    penalty: float
    own_whole: bool = False
    context: float = 0.0
    mirrored: bool = False

    def __post_init__(self) -> None:
        within = all(1 <= side <= self.maps and stride >= 1 for side, stride in self.sides)
        if not within or self.penalty < 0 or not 0 <= self.context < 1:
            expected = "windows within the maps, a penalty of at least 0, a context from 0 to below 1"
            raise ValueError(f"expected {expected}, received {self}")

    @property
    def count(self) -> int:
        """Number of windows of a picture, the whole left out."""
        return len(self.cells()) - 1

    def cells(self) -> npt.NDArray[np.int64]:
        """(1 + count, 4) left, top, right, bottom in cells of the maps; the whole first, then row by row."""
        cells = [(0, 0, self.maps, self.maps)]
        for side, stride in self.sides:
            starts = sorted({*range(0, self.maps - side, stride), self.maps - side})  # the last window ends at the edge
            cells += [(left, top, left + side, top + side) for top in starts for left in starts]
        return np.array(cells)

    def boxes(self) -> npt.NDArray[np.float64]:
        """(count, 4) left, top, right, bottom of the windows as shares of the picture."""
        return self.cells()[1:] / self.maps

    def mirrored_rows(self) -> npt.NDArray[np.int64]:
        """(1 + count,): the row of the mirror image's embeddings that shows most nearly what each row shows."""
        cells = self.cells()
        images = np.column_stack([self.maps - cells[:, 2], cells[:, 1], self.maps - cells[:, 0], cells[:, 3]])
        return np.abs(cells[:, None] - images).sum(2).argmin(1)

    def weights(self) -> npt.NDArray[np.float32]:
        """(1 + count, maps²): the share of each cell in the mean over the whole and over each window."""
        weights = np.zeros((self.count + 1, self.maps, self.maps), np.float32)
        for row, (left, top, right, bottom) in zip(weights, self.cells(), strict=True):
            row[top:bottom, left:right] = 1 / ((right - left) * (bottom - top))
        return weights.reshape(len(weights), -1)

    def in_context(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Embeddings (n, 1 + count, t), the whole picture first, with its direction mixed into those of the windows."""
        if not self.context:
            return vectors
        directions = units(vectors)
        mixed = (1 - self.context) * directions[:, 1:] + self.context * directions[:, :1]
        return np.concatenate([vectors[:, :1], mixed], axis=1)

    def record(self) -> dict[str, Any]:
        """A JSON value that `from_record` reads."""
        return asdict(self) | {"sides": [list(pair) for pair in self.sides]}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Windows":
        """The windows of a `record`. Raises KeyError, TypeError or ValueError for another JSON value."""
        sides = tuple((int(side), int(stride)) for side, stride in record["sides"])
        numbers = int(record["size"]), int(record["maps"])
        ranking = float(record["penalty"]), bool(record["own_whole"]), float(record.get("context", 0))
        return cls(str(record["mode"]), *numbers, sides, *ranking, bool(record.get("mirrored", False)))


def equal_weights(cells: int) -> npt.NDArray[np.float32]:
    """The weights (1, cells) of the plain mean over all cells of the maps."""
    return np.full((1, cells), 1 / cells, np.float32)
