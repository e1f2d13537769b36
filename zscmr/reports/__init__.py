"""What a person reads of results: tables in text, the retrieval grid, plots, the HTML report.

It draws what `evaluation` returns and computes no scores; the paper's tables are in `zscmr.paper`.
"""
