"""The content of each table. Published numbers come from published.json, measured ones from finished cells."""

import itertools

from zscmr.evaluation.embeddings import DIRECTIONS, INITIALS
from zscmr.evaluation.instances import AMONG, DEPTHS
from zscmr.evaluation.protocols import PROTOCOLS, TIES
from zscmr.evaluation.scoring import ACROSS
from zscmr.paper.baselines import DIM
from zscmr.paper.cells import MEASURES, Baselines, tables_of
from zscmr.paper.ground import PUBLISHED
from zscmr.paper.plan import FULL
from zscmr.paper.results import (
    DATASETS,
    METRICS,
    Results,
    as_measured,
    as_published,
    convention,
    label,
    measured_values,
    published,
)
from zscmr.paper.typeset import PaperTable, Value
from zscmr.reports import text_tables as texts

ARROWS = {direction: direction.replace("->", "→") for direction in DIRECTIONS}
INSTANCE_METRICS = (*(f"acc@{k}" for k in DEPTHS), "mean rank")


def all_tables(plan):
    results = Results(plan)
    tables = [comparison_table(results), directions_table(results)]
    tables += [ablation_table(results, *which) for which in plan.ablations()]
    tables.append(conventions_table(results))
    if len(plan.grounds) > 1:
        tables.append(unseen_lists_table(results))
    tables += [codes_table(results), generalised_table(results), reranked_table(results), instances_table(results)]
    tables.append(across_table(results))
    return [*(table for table in tables if table.rows), field_table()]


def caption(results, content, *details, published=True, unseen=True):
    """Caption of a table: warning, `content`, sources of published numbers, dataset, seeds, `details`."""
    plan = results.plan
    count = len(plan.seeds)
    sources = [f"Published: {PUBLISHED['cite']}; convention {PUBLISHED['convention']}."] if published else []
    listed = f"unseen list {plan.main.unseen}; " if unseen else ""
    spread = f"mean ± sample standard deviation of {count} seeds" if count > 1 else f"one run, seed {plan.seeds[0]}"
    measured = f"Measured: {plan.main.pictures}; {listed}{spread}; {' '.join(details)}"
    return " ".join(filter(None, [plan.warning, content, *sources, measured]))


def standard(results, baselines=True):
    baseline = ", baselines cosine" if baselines and Baselines(results.plan.main) in results.contents else ""
    return f"protocol standard, each preset's own distance ({results.distances()}{baseline})."


def comparison_table(results):
    measured_here, rows = as_measured(results.plan.main), {}
    for line in PUBLISHED["comparison"]:
        values = {k: v for dataset in DATASETS for k, v in published(line[dataset], dataset).items()}
        rows[line["method"]] = {"size": str(line["size"]), **values}
    presets = {method: results.plan.trainings(method)[0].resolved[1] for method in results.plan.methods}
    sizes = {label(method): preset.constants.size for method, preset in presets.items()}
    sizes |= {"features alone": results.plan.main.widths[0], "LDA map": DIM}
    measured = {}
    for row, score in results.all_rows().items():
        cells = measured_values({f"{measured_here}: {metric}": score("sketch->image", metric) for metric in METRICS})
        if cells:
            measured[row] = {"size": str(sizes[row]), **cells}
    columns = (
        "size",
        *(f"{origin}: {metric}" for origin in (*map(as_published, DATASETS), measured_here) for metric in METRICS),
    )
    return PaperTable(
        "comparison",
        "Sketch→image retrieval",
        caption(results, "Unseen classes; size: numbers, or bits, per picture.", standard(results)),
        columns,
        rows | measured,
        (f"Protocol standard, here and below: {PROTOCOLS['standard'].conventions()} {texts.always({})}",),
        groups=("ZSCMR", next(iter(measured))),
    )


def directions_table(results):
    columns = tuple(f"{ARROWS[direction]} {metric}" for direction in DIRECTIONS for metric in METRICS)
    keys = [(direction, metric) for direction in DIRECTIONS for metric in METRICS]
    rows = {}
    for dataset in DATASETS:
        numbers = [
            value for pairs in PUBLISHED["directions"].values() for value in published(pairs[dataset], dataset).values()
        ]
        rows[f"ZSCMR, {dataset}, published"] = dict(zip(columns, numbers, strict=True))
    for row, score in results.all_rows().items():
        cells = measured_values(dict(zip(columns, (score(*key) for key in keys), strict=True)))
        if cells:
            rows[f"{row}, {results.plan.main.name}"] = cells
    return PaperTable(
        "directions",
        "The four directions",
        caption(results, "Unseen classes; within a modality a query never retrieves itself.", standard(results)),
        columns,
        rows,
        groups=(list(rows)[len(DATASETS)],),
    )


