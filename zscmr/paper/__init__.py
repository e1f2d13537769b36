"""The paper's tables: published numbers, the runs and measurements to compare with them (cells), and the layout.

It trains and scores through `training` and `evaluation`; how a metric or a loss is defined does not belong here.
"""
