"""Results of an evaluation as text. Every table repeats the leak, if any, and the conventions of its numbers."""

import textwrap

from zscmr.evaluation.protocols import PROTOCOLS, TIES

RERANKED = (
    "Re-ranked: the gallery as a whole is used, by k-reciprocal encoding (Zhong et al. 2017); not comparable with "
    "numbers of pictures ranked one by one."
)


def format_scores(results, title, caption=True):
    """Format the results of `evaluate`: title, a row per direction, and with `caption` the conventions.

    Half the width of each 95 % interval follows its number. Rows of seen classes and harmonic means are added where
    `results` holds them. Protocols of many metrics are transposed.
    """
    rows = {}
    intervals = results.get("intervals", {})
    for direction in results["directions"]:
        for part in ("directions", "seen", "harmonic"):
            within = intervals.get(direction, {}) if part == "directions" else {}
            for name, value in results.get(part, {}).get(direction, {}).items():
                cell = _number(value)
                if name in within:
                    cell += f" ±{(within[name][1] - within[name][0]) / 2:.3f}"
                elif intervals and isinstance(value, float):
                    cell += " " * len(" ±0.000")  # under the numbers that have one
                rows.setdefault(_row(results, direction, part), {})[name] = cell
    names = list(next(iter(rows.values())))  # the protocol's metrics, then the counts
    if len(names) > 8:
        rows, names = {name: {row: cells.get(name, "") for row, cells in rows.items()} for name in names}, list(rows)
    lines = [f"{title} ({ranked_by(results)})", *_aligned(rows, names), *_leak(results)]
    return "\n".join(lines + (conventions(results) if caption else []))


def ranked_by(results):
    """The distance, and whether the ranking was re-ranked."""
    return f"{results['distance']}{', re-ranked' if results.get('reranked') else ''}"


def conventions(results):
    """Lines on how the numbers of `results` were made."""
    protocol = results["protocol"]
    text = f"{protocol} protocol: {PROTOCOLS[protocol].conventions(results['distance'])} {always(results)}"
    if "intervals" in results:
        text += " ± is half the width of the 95 % interval over resampled queries."
    return _wrapped(text)


def always(results):
    """Conventions common to all protocols: queries with R = 0, the query itself, equal distances."""
    empty = results.get("without_relevant", {})
    empty_rows = [
        f"{_row(results, direction, part)}: {count} of {results[part][direction]['queries']}"
        for part, counts in empty.items()
        for direction, count in counts.items()
        if count
    ]
    note = f" ({', '.join(empty_rows)})" if empty_rows else " (here there is none)" if empty else ""
    ties = TIES[results.get("ties", "gallery")]
    across = f"Across datasets: {results['across']}. " if results.get("across") else ""
    reranked = f"{RERANKED} " if results.get("reranked") else ""
    return f"{across}{reranked}A query with R = 0 counts 0{note}; a query never retrieves itself; {ties}"


def _row(results, direction, part):
    """The name of a row. Unseen classes are called so if there are rows of seen ones."""
    if part == "directions":
        return f"{direction} unseen" if "seen" in results else direction
    return f"{direction} {part}"


def format_classes(results):
    """Format the first metric of each class, a column per direction."""
    rows = {}
    for direction, values in results["classes"].items():
        for name, value in values.items():
            rows.setdefault(name, {})[direction] = _number(value)
    metric = next(iter(next(iter(results["directions"].values()))))
    title = f"{metric} of each class ({ranked_by(results)})"
    return "\n".join([title, *_aligned(rows, list(results["classes"])), *_leak(results)])


def format_instances(results):
    """Format the rank of each sketch's own photo, among those of its class and among all."""
    instances = results["instances"]
    rows = {}
    for among, values in instances["directions"].items():
        within = instances.get("intervals", {}).get(among, {})
        for name, value in values.items():
            digits = 1 if name in ("mean rank", "gallery") else 3
            cell = f"{value:.{digits}f}" if isinstance(value, float) else str(value)
            if name in within:
                cell += f" ±{(within[name][1] - within[name][0]) / 2:.{digits}f}"
            rows.setdefault(f"among {among}", {})[name] = cell
    how = (
        "acc@k: share of sketches whose own photo is among the first k; ranks count from 1; mean over queries; "
        f"gallery: mean number of photos ranked; equal distances keep gallery order. Pairs by {instances['source']}; "
        f"{instances['without']} sketches without a photo of their own there are left out."
    )
    how = f"{RERANKED} {how}" if instances.get("reranked") else how
    title = f"the photo that each sketch was drawn from ({ranked_by(instances)})"
    return "\n".join([title, *_aligned(rows, list(next(iter(rows.values())))), *_leak(results), *_wrapped(how)])


def format_differences(results):
    """Format the paired tests against another file."""
    against = results["against"]
    rows, names = {}, []
    for direction, tests in against["directions"].items():
        names = list(tests)
        rows[direction] = {name: f"{test['difference']:+.3f}" for name, test in tests.items()}
        rows[f"{direction} 95 %"] = {name: _interval(*test["interval"]) for name, test in tests.items()}
        rows[f"{direction} p"] = {name: f"{test['p']:.4f}" for name, test in tests.items()}
    how = (
        "Difference of the means over the same queries, 95 % interval by resampling queries, two-sided p by "
        "exchanging the two systems' scores of a query (all exchanges, or 10,000 random ones)."
    )
    first, second = (f"{each['features']} ({each['distance']})" for each in (results, against))
    title = f"{first} minus {second}"
    if results["distance"] != against["distance"]:
        how += " Each file is ranked by the distance recorded in it; --distance ranks both alike."
    if results.get("reranked"):
        how = f"{RERANKED} {how}"
    return "\n".join([title, *_aligned(rows, names), *_leak(results), *_wrapped(how)])


def format_conventions(results):
    """Format every convention under every distance, a block per direction."""
    lines = []
    for direction, rows in results["compare"].items():
        cells = {name: {distance: _number(value) for distance, value in row.items()} for name, row in rows.items()}
        lines += [
            f"{direction}: the same embeddings by every convention",
            *_aligned(cells, list(next(iter(rows.values())))),
        ]
    how = (
        "Mean over queries unless class means are named. / R, / min(k, R), / hits: what AP@200 divides by. "
        "`normalised` ranks as cosine does. Published: sake = mAP@all interpolated, class means; mAP@200 interpolated, "
        "/ min(k, R); P@100 / k; all normalised. sempcyc = raw; / hits; / k; euclidean. zse = interpolated; "
        "/ min(k, R); P@min(100, R); normalised. knncode = knncode-mAP under l1. "
    )
    return "\n".join([*lines, *_leak(results), *_wrapped(how + always(results))])


def _aligned(rows, names):
    """Lines of {row: {column: text}} under a head with the columns `names`; missing cells stay empty."""
    head = max(16, *(len(row) for row in rows))
    widths = {
        name: max(9, 2 + max(len(name), *(len(cells.get(name, "")) for cells in rows.values()))) for name in names
    }
    lines = [f"  {'':{head}}" + "".join(f"{name:>{widths[name]}}" for name in names)]
    for row, cells in rows.items():
        lines.append(f"  {row:{head}}" + "".join(f"{cells.get(name, ''):>{widths[name]}}" for name in names).rstrip())
    return lines


def _number(value):
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _interval(low, high):
    return f"{low:.3f}…{high:.3f}"


def _leak(results):
    return _wrapped(f"WARNING: {results['leaked']}") if results.get("leaked") else []


def _wrapped(text):
    return textwrap.wrap(text, 100, initial_indent="  ", subsequent_indent="  ")
