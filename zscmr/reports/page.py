"""The report of an evaluation: every figure, and one HTML page that holds them and the tables, without network.

To add a figure: a function in `zscmr.reports.plots`, its caption in `drawn` of `write_report`, and its call below that.
"""

import base64
from html import escape

from zscmr.evaluation.embeddings import DIRECTIONS
from zscmr.evaluation.instances import find_pairs
from zscmr.reports import plots, text_tables
from zscmr.reports.grid import PLURAL, instances_grid, retrieval_grid
from zscmr.utils.files import whole_file

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1080px; margin: 2em auto; padding: 0 1.2em }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2.2em }
pre { background: #f6f6f3; padding: 1em; overflow-x: auto; font: 13px/1.45 ui-monospace, monospace; border-radius: 6px }
figure { margin: 1em 0 } img { max-width: 100%; border: 1px solid #e4e4e0; border-radius: 6px }
figcaption { color: #555; font-size: .92em } table { border-collapse: collapse }
th, td { text-align: left; font-weight: normal; padding: .15em 1.2em .15em 0; border-bottom: 1px solid #e4e4e0 }
td { overflow-wrap: anywhere } .leak { background: #fbe3e1; padding: .8em 1em; border-radius: 6px }
"""


def write_report(folder, features, results, title, setup, points, provenance):
    """Draw every figure into `folder` and write report.html; return the paths.

    Args:
        folder: where to write.
        features: `Features` of the rows that were evaluated.
        results: of `summaries.summary`, with what the command added.
        title: of the page.
        setup: `scoring.Setup` of the evaluation.
        points: {direction: Scores of `plots.curve_points`}.
        provenance: how the report was made, {line: {name: value} of the settings that it introduces}.
    """
    distance, seed, rerank, direction = results["distance"], setup.seed, setup.rerank, next(iter(results["directions"]))
    kind, gallery_kind = DIRECTIONS[direction]
    drawn = {
        "retrieval.png": f"Random {PLURAL[kind]}, each of another class, and their nearest {PLURAL[gallery_kind]}.",
        "curves.png": "Precision over recall, interpolated, and P@k. Equal distances keep gallery order.",
        "classes.png": "Hard and easy classes. A class counts each of its queries alike.",
        "map.png": "The space seen from two sides: PCA keeps distances at large, t-SNE neighbourhoods.",
        "confusion.png": f"Which class a {kind}'s {PLURAL[gallery_kind]} come from. A row adds up to 100 %.",
    }
    retrieval_grid(folder / "retrieval.png", features, distance, seed, direction=direction, rerank=rerank)
    plots.curves(folder / "curves.png", points, features, distance, seed, rerank)
    plots.class_bars(folder / "classes.png", results, features)
    plots.space_map(folder / "map.png", features, seed)
    plots.confusion(folder / "confusion.png", features, distance, direction, rerank)
    if "instances" in results:
        drawn["instances.png"] = "Random sketches, the photo each was drawn from, and the nearest of its class."
        pairs = find_pairs(results["features"], features)
        instances_grid(folder / "instances.png", features, pairs, distance, seed, rerank)

    parts = [f"<h1>{escape(title)}</h1>"]
    if results.get("leaked"):
        parts.append(f'<p class="leak">Warning: {escape(results["leaked"])}</p>')
    parts.append(_table("Retrieval", text_tables.format_scores(results, title)))
    if "instances" in results:
        parts.append(_table("Fine-grained", text_tables.format_instances(results)))
    if "against" in results:
        parts.append(_table("Against another file", text_tables.format_differences(results)))
    if "compare" in results:
        parts.append(_table("Every convention", text_tables.format_conventions(results)))
    parts.append("<h2>Figures</h2>")
    for name, caption in drawn.items():
        text = caption + (f" Warning: {results['leaked']}" if results.get("leaked") else "")
        image = f'<img alt="{escape(caption)}" src="data:image/png;base64,{base64_of(folder / name)}">'
        parts.append(f"<figure>{image}<figcaption>{escape(text)}</figcaption></figure>")
    parts.append(_table("Class by class", text_tables.format_classes(results)))
    parts.append("<h2>How this was made</h2>")
    parts += [f"<p><code>{escape(line)}</code></p>{_settings(values)}" for line, values in provenance.items()]
    page = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    page += f"<style>{STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    with whole_file(folder / "report.html") as part:
        part.write_text(page, encoding="utf-8", errors="backslashreplace")  # names may be no UTF-8
    return [folder / name for name in (*drawn, "report.html")]


def base64_of(path):
    return base64.b64encode(path.read_bytes()).decode()


def _table(title, text):
    return f"<h2>{escape(title)}</h2>\n<pre>{escape(text)}</pre>"


def _settings(values):
    """A table of names and values; empty without any."""
    rows = [
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(str(value))}</td></tr>' for name, value in values.items()
    ]
    return f"<table>{''.join(rows)}</table>" if rows else ""
