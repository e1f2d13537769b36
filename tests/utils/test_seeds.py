"""Random generators as functions of (seed, purpose, step)."""

from zscmr.utils.seeds import generator


def test_equal_keys_draw_alike_and_others_do_not():
    draws = [generator(*key).integers(2**60) for key in ((1, "a", 2), (1, "a", 2), (2, "a", 2), (1, "b", 2), (1, "a"))]
    assert draws[0] == draws[1] and len(set(draws)) == 4


def test_draws_do_not_change_between_releases():
    """Batches, splits and pictures of older runs are drawn anew by these numbers."""
    assert generator(0, "export").integers(0, 256, 4).tolist() == [177, 90, 29, 59]
