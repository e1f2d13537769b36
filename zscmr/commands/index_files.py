"""The index of two picture trees: names_images.mat, names_sketches.mat and, where sketch names say which photo they
draw (`n02691156_10151-3.png` draws `n02691156_10151.jpg`), dataset2.mat. Needs file names only, no picture is opened.

With --against, report where the index files of another directory, the released ones say, differ.
"""

from dataclasses import dataclass
from pathlib import Path

from zscmr.datasets.index_files import compare_index, write_index
from zscmr.datasets.layouts import PictureOptions, matched_trees
from zscmr.utils.console import say
from zscmr.utils.options import setting


@dataclass(frozen=True)
class Settings(PictureOptions):
    out: Path = setting(help="dataset directory to write to", metavar="DIR")
    against: Path | None = setting(None, "directory of index files to compare with", metavar="DIR")


def main(settings):
    for path in write_index(settings.out, matched_trees(settings.photos, settings.sketches, settings.duplicates)):
        say(f"wrote {path}")
        if settings.against and (settings.against / path.name).exists():
            for line in compare_index(path, settings.against / path.name):
                say(line)
