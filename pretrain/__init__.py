"""Stage I: pictures and words -> the feature and class-vector files of a dataset directory."""
