"""The datasets of the literature: how they are recognised by their classes, and their published picture counts."""

from dataclasses import dataclass, field

from zscmr.datasets.classes import SPLITS, class_indices, read_class_list


@dataclass(frozen=True)
class PublishedDataset:
    """A dataset of the literature (FIDELITY.md, "Pictures"). Counts of pictures are dicts count -> who published it.

    Args:
        name: as the literature calls it.
        lists: pattern of its unseen lists in SPLITS; a dataset with all their classes is this one.
        photos, sketches: counts of each modality.
        extended: counts of photos with those that others added.
        rounding: the counts were published as multiples of this.
    """

    name: str
    lists: str
    photos: dict[int, str]
    sketches: dict[int, str]
    extended: dict[int, str] = field(default_factory=dict)
    rounding: int = 1

    def published(self, count, counts):
        """Whether `count` is among the published `counts`."""
        return self.rounding * round(count / self.rounding) in counts


DATASETS = (
    PublishedDataset(
        "Sketchy",
        "sketchy-*.txt",
        {12_500: "Sketchy"},
        {75_471: "the papers", 75_481: "the released index"},
        {73_002: "Sketchy-extended", 85_502: "Sketchy-extended, originals twice"},
    ),
    PublishedDataset("TU-Berlin", "tuberlin-*.txt", {204_489: "TU-Berlin"}, {20_000: "TU-Berlin"}),
    PublishedDataset(
        "QuickDraw-Extended",
        "quickdraw-*.txt",
        {204_000: "Dey et al. 2019, rounded"},
        {330_000: "Dey et al. 2019, rounded"},
        rounding=1000,
    ),
)
#: published counts of the pictures of the unseen classes, by list
UNSEEN_PICTURES = {
    "sketchy-25-sake": {"sketch": 15_229, "photo": 17_101},
    "sketchy-21-yelamarthi": {"sketch": 12_694, "photo": 12_553},
    "tuberlin-30-sake": {"sketch": 2_400, "photo": 27_989},
    "quickdraw-30-dey": {"sketch": 92_291, "photo": 54_151},
}


def recognised(classes):
    """The `PublishedDataset` with these class names, or None."""
    present = class_indices(classes).keys()
    for dataset in DATASETS:
        lists = list(SPLITS.glob(dataset.lists))
        if lists and all(_keys(file) <= present for file in lists):
            return dataset
    return None


def list_name(names, otherwise=""):
    """The name of the list in SPLITS with these class names, or `otherwise`."""
    keys = class_indices(names).keys()
    return next((file.stem for file in sorted(SPLITS.glob("*.txt")) if _keys(file) == keys), otherwise)


def _keys(file):
    return class_indices(read_class_list(file)).keys()
