"""Pictures to vectors through a finished network: LiteRT graphs, their export, outputs kept on disk.

What trains a network, or searches among vectors, does not belong here.
"""
