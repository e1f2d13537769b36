"""Settings as frozen dataclasses: each field knows its flag, help, choices and range, and is checked when made."""

import dataclasses
import numbers
import shlex
import types
import typing
from pathlib import Path

from zscmr.utils.errors import BadInput


def setting(default=dataclasses.MISSING, help="", choices=None, metavar=None, positional=False, usual="", **limits):
    """A field of an `Options` class that becomes a command-line option.

    Without `default` the option is required. `choices` may be any iterable of strings. `usual`: what stands for a
    default of None, for --help where its value is not known. `limits`: `least` (≥), `above` (>) and `below` (<) bound
    each number given; None is always allowed where it is the default.
    """
    metadata = {"help": help, "choices": choices, "metavar": metavar, "positional": positional, "limits": limits}
    metadata["usual"] = usual
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Options:
    """Base of all settings. Raises BadInput when a field made by `setting` is out of its range or choices.

    `given` holds the names of the fields that were chosen: on the command line, or by differing from the default.
    """

    def __post_init__(self):
        for field in flag_fields(self):
            value = getattr(self, field.name)
            for number in value if isinstance(value, tuple) else (value,):
                _check_range(field, number)
        chosen = [field.name for field in dataclasses.fields(self) if getattr(self, field.name) != field.default]
        object.__setattr__(self, "given", frozenset(chosen))

    def stored(self):
        """The fields as JSON holds them, {name: value}."""
        return {field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def parsed(cls, stored):
        """The values of fields in the dict `stored`, as `stored` wrote them, of the fields' types; others left out.

        Raises BadInput for a value of another type.
        """
        hints = typing.get_type_hints(cls)
        fields = [field for field in dataclasses.fields(cls) if field.name in stored]
        return {field.name: _parsed(field, hints[field.name], stored[field.name]) for field in fields}


def _parsed(field, hint, value):
    kind, several = element_type(hint)
    if value is None and field.default is None:
        return None
    values = value if several and isinstance(value, list) else [value]
    expected = {Path: str, float: (int, float)}.get(kind, kind)
    fits = all(isinstance(each, expected) and (kind is bool) == isinstance(each, bool) for each in values)
    if not fits or several != isinstance(value, list):
        many = "a list of " if several else ""
        raise BadInput(f"{flag(field.name)}: expected {many}{kind.__name__}, received {ascii(value)[:80]}")
    values = [Path(each) if kind is Path else each for each in values]
    return tuple(values) if several else values[0]


def plain(value):
    """A field's value as JSON holds it: a path is a text, a tuple a list."""
    return (
        str(value)
        if isinstance(value, Path)
        else [plain(item) for item in value]
        if isinstance(value, tuple)
        else value
    )


def element_type(hint):
    """(constructor, takes several) of an annotation such as `int`, `Path | None`, `tuple[str, ...]`."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(arm for arm in typing.get_args(hint) if arm is not type(None))
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], True
    return hint, False


def flag_fields(options):
    """The fields of an Options class or instance that are flags."""
    return [field for field in dataclasses.fields(options) if "help" in field.metadata]


def _check_range(field, value):
    limits, choices = field.metadata["limits"], field.metadata["choices"]
    if value is None or value == field.default:
        return
    if limits and not isinstance(value, numbers.Real):
        raise BadInput(f"{flag(field.name)}: expected a number, received {ascii(value)[:80]}")
    if choices and value not in tuple(choices):
        raise BadInput(f"{flag(field.name)}: expected any of {', '.join(map(str, choices))}, received {value}")
    least, above, below = (limits.get(name) for name in ("least", "above", "below"))
    in_range = (least is None or value >= least) and (above is None or value > above)
    if in_range and (below is None or value < below):
        return
    expected = f"above {above}" if least is None else f"at least {least}"
    if below is not None:
        expected = f"from {least} to below {below}"
    raise BadInput(f"{flag(field.name)} should be {expected}, received {value}")


def flag(name):
    """The option of a settings field, `batch_size` -> `--batch-size`."""
    return "--" + name.replace("_", "-")


def command(script, options):
    """The shell line that runs `script` with `options`, defaults left out; for messages that can be copied."""
    positional, flags = [], []
    for field in flag_fields(options):
        value = getattr(options, field.name)
        if value == field.default:
            continue
        values = [] if value is True else [str(item) for item in (value if isinstance(value, tuple) else (value,))]
        if field.metadata["positional"]:
            positional += values
        else:
            flags += [flag(field.name), *values]
    return shlex.join(["python", script, *positional, *flags])
