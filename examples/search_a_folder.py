"""Search a folder of pictures with a sketch.

    pip install 'zscmr[search]'
    python search_a_folder.py PICTURES SKETCH

An encoder comes with the package: nothing is trained, and TensorFlow is not needed. The embeddings stay in the folder
`pictures.gallery`, so that the next search embeds new pictures only.
"""

import sys

import zscmr


def main(pictures: str, sketch: str) -> None:
    """Add the folder `pictures` to the gallery and print the photos nearest to the file `sketch`."""
    encoder = zscmr.Encoder.load("everyday")
    gallery = zscmr.Gallery("pictures.gallery", encoder)
    gallery.add(pictures)
    for hit in gallery.search(sketch, top=10):
        print(f"{hit.distance:.3f}  {hit.class_name}  {hit.path}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
