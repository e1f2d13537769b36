"""Memory that blocks of distances take."""

from zscmr.evaluation import distances


def test_memory_bounds_a_block():
    for gallery, memory in ((1000, 10**9), (54151, 10**9), (10**6, 10**9), (10**6, 2 * 10**8)):
        assert (
            distances.query_block(gallery, memory) * gallery * 8 <= memory / 4
            or distances.query_block(gallery, memory) == 1
        )