def ablation_table(results, model, preset):
    """mAP@all without each loss term, published and measured, and the change of each run against its full system."""
    measured_here, published_rows = as_measured(results.plan.main), PUBLISHED["ablation"].get(model, {})
    methods, against = results.plan.ablations()[model, preset], tables_of(model).against
    shown = [dataset for dataset in DATASETS if published_rows]
    rows = {}
    for row, method in methods.items():
        cells = {}
        for position, direction in enumerate(ACROSS):
            for dataset in shown if row in published_rows else ():
                number, digits = published_rows[row][dataset][position], 3 if row == FULL else 2
                how = PUBLISHED["convention"] if row == FULL else published_rows["read_off"]
                column = f"{as_published(dataset)}: {INITIALS[direction]}"
                cells[column] = Value((number,), how, dataset=dataset, digits=digits)
            measured = results.method(method, direction, "mAP@all")
            full = results.method(methods[against.get(row, FULL)], direction, "mAP@all")
            cells[f"{measured_here}: {INITIALS[direction]}"] = measured
            if row != FULL:
                change = tuple(a - b for a, b in zip(measured.numbers, full.numbers, strict=True))
                column = f"{measured_here}: {INITIALS[direction]}, change"
                cells[column] = Value(change, measured.convention, measured.ground, signed=True)
        rows[row] = cells
    origins = (*map(as_published, shown), measured_here)
    columns = [f"{position}: {INITIALS[direction]}" for position in origins for direction in ACROSS]
    columns += [f"{measured_here}: {INITIALS[direction]}, change" for direction in ACROSS]
    read_off = f"Published: {published_rows['read_off']}." if published_rows else ""
    return PaperTable(
        f"ablation-{model}-{preset}",
        f"Ablation of {model}, preset {preset}",
        caption(
            results,
            f"mAP@all of unseen classes without each part. {read_off}".strip(),
            standard(results, baselines=False),
            "Change: against the full system of the same seed"
            + "".join(f", of “{row}” against “{against[row]}”" for row in methods if row in against)
            + ".",
            published=bool(published_rows),
        ),
        tuple(columns),
        rows,
        order_notes(rows, [f"{position}: S→I" for position in origins]),
        figure=f"ablation-{model}-{preset}.png",
        groups=(FULL,),
    )


def order_notes(rows, columns):
    """For each column, the rows in the order of their numbers, lowest first.

    Numbers equal as printed are joined by "=".
    """
    notes = []
    for column in columns:
        order = sorted((row for row in rows if column in rows[row]), key=lambda row: rows[row][column].mean)
        numbers = [f"{rows[row][column].mean:.{rows[row][column].digits}f}" for row in order]
        signs = [" = " if float(a) == float(b) else " < " for a, b in itertools.pairwise(numbers)]
        parts = (f"{row} {number}{sign}" for row, number, sign in zip(order, numbers, [*signs, ""], strict=True))
        notes.append(f"Order of {column}: {''.join(parts)}.")
    return tuple(notes)


def conventions_table(results):
    """The same embeddings by every protocol."""
    rows, groups = {}, []
    protocols = [name for name in PROTOCOLS if name == "standard" or name in MEASURES]
    for protocol in protocols:
        for method in results.plan.methods:
            cells = results.plan.trainings(method)
            names = {metric: metric for metric in ("mAP@all", "mAP@200", "P@100", "P@200")}
            if protocol != "standard":
                cells = results.plan.measurements(method, protocol)
            if not cells:
                continue
            if protocol == "knncode":
                names = {"KNNcode “mAP”": "knncode-mAP", "P@100": "precision@100"}
            row = f"{protocol}: {label(method)}"
            rows[row] = {column: results.scores(cells, "sketch->image", name) for column, name in names.items()}
            if method == results.plan.methods[0]:
                groups.append(row)
    notes = [f"{name}: {PROTOCOLS[name].conventions()}" for name in protocols]
    if any(dict(method.changes).get("bits") for method in results.plan.methods):
        notes.append("Embeddings that are codes stand under standard, by Hamming distance, alone.")
    content = "Sketch→image on unseen classes: the same embeddings by each convention of the field."
    return PaperTable(
        "conventions",
        "One set of embeddings, every convention",
        caption(
            results,
            content,
            "distance as the protocol has it, protocol standard each preset's own "
            f"({results.distances()}); all sketches query.",
            published=False,
        ),
        ("mAP@all", "mAP@200", "P@100", "P@200", "KNNcode “mAP”"),
        rows,
        (*notes, texts.always({})),
        groups=tuple(groups[1:]),
    )


