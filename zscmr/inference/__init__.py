"""Pictures to vectors through a finished network: LiteRT graphs, their export, outputs kept on disk.

Nothing here trains.
"""
