"""Renders drawings of Quick, Draw! as sketches: a square white picture each, black strokes, in class folders.

    python data/render_quickdraw.py --drawings simplified --first 3000 --out data/archives/quickdraw/QuickDraw_sketches

`simplified` holds CLASS.ndjson files of https://github.com/googlecreativelab/quickdraw-dataset, "simplified drawings":
a drawing a line, its strokes scaled to 0 to 255. Stopped, the same command goes on.
"""

from zscmr.datasets.drawings import DrawingOptions as Settings
from zscmr.datasets.drawings import render_drawings as main

__all__ = ["Settings", "main"]