def unseen_lists_table(results):
    """Trained and evaluated with each list of unseen classes."""
    rows, groups = {}, []
    for ground in results.plan.grounds:
        rows_of_list = {}
        for row, score in results.all_rows().items():
            cells = measured_values({metric: score("sketch->image", metric, ground) for metric in METRICS})
            if cells:
                rows_of_list[f"{ground.list_name}: {row}"] = {"unseen classes": str(len(ground.split.unseen)), **cells}
        groups.append(next(iter(rows_of_list)))
        rows |= rows_of_list
    return PaperTable(
        "unseen-lists",
        "Every unseen list",
        caption(
            results,
            "Sketch→image, trained and evaluated with each list of unseen classes.",
            standard(results),
            published=False,
            unseen=False,
        ),
        ("unseen classes", *METRICS),
        rows,
        groups=tuple(groups[1:]),
    )


def codes_table(results):
    """64-bit codes, the real-valued embeddings they are made of, and the published binary codes."""
    measured_here, kinds = as_measured(results.plan.main), {"as they are": None, "ITQ": "itq", "signs": "sign"}
    rows = {}
    for line in PUBLISHED["comparison"]:
        if "binary" in line["method"]:
            rows[line["method"]] = {k: v for dataset in DATASETS for k, v in published(line[dataset], dataset).items()}
    groups = [label(results.plan.methods[0])]
    for method in results.plan.methods:
        cells = {}
        for kind, measured in kinds.items():
            cells_of_kind = results.plan.measurements(method, measured) if measured else results.plan.trainings(method)
            for metric in METRICS:
                cells[f"{measured_here}: {kind}, {metric}"] = results.scores(cells_of_kind, "sketch->image", metric)
        rows[label(method)] = measured_values(cells)
    columns = [f"{as_published(dataset)}: {metric}" for dataset in DATASETS for metric in METRICS]
    columns += [f"{measured_here}: {kind}, {metric}" for kind in kinds for metric in METRICS]
    how = (
        "protocol standard; codes by Hamming distance, ITQ fitted on the embeddings of seen classes, signs where the "
        "embedding has 64 dimensions; as they are: each preset's own distance "
        f"({results.distances()})."
    )
    return PaperTable(
        "codes",
        "64-bit codes",
        caption(results, "Sketch→image on unseen classes with binary codes.", how),
        tuple(columns),
        rows,
        ("Codes: " + TIES["expected"],),
        groups=tuple(groups),
    )


def generalised_table(results):
    rows, groups = {}, []
    parts = {"unseen": "directions", "seen": "seen", "harmonic": "harmonic"}
    for protocol in ("sempcyc", "pcmsn"):
        for method in results.plan.methods:
            cells = results.plan.measurements(method, f"generalised-{protocol}")
            if not cells:
                continue
            row = f"{protocol}: {label(method)}"
            rows[row] = {"zero-shot mAP@all": results.method(method, "sketch->image", "mAP@all")}
            for metric in METRICS:
                for part, key in parts.items():
                    rows[row][f"{part} {metric}"] = results.scores(cells, "sketch->image", metric, key)
            if method == results.plan.methods[0]:
                groups.append(row)
    return PaperTable(
        "generalised",
        "Generalised zero-shot",
        caption(
            results,
            "Sketch→image where photos of seen classes are in the gallery too.",
            standard(results, baselines=False),
            published=False,
        ),
        ("zero-shot mAP@all", *(f"{part} {metric}" for metric in METRICS for part in parts)),
        rows,
        (
            "sempcyc: as SEM-PCYC, seen pictures numbering 20 % of the unseen ones join queries and gallery, so few of "
            "a class that P@100 of seen queries is low whatever the embeddings. pcmsn: as "
            "PCMSN, all photos are the gallery; seen queries are scored beside, for the harmonic mean. Photos of seen "
            "classes were trained on.",
        ),
        groups=tuple(groups[1:]),
    )


