"""What a dataset's features reach without gradients: the features alone, and a shrinkage-LDA map of them.

    python benchmarks/baselines.py --data data/mine [--unseen FILE]

A learned system has to beat the LDA map. Print retrieval of the unseen classes in all directions, protocol `standard`,
cosine. The features of both modalities need the same width.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package of this clone

from zscmr.datasets import loader
from zscmr.datasets.classes import read_split
from zscmr.paper.baselines import DIM, SHRINKAGE, measure_baselines
from zscmr.reports.text_tables import format_scores
from zscmr.utils import cli
from zscmr.utils.console import say
from zscmr.utils.files import write_json
from zscmr.utils.options import Options, setting


@dataclass(frozen=True)
class Settings(Options):
    data: Path = setting(help="dataset directory", metavar="DIR")
    unseen: Path | None = setting(None, "list of unseen classes; left out: unseen.txt of --data", metavar="FILE")
    dim: int = setting(DIM, "size of the LDA map", least=1)
    shrinkage: float = setting(
        SHRINKAGE, "weight of the identity in the within-class scatter, in units of its mean variance", least=0
    )
    json: Path | None = setting(None, "write the results to this file", metavar="FILE")


def main(settings):
    dataset = loader.load_dataset(settings.data, needs_vectors=False)
    split = read_split(dataset, settings.unseen, held_out_share=0, seed=0)
    results = measure_baselines(dataset, split, settings.dim, settings.shrinkage)
    for name, scores in results.items():
        say(format_scores(scores, f"{name}, unseen classes", caption=name == list(results)[-1]))
    if settings.json:
        write_json(settings.json, results)


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
