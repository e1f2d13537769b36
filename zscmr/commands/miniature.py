"""Draws the miniature dataset: photos and sketches of pictographs, class vectors, a list of unseen classes.

The outlines are those of DejaVu Sans, the font that comes with matplotlib; nothing is downloaded. A photo is the
filled outline, textured and lit, before a cluttered background; a sketch is a set of wobbling pen strokes along the
outline. Either has a pose and a warp of its own, so that no sketch was traced from a photo.

    python data/make_miniature.py --out data/miniature

writes

    photo/CLASS/CLASS_0001.jpg     colour
    sketch/CLASS/CLASS_0001.png    grey, black on white
    unseen.txt                     names of the unseen classes
    class_vectors.npz              `classes` (names), `taxonomy` (classes, 300): neighbours in the taxonomy are near
    miniature.json                 what it was drawn with
"""

from zscmr.datasets.miniature import MiniatureOptions as Settings
from zscmr.datasets.miniature import draw_miniature as main

__all__ = ["Settings", "main"]
