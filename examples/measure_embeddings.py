"""Measure the embeddings of another system as this project measures its own.

    pip install zscmr
    python measure_embeddings.py [FILE]

FILE is an .npz of four arrays: `queries` (q, t) and `gallery` (n, t), embeddings in one space, and `query_labels` (q,)
and `gallery_labels` (n,), integers. Without FILE made-up embeddings are measured.
"""

import sys

import numpy as np

import zscmr

CLASSES, PER_CLASS, DIMENSIONS = 25, 40, 64


def random_embeddings() -> dict[str, np.ndarray]:
    """Return embeddings of 25 classes that scatter widely about a point of their class."""
    random = np.random.default_rng(0)
    points = random.normal(size=(CLASSES, DIMENSIONS))
    labels = np.repeat(np.arange(CLASSES), PER_CLASS)
    queries, gallery = (points[labels] + random.normal(scale=3, size=(len(labels), DIMENSIONS)) for _ in range(2))
    return {"queries": queries, "gallery": gallery, "query_labels": labels, "gallery_labels": labels}


def main(file: str | None = None) -> None:
    """Print the scores of the embeddings of `file` under three conventions of the literature."""
    arrays = np.load(file) if file else random_embeddings()
    for protocol in ("standard", "sake", "sempcyc"):
        scores = zscmr.evaluate(
            arrays["queries"],
            arrays["gallery"],
            arrays["query_labels"],
            arrays["gallery_labels"],
            protocol=protocol,
        )
        print(f"{protocol:9}", *(f"{name} {value:.3f}" for name, value in scores.items()), sep="  ")


if __name__ == "__main__":
    main(*sys.argv[1:2])
