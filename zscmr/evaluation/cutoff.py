"""The distance beyond which nothing is similar to a query, chosen from distances of held-out queries."""

from dataclasses import dataclass

import numpy as np

SHARE = 0.05  # of the queries whose class is present that may lie beyond the cut-off
LEAST_GAIN = 2.0  # a cut-off is useful if absent classes lie beyond it this many times as often as present ones


@dataclass(frozen=True)
class Cutoff:
    """A cut-off and its rates.

    Args:
        distance: of the nearest picture, beyond which nothing is similar.
        present: share of the queries with pictures of their class in the gallery that lie beyond it, 0 to 1.
        absent: share of the queries without such pictures that lie beyond it, 0 to 1.
        separation: probability that the nearest picture of an absent class is farther than that of a present one,
            ties count half; 0.5: distances do not tell them apart.
    """

    distance: float
    present: float
    absent: float
    separation: float

    @property
    def useful(self):
        """Whether absent classes lie beyond it at least `LEAST_GAIN` times as often as present ones."""
        return self.absent > 0 and self.absent >= LEAST_GAIN * self.present


def choose_cutoff(present, absent, share=SHARE):
    """Return the `Cutoff` that at most a `share` of the present queries exceed.

    The distance is the smallest of `present` that keeps the share, so that most absent queries lie beyond it. A query
    at the cut-off itself is similar.

    Args:
        present: nearest distances (n,) of queries whose class is in the gallery, n at least 1.
        absent: nearest distances (m,) of queries whose class is not, m at least 1.
        share: 0 to 1, without 1.
    """
    present, absent = np.sort(np.asarray(present, float)), np.sort(np.asarray(absent, float))
    allowed = int(share * len(present) + 1e-9)  # 0.29 · 100 is 28.999999999999996
    return measure_cutoff(float(present[-1 - allowed]), present, absent)


def measure_cutoff(distance, present, absent):
    """The `Cutoff` at a distance; the other arguments are those of `choose_cutoff`."""
    present, absent = np.sort(np.asarray(present, float)), np.asarray(absent, float)
    nearer, upto = (np.searchsorted(present, absent, side) for side in ("left", "right"))
    separation = float(np.mean(nearer + upto)) / (2 * len(present))
    return Cutoff(distance, float(np.mean(present > distance)), float(np.mean(absent > distance)), separation)
