"""Stage II: CNN features and class vectors -> one embedding space -> unified_features.mat and the retrieval table.

Without --data it draws the embedded miniature dataset and runs stage I on it first. Selection of the epoch uses seen
classes held out from training; unseen classes are touched once, at the end, to evaluate.
"""

import dataclasses
import importlib
import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import cli
import curves
import knn_eval
import matfiles
import runs
import tensorboard_log
import UxUyLoader as loader
from cli import BadInput, say, setting, warn, whole_file

MINIATURE = Path("data/miniature")
SYSTEMS = ("zscmr", "crossatnet", "pcmsn")  # the modules of models/ that can be trained; a new one is named here
LEFT_OUT = "left out: the preset's"
CONSTANTS = (
    *("dim", "bits", "attention", "graph", "hidden", "margin"),
    *("temperature", "dropout", "input_dropout", "modality_mix", "class_mix"),
)
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Settings:
    data: Path = setting(MINIATURE, "dataset directory; the default is made when it is missing", metavar="DIR")
    unseen: Path | None = setting(None, "list of unseen classes; left out: unseen.txt of --data", metavar="FILE")
    path: Path | None = setting(None, "run directory; left out: the next number under runs/", metavar="DIR")
    model: str = setting("zscmr", "system to train", choices=SYSTEMS)
    preset: str | None = setting(
        None,
        "objective and its constants; zscmr: paper, released, tuned; pcmsn: sketchy, tuberlin, tuned, direct; "
        "left out: the system's first",
    )
    without: tuple[str, ...] = setting(
        (),
        "terms left out of the objective; zscmr: latent, triplet, decoder, classification; crossatnet: latent, "
        "triplet, classification, distillation, and of codes quantisation, balance; pcmsn: classification, "
        "euclidean, reconstruction, adversarial",
        metavar="TERM",
    )
    term_weights: tuple[str, ...] = setting(
        (), "such as latent=0.5; those of other terms: the preset's", None, "TERM=W"
    )
    epochs: int | None = setting(None, f"passes over the pictures of the larger modality ({LEFT_OUT})")
    batch_size: int | None = setting(None, f"triads per step ({LEFT_OUT})")
    learning_rate: float | None = setting(None, f"Adam's learning rate ({LEFT_OUT})")
    schedule: str | None = setting(
        None, f"course of the learning rate, cosine falls to 0 ({LEFT_OUT})", choices=("constant", "cosine")
    )
    dim: int | None = setting(None, f"size of the embedding space ({LEFT_OUT})")
    bits: int | None = setting(None, "crossatnet: embeddings are binary codes of this length; takes the place of --dim")
    attention: str | None = setting(
        None, f"crossatnet: what gates a photo's features in training ({LEFT_OUT})", ("sketch", "photo", "none")
    )
    graph: str | None = setting(
        None,
        f"crossatnet: what joins word vectors, a graph of the classes or nothing ({LEFT_OUT})",
        ("classes", "none"),
    )
    hidden: int | None = setting(None, f"ReLU units beside each linear encoder ({LEFT_OUT})")
    margin: float | None = setting(None, f"α of the triplet hinge, in units of distance ({LEFT_OUT})")
    temperature: float | None = setting(None, f"divides the cosines of the all-pairs triplet ({LEFT_OUT})")
    dropout: float | None = setting(None, f"share of embedding components zeroed in training ({LEFT_OUT})")
    input_dropout: float | None = setting(None, f"share of features zeroed in training ({LEFT_OUT})")
    modality_mix: float | None = setting(None, f"largest share of the other modality in a feature ({LEFT_OUT})")
    class_mix: float | None = setting(None, f"largest share of another class in a virtual one ({LEFT_OUT})")
    held_out: float | None = setting(None, f"share of the seen classes held out to choose the epoch by ({LEFT_OUT})")
    precision: str = setting("float32", "of the matrix products; weights and losses stay float32", choices=PRECISIONS)
    jit: bool = setting(False, "compile the step with XLA")
    resident_limit: float = setting(4.0, "GB of features kept on the device; more are streamed from disk", metavar="GB")
    seed: int = setting(0, "seed of initial weights, held-out classes, triads and noise")
    resume: bool = setting(False, "go on with the run in --path (left out: the newest run)")
    overwrite: bool = setting(False, "replace the run in --path")


