"""The noise matrix under which the given labels are most likely."""

import cvxpy as cp
import numpy as np
import pytest
from cleanlab.count import compute_confident_joint
from scipy.special import softmax
from sklearn.metrics import confusion_matrix

from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix
from sklearn_noisy.noise import (
    certain_noise_matrix,
    confident_noise_matrix,
    count_noise_matrix,
    likely_noise_matrix,
)

K = 4


@pytest.fixture(scope="module")
def drawn():
    """Logits, labels that their softmax makes, given labels, the matrix."""
    rng = np.random.RandomState(0)
    Q = make_noise_matrix(K, 0.4, "random", random_state=1)
    logits = 2.5 * rng.randn(40_000, K)
    p = softmax(logits, axis=1)
    y = (p.cumsum(axis=1) < rng.rand(len(p), 1)).sum(axis=1)
    return logits, y, corrupt_labels(y, Q, random_state=2), Q


def error(found, Q):
    return np.abs(found - Q).sum() / len(Q)


def test_true_probabilities_give_the_true_matrix(drawn):
    logits, _, given, Q = drawn
    start = np.full((K, K), 1 / K)
    found, factor, gap = likely_noise_matrix(logits, given, start)
    assert error(found, Q) < 0.03
    assert factor == pytest.approx(1, abs=0.1)
    assert gap < 1e-6
    np.testing.assert_allclose(found.sum(axis=0), 1)


def test_counting_takes_mistakes_of_the_model_for_noise(drawn):
    logits, _, given, Q = drawn
    counted = count_noise_matrix(logits.argmax(axis=1), given, K, np.ones(len(given)))
    found, _, _ = likely_noise_matrix(logits, given, counted)
    assert error(counted, Q) > 5 * error(found, Q)


def test_certain_rows_hold_fewer_mistakes(drawn):
    logits, y, given, Q = drawn
    p, weight = softmax(logits, axis=1), np.ones(len(given))
    counted = count_noise_matrix(p.argmax(axis=1), given, K, weight)
    assert error(certain_noise_matrix(p, given, weight), Q) < 0.5 * error(counted, Q)
    # Where certainty says nothing of mistakes, all rows count.
    rng = np.random.RandomState(0)
    predicted = np.where(rng.rand(len(y)) < 0.5, y, rng.randint(K, size=len(y)))
    p = np.full(p.shape, 0.01) + 0.5 * np.eye(K)[predicted]
    p += 0.4 * rng.rand(len(y), 1) * np.eye(K)[predicted]
    p /= p.sum(axis=1, keepdims=True)
    found, counted = (
        certain_noise_matrix(p, given, weight),
        count_noise_matrix(predicted, given, K, weight),
    )
    assert np.abs(found - counted).sum() / K < 0.04


def test_certain_rows_by_hand():
    """Ten rows of class 0, of which three are certain; none of class 2."""
    p = np.array([[0.5 + i / 30, 0.4 - i / 30, 0.1] for i in range(10)])
    p = np.concatenate([p, [[0.1, 0.8, 0.1]] * 4])
    given = np.array([1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 1, 1, 1, 0])
    found = certain_noise_matrix(p, given, np.ones(14))
    # All of the three were given 0, 6 of all ten. With one more row, as all are, 9 in
    # 10 were: that is their chance to differ.
    share = 1 - (2 * 0.9 * 0.1 * 0.7 / 3) / (2 * 0.4**2)
    np.testing.assert_allclose(found[:, 0], [0.6 + 0.4 * share, 0.4 - 0.4 * share, 0])
    # Of four rows two are certain, without the 0 among them.
    right = (2 + 0.75) / 3
    share = 1 - (2 * right * (1 - right) * 0.7 / 2) / (2 * 0.25**2)
    np.testing.assert_allclose(
        found[:, 1], [0.25 - 0.25 * share, 0.75 + 0.25 * share, 0], atol=1e-12
    )
    np.testing.assert_allclose(found[:, 2], [0, 0, 1])
    # A row of weight 0 is not there. Certain are the last row and the seventh, and
    # their third of 0 is not more than chance away from the 4/9 of all.
    weight = np.ones(14)
    weight[[7, 8]] = 0
    weight[6] = 2
    found = certain_noise_matrix(p, given, weight)
    np.testing.assert_allclose(found[:, 0], [4 / 9, 5 / 9, 0])
    # With thirty times the rows it is more: of 30 last ones, and 26 of the seventh.
    many = np.tile(np.arange(14), 30)
    found = certain_noise_matrix(p[many], given[many], weight[many])
    certain = 30 / (30 + 2 * 26)
    n_certain = 82**2 / (30 + 4 * 26)
    smoothed = (n_certain * certain + 4 / 9) / (n_certain + 1)
    chance = 2 * smoothed * (1 - smoothed) * 0.7 / n_certain
    share = 1 - chance / (2 * (certain - 4 / 9) ** 2)
    expected = 4 / 9 + share * (certain - 4 / 9)
    np.testing.assert_allclose(found[:, 0], [expected, 1 - expected, 0])


