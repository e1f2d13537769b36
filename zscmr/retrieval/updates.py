"""A gallery brought up to date with a folder: what is new is embedded, what is gone is dropped."""

from contextlib import contextmanager
from dataclasses import dataclass, replace

from zscmr.datasets.classes import class_key
from zscmr.datasets.crayons import photo_colours
from zscmr.datasets.listing import shown
from zscmr.datasets.pictures import ahead, read_date, read_thumbnail
from zscmr.retrieval.schema import UNKNOWN, File, packed_colours, picture_id, rows
from zscmr.retrieval.sources import open_source
from zscmr.retrieval.thumbnails import SIDE, thumbnail
from zscmr.utils.console import Once, Progress
from zscmr.utils.errors import BadInput

BLOCK = 1024  # pictures of a commit; LanceDB compares the ids of concurrent commits by filters for 8,192
FIRST = 64  # of the first; each has twice as many as the one before: the page soon has something to search


@dataclass(frozen=True)
class Update:
    """What an update did: pictures `added`, `kept` as they were, and `removed`, replaced ones included."""

    added: int
    kept: int
    removed: int
    left_out: str = ""  # files that cannot be read, by kind: "2 HEIC, 1 video, 1 broken"

    @property
    def counts(self) -> str:
        """The three numbers in words."""
        return f"{self.added} added, {self.kept} kept, {self.removed} replaced or gone"


@dataclass(frozen=True)
class AddRules:
    """How `Table.update` follows a folder.

    Args:
        follow_links: take what links that lead out of the folder point to.
        forget: drop rows even if the folder has gone, or has lost more than half of its pictures.
        once: prints the warnings of all updates by these rules, each once; None: every update warns of all.
    """

    follow_links: bool = False
    forget: bool = False
    once: Once | None = None


DEFAULT_RULES = AddRules()


def update(table, modality, folder, encoder, progress=None, cluster=None, rules=DEFAULT_RULES):
    """Bring the gallery up to date with a folder or URI: embed new and changed pictures, drop those that are gone.

    A row is dropped only if the folder of its file was listed and the file is not in it; `_lost` has the rules.
    A call that was killed is continued by the next. Warns of pictures that cannot be read.

    Args:
        table: a `Table`.
        modality: what the pictures are, "photo" or "sketch".
        folder: a folder, or a URI.
        encoder: a `ModalityEncoder`.
        progress: called with (done, total) in place of a progress bar.
        cluster: a `Cluster` that embeds in place of `encoder`.
        rules: an `AddRules`.

    Returns an `Update`. Raises BadInput for a folder without a readable picture.
    """
    rules = replace(rules, once=rules.once or Once())
    source, before, listed = _compared(table, modality, folder, rules)
    if modality == "photo":
        table.add_colours()
    names = {class_key(name): name for name in table.class_names()}
    files = [_described(file, source.root_name, names) for file in listed]
    unchanged = {file.path for file in files if before.get(file.path) == file}
    new = [file for file in files if file.path not in unchanged]
    missing = before.keys() - {file.path for file in files}
    lost = _lost(folder, source, before, missing, rules)
    with _progress(progress, f"{modality}: embeddings", len(new)) as step:
        embedded = cluster.embedded if cluster else _embedded
        added = embedded(table, modality, source, new, encoder, step, rules.once)
    if new and not added and not unchanged:
        raise BadInput(f"--add {folder}: none of its pictures can be read")
    unchanged |= missing - lost
    gone = before.keys() - unchanged
    table.delete([picture_id(modality, path) for path in gone - added])
    if modality == "photo":
        _fill_colours(table, source, progress)
    table.note(source.root, modality, changed=bool(added or gone))
    table.compact()
    left_out = source.left_out(), f"{len(new) - len(added)} broken" if len(new) > len(added) else ""
    return Update(len(added), len(unchanged), len(gone), ", ".join(filter(None, left_out)))


def check_source(table, modality, folder):
    """Refuse a folder or URI without pictures, unless some were added from there: raises BadInput."""
    if not open_source(folder).has_pictures():
        _compared(table, modality, folder)


def _compared(table, modality, folder, rules=DEFAULT_RULES):
    """(source, {path: file added from it}, [files in it now]), without files that are the run's own."""
    source = open_source(folder, rules.follow_links)
    before, unmanaged = table.listed(modality, source.root)
    listed = [file for file in source.files(rules.once) if file.path not in unmanaged]
    if not listed and not before and not unmanaged:
        raise BadInput(f"--add {folder}: {source.why_empty()}")
    return source, before, listed


