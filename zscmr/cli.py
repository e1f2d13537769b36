"""Command lines: a frozen dataclass of settings becomes an argument parser, and errors become one line.

A command declares its settings; `run` parses them, calls `main(settings)`, and sets the exit status.
"""

import argparse
import dataclasses
import shlex
import sys
import types
import typing
from pathlib import Path

from zscmr.console import complain
from zscmr.errors import BadInput


def setting(default=dataclasses.MISSING, help="", choices=None, metavar=None, positional=False):
    """A field of a settings dataclass that becomes a command-line option.

    Without `default` the option is required. `choices` may be any iterable of strings.
    """
    metadata = {"help": help, "choices": choices, "metavar": metavar, "positional": positional}
    return dataclasses.field(default=default, metadata=metadata)


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
        complain(f"{Path(sys.argv[0]).name}: {error}")
        sys.exit(2)
    except OSError as error:  # no permission, disk full, a folder where a file should be
        complain(f"{Path(sys.argv[0]).name}: {error.filename or 'file'}: {error.strerror or error}")
        sys.exit(2)
    except KeyboardInterrupt as stop:
        complain(str(stop) or "interrupted")
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
