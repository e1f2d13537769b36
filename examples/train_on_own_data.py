"""Train on own photos and sketches, then search the photos with a sketch.

    pip install 'zscmr[train,search,backbones]'
    python train_on_own_data.py PHOTOS SKETCHES UNSEEN [FLAGS OF zscmr pretrain]

PHOTOS and SKETCHES hold a folder for each class, UNSEEN is a text file of the classes to leave out of training, one a
line. Features and run are written to `mine/data` and `mine/run`. Repeat the command to continue after a stop.
"""

import subprocess
import sys
from pathlib import Path

import zscmr

DATA, RUN = Path("mine/data"), Path("mine/run")


def zscmr_command(*words: str | Path) -> None:
    """Run a command of the package in its own process: TensorFlow's thread settings differ between stages."""
    subprocess.run([sys.executable, "-m", "zscmr", *map(str, words)], check=True)


def main(photos: str, sketches: str, unseen: str, *flags: str) -> None:
    """Train both stages and print the photos nearest to the first sketch of the first unseen class."""
    stage1 = flags or ("--train", "joint", "--epochs", "3")
    zscmr_command("pretrain", "--photos", photos, "--sketches", sketches, "--unseen", unseen, "--out", DATA, *stage1)
    if (RUN / "config.json").exists():
        zscmr_command("train", "--path", RUN, "--resume")
    else:
        zscmr_command("train", "--data", DATA, "--preset", "aligned", "--path", RUN)

    encoder = zscmr.Encoder.load(RUN)
    gallery = zscmr.Gallery("mine/gallery", encoder)
    gallery.add(photos)
    first = (DATA / "unseen.txt").read_text(encoding="utf-8").splitlines()[0]
    sketch = min(path for path in Path(sketches, first).iterdir() if path.is_file())
    print(f"nearest to {sketch}:")
    for hit in gallery.search(sketch, top=5, kind="sketch"):
        print(f"{hit.distance:.3f}  {hit.class_name}  {hit.path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
