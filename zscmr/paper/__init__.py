"""The paper's tables: published numbers, the cells to measure, and their layout."""
