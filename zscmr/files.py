"""Files that appear whole, their hashes, and JSON."""

import hashlib
import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

from zscmr.errors import BadInput


def file_hash(path):
    """SHA-256 of a file's content, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _hash(file)


def _hash(file):  # Python 3.10
    digest = hashlib.sha256()
    for block in iter(lambda: file.read(2**20), b""):
        digest.update(block)
    return digest.hexdigest()


def existing_folder(option, folder):
    """`folder`, or the nearest one above it that exists. Raises BadInput if a file of that name is in the way."""
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise BadInput(f"{option}: expected a folder, received the file {there}")
    return there


@contextmanager
def whole_file(path):
    """Yields a path beside `path` to write to; the file takes its name only when the block ends without error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".part-{path.name}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def whole_folder(path):
    """Like `whole_file` for a folder that does not exist yet: yields an empty one that takes its name at the end."""
    path = Path(path)
    beside = path.with_name(f".part-{path.name}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
        os.replace(beside, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def read_json(path):
    """Content of a JSON file. Raises BadInput if it is missing or unreadable."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file") from error
    except ValueError as error:
        raise BadInput(f"{path}: not readable as JSON ({error})") from error


def write_json(path, content):
    """Write JSON, indented, in a file that appears whole."""
    with whole_file(path) as part:
        part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
