"""What several tests share: toy data, slow loops to compare with, mutated files. Nothing here is a test."""
