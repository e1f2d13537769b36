"""Files appear whole whatever happens; locks end with their process."""

import errno
import multiprocessing
import os
import signal
import tempfile

import pytest

from zscmr.utils.files import alone, check_form, lock, temporary_folder, whole_file, whole_folder

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
    with whole_file(tmp_path / "file") as first, whole_file(tmp_path / "file") as second:
        assert first != second and not left.exists()
        first.write_text("one")
        second.write_text("other")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def leave_folder(path):
    tempfile.tempdir = str(path)
    (temporary_folder("scratch") / "file").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_temporary_folder_of_a_killed_process_goes_with_the_next(tmp_path, monkeypatch):
    process = multiprocessing.get_context("spawn").Process(target=leave_folder, args=(tmp_path,))
    process.start()
    process.join()
    (left,) = tmp_path.iterdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first, second = temporary_folder("scratch"), temporary_folder("scratch")
    assert not left.exists() and {first, second} == {*tmp_path.iterdir()} and not [*first.iterdir()]


def test_content_is_on_the_disk_before_its_name_is(tmp_path):
    calls = []

    def fsync(number):
        calls.append(os.path.basename(os.readlink(f"/proc/self/fd/{number}")).partition("-file")[0][:6])

    def replace(old, new):
        calls.append("replace")
        os.replace(old, new)

    with whole_file(tmp_path / "file", fsync, replace) as part:
        part.write_text("content")
    assert calls == [".part-", "replace", tmp_path.name[:6]]
    calls.clear()
    with whole_folder(tmp_path / "folder", fsync, replace) as part:
        (part / "inner").mkdir()
        (part / "inner/leaf").write_text("content")
    assert sorted(calls[:3]) == [".part-", "inner", "leaf"] and calls[3:] == ["replace", tmp_path.name[:6]]


@pytest.mark.parametrize(("number", "fails"), [(errno.EINVAL, False), (errno.ENOSPC, True), (errno.EIO, True)])
def test_a_full_disk_is_told_a_file_system_without_fsync_is_not(tmp_path, number, fails):
    def fsync(_):
        raise OSError(number, os.strerror(number))

    try:
        with whole_file(tmp_path / "file", fsync) as part:
            part.write_text("content")
        raised = False
    except OSError:
        raised = True
    assert raised == fails and (tmp_path / "file").exists() != fails


def hold(path, pipe):
    with lock(path):
        pipe.send("held")
        pipe.recv()


def test_lock_is_held_by_one_and_ends_with_its_process(tmp_path, refused):
    receiver, sender = multiprocessing.get_context("spawn").Pipe()
    holder = multiprocessing.get_context("spawn").Process(target=hold, args=(tmp_path / "lock", sender))
    holder.start()
    assert receiver.recv() == "held"

    def take():
        with lock(tmp_path / "lock", "somebody is at work here"):
            return "taken"

    assert refused(take) == "somebody is at work here"
    holder.kill()
    holder.join()
    assert take() == "taken" and list(tmp_path.iterdir()) == []


def count_up(path, start):
    start.wait()
    for _ in range(25):
        with lock(path.with_name("lock")):
            path.write_text(str(int(path.read_text()) + 1))


def test_a_lock_file_that_was_deleted_locks_nobody_out_and_nobody_in(tmp_path):
    """Each holder deletes the file: eight processes that wait for it lose no increment."""
    (tmp_path / "number").write_text("0")
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(8)
    workers = [spawn.Process(target=count_up, args=(tmp_path / "number", start)) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (tmp_path / "number").read_text() == "200" and [file.name for file in tmp_path.iterdir()] == ["number"]


def test_one_process_alone_and_other_names_of_the_folder(tmp_path, refused):
    (tmp_path / "link").symlink_to(tmp_path / "run")

    def second():
        with alone("--path", tmp_path / "link"):
            pass

    with alone("--path", tmp_path / "run"):
        assert refused(second) == f"--path {tmp_path / 'run'}: another process is at work there"
    second()
    assert [file.name for file in tmp_path.iterdir()] == ["link"]


def test_without_locks_there_is_a_warning(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with alone("--out", tmp_path / "file/out"):
        pass
    line = capsys.readouterr().err
    assert line.startswith(f"warning: {tmp_path / 'file'}: no lock (") and line.count("\n") == 1


FORM = {"a": [str], "b?": {"c": int | None}, "d?": range(1, 9), "e?": float | int, "f?": bool}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([], "expected an object, received a list"),
        ({"b": {"c": 1}}, "expected an entry 'a', received none"),
        ({"a": ["x", 1]}, "'a[]': expected a text, received a whole number"),
        ({"a": [], "b": {}}, "'b': expected an entry 'c', received none"),
        ({"a": [], "b": {"c": True}}, "'b.c': expected a whole number or null, received true or false"),
        ({"a": [], "d": 9}, "'d': expected a whole number from 1 to 8, received 9"),
        ({"a": [], "d": True}, "'d': expected a whole number, received true or false"),
        ({"a": [], "e": None}, "'e': expected a number or a whole number, received null"),
        ({"a": [], "f": 0}, "'f': expected true or false, received a whole number"),
    ],
)
def test_json_of_another_form_is_refused(refused, content, expected):
    check_form("f.json", {"a": ["x"], "b": {"c": None}, "d": 8, "e": 1, "f": True, "more": {}}, FORM)
    assert refused(check_form, "f.json", content, FORM).replace("f.json: ", "") == expected
