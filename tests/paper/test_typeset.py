"""A table in its three formats."""

import csv

from zscmr.paper import typeset


def test_table_in_three_formats():
    # .1 and .2: mean .15, sample standard deviation √(2 · .05² / 1) = .0707
    table = typeset.PaperTable(
        "toy",
        "S → I",
        "5 % of a_b",
        ("size", "mAP"),
        {"ours": {"size": "64", "mAP": typeset.Value((0.1, 0.2), "standard")}, "theirs": {"size": "8"}},
        groups=("theirs",),
    )
    assert typeset.markdown(table).splitlines()[4:] == [
        "|        | size | mAP           |",
        "| ------ | ---- | ------------- |",
        "| ours   | 64   | 0.150 ± 0.071 |",
        "| theirs | 8    | –             |",
    ]
    lines = typeset.latex(table).splitlines()
    assert r"\caption{S $\to$ I. 5 \% of a\_b}" in lines
    assert lines[lines.index(r"\midrule") + 1 :][:3] == [
        r"ours & 64 & 0.150 $\pm$ 0.071 \\",
        r"\midrule",
        r"theirs & 8 & -- \\",
    ]
    [line] = csv.DictReader(typeset.csv_lines([table]).splitlines())
    assert (line["table"], line["row"], line["column"], line["convention"]) == ("toy", "ours", "mAP", "standard")
