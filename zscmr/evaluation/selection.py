"""Rows of an embeddings file, and codes of them, as chosen by `EvaluationOptions`."""

import dataclasses
from functools import partial

import numpy as np

from zscmr.console import say, warn
from zscmr.errors import BadInput
from zscmr.evaluation import codes, embeddings
from zscmr.options import flag


def chosen_rows(path, options):
    """`Features` of the file with the rows, and the codes, that `options` choose; print what is left out."""
    loaded = embeddings.load(path)
    features = embeddings.unseen_only(loaded)
    pictured = np.union1d(features.photo.labels, features.sketch.labels)
    if len(bare := np.setdiff1d(features.unseen, pictured)):
        warn(f"{path}: unseen: no picture of {', '.join(map(features.class_name, bare))}")
    if options.generalised:
        if len(features.photo.labels) == len(loaded.photo.labels):
            raise BadInput(f"{path}: --generalised needs photos of seen classes, the file has none")
        features = embeddings.generalised(loaded, options.generalised, options.seed)
    for wanted, drop, what in (
        (options.drop_paired, embeddings.drop_paired, "a sketch was drawn from"),
        (options.dedupe, embeddings.dedupe, "listed before"),
    ):
        if wanted:
            before = len(features.photo.labels)
            features, dropped = drop(features)
            say(f"{path}: {dropped} of {before} photos {what} left out")
    return _coded(path, loaded, features, options)


def _coded(path, loaded, features, options):
    """`features` with packed codes in place of vectors, where --bits asks for them."""
    if features.distance == "hamming":
        for option in ("bits", "distance"):
            if value := getattr(options, option):
                raise BadInput(f"{flag(option)} {value}: {path} holds binary codes, ranked by Hamming distance as is")
    if not options.bits:
        return features
    if options.codes == "sign":
        encode = partial(codes.sign_codes, bits=options.bits)
    else:
        encode = codes.fit_itq(embeddings.seen_vectors(loaded), options.bits, options.seed).encode
    photo, sketch = (
        dataclasses.replace(items, vectors=encode(items.vectors)) for items in (features.photo, features.sketch)
    )
    return dataclasses.replace(features, photo=photo, sketch=sketch, distance="hamming")
