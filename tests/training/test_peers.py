"""The other workers of TF_CONFIG are waited for, and named. Whole runs are in tests/hosts."""

import json
import os
import signal
import socket

from zscmr.training import peer_guard, peers, strategies


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


def test_a_process_that_does_not_end_by_itself_is_ended(monkeypatch, capsys):
    """Once a worker has not answered for long enough; before, and if the process has gone, nothing is done."""
    killed, parent = [], os.getppid()
    monkeypatch.setattr(peer_guard.os, "kill", lambda *given: killed.append(given))
    for name in ("LOOK", "GRACE", "GONE"):
        monkeypatch.setattr(peer_guard, name, 0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert peer_guard.answers(f"127.0.0.1:{port}")
    peer_guard.watch(parent + 1, "train.py", [f"127.0.0.1:{port}"], "go on")
    assert not killed and capsys.readouterr().out == ""
    peer_guard.watch(parent, "train.py", [f"127.0.0.1:{port}"], "go on")
    assert killed == [(parent, signal.SIGKILL)]
    said = capsys.readouterr()
    fault = f"127.0.0.1:{port} has not answered for 0 s"
    assert (said.out, said.err) == (f"{fault}\n", f"train.py: TF_CONFIG: {fault}; go on\n")


def test_the_guard_is_a_process_that_ends_with_the_block():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        guard = peer_guard.start_guard([f"127.0.0.1:{listening.getsockname()[1]}"], "go on")
        listening.accept()[0].close()  # it has begun to look
        guard.terminate()
        assert guard.communicate(timeout=30)[0] == "" and guard.returncode == -signal.SIGTERM
