"""Stage II: CNN features and class vectors -> one embedding space -> unified_features.mat and the retrieval table.

Without --data it draws the embedded miniature dataset and runs stage I on it first. Selection of the epoch uses seen
classes held out from training; unseen classes are touched once, at the end, to evaluate.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import cli
import knn_eval
import matfiles
import runs
import UxUyLoader as loader
from cli import BadInput, say, setting, warn, whole_file

MINIATURE = Path("data/miniature")
PRESETS = ("paper",)


@dataclass(frozen=True)
class Settings:
    data: Path = setting(MINIATURE, "dataset directory; the default is made when it is missing", metavar="DIR")
    unseen: Path | None = setting(None, "list of unseen classes; left out: unseen.txt of --data", metavar="FILE")
    path: Path | None = setting(None, "run directory; left out: the next number under runs/", metavar="DIR")
    model: str = setting("zscmr", "system to train", choices=("zscmr",))
    preset: str = setting("paper", "objective and its constants (README, 'Presets')", choices=PRESETS)
    epochs: int = setting(60, "passes over the pictures of the larger modality")
    batch_size: int = setting(128, "triads per step")
    learning_rate: float = setting(1e-3, "Adam's learning rate")
    dim: int = setting(64, "size of the embedding space")
    margin: float = setting(5.0, "α of the triplet hinge, in units of distance in the embedding space")
    dropout: float = setting(0.0, "share of embedding components zeroed in training")
    held_out: float = setting(0.1, "share of the seen classes held out to choose the epoch by")
    seed: int = setting(0, "seed of initial weights, held-out classes, triads and noise")
    resume: bool = setting(False, "go on with the run in --path (left out: the newest run)")
    overwrite: bool = setting(False, "replace the run in --path")


def main(settings):
    check(settings)
    settings, folder = runs.open_run(settings)
    results = runs.read_results(folder)
    if settings.resume and results:
        say(f"{folder} is complete")
        print_tables(results)
        return
    if settings.data == MINIATURE:
        make_miniature()
    dataset = loader.load_dataset(settings.data)
    unseen_file = settings.unseen or settings.data / "unseen.txt"
    split = loader.split_classes(
        dataset.classes, loader.read_class_list(unseen_file), unseen_file, settings.held_out, settings.seed
    )
    describe(dataset, split)
    if not settings.resume:
        runs.create(folder, settings, split.names(dataset.classes), dataset.made_with)
    state = train(settings, folder, dataset, split)
    export(folder, dataset, split, state.model)
    evaluate(folder, dataset, split)


def check(settings):
    for name, least in (("epochs", 1), ("batch_size", 1), ("dim", 1), ("seed", 0), ("margin", 0)):
        if getattr(settings, name) < least:
            raise BadInput(f"{cli.flag(name)} should be at least {least}, received {getattr(settings, name)}")
    for name in ("dropout", "held_out"):
        if not 0 <= getattr(settings, name) < 1:
            raise BadInput(f"{cli.flag(name)} should be from 0 to below 1, received {getattr(settings, name)}")
    if not settings.learning_rate > 0:
        raise BadInput(f"--learning-rate should be above 0, received {settings.learning_rate}")


def make_miniature():
    """Draws the embedded dataset and runs stage I on it; each step is skipped where its result is already there."""
    from data import make_miniature as drawing
    from pretrain import finetune, word_vectors

    folder = MINIATURE
    drawn = drawing.Settings(out=folder)
    tuned = finetune.Settings(
        photos=folder / "photo",
        sketches=folder / "sketch",
        unseen=folder / "unseen.txt",
        backbone="small",
        out=folder,
    )
    joined = word_vectors.Settings(data=folder, vectors=(folder / "class_vectors.npz",))
    if not folder.exists():
        say("no --data given: the embedded miniature dataset is drawn and stage I run on it, as if by")
    say(f"$ {cli.command('data/make_miniature.py', drawn)}")
    drawing.main(drawn)
    say(f"$ {cli.command('pretrain/finetune.py', tuned)}")
    finetune.main(tuned)
    say(f"$ {cli.command('pretrain/word_vectors.py', joined)}")
    word_vectors.main(joined)


def describe(dataset, split):
    say(
        f"{dataset.directory}: {len(dataset.classes)} classes, {len(dataset.photo.labels)} photos "
        f"{dataset.photo.features.shape[1]}-d, {len(dataset.sketch.labels)} sketches "
        f"{dataset.sketch.features.shape[1]}-d, class vectors {dataset.class_vectors.shape[1]}-d"
    )
    held_out = ", ".join(dataset.classes[label] for label in split.held_out) or "none"
    say(f"{len(split.seen)} classes to train on, {len(split.unseen)} unseen, held out to choose the epoch: {held_out}")
    if leak(dataset, split):
        warn(leak(dataset, split))


def leak(dataset, split):
    """A sentence that says which unseen classes the CNNs were trained on; empty if none, or if nothing is known."""
    trained = {loader.class_key(name) for name in dataset.made_with.get("trained_on", ())}
    leaked = [dataset.classes[label] for label in split.unseen if loader.class_key(dataset.classes[label]) in trained]
    if not leaked:
        return ""
    return f"the CNNs were trained on {len(leaked)} of the {len(split.unseen)} unseen classes, {leaked[0]} among them"


def train(settings, folder, dataset, split):
    """Trains from the newest checkpoint, if any, to the last epoch; returns the state with the best epoch's weights."""
    tf = cli.import_tensorflow()
    import keras

    from models import training, zscmr

    state = training.State(build_model(settings, dataset, split), keras.optimizers.Adam(settings.learning_rate))
    checkpoints = tf.train.CheckpointManager(tf.train.Checkpoint(state=state), folder / "checkpoints", max_to_keep=2)
    if checkpoints.restore_or_initialize():
        say(f"going on after epoch {int(state.epoch)} of {folder}")
    metrics = folder / "metrics.jsonl"
    keep_epochs(metrics, int(state.epoch))

    resident = training.make_resident(dataset, split.seen)
    weights = dict.fromkeys(zscmr.TERMS, 1.0)  # the slides: all weights 1
    run_epoch = training.compile_epoch(state, resident, zscmr.TERMS, weights, settings.seed)
    try:
        for epoch in range(int(state.epoch) + 1, settings.epochs + 1):
            triads = loader.draw_triads(
                dataset.photo.labels, dataset.sketch.labels, split.seen, settings.batch_size, settings.seed, epoch
            )
            values = run_epoch(triads, first=(epoch - 1) * len(triads.photo))
            terms = {name: float(value) for name, value in zip(zscmr.TERMS, values, strict=True)}
            stop_unless_finite(terms, epoch, folder)
            state.epoch.assign(epoch)
            line = {"epoch": epoch, **terms}
            if len(split.held_out):
                line["held_out_mAP"] = score_held_out(dataset, split, state.model)
            # without held-out classes the last epoch is the one to keep
            best = state.note_score(line.get("held_out_mAP", float(epoch)))
            with open(metrics, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            checkpoints.save(epoch)
            report(line, settings.epochs, best)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(
            f"stopped after epoch {int(state.epoch)}; python Unified_XY_triads.py --path {folder} --resume goes on"
        ) from stop
    state.restore_best()
    if len(split.held_out):
        say(
            f"epoch {int(state.best_epoch)} of {settings.epochs} chosen, mAP@all {float(state.best_score):.3f} on the "
            f"{len(split.held_out)} held-out seen classes"
        )
    return state


def build_model(settings, dataset, split):
    import keras

    from models import zscmr

    keras.utils.set_random_seed(settings.seed)
    photos = dataset.photo.features[np.isin(dataset.photo.labels, split.seen)]
    sketches = dataset.sketch.features[np.isin(dataset.sketch.labels, split.seen)]
    sizes = zscmr.Settings(dim=settings.dim, dropout=settings.dropout, margin=settings.margin)
    return zscmr.ZSCMR(sizes, photos, sketches, dataset.class_vectors.shape[1], len(split.seen))


def keep_epochs(metrics, epochs):
    """Drops the lines of epochs after the checkpoint: they will be trained, and written, again."""
    lines = metrics.read_text(encoding="utf-8").splitlines(keepends=True) if metrics.exists() else []
    with whole_file(metrics) as part:
        part.write_text("".join(lines[:epochs]), encoding="utf-8")


def stop_unless_finite(terms, epoch, folder):
    for name, value in terms.items():
        if not np.isfinite(value):
            raise BadInput(
                f"epoch {epoch}: loss term '{name}' is {value}; {folder}/checkpoints keeps epoch {epoch - 1}, "
                "a lower --learning-rate may help"
            )


def score_held_out(dataset, split, model):
    """mAP@all, mean of sketch->image and image->sketch, on the held-out seen classes."""
    from models import training

    photo, sketch = (np.isin(items.labels, split.held_out) for items in (dataset.photo, dataset.sketch))
    results = knn_eval.evaluate(
        training.embed(model.embed_photos, dataset.photo.features[photo]),
        training.embed(model.embed_sketches, dataset.sketch.features[sketch]),
        dataset.photo.labels[photo],
        dataset.sketch.labels[sketch],
        directions=("sketch->image", "image->sketch"),
    )
    return float(np.mean([values["mAP@all"] for values in results["directions"].values()]))


def report(line, epochs, best):
    values = "  ".join(f"{name} {value:.3f}" for name, value in line.items() if name != "epoch")
    say(f"  epoch {line['epoch']:>{len(str(epochs))}}/{epochs}  {values}{'  *' if best else ''}")


def export(folder, dataset, split, model):
    """Writes unified_features.mat: embeddings of all pictures, seen and unseen, in the order of the feature files."""
    from models import training

    matfiles.write(
        folder / "unified_features.mat",
        {
            "featuresx": training.embed(model.embed_photos, dataset.photo.features),
            "featuresy": training.embed(model.embed_sketches, dataset.sketch.features),
            "labelsx": dataset.photo.labels[:, None],
            "labelsy": dataset.sketch.labels[:, None],
            "unseen": split.unseen[:, None],
            "classes": dataset.classes,
            "namesx": dataset.photo.names,
            "namesy": dataset.sketch.names,
            "picturesx": dataset.made_with.get("photos", ""),
            "picturesy": dataset.made_with.get("sketches", ""),
            "distance": "euclidean",
            "leaked": leak(dataset, split),
        },
    )


def evaluate(folder, dataset, split):
    """Scores the exported embeddings and, for comparison, the CNN features they were made from; draws the figure."""
    features = knn_eval.unseen_only(knn_eval.load(folder / "unified_features.mat"))
    photo, sketch = (np.isin(items.labels, split.unseen) for items in (dataset.photo, dataset.sketch))
    labels = dataset.photo.labels[photo], dataset.sketch.labels[sketch]
    photos = scaled(dataset.photo, split.seen)[photo]
    sketches = scaled(dataset.sketch, split.seen)[sketch]
    directions = tuple(knn_eval.DIRECTIONS)
    if photos.shape[1] != sketches.shape[1]:  # two spaces of different size: nothing to compare across
        directions = ("sketch->sketch", "image->image")
    results = {
        "CNN features alone": knn_eval.evaluate(photos, sketches, *labels, distance="cosine", directions=directions),
        "shared space": knn_eval.evaluate(features.photo.vectors, features.sketch.vectors, *labels),
    }
    if features.leaked:
        results = {space: {**scores, "leaked": features.leaked} for space, scores in results.items()}
    print_tables(results)
    knn_eval.retrieval_grid(folder / "retrieval.png", features, features.distance)
    runs.write_json(folder / "results.json", results)  # last: its presence says that the run is complete
    for file in sorted(folder.iterdir()):
        say(f"wrote {file}")


def scaled(items, seen):
    """CNN features (n, F) centred and scaled per feature on the seen classes' pictures."""
    reference = items.features[np.isin(items.labels, seen)]
    return (items.features - reference.mean(0)) / np.maximum(reference.std(0), 1e-6)


def print_tables(results):
    for space, scores in results.items():
        say(knn_eval.table(scores, f"{space}, unseen classes", caption=space == list(results)[-1]))


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
