"""Draws the pictures that .ci/try_wheel searches: photos in two class folders, and a sketch of a circle.

Usage: python draw_pictures.py FOLDER SKETCH
"""

import sys
from pathlib import Path

from PIL import Image, ImageDraw

BOX = (50, 50, 150, 150)

if __name__ == "__main__":
    folder, sketch = map(Path, sys.argv[1:])
    for name in ("ball", "crate"):
        (folder / name).mkdir(parents=True)
        for colour in ("orange", "teal"):
            photo = Image.new("RGB", (200, 200), "lightblue")
            pen = ImageDraw.Draw(photo)
            draw = pen.ellipse if name == "ball" else pen.rectangle
            draw(BOX, fill=colour)
            photo.save(folder / name / f"{colour}.jpg")
    drawing = Image.new("RGB", (200, 200), "white")
    ImageDraw.Draw(drawing).ellipse(BOX, outline="black", width=4)
    drawing.save(sketch)
