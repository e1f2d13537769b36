"""The grounds, methods and seeds that the tables compare, and the cells to compute."""

from dataclasses import dataclass

from zscmr.paper.cells import MEASURES, Across, Baselines, Measurement, Method, Training, tables_of
from zscmr.paper.ground import Ground

FULL = "full"


@dataclass(frozen=True)
class Plan:
    """Grounds, methods and seeds to compare."""

    grounds: tuple[Ground, ...]  # the first is the main one, all tables are about it
    methods: tuple[Method, ...]
    seeds: tuple[int, ...]
    warning: str = ""  # printed above every table
    ablated: bool = True
    across: tuple[Across, ...] = ()  # embeddings of other datasets

    @property
    def main(self):
        return self.grounds[0]

    def ablations(self):
        """{(model, preset): {row: Method}}, the full method last."""
        ablations = {}
        for full in self.methods:
            rows = tables_of(full.model).ablations.get(full.preset)
            if rows and self.ablated and "bits" not in dict(full.changes):
                left_out = {row: full.with_changes(changes) for row, changes in rows.items()}
                ablations[full.model, full.preset] = {**left_out, FULL: full}
        return ablations

    def trainings(self, method, ground=None):
        cells = [Training(ground or self.main, method, seed) for seed in self.seeds]
        return cells if cells[0].resolved[1].epochs else cells[:1]  # without training all seeds give the same

    def measurements(self, method, measured, ground=None):
        cells = [Measurement(training, measured) for training in self.trainings(method, ground)]
        return [cell for cell in cells if cell.applicable]

    def cells(self):
        """Every cell in the order of the tables; cells of other runs last."""
        cells = [Baselines(ground) for ground in self.grounds]
        cells = [cell for cell in cells if cell.applicable]
        ablated = [method for rows in self.ablations().values() for method in rows.values()]
        for method in dict.fromkeys((*self.methods, *ablated)):
            cells += self.trainings(method)
        for method in self.methods:
            for measured in MEASURES:
                cells += self.measurements(method, measured)
        for ground in self.grounds[1:]:
            for method in self.methods:
                cells += [*self.trainings(method, ground), *self.measurements(method, "reranked", ground)]
        return [*cells, *self.across]

    def smaller_batches(self):
        """{(unseen list, batch, usual batch)} of runs with fewer pictures to train on than their usual batch has."""
        runs = [cell for cell in self.cells() if isinstance(cell, Training)]
        batches = {(run.ground.list_name, run.resolved[1].batch_size, run.usual_batch) for run in runs}
        return {each for each in batches if each[1] != each[2]}


def with_variants(methods):
    """`methods`, each followed by its variants."""
    expanded = []
    for method in methods:
        variants = tables_of(method.model).variants.get(method.preset, ())
        expanded += [method, *(method.with_changes(changes) for changes in variants)]
    return tuple(expanded)
