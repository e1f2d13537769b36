"""Embeddings in, scores out, on NumPy alone: distances, rankings, metrics, protocols, binary codes, statistics.

What reads pictures, trains, or prints and draws results does not belong here.
"""
