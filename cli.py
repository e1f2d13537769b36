"""What every script of the project shares: settings, errors in one line, progress, files that appear whole.

A script declares one frozen dataclass of settings; `run` builds its command line from it, calls its
`main(settings)`, and turns a `BadInput` into one line on standard error and exit status 2.
"""

import argparse
import dataclasses
import hashlib
import logging
import os
import shlex
import shutil
import sys
import tempfile
import time
import types
import typing
from contextlib import contextmanager
from pathlib import Path


class BadInput(Exception):
    """Something the user gave cannot be used. The message is one line that names the file, key, shape or flag."""


def setting(default=dataclasses.MISSING, help="", choices=None, metavar=None, positional=False):
    """A field of a settings dataclass that becomes a command-line option.

    Without `default` the option is required. `choices` may be any iterable of strings.
    """
    metadata = {"help": help, "choices": choices, "metavar": metavar, "positional": positional}
    return dataclasses.field(default=default, metadata=metadata)


def say(message):
    """Prints one line of the running account, at once even into a pipe; where nobody reads on (`… | head`), the work
    goes on unheard, for what it is about are its files."""
    _print(message, sys.stdout)


def warn(message):
    """Prints one warning line on standard error."""
    _print(f"warning: {message}", sys.stderr)


def _print(line, stream):
    try:
        print(line, file=stream, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message} (--help lists the options)\n")


def parse(settings_class, description, argv=None):
    """Reads a command line into an instance of `settings_class` (fields made by `setting`)."""
    parser = _Parser(description=description.strip(), formatter_class=argparse.RawDescriptionHelpFormatter)
    hints = typing.get_type_hints(settings_class)
    for field in dataclasses.fields(settings_class):
        kind, many = _element_type(hints[field.name])
        required = field.default is dataclasses.MISSING
        silent = required or field.default is None or field.default is False or field.default == ()
        shown = "" if silent else f" (default: {field.default})"
        options = {"help": (field.metadata["help"] + shown).replace("%", "%%")}
        if not required:
            options["default"] = field.default
        if kind is bool:
            options["action"] = "store_true"
        else:
            options |= {"type": kind, "choices": field.metadata["choices"], "metavar": field.metadata["metavar"]}
        if many:
            options["nargs"] = "+"
        if field.metadata["positional"]:
            parser.add_argument(field.name, **options, **({} if required else {"nargs": "?"}))
        else:
            parser.add_argument(flag(field.name), required=required, **options)
    given = vars(parser.parse_args(argv))
    return settings_class(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})


def _element_type(hint):
    """(constructor, takes several) of an annotation such as `int`, `Path | None`, `tuple[str, ...]`."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(arm for arm in typing.get_args(hint) if arm is not type(None))
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], True
    return hint, False


def run(main, settings_class, description, argv=None):
    """Parses the command line, calls `main(settings)`, and leaves the process with the promised exit status.

    0 on success, 2 with one line on standard error on bad input, 130 on Ctrl-C.
    """
    settings = parse(settings_class, description, argv)
    try:
        main(settings)
    except BadInput as error:
        _print(f"{Path(sys.argv[0]).name}: {error}", sys.stderr)
        sys.exit(2)
    except OSError as error:  # no permission, disk full, a folder where a file should be
        _print(f"{Path(sys.argv[0]).name}: {error.filename or 'file'}: {error.strerror or error}", sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as stop:
        _print(str(stop) or "interrupted", sys.stderr)
        sys.exit(130)


def flag(name):
    """The option of a settings field, `batch_size` -> `--batch-size`."""
    return "--" + name.replace("_", "-")


def command(script, settings):
    """The shell line that runs `script` with `settings`, defaults left out; for messages that can be copied."""
    positional, options = [], []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value == field.default:
            continue
        words = [] if value is True else map(str, value if isinstance(value, tuple) else (value,))
        if field.metadata["positional"]:
            positional += words
        else:
            options += [flag(field.name), *words]
    return shlex.join(["python", script, *positional, *options])


def import_tensorflow():
    """Imports and returns TensorFlow without its start-up chatter, which goes to the file descriptor directly and
    heeds no environment variable (tensorflow issue 100442). What it said is shown after all if the import fails."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        failed = True
        try:
            import tensorflow

            failed = False
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            if failed:
                chatter.seek(0)
                sys.stderr.write(chatter.read().decode(errors="replace"))
    return tensorflow


def track(sequence, label, total=None):
    """Yields the items of `sequence` behind a progress bar; in a pipe, a line about every ten seconds instead."""
    total = len(sequence) if total is None else total
    if sys.stderr.isatty():
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, transient=True) as bars:
            yield from bars.track(sequence, total=total)
        return
    told = time.monotonic()
    for done, item in enumerate(sequence):
        if time.monotonic() - told > 10:
            told = time.monotonic()
            say(f"{label} {done}/{total}")
        yield item


def file_hash(path):
    """SHA-256 of a file's content, as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
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
