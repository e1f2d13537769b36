"""Command lines: a class of `Options` becomes an argument parser, and errors become one line."""

import argparse
import dataclasses
import difflib
import sys
import typing
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from zscmr.utils.console import complain
from zscmr.utils.errors import BadInput
from zscmr.utils.folders import expanded
from zscmr.utils.options import element_type, flag, flag_fields

LIKENESS = 0.7  # of two flags, from 0 to 1, above which one may be meant by the other


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        complain(f"{self.prog}: {message} (--help lists the options)")
        self.exit(2)

    def print_help(self, file=None):
        (file or sys.stdout).write(_encodable(self.format_help(), file or sys.stdout))


def _encodable(text, stream):
    """`text` with a question mark for each letter that the stream's encoding lacks."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def parse(settings_class, description, argv=None, constants_of=None, defaults_of=None):
    """Read a command line into an instance of `settings_class`.

    `constants_of`: a function of the namespace parsed so far that returns a further Options class, whose flags are
    read too; those given become the dict `constants` of the result. Where it raises BadInput, --help says so instead of
    listing them. `defaults_of`: a function of the same namespace that returns {field: value} of defaults that depend on
    other flags, for --help; where it raises BadInput they are not told. Flags cannot be abbreviated.
    """
    first = _first_look(settings_class, argv) if constants_of or defaults_of else None
    helping = bool({"-h", "--help"} & set(sys.argv[1:] if argv is None else argv))
    defaults = _defaults_or_none(defaults_of, first) if defaults_of and helping else {}
    parser = _parser(settings_class, description, defaults)
    further = None
    if constants_of:
        try:
            further = constants_of(first)
        except BadInput as error:
            if not helping:
                raise
            parser.epilog = f"The constants of the chosen system are not listed: {error}"
        else:
            group = parser.add_argument_group("constants of the chosen system (left out: the preset's)")
            _add_flags(group, further, False, defaults)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    namespace, unknown = parser.parse_known_args(argv)
    if unknown:
        fields = flag_fields(settings_class) + (flag_fields(further) if further else [])
        known = [flag(field.name) for field in fields if not field.metadata["positional"]]
        near = difflib.get_close_matches(unknown[0].partition("=")[0], known, 1, LIKENESS)
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{f'; did you mean {near[0]}?' if near else ''}")
    parsed = {name: value for name, value in vars(namespace).items() if value is not None}
    parsed.pop("debug")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in parsed.items()}
    if further:
        values["constants"] = {f.name: values.pop(f.name) for f in flag_fields(further) if f.name in values}
    settings = settings_class(**values)
    object.__setattr__(settings, "given", frozenset(values))
    return settings


def _first_look(settings_class, argv):
    """The namespace of what is given, whatever else is missing or unknown."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    _add_flags(parser, settings_class, False, {})
    return parser.parse_known_args(argv)[0]


def _defaults_or_none(defaults_of, given):
    try:
        return defaults_of(given)
    except BadInput:
        return {}


def _parser(settings_class, description, defaults=MappingProxyType({}), **options):
    formatter = argparse.RawDescriptionHelpFormatter
    parser = _Parser(description=description.strip(), formatter_class=formatter, allow_abbrev=False, **options)
    _add_flags(parser, settings_class, True, defaults)
    return parser


def _add_flags(parser, options_class, with_defaults, defaults):
    """Add a flag for each field; what is not given is absent from the parsed namespace.

    `with_defaults`: name the fields' own defaults in the help. `defaults`: {field: value} to name in place of None.
    """
    hints = typing.get_type_hints(options_class)
    for field in flag_fields(options_class):
        kind, many = element_type(hints[field.name])
        required = field.default is dataclasses.MISSING
        default = defaults.get(field.name, field.default if with_defaults and not required else None)
        silent = default is None or default is False or default == ()
        shown = field.metadata["usual"] if silent else default
        shown = f" (default: {shown})" if shown != "" else ""
        options = {"help": (field.metadata["help"] + shown).replace("%", "%%"), "default": argparse.SUPPRESS}
        if kind is bool:
            options["action"] = "store_true"
        else:
            options |= {
                "type": _path if kind is Path else kind,
                "choices": field.metadata["choices"],
                "metavar": field.metadata["metavar"],
            }
        if many:
            options["nargs"] = "+"
        if field.metadata["positional"]:
            options |= {} if required else {"nargs": "?", "default": None}  # SUPPRESS would be read as a value
            parser.add_argument(field.name, **options)
        else:
            parser.add_argument(flag(field.name), required=required and with_defaults, **options)


def _path(text):
    return expanded(Path(text))


def run(main, settings_class, description, argv=None, constants_of=None, defaults_of=None):
    """Parse the command line, call `main(settings)`, and exit with the promised status (`exits`).

    Args:
      main: function of an instance of `settings_class`.
      settings_class: an Options class, whose fields are the flags.
      description: text of --help.
      argv: the flags; left out: those of the process.
      constants_of, defaults_of: see `parse`.
    """
    with exits(argv):
        main(parse(settings_class, description, argv, constants_of, defaults_of))


@contextmanager
def exits(argv=None):
    """End the process as promised if the block raises; `--debug` among the flags `argv` shows tracebacks.

    Status 2 with one line on standard error on bad input, 130 on Ctrl-C.
    """
    name, debug = Path(sys.argv[0]).name, "--debug" in (sys.argv[1:] if argv is None else argv)
    try:
        yield
    except (BadInput, OSError) as error:
        if debug:
            raise
        complain(f"{name}: {_described(error)}")
        sys.exit(2)
    except KeyboardInterrupt as stop:
        complain(str(stop) or "interrupted")
        sys.exit(130)


def _described(error):
    if isinstance(error, BadInput):
        return error
    return f"{error.filename or 'file'}: {error.strerror or error}"  # no permission, disk full, a folder for a file
