"""Options that contradict each other, and choices that do not exist, are refused in one line."""

from zscmr.commands import evaluate as knn_eval
from zscmr.evaluation import metrics


def test_an_unknown_further_metric_is_refused_with_those_there_are(refused):
    message = refused(knn_eval.Settings, also=("toy rank",))
    assert message == f"--also: expected any of {', '.join(metrics.METRICS)}, received toy rank"