def main(settings):
    check(settings)
    if not is_chief():
        work(settings)
        return
    settings, folder = runs.open_run(settings)
    results = runs.read_results(folder)
    if settings.resume and results:
        say(f"{folder} is complete")
        print_tables(results)
        return
    settings, preset = filled_in(settings)
    if settings.data == MINIATURE:
        make_miniature()
    dataset = loader.load_dataset(settings.data)
    split = read_split(settings, dataset)
    describe(dataset, split)
    if wants_graph(preset) and not settings.resume:  # a run to go on with has its own
        say(f"class graph: {graph_source(dataset, split)}")
    say_left_out(preset)
    with shared_devices(settings, preset):
        state = train(settings, preset, folder, dataset, split)
    export(preset, folder, dataset, split, state.model)
    evaluate(folder, dataset, split)


def is_chief():
    """Whether this process writes the run's files: yes, unless TF_CONFIG calls it a worker other than the first."""
    if "TF_CONFIG" not in os.environ:
        return True
    try:
        config = json.loads(os.environ["TF_CONFIG"])
        kind, index = config["task"]["type"], int(config["task"]["index"])
        chief_elsewhere = "chief" in config["cluster"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"TF_CONFIG: expected JSON with 'cluster' and 'task' (type and index), {error!r}") from error
    return kind == "chief" or (kind == "worker" and index == 0 and not chief_elsewhere)


def work(settings):
    """What a worker other than the chief does: its share of every step. It writes nothing and evaluates nothing."""
    if settings.resume:
        settings, _ = runs.open_run(settings)
    dataset = loader.load_dataset(settings.data)
    settings, preset = filled_in(settings)
    split = read_split(settings, dataset)
    with shared_devices(settings, preset):
        train(settings, preset, settings.path, dataset, split, chief=False)


def read_split(settings, dataset):
    file = settings.unseen or settings.data / "unseen.txt"
    return loader.split_classes(dataset.classes, loader.read_class_list(file), file, settings.held_out, settings.seed)


def shared_devices(settings, preset):
    """The scope of the strategy that shares a batch among GPUs or workers; of no effect on one device."""
    from models import training

    training.keep_small_products_whole()
    return training.choose_strategy(preset.batch_size, settings.jit).scope()


def check(settings):
    lowest = {"epochs": 1, "batch_size": 1, "dim": 1, "bits": 1, "hidden": 0, "seed": 0, "margin": 0}
    for name, least in lowest.items():
        if (value := getattr(settings, name)) is not None and value < least:
            raise BadInput(f"{cli.flag(name)} should be at least {least}, received {value}")
    if "TF_CONFIG" in os.environ and settings.path is None:  # every process alike, or the others would wait for one
        raise BadInput("--path is needed where TF_CONFIG names several workers")
    if not settings.resident_limit >= 0:
        raise BadInput(f"--resident-limit should be at least 0, received {settings.resident_limit}")
    for name in ("dropout", "input_dropout", "modality_mix", "class_mix", "held_out"):
        if (value := getattr(settings, name)) is not None and not 0 <= value < 1:
            raise BadInput(f"{cli.flag(name)} should be from 0 to below 1, received {value}")
    for name in ("learning_rate", "temperature"):
        if (value := getattr(settings, name)) is not None and not value > 0:
            raise BadInput(f"{cli.flag(name)} should be above 0, received {value}")


