"""Renders drawings of Quick, Draw! as sketches: a square white picture each, black strokes, in class folders.

    python data/render_quickdraw.py --drawings simplified --first 3000 --out data/archives/quickdraw/QuickDraw_sketches

`simplified` holds CLASS.ndjson files of https://github.com/googlecreativelab/quickdraw-dataset, "simplified drawings":
a drawing a line, its strokes scaled to 0 to 255. Stopped, the same command goes on.
"""

import _project  # noqa: F401  the project's root on the path

from zscmr import cli
from zscmr.quickdraw import DrawingOptions as Settings
from zscmr.quickdraw import render_drawings

if __name__ == "__main__":
    cli.run(render_drawings, Settings, __doc__)
