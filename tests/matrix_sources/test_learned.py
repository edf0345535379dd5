"""The noise matrix learned by EM: how far nets know the classes."""

import numpy as np

from sklearn_noisy._matrix_sources.learned import knowledge


def test_how_far_a_class_is_known():
    labels = np.array([0, 0, 0, 1, 2, 2])
    sure = np.eye(4)[labels]
    weight = np.array([1.0, 2.0, 3.0, 1.0, 1.0, 4.0])
    # A class that has no probability anywhere is not known.
    assert knowledge(sure, weight).tolist() == [1, 1, 1, 0]
    assert knowledge(np.tile([0.7, 0.1, 0.2, 0.0], (6, 1)), weight).tolist() == [0] * 4
    # A net that says half of the time which of two classes it is, and knows no more
    # in the other half, explains a half; four times what the start is worth.
    p = np.full((400, 2), 0.5)
    for known, expected in ((200, 0.8), (80, 0.5), (0, 0.0)):
        p[:] = 0.5
        p[:known] = np.eye(2)[np.arange(known) % 2]
        np.testing.assert_allclose(knowledge(p, np.ones(400)), expected, atol=1e-12)


def test_what_is_known_of_a_class_has_bounds():
    # Variance and its bound differ by a rounding error here.
    p = np.repeat(np.eye(2), [134, 66], axis=0)
    assert (knowledge(p, np.ones(200)) <= 1).all()
