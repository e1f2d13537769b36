"""Read .mat files in a process of their own (`mat_worker`), which may crash without harm; check what it answers."""

import atexit
import contextlib
import functools
import io
import json
import math
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading

import numpy as np

from zscmr.formats import mat_worker

SECONDS = 20  # of computing allowed for a request, and one more for each `_BYTES_PER_SECOND` of the file
_BYTES_PER_SECOND = 2**21
_MAX_TEXT = 2**28  # bytes of JSON; a file of 225,000 names takes 5 MB
_START = (
    "import sys; sys.path[:] = sys.argv[1:]; from zscmr.formats.mat_worker import answer_requests; answer_requests()"
)


class Unreadable(ValueError):
    """A file that cannot be read. The message is one line without the path."""


@functools.cache
def reader():
    """The reader that all calls in this process share; its worker starts with the first request."""
    shared = Reader(None if getattr(sys, "frozen", False) else sys.executable)
    atexit.register(shared.close)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=shared.forget)
    return shared


class Reader:
    """Asks a worker process, started when needed, and another after a crash. Safe to use from several threads.

    Args:
      python: the interpreter to start; None (a frozen program has none) reads in this process.
      seconds: of computing allowed for a request, at least; see `SECONDS`.
    """

    def __init__(self, python=sys.executable, seconds=SECONDS):
        self.python, self.seconds = python, seconds
        self.lock, self.worker = threading.Lock(), None

    def forget(self):
        """Leave the worker to the process that this one was forked from."""
        if self.worker:
            self.worker.stdin.raw.close()  # unflushed
            self.worker.stdout.raw.close()
            self.worker.returncode = 0  # not this process's to wait for
        self.lock, self.worker = threading.Lock(), None

    def close(self):
        """End the worker."""
        worker, self.worker = self.worker, None
        if worker:
            worker.kill()
            worker.communicate()
            self.errors.close()

    def read(self, path, key, large):
        """(names of the variables, value of `key`; None if there is no such variable or `key` is None).

        Numbers of `large` bytes or more that lie in the file as they are become a read-only np.memmap. Raises
        Unreadable.
        """
        allowed = self.seconds + os.path.getsize(path) // _BYTES_PER_SECOND
        request = {"path": os.path.abspath(path), "key": key, "seconds": allowed}
        with self.lock:
            try:
                return _value(self._sent(request), path, large)
            except Unreadable:
                raise
            except (EOFError, BrokenPipeError):
                raise Unreadable(self._reason(allowed)) from None
            except BaseException:
                self.close()  # whatever is left in the pipe belongs to no request
                raise

    def _sent(self, request):
        """Send a request; return the stream to read the answer from."""
        if self.python is None:
            stream = io.BytesIO()
            mat_worker.reply(request, stream)
            stream.seek(0)
            return stream
        if self.worker is None or self.worker.poll() is not None:
            self._start()
        self.worker.stdin.write(json.dumps(request).encode() + b"\n")
        self.worker.stdin.flush()
        return self.worker.stdout

    def _start(self):
        self.close()
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        folders = [os.path.abspath(folder) for folder in sys.path]
        one_thread = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
        self.worker = subprocess.Popen(
            [self.python, "-c", _START, *folders],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=os.environ | one_thread,
        )

    def _reason(self, allowed):
        """Say why the worker's answer stopped early: its signal, or the last line it printed."""
        worker = self.worker
        if worker is None:
            return "the data end early"
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(1)
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").splitlines()
        self.close()
        if worker.returncode == -getattr(signal, "SIGXCPU", 0):
            return f"reading it took more than {allowed} s"
        if worker.returncode < 0:
            return f"reading it ended by signal {-worker.returncode}"
        return lines[-1] if lines else f"reading it ended with status {worker.returncode}"


def _value(stream, path, large):
    """(names, value) of the answer in `stream`, which is checked as if a stranger had sent it."""
    (length,) = struct.unpack("<Q", _taken(stream, 8))
    if length > _MAX_TEXT:
        raise ValueError(f"its texts take more than {_MAX_TEXT} bytes")
    answer = json.loads(_taken(stream, length))
    if "error" in answer:
        raise Unreadable(str(answer["error"]))
    names = [str(name) for name in answer["names"]]
    if "value" not in answer:
        return names, None
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        if answer["version"] != [status.st_size, status.st_mtime_ns]:
            raise ValueError("it changed while it was read")
        return names, _decoded(answer["value"], stream, file, large)


def _taken(stream, count):
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data


def _decoded(value, stream, file, large):
    if isinstance(value, (str, bool, int, float)):
        return value
    shape = tuple(int(size) for size in value["shape"])
    if "cell" in value or "texts" in value:
        items = value.get("cell", value.get("texts"))
        array = np.empty(len(items), object)
        for index, item in enumerate(items):
            array[index] = _decoded(item, stream, file, large)
        return (array if "cell" in value else array.astype(str)).reshape(shape)
    dtype = np.dtype(str(value["dtype"]))
    if dtype.kind not in "fiubc":
        raise ValueError(f"expected numbers, received {dtype}")
    array = _numbers(value, dtype, shape, stream, file, large)
    return array if shape else array.item()


def _numbers(value, dtype, shape, stream, file, large):
    size = math.prod(shape) * dtype.itemsize
    if "offset" not in value or not size:
        array = np.empty(shape[::-1], np.uint8 if dtype.kind == "b" else dtype)
        if size and stream.readinto(array.reshape(-1).data.cast("B")) != size:
            raise EOFError
        return (array != 0 if dtype.kind == "b" else array).T
    if not 0 <= value["offset"] <= os.fstat(file.fileno()).st_size - size:
        raise ValueError("numbers beyond the end of the file")
    if size >= large:
        return np.memmap(file, dtype, "r", value["offset"], shape, "F")
    return np.fromfile(file, dtype, math.prod(shape), offset=value["offset"]).reshape(shape, order="F")