def _lost(folder, source, before, missing, rules):
    """The paths of rows to be dropped, of those whose files are `missing`; warns of all that stay.

    A row stays where its file may be there all the same (`Folder.doubts`). All stay if the folder is gone, or
    has lost more than half of its pictures, as if a drive were missing; `forget` drops them.
    """
    lost, forget, warn = set(missing), rules.forget, rules.once.warn
    for (part, why), paths in source.doubts(missing).items():
        if not forget or why != "is empty":
            hint = " (--forget drops them)" if why == "is empty" else ""
            stay = f"{_pictures(len(paths))} added from there stay{'s' * (len(paths) == 1)} in the gallery"
            warn(f"{shown(part)}: {why}; {stay}{hint}")
            lost -= {*paths}
    if lost and not forget and (not source.exists or 2 * len(lost) > len(before)):
        state = f"{len(lost)} of its {_pictures(len(before))} are gone" if source.exists else "no such folder"
        warn(f"--add {folder}: {state}; {_pictures(len(lost))} stay in the gallery (--forget drops them)")
        return set()
    if lost and not source.exists:
        warn(f"--add {folder}: no such folder; {_pictures(len(lost))} added from there leave the gallery")
    return lost


def embed(table, modality, source, files, encoder, step=None):
    """Embed `files` of a source and write them in one commit; return ([paths written], [faults of others])."""
    paths, jpegs, colours = [file.path for file in files], {}, {}

    def notice(path, picture):  # it costs little here, where photos are decoded anyway
        colours[path] = photo_colours(picture)
        if table.thumbnails.folder:
            jpegs[path] = thumbnail(picture)

    with source.local(paths) as local:
        windows = table.identity.windows_of(modality)
        hooks = step, notice if modality == "photo" else None
        embedded = encoder.embed_windows(local, windows, *hooks) if windows else encoder.embed(local, *hooks)
        vectors, readable = embedded
        faults = encoder.faults(local, readable)
        taken = [_taken(file) if good else None for file, good in zip(local, readable, strict=True)]
    bad = [row for row, good in enumerate(readable) if not good]
    faults = [why.replace(local[row], paths[row]) for why, row in zip(faults, bad, strict=True)]
    good = [file for file, good in zip(files, readable, strict=True) if good]
    if good:
        unseen = [class_key(file.class_name) not in encoder.seen for file in good]
        optional = {"taken": taken, "colours": packed_colours(map(colours.get, local))}
        optional = {
            name: [one for one, good in zip(column, readable, strict=True) if good] for name, column in optional.items()
        }
        table.write(rows(table.identity, modality, good, unseen, vectors[readable], optional=optional))
        for file, path in zip(files, local, strict=True):
            if path in jpegs:
                table.thumbnails.write(picture_id(modality, file.path), file.modified, jpegs[path])
    return [file.path for file in good], faults


def _fill_colours(table, source, progress):
    """Read the colours of photos of a source that an earlier version added, from their thumbnails if there are."""
    missing = table.without_colours(source.root)
    if not missing:
        return
    with _progress(progress, "photo: colours", len(missing)) as step:
        for start in range(0, len(missing), BLOCK):
            block = missing[start : start + BLOCK]
            ids = [picture_id("photo", path) for path, _ in block]
            jpegs = [table.thumbnails.read(one, modified) for one, (_, modified) in zip(ids, block, strict=True)]
            without = [path for (path, _), jpeg in zip(block, jpegs, strict=True) if jpeg is None]
            with source.local(without) as local:
                files = iter(local)
                colours = list(ahead(_colours, [jpeg or next(files) for jpeg in jpegs]))
            table.write_colours({one: read for one, read in zip(ids, colours, strict=True) if read is not None})
            step(start + len(block))


def _colours(file):
    """The colours of a photo, or None if it cannot be read."""
    try:
        return photo_colours(read_thumbnail(file, SIDE))
    except OSError:
        return None


def _taken(path):
    """When a picture was taken, or None."""
    try:
        return read_date(path)
    except OSError:
        return None


def _embedded(table, modality, source, new, encoder, step, once):
    """Embed and write the files `new`, a commit a block; return the paths of those that can be read."""
    added, start, size = set(), 0, FIRST
    while start < len(new):
        size = min(size, BLOCK)
        block = new[start : start + size]
        paths, faults = embed(table, modality, source, block, encoder, lambda done, start=start: step(start + done))
        added |= {*paths}
        bad = [file for file in block if file.path not in added]
        for file, why in zip(bad, faults, strict=True):
            once.warn(f"{why}, skipped", file.modified)
        start, size = start + size, 2 * size
    return added


@contextmanager
def _progress(progress, label, total):
    """Yield a function of how many are done."""
    if progress:
        yield lambda done: progress(done, total)
        return
    with Progress(label, total) as bar:
        yield bar.update


def _described(file, root_name, names):
    """A picture as the gallery lists it.

    Its class is the folder it lies in, if that is not the source's own, or names a class of `names` {key: class name}.
    """
    folder = file.folder or root_name
    key = class_key(folder)
    named = file.folder or key in names
    return File(file.path, names.setdefault(key, folder) if named else UNKNOWN, file.size, file.modified)


def _pictures(count):
    return "1 picture" if count == 1 else f"{count} pictures"
