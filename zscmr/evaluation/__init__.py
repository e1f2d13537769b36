"""Ranking and scoring, without TensorFlow."""