def filled_in(settings):
    """(settings without a None among those the preset decides, the preset with the settings in its place)."""
    presets = system(settings.model).PRESETS
    name = settings.preset or next(iter(presets))
    if name not in presets:
        raise BadInput(f"--preset {name}: --model {settings.model} has {', '.join(presets)}")
    preset = presets[name]
    known = {field.name for field in dataclasses.fields(preset.sizes)}
    values = {"preset": name}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        part = preset.sizes if field.name in known else preset
        values.setdefault(field.name, getattr(part, field.name, None) if value is None else value)
    sizes = dataclasses.replace(preset.sizes, **{name: values[name] for name in known & set(values)})
    rest = {field.name for field in dataclasses.fields(preset)} & set(values)
    weights = chosen_weights(settings, {term: preset.weights.get(term, 1.0) for term in sizes.terms}, sizes)
    preset = dataclasses.replace(preset, sizes=sizes, weights=weights, **{name: values[name] for name in rest})
    # the settings of a run to go on with hold every constant, whether it was given or not
    unread = () if settings.resume else getattr(sizes, "unread", ())
    for constant in CONSTANTS:
        told = f"{cli.flag(constant)} {values[constant]}: --model {settings.model}"
        if values[constant] is not None and not hasattr(sizes, constant):
            raise BadInput(f"{told} has no such constant")
        if getattr(settings, constant) is not None and constant in unread:
            where = f"beside --bits {sizes.bits}" if getattr(sizes, "bits", 0) else f"under --preset {name}"
            raise BadInput(f"{told} has no use for it {where}")
    return Settings(**values), preset


def chosen_weights(settings, weights, sizes):
    """`weights` of the terms of `sizes` with what --term-weights and --without say instead."""
    for word in settings.term_weights:
        term, _, value = word.partition("=")
        try:
            weight = float(value)
        except ValueError as error:
            raise BadInput(f"--term-weights {word}: expected TERM=NUMBER") from error
        if not 0 <= weight < float("inf"):
            raise BadInput(f"--term-weights {word}: a weight should be at least 0 and finite")
        weights = weights | dict.fromkeys(known_term(term, sizes, "--term-weights"), weight)
    for term in settings.without:
        weights = weights | dict.fromkeys(known_term(term, sizes, "--without"), 0.0)
    if not any(weights.values()):
        raise BadInput("--without, --term-weights: every term has weight 0, nothing is left to train on")
    return weights


def system(name):
    """The module of models/ that defines the system."""
    return importlib.import_module(f"models.{name}")


def known_term(name, sizes, flag):
    """The objective's terms that `name` means: itself, or both streams' of a term that the release splits."""
    found = [term for term in sizes.terms if term == name or term.endswith(f"_{name}")]
    if not found:
        of_codes = dataclasses.replace(sizes, bits=1).terms if hasattr(sizes, "bits") else ()
        hint = "; it belongs to codes (--bits)" if name in of_codes else ""
        raise BadInput(f"{flag} {name}: no such loss term, the objective has {', '.join(sizes.terms)}{hint}")
    return found


def make_miniature():
    """Draws the embedded dataset and runs stage I on it; each step is skipped where its result is already there.

    Stage I has a process of its own: it wants other settings of TensorFlow than stage II.
    """
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
    line = cli.command("pretrain/finetune.py", tuned)
    say(f"$ {line}")
    if (folder / loader.PICTURES).exists():
        finetune.main(tuned)  # says that the features are there, or what is wrong with them
    else:
        script, *words = shlex.split(line)[1:]
        done = subprocess.run([sys.executable, Path(__file__).resolve().parent / script, *words])
        if done.returncode:
            sys.exit(done.returncode)  # it has said why
    say(f"$ {cli.command('pretrain/word_vectors.py', joined)}")
    word_vectors.main(joined)


def wants_graph(preset):
    return getattr(preset.sizes, "wants_graph", False)


