"""Class names: how they are compared, lists of unseen ones, and the seen/unseen split."""

import codecs
import difflib
import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zscmr.utils.errors import BadInput, first_line
from zscmr.utils.seeds import generator

SPLITS = Path(__file__).with_name("splits")  # unseen lists of the literature
UNSEEN = "unseen.txt"  # of a dataset directory: names of its unseen classes


def class_key(name):
    """Return the form in which class names are compared: without case, spaces, `_`, `-`, and in one Unicode form."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", str(name)).casefold())
    return "".join(letter for letter in folded if letter not in " _-")


def class_indices(names):
    """{key: index} of class names, to look others up by `class_key`."""
    return {class_key(name): index for index, name in enumerate(names)}


def class_positions(names, present, origin):
    """Index in `present` of each class name in `names`, compared by `class_key`.

    Raises BadInput naming the first class that `present` lacks and the nearest spellings, or one that occurs twice in
    it. `origin` describes `present` in the message.
    """
    position = {}
    for index, name in enumerate(present):
        if position.setdefault(class_key(name), index) != index:
            raise BadInput(f"{origin}: class '{name}' occurs twice (case, spaces, '_' and '-' do not count)")
    missing = [name for name in names if class_key(name) not in position]
    if missing:
        near = difflib.get_close_matches(class_key(missing[0]), position, n=3)
        hint = f"; nearest: {', '.join(present[position[key]] for key in near)}" if near else ""
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise BadInput(f"{origin}: no class '{missing[0]}'{more}{hint}")
    return np.array([position[class_key(name)] for name in names], dtype=np.int64)


def read_class_list(path, may_be_empty=False):
    """Class names of a text file, one a line; `#` starts a comment.

    `path`: of a file in UTF-8, or in UTF-16 with a byte-order mark; or the name of a list in `SPLITS`, such as
    sketchy-25-sake, where no file is called so. Raises BadInput if it is missing, no text, or empty but for
    `may_be_empty`.
    """
    try:
        text = _decoded(_list_file(path).read_bytes())
    except (OSError, ValueError) as error:  # ValueError: UnicodeDecodeError, a null in the path
        raise BadInput(f"{path}: not a readable list of class names ({first_line(error)})") from error
    names = [line.split("#")[0].strip() for line in text.splitlines()]
    names = [name for name in names if name]
    if not names and not may_be_empty:
        raise BadInput(f"{path}: no class names in it")
    return names


def _list_file(path):
    """The file itself, or that of the list in `SPLITS` of this name. Raises BadInput if there is neither."""
    path = Path(path)
    if os.path.exists(path):
        return path
    lists = {file.stem: file for file in SPLITS.glob("*.txt")}
    if str(path) in lists:
        return lists[str(path)]
    hint = f"; lists that come with zscmr: {', '.join(sorted(lists))}" if len(path.parts) == 1 else ""
    raise BadInput(f"{path}: no such file{hint}")


def _decoded(content):
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if marked else "utf-8-sig").replace("\ufeff", "")  # marks of files joined
    if "\0" in text:
        raise ValueError("it holds null characters; save it as UTF-8")
    return text


@dataclass(frozen=True)
class Split:
    """Class indices, disjoint.

    Args:
        seen: classes to train on.
        held_out: seen classes that are not trained on; the epoch is chosen by them.
        unseen: classes of the final evaluation only.
    """

    seen: np.ndarray
    held_out: np.ndarray
    unseen: np.ndarray

    def names(self, classes):
        """The same as class names, for the run's config.json."""
        parts = {"seen": self.seen, "held_out": self.held_out, "unseen": self.unseen}
        return {part: [classes[label] for label in labels] for part, labels in parts.items()}


def split_classes(classes, unseen_names, path, held_out_share=0.1, seed=0, fewest_seen=2):
    """Split the classes by an unseen list and hold out some of the seen ones for model selection.

    Args:
        classes: C names.
        unseen_names: names of the unseen classes.
        path: describes the unseen list in messages.
        held_out_share: part of the seen classes, from 0; at least 2 classes if it is not 0.
        seed: determines the held-out classes, together with the number of seen ones.
        fewest_seen: classes that have to remain.

    Raises BadInput for an unknown or repeated unseen class, or when fewer than `fewest_seen` seen classes remain.
    """
    unseen = np.sort(class_positions(unseen_names, classes, path))
    if len(repeated := unseen[:-1][np.diff(unseen) == 0]):
        raise BadInput(f"{path}: class '{classes[repeated[0]]}' occurs twice (case, spaces, '_' and '-' do not count)")
    seen = np.setdiff1d(np.arange(len(classes)), unseen)
    count = max(2, round(held_out_share * len(seen))) if held_out_share > 0 else 0
    if len(seen) - count < fewest_seen:
        cause = f"{path}: {len(unseen)} of {len(classes)} classes unseen"
        if len(seen) >= fewest_seen:
            cause = f"--held-out {held_out_share:g}: {count} of {len(seen)} seen classes held out"
        raise BadInput(f"{cause} leaves too few to train on")
    held_out = np.sort(seen[generator(seed, "held-out classes").permutation(len(seen))[:count]])
    return Split(seen=np.setdiff1d(seen, held_out), held_out=held_out, unseen=unseen)


def read_split(dataset, unseen_file, held_out_share, seed):
    """Split the classes of a dataset by the list `unseen_file`, or by unseen.txt of its directory if that is None.

    unseen.txt may be empty: all classes are trained on.
    """
    file = unseen_file or dataset.directory / UNSEEN
    names = read_class_list(file, may_be_empty=unseen_file is None)
    return split_classes(dataset.classes, names, file, held_out_share, seed)


def leak(subject, trained, unseen):
    """Return a sentence on the `unseen` class names that are among the `trained` ones, empty if there are none.

    `subject`: with its verb, such as "the run was".
    """
    keys = set(map(class_key, trained))
    leaked = [name for name in unseen if class_key(name) in keys]
    if not leaked:
        return ""
    return f"{subject} trained on {len(leaked)} of the {len(unseen)} unseen classes, {leaked[0]} among them"
