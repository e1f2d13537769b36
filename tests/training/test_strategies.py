"""Which process writes, which rows a worker computes, and batches that devices cannot share."""

import json

import pytest

from zscmr.training.strategies import Workers, check_share, is_chief


@pytest.mark.parametrize("kinds", [("worker",) * 3, ("chief", "worker", "worker"), ("chief",)])
def test_workers_share_all_rows(kinds, monkeypatch):
    """Each row is one worker's."""
    cluster = {kind: [f"host{n}" for n, other in enumerate(kinds) if other == kind] for kind in kinds}
    shares = []
    for number, kind in enumerate(kinds):
        task = {"type": kind, "index": kinds[:number].count(kind)}
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
        workers = Workers(None)
        assert (workers.number, workers.count) == (number, len(kinds))
        shares.append(list(workers.share(10)))
    assert [row for share in shares for row in share] == list(range(10))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_batch_that_cannot_be_shared_is_refused(refused):
    class Three:
        num_replicas_in_sync = 3

    message = refused(check_share, 128, Three())
    assert message == "--batch-size 128 is no multiple of the 3 devices that share a batch"


@pytest.mark.parametrize("config", ["{", "[]", '{"cluster": {}, "task": {"type": "worker"}}'])
def test_unusable_cluster_description_is_refused(config, refused, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    assert refused(is_chief).startswith("TF_CONFIG: expected JSON")


@pytest.mark.parametrize(
    ("cluster", "kind", "index", "chief"),
    [
        ({"worker": ["a", "b"]}, "worker", 0, True),
        ({"worker": ["a", "b"]}, "worker", 1, False),
        ({"chief": ["c"], "worker": ["a"]}, "chief", 0, True),
        ({"chief": ["c"], "worker": ["a"]}, "worker", 0, False),
    ],
)
def test_who_writes(cluster, kind, index, chief, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}}))
    assert is_chief() is chief