def class_graph(preset, dataset, split):
    """(E, 2) edges among the trained classes, as places in `split.seen`; E = 0 for a system that wants no graph.

    Those of the dataset's graph, where it is one of this split; edges to held-out classes are dropped, so that their
    vectors reach no trained class. Otherwise the minimum spanning tree of the trained classes' vectors.
    """
    if not wants_graph(preset):
        return np.empty((0, 2), np.int64)
    if loader.graph_fault(dataset, split):
        from pretrain import class_graph as joining

        vectors, names = dataset.class_vectors[split.seen], [dataset.classes[label] for label in split.seen]
        joining.check_directions(vectors, names, "cosine", dataset.directory / loader.CLASS_VECTORS[0])
        return joining.minimum_spanning_tree(vectors)
    return np.searchsorted(split.seen, dataset.edges[np.isin(dataset.edges, split.seen).all(axis=1)])


def describe(dataset, split):
    say(
        f"{dataset.directory}: {len(dataset.classes)} classes, {len(dataset.photo.labels)} photos "
        f"{dataset.photo.features.shape[1]}-d, {len(dataset.sketch.labels)} sketches "
        f"{dataset.sketch.features.shape[1]}-d, class vectors {dataset.class_vectors.shape[1]}-d"
    )
    held_out = ", ".join(dataset.classes[label] for label in split.held_out) or "none, the last is kept"
    if len(split.unseen) == 1:
        warn("a single unseen class: whatever is retrieved is right")
    say(f"{len(split.seen)} classes to train on, {len(split.unseen)} unseen, held out to choose the epoch: {held_out}")
    if leak(dataset, split):
        warn(leak(dataset, split))


def graph_source(dataset, split):
    """Where `class_graph` has its edges from, in words."""
    fault = loader.graph_fault(dataset, split)
    tree = "the minimum spanning tree of the trained classes' vectors, by cosine"
    return f"{tree} ({fault})" if fault else str(dataset.directory.resolve() / loader.CLASS_GRAPH[0])


def say_left_out(preset):
    unused = [name for name, weight in preset.weights.items() if not weight and name in preset.sizes.terms]
    if unused:
        say(f"recorded, but of weight 0 in the objective: {', '.join(unused)}")


def leak(dataset, split):
    """A sentence that says which unseen classes the CNNs were trained on; empty if none, or if nothing is known."""
    trained = {loader.class_key(name) for name in dataset.made_with.get("trained_on", ())}
    leaked = [dataset.classes[label] for label in split.unseen if loader.class_key(dataset.classes[label]) in trained]
    if not leaked:
        return ""
    return f"the CNNs were trained on {len(leaked)} of the {len(split.unseen)} unseen classes, {leaked[0]} among them"