def reranked_table(results):
    """Each list of unseen classes ranked by distance and re-ranked."""
    rows, groups = {}, []
    for ground in results.plan.grounds:
        for method in results.plan.methods:
            again = results.plan.measurements(method, "reranked", ground)
            if not again:
                continue
            cells = {}
            for metric in METRICS:
                before = results.method(method, "sketch->image", metric, ground)
                after = results.scores(again, "sketch->image", metric)
                change = tuple(b - a for a, b in zip(before.numbers, after.numbers, strict=True))
                cells |= {metric: before, f"re-ranked {metric}": after}
                cells[f"{metric}, change"] = Value(change, after.convention, ground, signed=True)
            rows[f"{ground.list_name}: {label(method)}"] = cells
            if method == results.plan.methods[0]:
                groups.append(next(reversed(rows)))
    return PaperTable(
        "reranked",
        "Re-ranked with the gallery's own neighbours",
        caption(
            results,
            "Sketch→image on unseen classes, before and after re-ranking.",
            standard(results, baselines=False),
            published=False,
            unseen=False,
        ),
        tuple(name for metric in METRICS for name in (metric, f"re-ranked {metric}", f"{metric}, change")),
        rows,
        (texts.RERANKED,),
        groups=tuple(groups[1:]),
    )


def instances_table(results):
    """Where the photo that each sketch was drawn from is ranked."""
    keys = [(among, name) for among in AMONG for name in INSTANCE_METRICS]
    rows, size = {}, 1.0
    for method in results.plan.methods:
        cells = results.plan.measurements(method, "instances")
        if cells:
            scores = (results.scores(cells, *key, digits=1 if key[1] == "mean rank" else 3) for key in keys)
            rows[label(method)] = dict(zip(map(": ".join, keys), scores, strict=True))
            size = results.contents[cells[0]]["directions"][AMONG[0]]["gallery"]
    return PaperTable(
        "instances",
        "The photo that each sketch was drawn from",
        caption(
            results,
            "Unseen classes; each sketch's own photo among those of its class, and among all.",
            f"each preset's own distance ({results.distances()}).",
            published=False,
        ),
        tuple(map(": ".join, keys)),
        rows,
        (
            "acc@k: share of sketches whose own photo is among the first k; ranks count from 1; mean over queries; "
            f"equal distances keep gallery order. A class has {size:.1f} photos in the mean: acc@1 among them is "
            f"{1 / size:.3f} by chance. Published numbers stand in the last table.",
        ),
    )


def across_table(results):
    """Runs on the pictures of datasets that they were not trained on; files of the same two are seeds of a row."""
    alike, rows = {}, {}
    for cell in results.plan.across:
        alike.setdefault(cell.ground.name, []).append(cell)
    for name, cells in alike.items():
        rows[name] = {}
        for how, again in (("ranked", ""), ("reranked", ", re-ranked")):
            contents = [results.contents[cell][how] for cell in cells]
            for direction, metric in itertools.product(ACROSS, METRICS):
                numbers = tuple(content["directions"][direction][metric] for content in contents)
                column = f"{INITIALS[direction]} {metric}{again}"
                rows[name][column] = Value(numbers, convention(contents[0]), cells[0].ground)
    return PaperTable(
        "across",
        "Across datasets",
        f"{results.plan.warning} Each row says which dataset was trained on, which was tested, and on which classes; "
        "queries and gallery are their pictures alone. Protocol standard, the distance recorded with the "
        "embeddings.".strip(),
        tuple(dict.fromkeys(column for cells in rows.values() for column in cells)),
        rows,
        (texts.RERANKED,),
    )


def field_table():
    """What was published since, by other backbones under other conventions."""
    field, rows = PUBLISHED["field"], {}
    for line in field["rows"]:
        origin = {"source": line["source"], "checked": line["checked"], "digits": line.get("digits", 3)}
        rows[line["method"]] = {"backbone": line["backbone"], "trained": line["trained"]} | {
            column: Value((number,), line["convention"], dataset=field["columns"][column], **origin)
            for column, number in line["numbers"].items()
        }
    return PaperTable(
        "field",
        "Where the field stands",
        "Published numbers, sketch→image on unseen classes. Backbones, lists and conventions differ: compare neither "
        "rows with each other nor any with the tables above unless all three agree.",
        ("backbone", "trained", *field["columns"]),
        rows,
        tuple(f"{line['method']}: {line['source']}; convention: {line['convention']}." for line in field["rows"]),
    )
