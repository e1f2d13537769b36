"""Stage II: CNN features to one embedding space, for every system of `zscmr.models`: options, training, outcome.

What stage I shares with it (state, steps, sources, strategies) belongs to `zscmr.training`.
"""
