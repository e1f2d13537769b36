"""Files that appear whole, their hashes, and JSON."""

import errno
import glob
import hashlib
import json
import os
import platform
import secrets
import shutil
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import get_args

from zscmr.utils.console import warn
from zscmr.utils.errors import BadInput, first_line


def file_hash(path, algorithm="sha256"):
    """Digest of a file's content, as hexadecimal digits."""
    digest = hashlib.new(algorithm)
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(2**20), b""):
            digest.update(block)
    return digest.hexdigest()


def read_bytes(path):
    """The content of a file. Raises BadInput if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error


def is_uri(path):
    """Whether a path or text names object storage (s3://…), not a local file."""
    return "://" in str(path)


def existing_folder(option, folder):
    """`folder`, or its nearest parent that exists. Raises BadInput if that is a file."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not nearest.is_dir():
        raise BadInput(f"{option}: expected a folder, received the file {nearest}")
    return nearest


@contextmanager
def whole_file(path, fsync=os.fsync, replace=os.replace):
    """Yield a path in the same folder to write to; the file takes its name only when the block ends without error.

    Temporary names are unique: several processes may write the same file at once, and readers see one complete
    version. The content is on the disk before the name is, so that a power cut leaves the old file or the new one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part_name(path)
    try:
        yield part
        _appear([part], part, path, fsync, replace)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path, fsync=os.fsync, replace=os.replace):
    """Like `whole_file` for a folder that does not exist yet: yield an empty one that takes its name at the end."""
    path = Path(path)
    part = _part_name(path)
    part.mkdir(parents=True)
    try:
        yield part
        _appear([*part.rglob("*"), part], part, path, fsync, replace)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def temporary_folder(name):
    """Return a new folder of the system's temporary ones; delete those of that name whose processes are dead."""
    folder = _part_name(Path(tempfile.gettempdir()) / name)
    folder.mkdir(mode=0o700)
    return folder


def _appear(written, part, path, fsync, replace):
    """Rename `part` to `path` between the fsyncs of what was `written` and of the folder that holds the name."""
    for each in written:
        _sync(each, fsync)
    replace(part, path)
    _sync(path.parent, fsync)


def _sync(path, fsync):
    """fsync a file or folder. Not every system lets a folder be opened, nor every file system be synchronised."""
    try:
        number = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    except OSError:
        return
    try:
        fsync(number)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EROFS):
            raise  # no space left, or the disk failed
    finally:
        os.close(number)


def _part_name(path):
    """Return a temporary name in the same folder, different at each call; delete leftovers of dead processes."""
    start = f".part-{platform.node() or 'host'}-"
    for stale in path.parent.glob(f"{glob.escape(start)}*-{glob.escape(path.name)}"):
        pid = stale.name.removeprefix(start).partition("-")[0]
        if pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(stale, ignore_errors=True) if stale.is_dir() else stale.unlink(missing_ok=True)
    return path.with_name(f"{start}{os.getpid()}-{secrets.token_hex(4)}-{path.name}")


def _alive(pid):
    """Whether a process of this machine has the number; True on systems that cannot say."""
    if os.name != "posix":  # on Windows os.kill ends the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def alone(option, path):
    """Keep other processes from working on the file or folder `path`, given by `option`, while the block runs.

    Raises BadInput if one does. Where no lock can be taken, warns and goes on.
    """
    path = Path(path).resolve()
    with ExitStack() as stack:
        try:
            refusal = f"{option} {path}: another process is at work there"
            stack.enter_context(lock(path.with_name(f".{path.name}.in-use.lock"), refusal))
        except OSError as error:
            warn(f"{path.parent}: no lock ({error.strerror}); do not start a second process on {path.name}")
        yield


@contextmanager
def lock(path, refusal=None):
    """Hold the lock file `path` within the block. Other processes wait, or raise BadInput(`refusal`).

    The system holds the lock for the open file: it ends with its process, on whatever machine or in whatever container
    that runs. Raises OSError where the file system has no locks or cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with open(path, "a+b") as file:
            if not _take(file, wait=refusal is None):
                raise BadInput(refusal)
            if not _is_at(file, path):  # its last holder deleted it while this process waited
                continue
            try:
                yield
            finally:
                with suppress(OSError):  # Windows keeps open files
                    path.unlink()
            return


def _is_at(file, path):
    """Whether an open file still has the name `path`."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _take(file, wait):
    """Lock an open file for this process; False if another holds it and `wait` is not set."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        while True:
            file.seek(0)
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                return True
            except OSError:
                if not wait:
                    return False
                time.sleep(0.1)
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def read_json(path, form=dict):
    """Content of a JSON file. Raises BadInput if it is missing, unreadable, or not of the `form` (see `check_form`)."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not readable as JSON ({first_line(error)})") from error
    check_form(path, content, form)
    return content


def check_form(file, content, form, key=""):
    """Raise BadInput unless JSON has a form.

    Args:
        file: it was read from, for the message.
        content: what was read.
        form: a type, a union of types, or a range of whole numbers; [form] of the items of a list; {key: form}, in
            which a key that ends in "?" may be missing and keys that are not listed are ignored.
        key: of `content` in the file, for the message.
    """
    location = f"{file}: '{key}'" if key else str(file)
    kinds = get_args(form) or ({range: int}.get(type(form), form if isinstance(form, type) else type(form)),)
    if not isinstance(content, kinds) or (isinstance(content, bool) and bool not in kinds and object not in kinds):
        raise BadInput(f"{location}: expected {' or '.join(map(_NAMES.get, kinds))}, received {_NAMES[type(content)]}")
    if isinstance(form, range) and content not in form:
        raise BadInput(
            f"{location}: expected a whole number from {form[0]} to {form[-1]}, received {str(content)[:40]}"
        )
    if isinstance(form, list):
        for item in content:
            check_form(file, item, form[0], f"{key}[]")
    elif isinstance(form, dict):
        for name, part in form.items():
            name, optional = name.removesuffix("?"), name.endswith("?")
            if name in content:
                check_form(file, content[name], part, f"{key}.{name}".lstrip("."))
            elif not optional:
                raise BadInput(f"{location}: expected an entry '{name}', received none")


_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
    object: "anything",
}


def json_round_trip(content):
    """Return `content` written to JSON and read back: tuples become lists, other types their text."""
    return json.loads(json.dumps(content, default=str))


def write_json(path, content):
    """Write JSON, indented, in a file that appears whole."""
    with whole_file(path) as part:
        part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
