"""A table as Markdown, as LaTeX, and as lines of a CSV file that give each number's origin."""

import csv
import io
from dataclasses import dataclass, field

import numpy as np

from zscmr.paper.ground import PUBLISHED, Ground

NOT_COMPARABLE, LEAKED, UNCHECKED = "†", "‡", "§"
MISSING = "–"
CSV_HEAD = (
    *("table", "row", "column", "value", "deviation", "runs", "source"),
    *("dataset", "unseen", "backbone", "convention", "comparable", "leaked"),
)


@dataclass(frozen=True)
class Value:
    """A number of a table: `numbers` over the seeds, measured on `ground`; without one it is published."""

    numbers: tuple[float, ...]
    convention: str
    ground: Ground | None = None
    dataset: str = ""  # of a published number
    source: str = PUBLISHED["source"]  # of a published number
    checked: bool = True  # whether a published number was compared with its source
    digits: int = 3
    signed: bool = False

    @property
    def mean(self):
        return float(np.mean(self.numbers))

    @property
    def deviation(self):
        """Sample standard deviation over the seeds; None of a single number."""
        return float(np.std(self.numbers, ddof=1)) if len(self.numbers) > 1 else None

    @property
    def marks(self):
        if self.ground is None:
            return "" if self.checked else UNCHECKED
        return NOT_COMPARABLE * bool(self.ground.differences) + LEAKED * bool(self.ground.leaked)

    def __str__(self):
        spread = "" if self.deviation is None else f" ± {self.deviation:.{self.digits}f}"
        mean = round(self.mean, self.digits) + 0.0  # no negative zero
        number = f"{mean:{'+' * self.signed}.{self.digits}f}".replace("-", "−")
        return f"{number}{spread}{self.marks and f' {self.marks}'}"


@dataclass(frozen=True)
class PaperTable:
    name: str  # of files and labels
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: dict[str, dict[str, Value | str]]  # row -> column -> number or text; missing: not measured
    notes: tuple[str, ...] = ()
    figure: str = ""  # file name of a picture of the same numbers
    groups: tuple[str, ...] = field(default=())  # rows before which a line is drawn

    def values(self):
        return [(row, name, value) for row, cells in self.rows.items() for name, value in cells.items()]

    def grounds(self):
        """The grounds of the numbers, each once."""
        grounds = [value.ground for *_, value in self.values() if _is_measured(value)]
        return list({id(ground): ground for ground in grounds}.values())

    def footnotes(self):
        """Why numbers are marked, then the notes."""
        lines = []
        for mark, why in ((NOT_COMPARABLE, _differences), (LEAKED, _leaks)):
            lines += [f"{mark} {line}" for line in dict.fromkeys(filter(None, map(why, self.grounds())))]
        if any(isinstance(value, Value) and not value.checked for *_, value in self.values()):
            lines.append(f"{UNCHECKED} {PUBLISHED['field']['unchecked']}.")
        return [*lines, *self.notes]

    def texts(self):
        """The body as strings, (rows, 1 + columns)."""
        return [[row, *(str(cells.get(name, MISSING)) for name in self.columns)] for row, cells in self.rows.items()]


def _differences(ground):
    if not ground.differences:
        return ""
    return f"{ground.name}, {ground.list_name}: not comparable with the published numbers: " + "; ".join(
        ground.differences
    )


def _leaks(ground):
    return f"{ground.name}, {ground.list_name}: {ground.leaked}" if ground.leaked else ""


def markdown_page(tables, title, command):
    """All tables under a title, the command that made them and the source of the published numbers."""
    head = f"# {title}\n", f"    {command}\n", f"Published numbers: {PUBLISHED['source']}.\n"
    return "\n".join([*head, *map(markdown, tables)])


def latex_page(tables, command):
    """All tables, to be read in by \\input."""
    needs = r"% needs \usepackage{booktabs,graphicx}"
    return "\n".join([f"% {command}", f"% published numbers: {PUBLISHED['source']}", needs, "", *map(latex, tables)])


