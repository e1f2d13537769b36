"""What to rank and how to score it: the options that `knn_eval.py`, `embed.py` and `paper_tables.py` share."""

from dataclasses import dataclass

from zscmr.evaluation.distances import MEMORY, REAL_DISTANCES
from zscmr.evaluation.metrics import METRICS
from zscmr.evaluation.protocols import PROTOCOLS, TIES
from zscmr.utils.errors import BadInput
from zscmr.utils.options import Options, flag, setting


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
        for option, others in (("rerank", ("top", "bits")), ("instances", ("top", "bits", "drop_paired"))):
            for excluded in others:
                if getattr(self, option) and getattr(self, excluded):
                    raise BadInput(f"{flag(option)}: does not go with {flag(excluded)}")
        if self.top and (self.protocol == "knncode" or self.ties not in (None, "gallery") or self.also):
            raise BadInput("--top: goes with neither --protocol knncode, --also nor --ties other than gallery")
