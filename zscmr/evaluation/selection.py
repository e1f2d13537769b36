"""Rows of an embeddings file, and codes of them, as chosen by `EvaluationOptions`."""

import dataclasses
from dataclasses import dataclass
from functools import partial

import numpy as np

from zscmr.evaluation import codes, embeddings
from zscmr.evaluation.distances import MEMORY, REAL_DISTANCES
from zscmr.evaluation.metrics import METRICS
from zscmr.evaluation.protocols import PROTOCOLS, TIES
from zscmr.utils.console import say, warn
from zscmr.utils.errors import BadInput
from zscmr.utils.options import Options, flag, setting


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


@dataclass(frozen=True)
class EvaluationOptions(Options):
    protocol: str = setting("standard", "conventions of ranking and scoring", choices=PROTOCOLS)
    distance: str | None = setting(
        None, "distance to rank by; left out: the protocol's, else the one recorded in the file", REAL_DISTANCES
    )
    queries: int | None = setting(None, "score this many randomly drawn queries per direction; left out: all", least=1)
    top: int | None = setting(None, "score the nearest K items only, found without a full sort", metavar="K", least=1)
    ties: str | None = setting(None, "how equal distances count; left out: expected for codes, else gallery", TIES)
    also: tuple[str, ...] = setting(
        (), f"further metrics beside the protocol's, any of {'; '.join(METRICS)}", METRICS, "METRIC"
    )
    bits: int | None = setting(None, "rank by Hamming distance of binary codes of this length", choices=(32, 64, 128))
    codes: str | None = setting(
        None, "how --bits are made: itq, fitted on the file's seen classes (left out), or sign", ("itq", "sign")
    )
    generalised: str | None = setting(
        None, "seen classes join: sempcyc, 20 % as many in queries and gallery; pcmsn, all", ("sempcyc", "pcmsn")
    )
    instances: bool = setting(False, "also rank, for each sketch, the photo that it was drawn from")
    drop_paired: bool = setting(False, "photos that one of the sketches was drawn from leave the file")
    dedupe: bool = setting(False, "photos listed twice are kept once")
    rerank: bool = setting(False, "re-rank by k-reciprocal neighbours in the gallery, which is used as a whole")
    memory: float = setting(MEMORY / 1e9, "GB that ranking may take beyond the embeddings", above=0)
    seed: int = setting(0, "seed of every draw: queries, seen rows, codes, resampling, pictures in figures", least=0)

    def __post_init__(self):
        super().__post_init__()
        if self.codes and not self.bits:
            raise BadInput(f"--codes {self.codes} wants the number of --bits")
        if self.bits and self.distance:
            raise BadInput(f"--bits ranks by Hamming distance; --distance {self.distance} has no part in it")
        for one, others in (("rerank", ("top", "bits")), ("instances", ("top", "bits", "drop_paired"))):
            for other in others:
                if getattr(self, one) and getattr(self, other):
                    raise BadInput(f"{flag(one)}: does not go with {flag(other)}")
        if self.top and (self.protocol == "knncode" or self.ties not in (None, "gallery") or self.also):
            raise BadInput("--top: goes with neither --protocol knncode, --also nor --ties other than gallery")
