"""What others run is looked at again and again; silence is since the last answer."""

import queue
import threading
import time

from zscmr.retrieval.probes import Probe


class Clock:
    """In place of time.monotonic."""

    seconds = 100.0

    def __call__(self):
        return self.seconds


def test_silence_is_since_the_last_answer(monkeypatch):
    """While a look waits, after one that failed, and after one that was answered."""
    clock, looks, replies = Clock(), threading.Semaphore(0), queue.Queue()

    def look():
        looks.release()
        if fault := replies.get(timeout=30):
            raise fault

    def reply(fault=None):
        """End the present look, and wait for the next: what came of it is noted then."""
        replies.put(fault)
        assert looks.acquire(timeout=30)

    monkeypatch.setattr(time, "monotonic", clock)
    probe = Probe(look, pause=0.001)
    assert looks.acquire(timeout=30)
    clock.seconds = 107.0
    reply()
    clock.seconds = 150.0
    assert probe.silence() == 43
    reply(ConnectionError())
    assert probe.silence() == 43
    reply()
    assert probe.silence() == 0
    probe.stop()
    replies.put(None)
