"""Rows divided into folds, and numbers rounded to a total."""

import numpy as np
import pytest

from sklearn_noisy._splits import (
    deal_by_class,
    make_splits,
    round_by_evidence,
    round_to_total,
    stratified_folds,
    stratified_holdout,
)


@pytest.mark.parametrize("n_folds", [2, 3, 7])
def test_each_class_is_dealt_out_evenly(n_folds):
    rng = np.random.RandomState(0)
    codes = rng.choice(4, size=100, p=[0.6, 0.3, 0.08, 0.02])
    order = rng.permutation(100)
    fold = deal_by_class(codes, n_folds, order)
    assert np.ptp(np.bincount(fold, minlength=n_folds)) <= 1
    for k in range(4):
        counts = np.bincount(fold[codes == k], minlength=n_folds)
        assert np.ptp(counts) <= 1
        # The rows of a class take turns in the given order.
        turns = np.diff(fold[order[codes[order] == k]]) % n_folds
        assert (turns == 1).all()


def test_folds_from_an_integer_have_each_row_once():
    labels = np.array(["a"] * 5 + ["b"] * 2)
    for cv in (3, np.int64(3)):
        splits = make_splits(cv, np.zeros((7, 1)), labels)
        assert len(splits) == 3
        tests = np.concatenate([test for _, test in splits])
        np.testing.assert_array_equal(np.sort(tests), np.arange(7))
        for train, test in splits:
            assert not np.intersect1d(train, test).size
            assert len(train) + len(test) == 7
    again = stratified_folds(labels, 3)
    for (_, test), (_, other) in zip(splits, again, strict=True):
        np.testing.assert_array_equal(test, other)


def test_largest_remainders():
    rng = np.random.RandomState(0)
    expected = np.array([0.2, 1.7, 2.6, 0.5])
    counts = round_to_total(expected, 5, rng)
    np.testing.assert_array_equal(counts, [0, 2, 3, 0])
    draws = {tuple(round_to_total(np.full(3, 1 / 3), 1, rng)) for _ in range(50)}
    assert draws == {(1, 0, 0), (0, 1, 0), (0, 0, 1)}


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


def test_a_unit_that_has_no_room_goes_to_another_number():
    rng = np.random.RandomState(0)
    limit = np.array([0, 5, 5])
    counts = round_to_total(np.array([0.6, 1.3, 1.1]), 3, rng, limit=limit)
    np.testing.assert_array_equal(counts, [0, 2, 1])


def test_classes_of_one_row_take_no_held_out_rows_from_the_others():
    y = np.repeat(np.arange(60), [1] * 40 + [4] * 20)
    held = stratified_holdout(y, 0.1, np.random.RandomState(0))
    assert held.sum() == 12
    assert not held[:40].any()


def test_roundings_of_one_quantity_add_up():
    rng, owed = np.random.RandomState(0), np.zeros(3)
    expected, total = np.array([0.75, 0.2, 0.05]), np.zeros(3)
    for _ in range(40):
        counts = round_to_total(expected, 1, rng, owed=owed)
        owed += expected - counts
        total += counts
    np.testing.assert_array_equal(total, [30, 8, 2])


def test_evidence_decides_between_remainders():
    expected = np.array([0.4, 0.5, 0.0, 1.1])
    observed = np.array([2, 0, 9, 1])
    np.testing.assert_array_equal(
        round_by_evidence(expected, 2, observed), [1, 0, 0, 1]
    )
    np.testing.assert_array_equal(
        round_by_evidence(expected, 3, observed), [1, 1, 0, 1]
    )
