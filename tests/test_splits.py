"""Rows held out, each class in its proportion."""

import numpy as np
import pytest

from sklearn_noisy._splits import stratified_holdout


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_stratified_holdout(fraction):
    y = np.repeat([0, 1, 2, 3], [100, 30, 7, 1])
    held = stratified_holdout(y, fraction, np.random.RandomState(0))
    counts = np.bincount(y[held], minlength=4)
    np.testing.assert_array_less(abs(counts - fraction * np.bincount(y)), 1)
    assert abs(held.sum() - fraction * len(y)) <= 1.5
    # A class of one row trains.
    assert counts[3] == 0
    other = stratified_holdout(y, fraction, np.random.RandomState(1))
    assert (held != other).any()
