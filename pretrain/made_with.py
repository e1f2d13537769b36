"""What pictures.json says features were made with: written, and told apart from that of others."""

import json
from pathlib import Path

from cli import whole_file
from UxUyLoader import PICTURES

PLACES = ("photos", "sketches", "weights_file")  # of pictures.json: what may have moved


def differences(present, recipe):
    """In which keys the contents of two pictures.json differ, where files lie and which were skipped apart."""
    besides = {"skipped", *PLACES}
    return [key for key in {**recipe, **present} if key not in besides and present.get(key) != recipe.get(key)]


def changes(present, recipe):
    """`differences`, and which pictures are others: alike in names and sizes, while those of `present` are still there,
    so that they have not moved."""
    others = [key for key in ("photos", "sketches") if present.get(key) not in (None, recipe[key])]
    return differences(present, recipe) + [key for key in others if Path(present[key]).exists()]


def write(out, made_with):
    with whole_file(out / PICTURES) as part:
        part.write_text(json.dumps(made_with, indent=1), encoding="utf-8")