def test_a_model_that_is_too_sure_is_calibrated(drawn):
    logits, _, given, Q = drawn
    found, factor, _ = likely_noise_matrix(3 * logits, given, np.eye(K))
    assert factor == pytest.approx(1 / 3, rel=0.1)
    assert error(found, Q) < 0.03
    raw, factor, _ = likely_noise_matrix(
        3 * logits, given, np.eye(K), temperature=False
    )
    assert factor == 1
    assert error(raw, Q) > 0.1


def test_it_is_the_maximum(drawn):
    """Against cvxpy, on few rows."""
    logits, _, given, _ = drawn
    logits, given = logits[:300], given[:300]
    found, _, gap = likely_noise_matrix(
        logits, given, np.eye(K), temperature=False, max_iter=20_000, tol=1e-7
    )
    p = softmax(logits, axis=1)
    Q = cp.Variable((K, K), nonneg=True)
    likelihood = sum(cp.log(Q[j] @ row) for row, j in zip(p, given, strict=True)) / 300
    problem = cp.Problem(cp.Maximize(likelihood), [cp.sum(Q, axis=0) == 1])
    best = problem.solve(solver="CLARABEL")
    reached = np.log((p @ found.T)[np.arange(300), given]).mean()
    assert gap < 1e-7
    assert best - reached < 1e-6


def test_a_weight_is_a_repetition(drawn):
    logits, y, given, _ = drawn
    logits, y, given = logits[:500], y[:500], given[:500]
    weight = np.random.RandomState(0).randint(1, 4, size=500)
    many = np.repeat(np.arange(500), weight)
    ones = np.ones(len(many))
    start = np.full((K, K), 1 / K)
    np.testing.assert_allclose(
        likely_noise_matrix(logits, given, start, weight)[0],
        likely_noise_matrix(logits[many], given[many], start)[0],
        rtol=1e-6,
        atol=1e-9,
    )
    np.testing.assert_allclose(
        count_noise_matrix(y, given, K, weight),
        count_noise_matrix(y[many], given[many], K, ones),
    )
    p = softmax(logits, axis=1)
    np.testing.assert_allclose(
        confident_noise_matrix(p, given, weight),
        confident_noise_matrix(p[many], given[many], ones),
    )


def test_counts(drawn):
    _, y, given, _ = drawn
    np.testing.assert_allclose(
        count_noise_matrix(y, given, K, np.ones(len(y))),
        confusion_matrix(given, y, normalize="pred"),
    )


def test_a_class_that_is_never_predicted_has_no_noise():
    predicted, given = np.array([0, 0, 1, 1]), np.array([0, 1, 2, 2])
    found = count_noise_matrix(predicted, given, 3, np.ones(4))
    np.testing.assert_array_equal(found[:, 2], [0, 0, 1])


def test_confident_joint_is_cleanlabs(drawn):
    logits, _, given, _ = drawn
    p = softmax(logits, axis=1)
    joint = compute_confident_joint(given, p).astype(float)
    np.testing.assert_allclose(
        confident_noise_matrix(p, given, np.ones(len(given))),
        joint / joint.sum(axis=0),
        atol=1e-3,
    )


def test_labels_that_are_never_given():
    rng = np.random.RandomState(0)
    logits = rng.randn(200, 3)
    given = rng.randint(2, size=200)
    found, _, _ = likely_noise_matrix(logits, given, np.full((3, 3), 1 / 3))
    np.testing.assert_array_equal(found[2], 0)
    p = softmax(logits, axis=1)
    assert np.isfinite(confident_noise_matrix(p, given, np.ones(200))).all()


def test_no_label_that_was_given_becomes_impossible():
    # The only certain row of class 2 was given label 1, as that of class 1 was.
    p = [[0.9, 0.05, 0.05]] * 10 + [[0.5, 0.3, 0.2]] * 20
    p += [[0.1, 0.1, 0.8]] + [[0.05, 0.9, 0.05]] * 10
    given = np.repeat([0, 2, 0, 1], [28, 2, 1, 10])
    Q = certain_noise_matrix(np.array(p), given, np.ones(len(given)))
    assert (Q[2] > 0).any()
    np.testing.assert_allclose(Q.sum(axis=0), 1)
