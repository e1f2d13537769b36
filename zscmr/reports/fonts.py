"""Fonts for names in any script: which installed families have their letters, and a sign for letters none has.

Without them Matplotlib prints a warning for each letter that its own font lacks.
"""

import logging
import unicodedata
from functools import cache, lru_cache

MISSING = "□"  # in place of control characters and of letters that no installed font has
_NO_LETTERS = ("Last Resort", "STIX", "cm")  # families that have boxes, or mathematics, in place of letters


def legible(text):
    """`text` without invisible format characters; what no installed font has, and control characters, as □.

    Line breaks stay.
    """
    letters = []
    for letter in text:
        kind = unicodedata.category(letter)
        if letter == "\n" or (kind not in ("Cc", "Cf", "Cs") and _family_of(letter)):
            letters.append(letter)
        elif kind[0] == "Z":
            letters.append(" ")
        elif kind not in ("Cf", "Mn"):  # neither takes room of its own
            letters.append(MISSING)
    return "".join(letters)


def families(text):
    """Font families that together have all letters of a `legible` text, the default first."""
    return list(dict.fromkeys([_default(), *filter(None, map(_family_of, text))]))


def look(text):
    """Properties of a Matplotlib text that holds `text`: fonts that have its letters, and a $ is no mathematics."""
    return {"fontfamily": families(text), "parse_math": False}


@lru_cache(maxsize=2**14)
def _family_of(letter):
    """The first family with a letter; empty if there is none."""
    if letter == "\n":
        return _default()
    return next((family for family in _families() if ord(letter) in _letters(family)), "")


@lru_cache(maxsize=1)
def _default():
    from matplotlib import font_manager

    return font_manager.FontProperties(family=font_manager.FontProperties().get_family()).get_name()


@lru_cache(maxsize=1)
def _families():
    """{family: its files} as installed, the default first, then those without serifs."""
    from matplotlib import font_manager

    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # it logs each weight that a family lacks
    files = {}
    for entry in font_manager.fontManager.ttflist:
        if not entry.name.startswith(_NO_LETTERS):
            files.setdefault(entry.name, set()).add(entry.fname)
    order = sorted(files, key=lambda name: (name != _default(), "Sans" not in name, "Mono" in name, name))
    return {name: files[name] for name in order}


@cache
def _letters(family):
    """Code points that every file of a family has: figures write in two weights."""
    from matplotlib import font_manager

    try:
        charmaps = [set(font_manager.get_font(file).get_charmap()) for file in _families()[family]]
    except (OSError, RuntimeError):  # FreeType cannot read it: colour bitmaps, say
        return frozenset()
    return frozenset(set.intersection(*charmaps))
