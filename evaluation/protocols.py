"""The conventions of the field by name: which distance, which average precision, which divisors, which mean."""

from collections.abc import Callable
from dataclasses import dataclass

from evaluation import metrics


@dataclass(frozen=True)
class Protocol:
    conventions: str  # what a reader has to know before comparing the numbers with others
    distance: str | None = None  # None: the one recorded with the embeddings
    interpolated: bool = False
    map_divisor: str = "R"
    precision_divisor: str = "gallery"
    class_means: bool = False  # whether the mean is over classes of the mean over their queries
    scores: Callable | None = None  # Hits -> {metric: (queries,)}, where these four do not describe it

    def score(self, hits, top=None):
        """{metric: (queries,)} of `hits`. `top`: the ranking ends there, and so do the metrics."""
        hits = metrics.Hits.of(hits)
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
    found = {n: metrics.hits_at(hits, n) for n in KNNCODE_DEPTHS}
    scores = {f"precision@{n}": count / n for n, count in found.items()}
    mean = sum(scores.values()) / len(found)
    return scores | {f"recall@{n}": count / 100 for n, count in found.items()} | {"knncode-mAP": mean}


PROTOCOLS = {
    "standard": Protocol(
        "Raw (not interpolated) AP, mean over queries. AP divides by R, the relevant items in the whole gallery, for "
        "mAP@200 too; P@k divides by k, or by the gallery size where that is smaller."
    ),
    "knncode": Protocol(
        "As the released KNNcode.m: L1 distance; precision@n is hits in the first n / n, recall@n is hits / 100 "
        "whatever R, mean over queries; knncode-mAP is the mean of the ten precisions, not average precision. It drew "
        "400 sketch queries: --queries 400.",
        distance="l1",
        scores=_knncode_scores,
    ),
    "sake": Protocol(
        "As SAKE: L2-normalised Euclid; interpolated AP; mAP@200 divides by min(200, R); P@k divides by k; mean over "
        "the queries of each class, then over classes.",
        distance="normalised",
        interpolated=True,
        map_divisor="min(k, R)",
        precision_divisor="k",
        class_means=True,
    ),
    "sempcyc": Protocol(
        "As SEM-PCYC and PCMSN: Euclid, not normalised; raw AP; mAP@200 divides by the hits in the first 200; P@k "
        "divides by k; mean over queries.",
        distance="euclidean",
        map_divisor="hits",
        precision_divisor="k",
    ),
    "zse": Protocol(
        "As ZSE-SBIR: L2-normalised Euclid; interpolated AP; mAP@200 divides by min(200, R); P@k divides by min(k, R); "
        "mean over queries.",
        distance="normalised",
        interpolated=True,
        map_divisor="min(k, R)",
        precision_divisor="min(k, R)",
    ),
}

# in every caption: what holds for all protocols, and how equal distances were counted
COMMON = "A query with R = 0 counts 0; a query never retrieves itself; "
TIES = {
    "gallery": "equal distances keep gallery order.",
    "expected": "tied items count in the mean of all their orders (McSherry and Najork 2008).",
    "optimistic": "of tied items the relevant ones come first (an upper bound).",
    "pessimistic": "of tied items the relevant ones come last (a lower bound).",
}


def compared(hits):
    """Every convention side by side: {description: (queries,)}; interpolated ones are left out where items tie."""
    hits = metrics.Hits.of(hits)
    both = (False,) if (hits.size > 1).any() else (False, True)
    scores = {}
    for interpolated in both:
        kind = "interpolated" if interpolated else "raw"
        scores[f"mAP@all {kind}"] = metrics.average_precision(hits, None, "R", interpolated)
        for divide in ("R", "min(k, R)", "hits"):
            scores[f"mAP@200 {kind}, / {divide}"] = metrics.average_precision(hits, 200, divide, interpolated)
    for divide in ("k", "gallery", "min(k, R)"):
        scores[f"P@100 / {divide}"] = metrics.precision_at(hits, 100, divide)
    scores["recall@100"] = metrics.recall_at(hits, 100)
    scores["nDCG@100"] = metrics.ndcg_at(hits, 100)
    scores["ANMRR (0 is best)"] = metrics.nmrr(hits)
    scores["knncode-mAP"] = _knncode_scores(hits)["knncode-mAP"]
    return scores
