"""The other workers of TF_CONFIG are waited for, and named. Whole runs are in tests/hosts."""

import json
import socket

from zscmr.training import peers, strategies


def test_workers_are_waited_for_and_named(monkeypatch, refused):
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        addresses = [f"127.0.0.1:{listening.getsockname()[1]}" for listening in (one, other)]
        one.close()
        task = {"type": "worker", "index": 0}
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": addresses}, "task": task}))
        assert strategies.own_address() == addresses[0] and strategies.others() == addresses[1:]
        peers._meet()
        other.close()
        monkeypatch.setattr(peers, "LATE", 0)
        assert refused(peers._meet) == f"TF_CONFIG: {addresses[1]} has not started for 0 minutes"
        with socket.create_server(("", int(addresses[0].rpartition(":")[2]))):
            assert refused(peers._meet).startswith(f"TF_CONFIG: {addresses[0]} cannot be listened at (")


def test_one_process_watches_nobody(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with peers.watched("again"):
        assert not strategies.several_workers()
