"""Trees of empty files that stand in for pictures, named as Sketchy names them."""

NAMES = ("ant", "bee", "cow", "dog", "elk")
PHOTOS, SKETCHES = ("n01_1.jpg", "n01_2.jpg"), ("n01_1-1.png", "n01_1-2.png", "n01_2-1.png")


def plant(root, folder, files, classes=NAMES):
    for name in classes:
        for file in files:
            path = root / folder / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
