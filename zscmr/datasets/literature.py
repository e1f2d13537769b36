"""The datasets of the literature: the class lists that tell which one it is, and how many pictures it has."""

from dataclasses import dataclass, field

from zscmr.datasets.classes import SPLITS, class_indices, read_class_list


@dataclass(frozen=True)
class Known:
    """A dataset with its counts of pictures (FIDELITY.md, "Pictures"), each with whose it is."""

    name: str
    lists: str  # its unseen lists in SPLITS: a dataset that has all their classes is this one
    photos: dict[int, str]
    sketches: dict[int, str]
    extended: dict[int, str] = field(default_factory=dict)  # photos, with those that others added to it
    rounding: int = 1  # its counts were published as multiples of this

    def published(self, count, counts):
        """Whether `count` is among the published `counts`."""
        return self.rounding * round(count / self.rounding) in counts


DATASETS = (
    Known(
        "Sketchy",
        "sketchy-*.txt",
        {12_500: "Sketchy"},
        {75_471: "the papers", 75_481: "the released index"},
        {73_002: "Sketchy-extended", 85_502: "Sketchy-extended, originals twice"},
    ),
    Known("TU-Berlin", "tuberlin-*.txt", {204_489: "TU-Berlin"}, {20_000: "TU-Berlin"}),
    Known(
        "QuickDraw-Extended",
        "quickdraw-*.txt",
        {204_000: "Dey et al. 2019, rounded"},
        {330_000: "Dey et al. 2019, rounded"},
        rounding=1000,
    ),
)
#: sketches and photos of the unseen classes as published
UNSEEN_PICTURES = {
    "sketchy-25-sake": {"sketch": 15_229, "photo": 17_101},
    "sketchy-21-yelamarthi": {"sketch": 12_694, "photo": 12_553},
    "tuberlin-30-sake": {"sketch": 2_400, "photo": 27_989},
    "quickdraw-30-dey": {"sketch": 92_291, "photo": 54_151},
}


def recognised(classes):
    """The `Known` dataset with these class names, or None."""
    present = class_indices(classes).keys()
    for known in DATASETS:
        lists = list(SPLITS.glob(known.lists))
        if lists and all(_keys(file) <= present for file in lists):
            return known
    return None


def list_name(names, otherwise=""):
    """The name of the list in data/splits with these class names, or `otherwise`."""
    wanted = class_indices(names).keys()
    return next((file.stem for file in sorted(SPLITS.glob("*.txt")) if _keys(file) == wanted), otherwise)


def _keys(file):
    return class_indices(read_class_list(file)).keys()
