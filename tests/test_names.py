"""Classes are matched by name, and rows by their index, in every public function."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    NoiseMatrixEstimator,
    RobustLossClassifier,
    find_label_issues,
    noise,
)
from sklearn_noisy.callbacks import EpochAccuracy
from sklearn_noisy.datasets import corrupt_labels
from sklearn_noisy.inspection import NoiseMatrixDisplay, TrainingDisplay
from sklearn_noisy.metrics import (
    make_noise_corrected_scorer,
    noise_corrected_accuracy_score,
    noise_corrected_log_loss,
    noise_matrix_error,
)
from sklearn_noisy.model_selection import CleanRowsKFold

CLASSES = ["a", "b", "c"]
Q = np.array([[0.7, 0.0, 0.1], [0.3, 0.8, 0.2], [0.0, 0.2, 0.7]])
C = np.array([[0.8, 0.1, 0.2], [0.1, 0.7, 0.2], [0.1, 0.2, 0.6]])
ALLOWED = Q > 0
PRIOR = np.array([0.5, 0.3, 0.2])
RNG = np.random.RandomState(0)
CODES, OTHERS = RNG.randint(3, size=(2, 60))
Y, Y_OTHER = np.array(CLASSES)[CODES], np.array(CLASSES)[OTHERS]
P = 0.5 * RNG.dirichlet(np.ones(3), size=60) + 0.5 * np.eye(3)[CODES]
X = RNG.randn(60, 4) + np.eye(3, 4)[CODES]
IS_CLEAN = np.arange(60) % 3 == 0
LOGISTIC = LogisticRegression().fit(X, Y)


def named_matrix(matrix):
    frame = pd.DataFrame(matrix, index=CLASSES, columns=CLASSES)
    return frame.loc[["c", "a", "b"], ["b", "c", "a"]]


def named_columns(table):
    return pd.DataFrame(table, columns=CLASSES)[["c", "b", "a"]]


def polars_columns(table):
    return pl.DataFrame(table, schema=CLASSES).select(["b", "a", "c"])


def named_vector(vector):
    return pd.Series(vector, index=CLASSES).loc[["b", "c", "a"]]


def adapted(**params):
    clf = NoiseAdaptedClassifier(max_epochs=1, n_rounds=0, random_state=0, **params)
    return clf.fit(X, Y)


def issues(**arguments):
    table = find_label_issues(None, None, Y_OTHER, **arguments)
    return table["is_label_issue"], table["label_quality"]


# Each call takes what makes a matrix, a table of probabilities and a vector of it.
CALLS = {
    "check_noise_matrix": lambda m, p, v: noise.check_noise_matrix(m(Q)),
    "inverse_from_noise": lambda m, p, v: noise.inverse_from_noise(m(Q), v(PRIOR)),
    "noise_from_inverse": lambda m, p, v: noise.noise_from_inverse(m(Q), v(PRIOR)),
    "probability_right": lambda m, p, v: noise.probability_right(p(P), OTHERS, m(Q)),
    "certain_noise_matrix": lambda m, p, v: noise.certain_noise_matrix(
        p(P), OTHERS, np.ones(60)
    ),
    "confident_noise_matrix": lambda m, p, v: noise.confident_noise_matrix(
        p(P), OTHERS, np.ones(60)
    ),
    "likely_noise_matrix": lambda m, p, v: noise.likely_noise_matrix(
        p(np.log(P)), OTHERS, m(Q), max_iter=5
    )[0],
    "project_columns": lambda m, p, v: noise.project_columns(m(2 * Q), m(ALLOWED)),
    "solve_inverse": lambda m, p, v: noise.solve_inverse(m(C), m(C @ Q)),
    "solve_fista": lambda m, p, v: noise.solve_fista(m(C), m(C @ Q), 0.1).R,
    "solve_cvxpy": lambda m, p, v: noise.solve_cvxpy(m(C), m(C @ Q), 0.1).R,
    "estimate_noise_matrix": lambda m, p, v: (
        noise.estimate_noise_matrix(
            Y, p(P), Y_OTHER, p(P), l1_penalty=0.1, allowed=m(ALLOWED)
        ).noise_matrix
    ),
    "noise_matrix_error": lambda m, p, v: (
        noise_matrix_error(m(Q), C),
        noise_matrix_error(Q, m(C)),
    ),
    "accuracy": lambda m, p, v: noise_corrected_accuracy_score(
        Y_OTHER, Y, noise_matrix=m(Q)
    ),
    "log_loss": lambda m, p, v: noise_corrected_log_loss(
        Y_OTHER, p(P), noise_matrix=m(Q)
    ),
    "log_loss, matrix": lambda m, p, v: noise_corrected_log_loss(
        Y_OTHER, P, noise_matrix=m(Q)
    ),
    "log_loss, probabilities": lambda m, p, v: noise_corrected_log_loss(
        Y_OTHER, p(P), noise_matrix=Q
    ),
    "scorer": lambda m, p, v: make_noise_corrected_scorer(m(Q), metric="log_loss")(
        LOGISTIC, X, Y_OTHER
    ),
    "corrupt_labels": lambda m, p, v: corrupt_labels(Y, m(Q), random_state=0) == "a",
    "find_label_issues": lambda m, p, v: issues(pred_probs=p(P), noise_matrix=m(Q)),
    "find_label_issues, matrix": lambda m, p, v: issues(
        pred_probs=P, noise_matrix=m(Q), filter_by="posterior"
    ),
    "noise_matrix": lambda m, p, v: adapted(noise_matrix=m(Q)).predict_proba(X),
    "noise_init": lambda m, p, v: adapted(noise_init=m(Q)).noise_matrix_,
    "allowed": lambda m, p, v: (
        NoiseMatrixEstimator(LOGISTIC, l1_penalty=0.1, allowed=m(ALLOWED))
        .fit(X, Y_OTHER, is_clean=IS_CLEAN)
        .noise_matrix_
    ),
    "NoiseMatrixDisplay": lambda m, p, v: (
        (display := NoiseMatrixDisplay.from_matrix(m(Q), true_matrix=C)).noise_matrix,
        display.true_matrix,
    ),
    "NoiseMatrixDisplay, true_matrix": lambda m, p, v: (
        (display := NoiseMatrixDisplay.from_matrix(Q, true_matrix=m(C))).noise_matrix,
        display.true_matrix,
    ),
    "TrainingDisplay": lambda m, p, v: (
        TrainingDisplay.from_estimator(
            adapted(noise_matrix=Q), true_matrix=m(C)
        ).matrix_error
    ),
}


@pytest.mark.parametrize("columns", [named_columns, polars_columns])
@pytest.mark.parametrize("name", CALLS)
def test_classes_are_matched_by_name(name, columns):
    call = CALLS[name]
    expected = call(np.asarray, np.asarray, np.asarray)
    found = call(named_matrix, columns, named_vector)
    if not isinstance(expected, tuple):
        expected, found = (expected,), (found,)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-12)


def test_no_function_of_matrices_is_left_out():
    # count_noise_matrix takes indices of classes alone.
    others = {"NoiseEstimate", "Solution", "count_noise_matrix"}
    assert {*noise.__all__} - others <= {*CALLS}


@pytest.mark.parametrize(
    "classes", [[False, True], [0, 1], [1, 2], ["no", "yes"], [-1.0, 1.0]]
)
def test_names_of_every_type_of_label(classes):
    names = np.array(classes)
    matrix, p = np.array([[0.8, 0.3], [0.2, 0.7]]), P[:, :2] / P[:, :2].sum(1)[:, None]
    frame = pd.DataFrame(matrix, index=names, columns=names).iloc[[1, 0], [0, 1]]
    columns = pd.DataFrame(p, columns=names).iloc[:, ::-1]
    y, other = names[CODES % 2], names[OTHERS % 2]
    expected = noise_corrected_log_loss(y, p, noise_matrix=matrix)
    for table in (columns, columns.rename(columns=str)):
        loss = noise_corrected_log_loss(y, table, noise_matrix=frame)
        assert loss == pytest.approx(expected)
        found = find_label_issues(None, None, y, pred_probs=table, noise_matrix=frame)
        of_arrays = find_label_issues(None, None, y, pred_probs=p, noise_matrix=matrix)
        pd.testing.assert_frame_equal(found, of_arrays)
    score = noise_corrected_accuracy_score(y, other, noise_matrix=frame)
    assert score == noise_corrected_accuracy_score(y, other, noise_matrix=matrix)
    assert noise_matrix_error(frame, matrix) == 0
    np.testing.assert_array_equal(
        corrupt_labels(y, frame, random_state=0),
        corrupt_labels(y, matrix, random_state=0),
    )
    clf = NoiseAdaptedClassifier(noise_matrix=frame, max_epochs=1, n_rounds=0)
    np.testing.assert_array_equal(clf.fit(X, y).noise_matrix_, matrix)
    assert clf.classes_.dtype == y.dtype
    drawn = NoiseMatrixDisplay.from_matrix(matrix, true_matrix=frame).true_matrix
    np.testing.assert_array_equal(drawn, matrix)


def test_a_numbered_data_frame_has_no_names():
    expected = noise_corrected_log_loss(Y, P, noise_matrix=Q)
    for table in (pd.DataFrame(P), pl.DataFrame(P)):
        for matrix in (pd.DataFrame(Q), pl.DataFrame(Q)):
            loss = noise_corrected_log_loss(Y, table, noise_matrix=matrix)
            assert loss == expected


def test_a_matrix_that_was_read_from_a_file_has_text_as_columns():
    # The index of a CSV file is read as numbers, its header as text.
    matrix = np.roll(np.eye(12) * 0.9, 1, axis=0) + np.eye(12) * 0.1
    frame = pd.DataFrame(matrix, index=range(12), columns=map(str, range(12)))
    np.testing.assert_array_equal(noise.check_noise_matrix(frame), matrix)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: noise_corrected_log_loss(
                Y, pd.DataFrame(P, columns=["a", "b", "d"]), noise_matrix=Q
            ),
            "y_proba must have the classes .* as its columns; got .*'d'",
        ),
        (
            lambda: noise_corrected_log_loss(
                Y, P, noise_matrix=pl.DataFrame(Q, schema=["b", "a", "c"])
            ),
            "noise_matrix has its columns in another order .* no index",
        ),
        (
            lambda: noise.check_noise_matrix(pd.DataFrame(Q, columns=CLASSES)),
            r"must have the classes \['a', 'b', 'c'\] as its index; got \[0, 1, 2\]",
        ),
        (
            lambda: noise.inverse_from_noise(
                named_matrix(Q), pd.Series(PRIOR, ["a", "b", "d"])
            ),
            "clean_prior must have the classes .* as its index",
        ),
        (
            lambda: noise_matrix_error(np.eye(3), np.ones((3, 3))),
            "true_matrix must have columns that sum to 1",
        ),
        (
            lambda: noise_matrix_error(np.eye(3), pd.Series([1.0, 0.0])),
            r"true_matrix must be square; got shape \(2,\)",
        ),
        (
            lambda: noise_corrected_accuracy_score(Y, Y, noise_matrix=0.3),
            "noise_matrix must be a square array; got 0.3",
        ),
        (
            lambda: NoiseMatrixDisplay.from_matrix(Q, true_matrix=np.ones((3, 3))),
            "true_matrix must have columns that sum to 1",
        ),
        (
            lambda: TrainingDisplay.from_estimator(
                adapted(noise_matrix=Q), true_matrix=np.eye(2)
            ),
            "true_matrix must have shape",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_its_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Rows

INDEX = pd.Index([f"row {k}" for k in range(60)])


def net(**params):
    return RobustLossClassifier(loss="focal", max_epochs=1, random_state=0, **params)


# Each call takes X and one more argument with an index.
ORDERED = {
    "fit": lambda X, s: net().fit(X, s(Y)),
    "fit, weight": lambda X, s: net().fit(X, Y, sample_weight=s(np.ones(60))),
    "partial_fit": lambda X, s: net().partial_fit(X, s(Y), classes=CLASSES),
    "is_clean": lambda X, s: NoiseAdaptedClassifier(
        noise_matrix=Q, max_epochs=1, n_rounds=0
    ).fit(X, Y, is_clean=s(IS_CLEAN)),
    "matrix, y": lambda X, s: NoiseMatrixEstimator(LOGISTIC, l1_penalty=0.1).fit(
        X, s(Y), is_clean=IS_CLEAN
    ),
    "matrix, y_given": lambda X, s: NoiseMatrixEstimator(LOGISTIC, l1_penalty=0.1).fit(
        X, Y, is_clean=IS_CLEAN, y_given=s(Y_OTHER)
    ),
    "issues, y": lambda X, s: find_label_issues(LOGISTIC, X, s(Y), cv=2),
    "issues, pred_probs": lambda X, s: find_label_issues(
        None, X, Y, pred_probs=pd.DataFrame(P, columns=CLASSES, index=s(Y).index)
    ),
    "issues, sample_weight": lambda X, s: find_label_issues(
        LOGISTIC, X, Y, cv=2, sample_weight=s(np.ones(60))
    ),
    "issues, is_clean": lambda X, s: find_label_issues(
        LOGISTIC, X, Y, cv=2, is_clean=s(IS_CLEAN)
    ),
    "folds, y": lambda X, s: [*CleanRowsKFold(2).split(X, s(Y), is_clean=IS_CLEAN)],
    "folds": lambda X, s: [*CleanRowsKFold(2).split(X, Y, is_clean=s(IS_CLEAN))],
    "accuracy": lambda X, s: noise_corrected_accuracy_score(
        pd.Series(Y, X.index), s(Y_OTHER), noise_matrix=Q
    ),
    "log_loss": lambda X, s: noise_corrected_log_loss(
        s(Y), pd.DataFrame(P, X.index, CLASSES), noise_matrix=Q
    ),
    "estimate_noise_matrix": lambda X, s: noise.estimate_noise_matrix(
        s(Y), pd.DataFrame(P, X.index, CLASSES), Y, P, l1_penalty=0.1
    ),
    "EpochAccuracy": lambda X, s: net(callbacks=[EpochAccuracy(X, s(Y))]).fit(
        X.to_numpy(), Y
    ),
    "TrainingDisplay": lambda X, s: TrainingDisplay.from_estimator(
        net().fit(X, Y), X, s(Y)
    ),
}


@pytest.mark.parametrize("name", ORDERED)
def test_rows_in_another_order_are_refused(name):
    frame = pd.DataFrame(X, index=INDEX, columns=list("wxyz"))
    call = ORDERED[name]
    with pytest.raises(ValueError, match="same rows in a different order.*but row 0"):
        call(frame, lambda values: pd.Series(values, index=INDEX[::-1]))
    # Other indices say nothing about the order, and positions count.
    call(frame, lambda values: pd.Series(values, index=range(60)))
    call(frame, lambda values: pd.Series(values, index=INDEX))
