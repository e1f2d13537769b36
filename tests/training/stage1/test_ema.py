"""The moving average of weights against its formula."""

import keras
import numpy as np

from zscmr.training.stage1.ema import WeightEMA


def test_averages_follow_the_weights():
    """Decay .5, from w = 0 by way of 1 and 3: after step 0 the share of the old is (1 + 0) / (10 + 0) = .1, so
    a = .9; after step 8 it is min(.5, 9 / 18) = .5, so a = (.9 + 3) / 2."""
    weight = keras.Variable(np.zeros(2, np.float32))
    ema = WeightEMA([weight], 0.5)
    weight.assign([1.0, 1.0])
    ema.update(0)
    weight.assign([3.0, 3.0])
    ema.update(8)
    np.testing.assert_allclose(ema.values[0].numpy(), [1.95, 1.95], rtol=1e-6)
    ema.swap()
    np.testing.assert_allclose(weight.numpy(), [1.95, 1.95], rtol=1e-6)
    ema.swap()
    np.testing.assert_allclose(weight.numpy(), [3.0, 3.0])