def markdown(table):
    lines = [["", *table.columns], *table.texts()]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(lines[0]))]
    ruled = [lines[0], ["-" * width for width in widths], *lines[1:]]
    body = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
            for line in ruled]  # fmt: skip
    picture = [f"![{table.title}]({table.figure})", ""] if table.figure else []
    notes = [f"* {note}" for note in table.footnotes()]
    return "\n".join([f"## {table.title}", "", table.caption, "", *body, "", *picture, *notes]).rstrip() + "\n"


def measured_lines(table):
    """The measured numbers of a table as lines for a terminal; marks are explained in the files."""
    cells = {row: {name: str(value) for name, value in texts.items() if _is_measured(value)}
             for row, texts in table.rows.items()}  # fmt: skip
    names = [name for name in table.columns if any(name in texts for texts in cells.values())]
    body = [[row, *(texts.get(name, MISSING) for name in names)] for row, texts in cells.items() if texts]
    lines = [[table.title, *(name.rpartition(": ")[2] for name in names)], *body]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]


def _is_measured(value):
    return isinstance(value, Value) and value.ground is not None


def latex(table):
    """A `table` environment with booktabs rules, and a `figure` of the same numbers where there is one."""
    lines = [
        r"\begin{table}",
        r"\centering\footnotesize",
        rf"\caption{{{escaped(table.title)}. {escaped(table.caption)}}}",
        rf"\label{{tab:{table.name}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
        _latex_line(["", *table.columns]),
        r"\midrule",
    ]
    for row in table.texts():
        lines += [r"\midrule"] * (row[0] in table.groups) + [_latex_line(row)]
    lines += [r"\bottomrule", r"\end{tabular}}"]
    lines += [rf"\\[2pt]\parbox{{\linewidth}}{{\raggedright {escaped(note)}}}" for note in table.footnotes()]
    lines.append(r"\end{table}")
    if table.figure:
        lines += [
            r"\begin{figure}",
            rf"\centering\includegraphics[width=\linewidth]{{{table.figure}}}",
            rf"\caption{{{escaped(table.title)}, as in Table~\ref{{tab:{table.name}}}.}}",
            r"\end{figure}",
        ]
    return "\n".join(lines) + "\n"


def _latex_line(cells):
    return " & ".join(map(escaped, cells)) + r" \\"


_LATEX = {
    **{letter: "\\" + letter for letter in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"±": r"$\pm$", "→": r"$\to$", "†": r"$^\dagger$", "‡": r"$^\ddagger$", "–": "--", "−": "$-$", "…": r"\dots{}"},
    **{"§": r"\S{}", "<": "$<$", ">": "$>$"},
}


def escaped(text):
    return "".join(_LATEX.get(letter, letter) for letter in text)


def csv_lines(tables):
    """All numbers of the tables, a line each, with their origin."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_HEAD)
    for table in tables:
        for row, column, value in table.values():
            if isinstance(value, Value):
                writer.writerow([table.name, row, column, *_provenance(value)])
    return text.getvalue()


def _provenance(value):
    spread = "" if value.deviation is None else f"{value.deviation:.6f}"
    if value.ground is None:
        number = f"{value.mean:.{value.digits}f}"
        return [
            number,
            "",
            "",
            value.source + ("" if value.checked else f" ({PUBLISHED['field']['unchecked']})"),
            value.dataset,
            "not stated",
            "not stated",
            value.convention,
            "",
            "",
        ]
    ground = value.ground
    comparable = "no: " + "; ".join(ground.differences) if ground.differences else "yes"
    return [
        *(f"{value.mean:.6f}", spread, len(value.numbers), "measured"),
        *(ground.name, ground.list_name, ground.backbone, value.convention, comparable, ground.leaked),
    ]
