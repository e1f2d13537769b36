"""The process that reads .mat files may crash, hang or run out of memory: the file is refused, the next one read."""

import io
import json
import multiprocessing
import os
import select
import signal
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from helpers.project import ROOT

from zscmr.formats import mat_process, matfiles

NUMBERS = np.arange(12.0).reshape(3, 4)
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and /proc are Linux's")


@pytest.fixture
def reader():
    reader = mat_process.Reader(seconds=1)
    yield reader
    reader.close()


@pytest.fixture
def good(tmp_path):
    matfiles.write(tmp_path / "good.mat", {"x": NUMBERS, "names": ["ant", "bee"]})
    return tmp_path / "good.mat"


def crashing(path):
    """An uncompressed 1 × 1 double whose data type code is unknown: SciPy's table of types is read out of bounds."""
    scipy.io.savemat(path, {"x": 7.0}, appendmat=False)
    content = bytearray(path.read_bytes())
    content[176] = 77
    path.write_bytes(content)
    return path


def test_a_crash_names_the_file_and_the_next_is_read(tmp_path, good, refused):
    path = crashing(tmp_path / "bad.mat")
    for _ in range(2):
        assert f"{path}: variable 'x' cannot be read (reading it ended by signal" in refused(matfiles.read, path, "x")
        np.testing.assert_array_equal(matfiles.read(good, "x"), NUMBERS)


@linux
@pytest.mark.slow
def test_a_worker_that_computes_without_end_is_ended(reader, good, monkeypatch):
    start = mat_process._START
    endless = "import _limit_time; _limit_time(1)\nwhile True: pass"
    loop = start.replace("import answer_requests; answer_requests()", endless)
    monkeypatch.setattr(mat_process, "_START", loop)
    with pytest.raises(mat_process.Unreadable, match="reading it took more than 1 s"):
        reader.read(good, "x", 1)
    monkeypatch.setattr(mat_process, "_START", start)
    assert reader.read(good, "x", 2**31)[1].shape == (3, 4)


@linux
def test_a_file_that_asks_for_too_much_memory_is_refused(reader, tmp_path, good):
    scipy.io.savemat(tmp_path / "a.mat", {"x": NUMBERS}, appendmat=False)
    content = bytearray((tmp_path / "a.mat").read_bytes())
    content[180:184] = struct.pack("<I", 2**32 - 8)  # the size of the numbers
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(mat_process.Unreadable, match="not enough memory"):
        reader.read(tmp_path / "a.mat", "x", 1)
    worker = reader.worker
    assert reader.read(good, "x", 2**31)[1].shape == (3, 4) and reader.worker is worker


def test_one_worker_reads_all_files_and_ends_when_closed(reader, good):
    reader.read(good, None, 1)
    worker = reader.worker
    assert reader.read(good, "none", 1) == (["x", "names"], None)
    assert reader.read(good, "names", 1)[1].tolist() == [["ant"], ["bee"]] and reader.worker is worker
    reader.close()
    assert worker.returncode is not None
    assert reader.read(good, "x", 1)[1].shape == (3, 4) and reader.worker is not worker


def test_a_worker_that_somebody_killed_is_replaced(reader, good):
    reader.read(good, None, 1)
    reader.worker.kill()
    reader.worker.wait()
    assert reader.read(good, None, 1)[0] == ["x", "names"]


def test_threads_take_turns(reader, good):
    read = []
    threads = [
        threading.Thread(target=lambda: read.extend(reader.read(good, "x", 2**31)[1].sum() for _ in range(20)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == [NUMBERS.sum()] * 80


def shape_of(path):
    return matfiles.read(path, "names").shape


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_of_other_kinds_have_a_worker_of_their_own(good, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    assert shape_of(good) == (2, 1)
    worker = mat_process.reader().worker.pid
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(shape_of, [good] * 6) == [(2, 1)] * 6
    assert shape_of(good) == (2, 1) and mat_process.reader().worker.pid == worker


PROGRAM = """
import sys; sys.path.insert(0, {root!r})
from zscmr.formats import mat_process, matfiles
matfiles.read({path!r}, "names")
print(mat_process.reader().worker.pid, flush=True)
input()
"""


@linux
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, None])
def test_the_worker_ends_with_its_parent_and_holds_no_tensorflow(tmp_path, good, ending):
    program = PROGRAM.format(root=str(ROOT), path=str(good))
    command = [sys.executable, "-c", program]  # no __main__ that could be imported again
    parent = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/"
    )
    worker = int(parent.stdout.readline())
    assert "tensorflow" not in Path(f"/proc/{worker}/maps").read_text()
    ended = os.pidfd_open(worker)
    parent.communicate(b"\n") if ending is None else parent.send_signal(ending)
    parent.wait()
    assert select.select([ended], [], [], 60)[0]
    os.close(ended)


def test_without_an_interpreter_files_are_read_in_this_process(good, tmp_path):
    reader = mat_process.Reader(python=None)
    assert reader.read(good, None, 1) == (["x", "names"], None)
    np.testing.assert_array_equal(reader.read(good, "x", 2**31)[1], NUMBERS)
    (tmp_path / "bad.mat").write_bytes(bytes(200))
    with pytest.raises(mat_process.Unreadable, match="neither MAT v5"):
        reader.read(tmp_path / "bad.mat", None, 1)


def test_a_worker_that_cannot_start_says_why(good, monkeypatch):
    monkeypatch.setattr(mat_process, "_START", "raise ImportError('no such thing')")
    with pytest.raises(mat_process.Unreadable, match="ImportError: no such thing"):
        mat_process.Reader().read(good, None, 1)


@pytest.mark.parametrize(
    ("value", "more"),
    [
        ({"dtype": "O", "shape": [1]}, bytes(8)),
        ({"dtype": "<f8", "shape": [2, 3]}, bytes(47)),
        ({"dtype": "<f8", "shape": [2, -3]}, bytes(48)),
        ({"dtype": "<f8", "shape": [2**40, 2**40]}, b""),
        ({"dtype": "<f8", "shape": [2**20, 2**20], "offset": 0}, b""),
        ({"dtype": "<f8", "shape": [1, 1], "offset": -8}, b""),
        ({"shape": [2, 2], "cell": ["one"]}, b""),
        ({"shape": [1, 1]}, b""),
        ([1, 2], b""),
        (None, b""),
    ],
)
def test_an_answer_is_checked(good, value, more):
    status = os.stat(good)
    answer = {"names": ["x"], "version": [status.st_size, status.st_mtime_ns], "value": value}
    text = json.dumps(answer).encode()
    with pytest.raises(Exception):  # noqa: B017 - `matfiles` makes one line of each
        mat_process._value(io.BytesIO(struct.pack("<Q", len(text)) + text + more), good, 1)


def test_another_version_of_the_file_is_refused(good):
    text = json.dumps({"names": ["x"], "version": [1, 2], "value": {"dtype": "<f8", "shape": [1, 1], "offset": 0}})
    with pytest.raises(ValueError, match="changed while it was read"):
        mat_process._value(io.BytesIO(struct.pack("<Q", len(text)) + text.encode()), good, 1)