def train(settings, preset, folder, dataset, split, chief=True):
    """Trains from the newest checkpoint, if any, to the last epoch; returns the state with the best epoch's weights.

    A process that is not `chief` writes nothing and scores nothing, and its state is of no use.
    """
    tf = cli.import_tensorflow()
    import keras

    from models import training

    steps, rows = draw_epoch(preset, dataset, split, settings.seed, epoch=1).photo.shape
    training.check_share(rows, tf.distribute.get_strategy())  # balanced batches have two rows a class, at most
    rate = preset.learning_rate
    if preset.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, preset.epochs * steps)
    model = build_model(settings, preset, dataset, split)
    if chief and not settings.resume:  # only now: what cannot be trained is refused above and leaves no directory
        about = sizes(dataset)
        if wants_graph(preset):
            about["class_graph"] = graph_source(dataset, split)
        runs.create(folder, settings, split.names(dataset.classes), dataset.made_with, about)
    state = training.State(model, model.players(rate))
    saved = tf.train.Checkpoint(state=state)
    _ = saved.save_counter  # a variable made at first use; under several workers all have to make it, at the same time
    checkpoints = tf.train.CheckpointManager(saved, folder / "checkpoints", max_to_keep=2)
    if settings.resume and checkpoints.restore_or_initialize():
        say(f"going on after epoch {int(state.epoch.numpy())} of {folder}")
    metrics = folder / "metrics.jsonl"
    if chief:
        keep_epochs(metrics, int(state.epoch.numpy()))
        board = tensorboard_log.open_log(folder)

    names = preset.sizes.terms
    source = training.make_source(dataset, split.seen, state.model, settings.resident_limit)
    run_epoch = training.compile_epoch(state, source, names, preset.weights, settings.seed, settings.jit)
    try:
        for epoch in range(int(state.epoch.numpy()) + 1, preset.epochs + 1):
            triads = draw_epoch(preset, dataset, split, settings.seed, epoch=epoch)
            values = run_epoch(triads, first=(epoch - 1) * len(triads.photo))
            terms = {name: float(value) for name, value in zip(names, values, strict=True)}
            stop_unless_finite(terms, epoch, folder)
            state.epoch.assign(epoch)
            if not chief:
                continue
            line = {"epoch": epoch, **terms}
            if len(split.held_out):
                line["held_out_mAP"] = score_held_out(preset, dataset, split, state.model)
            # without held-out classes the last epoch is the one to keep
            best = state.note_score(line.get("held_out_mAP", float(epoch)))
            with open(metrics, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            checkpoints.save(epoch)
            board.scalars(line)
            report(line, preset.epochs, best and "held_out_mAP" in line)
    except KeyboardInterrupt as stop:
        again = cli.command("Unified_XY_triads.py", Settings(path=folder, resume=True))
        raise KeyboardInterrupt(f"stopped after epoch {int(state.epoch.numpy())}; {again} goes on") from stop
    if not chief:
        return state
    state.restore_best()
    curves.draw(metrics, folder / "curves.png", chosen=int(state.best_epoch.numpy()) if len(split.held_out) else None)
    if len(split.held_out):
        say(
            f"epoch {int(state.best_epoch.numpy())} of {preset.epochs} chosen, mAP@all "
            f"{float(state.best_score.numpy()):.3f} on the {len(split.held_out)} held-out seen classes"
        )
    return state


def draw_epoch(preset, dataset, split, seed, epoch):
    """The epoch's index batches, as the preset wants them."""
    words = dataset.photo.labels, dataset.sketch.labels, split.seen, preset.batch_size, seed, epoch
    return loader.draw_triads(*words) if preset.batches == "triads" else loader.draw_balanced(*words, preset.steps)


def build_model(settings, preset, dataset, split):
    import keras

    from models import training
    from models.system import Inputs

    keras.config.set_dtype_policy(training.POLICIES[settings.precision])
    keras.utils.set_random_seed(settings.seed)
    photos, sketches = (
        training.TrainingRows(items.features, np.flatnonzero(np.isin(items.labels, split.seen)))
        for items in (dataset.photo, dataset.sketch)
    )
    edges = class_graph(preset, dataset, split)
    inputs = Inputs(photos, sketches, dataset.class_vectors[split.seen], edges)
    return system(settings.model).build(preset.sizes, inputs)


def sizes(dataset):
    """Where a dataset is and the widths of what it holds, for config.json: what `load_model` has to know of it."""
    return {
        "directory": str(dataset.directory.resolve()),
        "photo": dataset.photo.features.shape[1],
        "sketch": dataset.sketch.features.shape[1],
        "class_vectors": dataset.class_vectors.shape[1],
    }


def load_model(folder):
    """The model of the run in `folder` with the weights of the chosen epoch; needs the run alone, not its dataset."""
    import keras

    from models import training

    config = runs.read_json(folder / runs.CONFIG)
    settings, _ = runs.open_run(Settings(path=folder, resume=True))
    settings, preset = filled_in(settings)
    policy = keras.config.dtype_policy()
    model = build_model(settings, preset, *placeholders(config["dataset"], config["classes"]))
    keras.config.set_dtype_policy(policy)
    training.restore_best(model, folder / "checkpoints")
    return model


def placeholders(widths, classes):
    """A dataset of one photo and one sketch with the `sizes` of a run's, and the run's split: what a model is built
    from whose weights, all that depends on the real one among them, are then restored."""
    names = [*classes["seen"], *classes["held_out"], *classes["unseen"]]
    ends = np.cumsum([len(classes[part]) for part in ("seen", "held_out")])
    photo, sketch = (
        loader.Modality(np.zeros((1, widths[modality]), np.float32), np.zeros(1, np.int64), ())
        for modality in ("photo", "sketch")
    )
    vectors = np.ones((len(names), widths["class_vectors"]), np.float32)
    none = np.empty((0, 2), np.int64)
    dataset = loader.Dataset(Path(widths["directory"]), photo, sketch, tuple(names), vectors, none, {})
    return dataset, loader.Split(*np.split(np.arange(len(names)), ends))


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


def score_held_out(preset, dataset, split, model):
    """mAP@all, mean of sketch->image and image->sketch, on the held-out seen classes."""
    from models import training

    photo, sketch = (np.isin(items.labels, split.held_out) for items in (dataset.photo, dataset.sketch))
    results = knn_eval.evaluate(
        training.embed(model.embed_photos, dataset.photo.features[photo]),
        training.embed(model.embed_sketches, dataset.sketch.features[sketch]),
        dataset.photo.labels[photo],
        dataset.sketch.labels[sketch],
        distance=preset.distance,
        directions=("sketch->image", "image->sketch"),
    )
    return float(np.mean([values["mAP@all"] for values in results["directions"].values()]))


def report(line, epochs, best):
    values = "  ".join(f"{name} {value:.3f}" for name, value in line.items() if name != "epoch")
    say(f"  epoch {line['epoch']:>{len(str(epochs))}}/{epochs}  {values}{'  *' if best else ''}")


def export(preset, folder, dataset, split, model):
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
            **({"namesx": dataset.photo.names} if dataset.photo.names else {}),
            **({"namesy": dataset.sketch.names} if dataset.sketch.names else {}),
            "picturesx": dataset.made_with.get("photos", ""),
            "picturesy": dataset.made_with.get("sketches", ""),
            "distance": preset.distance,
            "leaked": leak(dataset, split),
        },
    )


