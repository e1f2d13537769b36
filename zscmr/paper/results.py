"""Numbers of the tables with their origin: of finished cells, over their seeds, and published ones."""

from functools import partial

from zscmr.evaluation.protocols import DISTANCES
from zscmr.paper.cells import Baselines
from zscmr.paper.ground import PUBLISHED
from zscmr.paper.typeset import Value

METRICS = tuple(PUBLISHED["metrics"])
DATASETS = tuple(PUBLISHED["datasets"])
BASELINES = ("features alone", "LDA map")


class Results:
    """The finished cells of a plan, as values of tables."""

    def __init__(self, plan):
        self.plan = plan
        self.contents = {cell: cell.stored() for cell in plan.cells()}

    def scores(self, cells, direction, metric, part="directions", digits=3):
        """`Value` of a metric over cells that differ by seed; None without any."""
        contents = [self.contents[cell] for cell in cells]
        if not contents:
            return None
        numbers = tuple(content[part][direction][metric] for content in contents)
        return Value(numbers, convention(contents[0]), cells[0].ground, digits=digits)

    def method(self, method, direction, metric, ground=None):
        """`Value` of a metric over the seeds of a method."""
        return self.scores(self.plan.trainings(method, ground), direction, metric)

    def baseline(self, name, direction, metric, ground=None):
        """`Value` of a metric of a baseline; None where it was not measured."""
        cell = Baselines(ground or self.plan.main)
        if cell not in self.contents:
            return None
        results = self.contents[cell]["baselines"][name]
        return Value((results["directions"][direction][metric],), convention(results), cell.ground)

    def all_rows(self):
        """{row: function (direction, metric, ground) → Value} of the baselines and all methods."""
        rows = {}
        for name in BASELINES:
            rows[name] = partial(self.baseline, name)
        for method in self.plan.methods:
            rows[label(method)] = partial(self.method, method)
        return rows

    def distances(self):
        """Sentence on the distance that each preset ranks by."""
        parts = []
        for method in self.plan.methods:
            content = self.contents[self.plan.trainings(method)[0]]
            parts.append(f"{label(method).removesuffix(', ours')} {distance_phrase(content)}")
        return ", ".join(parts)


def label(method):
    """The row of a method."""
    bits = dict(method.changes).get("bits")
    return f"{method.model} {method.preset}{f' {bits} bits' if bits else ''}, ours"


def distance_phrase(results):
    """The distance that ranked, as tables print it."""
    return DISTANCES[results["distance"]].removesuffix(" distance")


def convention(results):
    """Protocol, distance and ties of measured results, as the CSV file holds them."""
    reranked = ", re-ranked: uses the gallery as a whole" if results.get("reranked") else ""
    return f"{results['protocol']}, {distance_phrase(results)}, ties {results['ties']}{reranked}"


def as_published(dataset):
    """Column heading of published numbers."""
    return f"{dataset}, published"


def as_measured(ground):
    """Column heading of measured numbers."""
    return f"{ground.name}, measured"


def published(pair, dataset):
    """{column: Value} of published mAP@all and P@100 of a dataset; empty where nothing was published."""
    names = [f"{as_published(dataset)}: {metric}" for metric in METRICS]
    values = [Value((number,), PUBLISHED["convention"], dataset=dataset) for number in pair or ()]
    return dict(zip(names, values, strict=False))


def measured_values(values):
    """{column: Value} without the columns that were not measured."""
    return {name: value for name, value in values.items() if value is not None}
