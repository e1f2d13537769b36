"""Files as they lie on disk: MAT v5 and v7.3, run directories, dataset directories.

Reads, checks and writes them; what their arrays mean is the business of `datasets` and above.
"""