def evaluate(folder, dataset, split):
    """Scores the exported embeddings and, for comparison, the CNN features they were made from; draws the figure."""
    features = knn_eval.unseen_only(knn_eval.load(folder / "unified_features.mat"))
    photo, sketch = (np.isin(items.labels, split.unseen) for items in (dataset.photo, dataset.sketch))
    labels = dataset.photo.labels[photo], dataset.sketch.labels[sketch]
    seen = np.concatenate([split.seen, split.held_out])
    photos = loader.scaled(dataset.photo.features, dataset.photo.labels, seen)[photo]
    sketches = loader.scaled(dataset.sketch.features, dataset.sketch.labels, seen)[sketch]
    directions = tuple(knn_eval.DIRECTIONS)
    if photos.shape[1] != sketches.shape[1]:  # two spaces of different size: nothing to compare across
        directions = ("sketch->sketch", "image->image")
    results = {
        "CNN features alone": knn_eval.evaluate(photos, sketches, *labels, distance="cosine", directions=directions),
        "shared space": knn_eval.evaluate(
            features.photo.vectors, features.sketch.vectors, *labels, distance=features.distance
        ),
    }
    if features.leaked:
        results = {space: {**scores, "leaked": features.leaked} for space, scores in results.items()}
    print_tables(results)
    tensorboard_log.write_projector(folder, features)
    knn_eval.retrieval_grid(folder / "retrieval.png", features, features.distance)
    runs.write_json(folder / "results.json", results)  # last: its presence says that the run is complete
    for file in sorted(folder.iterdir()):
        say(f"wrote {file}")


def print_tables(results):
    for space, scores in results.items():
        say(knn_eval.table(scores, f"{space}, unseen classes", caption=space == list(results)[-1]))


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
