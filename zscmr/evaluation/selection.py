"""Rows of an embeddings file, or their codes, as `EvaluationOptions` choose them."""

import dataclasses
from functools import partial

import numpy as np

from zscmr.evaluation import codes
from zscmr.evaluation.embedding_files import read_embeddings
from zscmr.evaluation.embeddings import drawn_photo, stems
from zscmr.utils.console import say, warn
from zscmr.utils.errors import BadInput
from zscmr.utils.options import flag


def chosen_rows(path, options):
    """Return `Features` of a file with the rows, or codes, that `options` choose; print how many rows are left out."""
    loaded = read_embeddings(path)
    features = unseen_only(loaded)
    pictured = np.union1d(features.photo.labels, features.sketch.labels)
    if len(bare := np.setdiff1d(features.unseen, pictured)):
        warn(f"{path}: unseen: no picture of {', '.join(map(features.class_name, bare))}")
    if options.generalised:
        if len(features.photo.labels) == len(loaded.photo.labels):
            raise BadInput(f"{path}: --generalised needs photos of seen classes, the file has none")
        features = generalised(loaded, options.generalised, options.seed)
    for chosen, drop, what in (
        (options.drop_paired, drop_paired, "a sketch was drawn from"),
        (options.dedupe, dedupe, "listed before"),
    ):
        if chosen:
            before = len(features.photo.labels)
            features, dropped = drop(features)
            say(f"{path}: {dropped} of {before} photos {what} left out")
    return _coded(path, loaded, features, options)


def _coded(path, loaded, features, options):
    """Replace vectors by packed codes if --bits is set."""
    if features.distance == "hamming":
        for option in ("bits", "distance"):
            if value := getattr(options, option):
                raise BadInput(f"{flag(option)} {value}: {path} holds binary codes, ranked by Hamming distance as is")
    if not options.bits:
        return features
    if options.codes == "sign":
        encode = partial(codes.sign_codes, bits=options.bits)
    else:
        encode = codes.fit_itq(seen_vectors(loaded), options.bits, options.seed).encode
    photo, sketch = (
        dataclasses.replace(items, vectors=encode(items.vectors)) for items in (features.photo, features.sketch)
    )
    return dataclasses.replace(features, photo=photo, sketch=sketch, distance="hamming")


def unseen_only(features):
    """Keep the rows of unseen classes."""
    return features.keep(lambda items: np.isin(items.labels, features.unseen))


def seen_vectors(features):
    """Embeddings (n, dim) of all pictures of seen classes, photos first."""
    return np.concatenate(
        [items.vectors[~np.isin(items.labels, features.unseen)] for items in (features.photo, features.sketch)]
    )


def generalised(features, protocol, seed=0):
    """The rows of a generalised zero-shot protocol, where pictures of seen classes join those of unseen ones.

    `sempcyc`: in each modality a random draw of seen rows numbering 20 % of the unseen ones, a function of `seed`.
    `pcmsn`: all seen rows.
    """
    if protocol == "pcmsn":
        return features

    def chosen(items):
        unseen = np.isin(items.labels, features.unseen)
        seen = np.flatnonzero(~unseen)
        drawn = np.random.default_rng(seed).permutation(seen)[: round(0.2 * unseen.sum())]
        unseen[drawn] = True
        return unseen

    return features.keep(chosen)


def drop_paired(features):
    """Drop photos that a sketch of the file was drawn from, by their names; return the rest and the number dropped."""
    if not features.photo.names or not features.sketch.names:
        raise BadInput(f"--drop-paired needs the file names of photos and sketches, {features.photo.key} comes without")
    drawn = {drawn_photo(*identity) for identity in stems(features.sketch)}
    keep = np.array([identity not in drawn for identity in stems(features.photo)], bool)
    return _with_photos(features, keep)


def dedupe(features):
    """Keep the first row of each photo; return the rest and the number of rows dropped.

    Rows are the same photo if class and file name (without folders and suffix) agree; without names, if class and
    embedding do.
    """
    if features.photo.names:
        identity = stems(features.photo)
    else:
        identity = [
            (label, row.tobytes()) for label, row in zip(features.photo.labels, features.photo.vectors, strict=True)
        ]
    first = {}
    keep = np.array([first.setdefault(item, row) == row for row, item in enumerate(identity)], bool)
    return _with_photos(features, keep)


def _with_photos(features, keep):
    photo = features.photo.take(np.flatnonzero(keep))
    return dataclasses.replace(features, photo=photo), int((~keep).sum())
