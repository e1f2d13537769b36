"""A dataset directory as checked arrays, and its triads: the release's loader (zscmr/datasets/)."""

from zscmr.datasets.batches import Triads, draw_balanced, draw_epoch, draw_triads
from zscmr.datasets.loader import (
    Dataset,
    Modality,
    load_dataset,
    read_class_graph,
    read_class_vectors,
    read_features,
    read_names_of_rows,
    read_whole_numbers,
)

__all__ = [
    "Dataset",
    "Modality",
    "Triads",
    "draw_balanced",
    "draw_epoch",
    "draw_triads",
    "load_dataset",
    "read_class_graph",
    "read_class_vectors",
    "read_features",
    "read_names_of_rows",
    "read_whole_numbers",
]
