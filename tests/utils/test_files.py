"""Files appear whole whatever happens; locks end with their process."""

import multiprocessing
import os
import signal

import pytest

from zscmr.utils.files import lock, whole_file, whole_folder

SIZE = 200_000


def write_often(path, letter):
    for _ in range(20):
        with whole_file(path) as part:
            part.write_bytes(letter * SIZE)


def test_readers_see_one_version_whole_while_several_write(tmp_path):
    file, spawn = tmp_path / "file", multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=write_often, args=(file, letter)) for letter in (b"a", b"b", b"c")]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        if file.exists():
            content = file.read_bytes()
            seen.add((content[:1], len(content), content.count(content[:1])))
    assert all(writer.exitcode == 0 for writer in writers)
    assert seen and {(length, same) for _, length, same in seen} == {(SIZE, SIZE)}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_failed_write_leaves_what_was_there(tmp_path):
    (tmp_path / "file").write_text("before")
    with pytest.raises(RuntimeError), whole_file(tmp_path / "file") as part:
        part.write_text("half")
        raise RuntimeError
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "folder") as part:
        (part / "file").write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "before"


def leave_half(path):
    with whole_file(path) as part:
        part.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=leave_half, args=(tmp_path / "file",))
    process.start()
    process.join()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".part-")
    with whole_file(tmp_path / "file") as mine, whole_file(tmp_path / "file") as other:
        assert mine != other and not left.exists()
        mine.write_text("one")
        other.write_text("other")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def hold(path, pipe):
    with lock(path):
        pipe.send("held")
        pipe.recv()


def test_lock_is_held_by_one_and_ends_with_its_process(tmp_path, refused):
    here, there = multiprocessing.get_context("spawn").Pipe()
    holder = multiprocessing.get_context("spawn").Process(target=hold, args=(tmp_path / "lock", there))
    holder.start()
    assert here.recv() == "held"

    def take():
        with lock(tmp_path / "lock", "somebody is at work here"):
            return "taken"

    assert refused(take) == "somebody is at work here"
    holder.kill()
    holder.join()
    assert take() == "taken"
