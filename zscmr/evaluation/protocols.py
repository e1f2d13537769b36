"""The conventions of the field by name: which distance, which average precision, which divisors, which mean."""

from collections.abc import Callable
from dataclasses import dataclass

from zscmr.evaluation import metrics

DISTANCES = {
    "euclidean": "Euclidean distance",
    "normalised": "Euclidean distance of L2-normalised rows",
    "cosine": "cosine distance",
    "l1": "L1 distance",
    "hamming": "Hamming distance",
}
MAP_DIVISOR_CAPTIONS = {
    "R": "AP divides by R, the relevant items in the whole gallery, for mAP@k too",
    "min(k, R)": "AP divides by R, the relevant items in the whole gallery, for mAP@k by min(k, R)",
    "hits": "AP divides by R, the relevant items in the whole gallery, for mAP@k by the hits in the first k",
}
PRECISION_DIVISOR_CAPTIONS = {
    "gallery": "P@k divides by k, or by the gallery size where that is smaller",
    "k": "P@k divides by k",
    "min(k, R)": "P@k is the precision of the first min(k, R)",
}


@dataclass(frozen=True)
class Protocol:
    peers: str = ""  # systems whose code measures this way
    distance: str | None = None  # None: the one recorded with the embeddings
    interpolated: bool = False
    map_divisor: str = "R"  # D of AP@k; AP over all ranks divides by R
    precision_divisor: str = "gallery"
    class_means: bool = False  # whether the mean is over classes of the mean over their queries
    scores: Callable | None = None  # Hits -> {metric: (queries,)}, where these four do not describe it
    described: str = ""  # what `scores` measures

    def conventions(self, distance=None):
        """Describe how numbers are measured that were ranked by `distance`, or by the protocol's."""
        distance = distance or self.distance
        ranked = f"ranked by {DISTANCES[distance] if distance else 'the distance recorded with the embeddings'}"
        if self.peers and distance == self.distance:
            ranked = f"as {self.peers}, {ranked}"
        elif self.peers:
            ranked = f"as {self.peers}, but {ranked} instead of {DISTANCES[self.distance]}"
        kind = "interpolated AP" if self.interpolated else "raw (not interpolated) AP"
        mean = "mean over the queries of each class, then over classes" if self.class_means else "mean over queries"
        divisors = f"{MAP_DIVISOR_CAPTIONS[self.map_divisor]}; {PRECISION_DIVISOR_CAPTIONS[self.precision_divisor]}"
        return f"{ranked}; {self.described or f'{kind}; {divisors}; {mean}.'}"

    def score(self, hits, top=None, also=()):
        """{metric: (queries,)} of `hits`; `also` names further ones. `top`: ranking and metrics end there."""
        hits = metrics.Hits.of(hits)
        return self._usual_scores(hits, top) | {name: metrics.METRICS[name](hits) for name in also}

    def _usual_scores(self, hits, top):
        if top is not None:
            return {
                f"mAP@{top}": metrics.average_precision(hits, top, self.map_divisor, self.interpolated),
                f"P@{top}": metrics.precision_at(hits, top, self.precision_divisor),
                f"recall@{top}": metrics.recall_at(hits, top),
                f"nDCG@{top}": metrics.ndcg_at(hits, top),
            }
        if self.scores:
            return self.scores(hits)
        return {
            "mAP@all": metrics.average_precision(hits, None, "R", self.interpolated),
            "P@100": metrics.precision_at(hits, 100, self.precision_divisor),
            "mAP@200": metrics.average_precision(hits, 200, self.map_divisor, self.interpolated),
            "P@200": metrics.precision_at(hits, 200, self.precision_divisor),
        }


KNNCODE_DEPTHS = range(10, 101, 10)


def _knncode_scores(hits):
    hits = metrics.Hits.of(hits)
    counts = {n: metrics.hits_at(hits, n) for n in KNNCODE_DEPTHS}
    scores = {f"precision@{n}": count / n for n, count in counts.items()}
    mean = sum(scores.values()) / len(counts)
    return scores | {f"recall@{n}": count / 100 for n, count in counts.items()} | {"knncode-mAP": mean}


PROTOCOLS = {
    "standard": Protocol(),
    "knncode": Protocol(
        "the released KNNcode.m",
        distance="l1",
        scores=_knncode_scores,
        described="precision@n is hits in the first n / n, recall@n is hits / 100 whatever R, mean over queries; "
        "knncode-mAP is the mean of the ten precisions, not average precision. KNNcode.m drew 400 sketch queries: "
        "--queries 400.",
    ),
    "sake": Protocol(
        "SAKE",
        distance="normalised",
        interpolated=True,
        map_divisor="min(k, R)",
        precision_divisor="k",
        class_means=True,
    ),
    "sempcyc": Protocol("SEM-PCYC and PCMSN", distance="euclidean", map_divisor="hits", precision_divisor="k"),
    "zse": Protocol(
        "ZSE-SBIR",
        distance="normalised",
        interpolated=True,
        map_divisor="min(k, R)",
        precision_divisor="min(k, R)",
    ),
}

# how equal distances count; printed in every caption
TIES = {
    "gallery": "equal distances keep gallery order.",
    "expected": "tied items count in the mean of all their orders (McSherry and Najork 2008).",
    "optimistic": "of tied items the relevant ones come first (an upper bound).",
    "pessimistic": "of tied items the relevant ones come last (a lower bound).",
}


def compared(hits):
    """Every convention side by side: {description: (queries,)}; interpolated ones are left out where items tie."""
    hits = metrics.Hits.of(hits)
    variants = (False,) if (hits.size > 1).any() else (False, True)
    scores = {}
    for interpolated in variants:
        kind = "interpolated" if interpolated else "raw"
        scores[f"mAP@all {kind}"] = metrics.average_precision(hits, None, "R", interpolated)
        for divide in ("R", "min(k, R)", "hits"):
            scores[f"mAP@200 {kind}, / {divide}"] = metrics.average_precision(hits, 200, divide, interpolated)
    for name, divide in (("P@100 / k", "k"), ("P@100 / gallery", "gallery"), ("P@min(100, R)", "min(k, R)")):
        scores[name] = metrics.precision_at(hits, 100, divide)
    scores |= {name: metric(hits) for name, metric in metrics.METRICS.items()}
    scores["knncode-mAP"] = _knncode_scores(hits)["knncode-mAP"]
    return scores
