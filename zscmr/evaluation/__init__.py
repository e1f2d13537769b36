"""Ranking and scoring, in NumPy alone."""
