"""For each public name: valid arguments, the call, and what its result promises."""

import warnings
from functools import cache, partial

import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
from _strange import FOLDER
from matplotlib import pyplot as plt
from sklearn.linear_model import LogisticRegression

import sklearn_noisy
from sklearn_noisy import callbacks, inspection, losses, metrics, nn, noise
from sklearn_noisy.datasets import corrupt_labels, fetch_images, make_noise_matrix
from sklearn_noisy.losses import LOSSES
from sklearn_noisy.model_selection import CleanRowsKFold

mpl.use("Agg")

# Public names that take no input of a user, and why.
EXCLUDED = {
    "BaseLoss": "abstract",
    "NoiseEstimate": "a record of results",
    "Solution": "a record of results",
    "TensorBatches": "takes the data set that the nets make",
    "floating_dtype": "takes a module",
    "LossDisplay": "drawn by from_losses",
    "LabelIssuesDisplay": "drawn by from_issues",
    "NoiseMatrixDisplay": "drawn by from_matrix",
    "TrainingDisplay": "drawn by from_estimator",
}
# Weights come from torch's global generator, as those of every module.
DRAWS = {"MLP"}
# Cases of which even the start is refused: these images are on few machines.
REFUSED = {"fetch_images"}


class Data:
    """A small problem; everything follows from the seed."""

    def __init__(self, seed):
        rng = np.random.RandomState(seed)
        self.seed = seed
        self.n_classes = K = rng.randint(2, 5)
        n = 12 * K
        self.y = np.arange(n) % K
        self.X = rng.randn(n, 3)
        self.X[:, 0] += 2 * self.y
        self.Q = np.eye(K) * 0.7 + rng.dirichlet(np.ones(K), K).T * 0.3
        self.P = rng.dirichlet(np.ones(K), n)
        self.weight = rng.uniform(0.5, 1.5, n)
        self.mask = rng.permutation(n) < n // 2
        self.pred = np.where(self.mask, self.y, rng.permutation(self.y))
        kind = seed % 3
        if kind == 1:
            self.y = self.y.astype(str)
            self.pred = self.pred.astype(str)

    @property
    def codes(self):
        return self.y.astype(int)


def dense(values):
    if isinstance(values, torch.Tensor):
        values = values.detach().numpy()
    return np.asarray(values, dtype=float)


def stochastic(matrix, axis=0, tolerance=1e-6):
    """Probabilities whose sums along an axis are 1."""
    matrix = dense(matrix)
    assert np.isfinite(matrix).all(), "not finite"
    assert matrix.min() >= -tolerance, "below 0"
    sums = matrix.sum(axis=axis)
    assert np.allclose(sums, 1, atol=1e-4), f"sums to {sums}"


def finite(values):
    assert np.isfinite(dense(values)).all(), "not finite"


def shares(values):
    values = dense(values)
    assert ((values >= -1e-9) & (values <= 1 + 1e-9)).all(), "outside [0, 1]"


# --- datasets


def check_matrix(result, arguments):
    stochastic(result)


def check_corrupted(result, arguments):
    y, mask = result
    assert len(y) == len(arguments["y"]), "length"
    assert np.asarray(mask).dtype == bool, "mask"


# --- metrics


def check_finite(result, arguments):
    finite(result)


def check_report(result, arguments):
    shares([result[key] for key in ("precision", "recall", "f1") if key in result])


# --- find_label_issues


def check_issues(result, arguments):
    assert list(result.columns) == [
        *("is_label_issue", "label_quality", "given_label", "predicted_label")
    ], "columns"
    assert result["is_label_issue"].dtype == bool, "dtype"
    shares(result["label_quality"])
    assert len(result) == len(arguments["y"]), "length"


def issues_of(X, y, sample_weight, filter_by, cv):
    return sklearn_noisy.find_label_issues(
        LogisticRegression(), X, y, sample_weight=sample_weight, filter_by=filter_by,
        cv=cv,
    )  # fmt: skip


def issues_from_probabilities(y, pred_probs, noise_matrix, filter_by):
    return sklearn_noisy.find_label_issues(
        None, None, y, pred_probs=pred_probs, noise_matrix=noise_matrix,
        filter_by=filter_by,
    )  # fmt: skip


# --- estimators


def fitted(estimator):
    """``call(**arguments)``: fit, then ask about the same rows."""

    def call(X, y, sample_weight=None, is_clean=None, **params):
        fit = {"sample_weight": sample_weight, "is_clean": is_clean}
        clf = estimator().set_params(**params)
        clf.fit(X, y, **{name: v for name, v in fit.items() if v is not None})
        return clf, clf.predict_proba(X), clf.predict(X)

    return call


def continued(X, y, sample_weight, X_new, seed):
    clf = sklearn_noisy.RobustLossClassifier(max_epochs=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clf.partial_fit(X, y, np.unique(Data(seed).y), sample_weight=sample_weight)
        clf.partial_fit(X, y)
    return clf, clf.predict_proba(X_new), clf.predict(X_new)


def check_classifier(result, arguments):
    clf, probabilities, predicted = result
    stochastic(probabilities, axis=1)
    assert probabilities.shape[1] == len(clf.classes_), "shape"
    assert len(predicted) == len(probabilities), "length"
    assert set(predicted.tolist()) <= set(clf.classes_.tolist()), "classes"
    if hasattr(clf, "noise_matrix_"):
        stochastic(clf.noise_matrix_)


def robust():
    return sklearn_noisy.RobustLossClassifier(
        max_epochs=2, random_state=0, module__hidden_layer_sizes=(4,)
    )


def adapted():
    return sklearn_noisy.NoiseAdaptedClassifier(
        max_epochs=2, random_state=0, module__hidden_layer_sizes=(4,), n_folds=2
    )


def estimated(X, y, is_clean, sample_weight, **params):
    estimator = sklearn_noisy.NoiseMatrixEstimator(
        LogisticRegression(), random_state=0
    ).set_params(**params)
    return estimator.fit(X, y, is_clean=is_clean, sample_weight=sample_weight)


def check_estimator(result, arguments):
    stochastic(result.noise_matrix_)


@cache
def model(seed):
    data = Data(seed % 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return robust().fit(data.X, data.y)


def saved(seed, omit, name):
    path = FOLDER / "model.safetensors"
    sklearn_noisy.save(model(seed), path, omit=omit)
    is_name = isinstance(name, str) and name
    return sklearn_noisy.load(path, **({name: 0} if is_name else {}))


def check_loaded(result, arguments):
    X = Data(arguments["seed"] % 3).X
    stochastic(result.predict_proba(X), axis=1)


# --- losses and nn


def loss_of(name):
    def call(logits, targets, **params):
        loss = losses.make_loss(name, logits.shape[1], **params)
        return loss(logits, targets)

    return call


def fits(logits, targets=None):
    """Whether tensors are what a loss takes: it checks none of them."""
    is_table = logits.ndim == 2 and logits.numel() and torch.isfinite(logits).all()
    if targets is None or not is_table:
        return is_table
    return targets.shape == logits.shape[:1] and not targets.is_floating_point()


def check_losses(result, arguments):
    matrix = arguments.get("matrix", torch.ones(1, 1))
    is_noise = bool(
        (matrix >= 0).all() and torch.allclose(matrix.sum(0), matrix.new_ones(()))
    )
    if is_noise and fits(arguments["logits"], arguments["targets"]):
        finite(result)
        assert result.shape == (len(arguments["logits"]),), "shape"


def check_log_softmax(result, arguments):
    if fits(arguments["logits"]):
        stochastic(result.exp(), axis=1)


LOSS_PARAMETERS = {
    "blurry": {"gamma": 0.3},
    "piecewise_zero": {"c": 0.05},
    "clipped": {"c": 0.05},
    "focal": {"gamma": 2.0},
    "uniform_mixing": {"noise_rate": 0.3},
    "symmetric_noise": {"noise_rate": 0.3},
    "label_smoothing": {"noise_rate": 0.1},
    "generalized_cross_entropy": {"q": 0.7},
    "symmetric_cross_entropy": {"alpha": 0.1, "beta": 1.0, "A": -4.0},
    "normalized_cross_entropy_reverse": {"alpha": 1.0, "beta": 1.0, "A": -4.0},
}


def mlp(X, n_features, n_classes, dropout, input_scale, hidden_layer_sizes):
    net = nn.MLP(
        n_features, n_classes, dropout=dropout, input_scale=input_scale,
        hidden_layer_sizes=hidden_layer_sizes,
    ).eval()  # fmt: skip
    return net(X)


def layer(kind):
    def call(matrix, logits, targets):
        return kind(matrix)(logits, targets)

    return call


def dropped(X, p):
    return nn.Dropout(p).eval()(X)


# --- noise


def check_solution(result, arguments):
    stochastic(result.R, tolerance=1e-4)


def check_pair(result, arguments):
    stochastic(result[0])
    shares(result[1])


def check_estimate(result, arguments):
    stochastic(result.noise_matrix)


def check_shares(result, arguments):
    shares(result)


def confusions(data):
    clean = 0.8 * np.eye(data.n_classes) + 0.2 / data.n_classes
    return {"C_clean": clean, "C_noisy": clean @ data.Q, "l1_penalty": 0.01}


def prior(data):
    return np.full(data.n_classes, 1 / data.n_classes)


# --- inspection


def drawn(display):
    def call(**arguments):
        try:
            return display(**arguments)
        finally:
            plt.close("all")

    return call


def no_check(result, arguments):
    pass


def issues_table(data):
    return pd.DataFrame(
        {
            "is_label_issue": data.mask,
            "label_quality": data.P[:, 0],
            "given_label": data.y,
            "predicted_label": data.pred,
        }
    )


def folds(X, y, is_clean, n_splits, shuffle):
    splitter = CleanRowsKFold(
        n_splits, shuffle=shuffle, random_state=0 if shuffle is True else None
    )
    return list(splitter.split(X, y, is_clean=is_clean))


def check_folds(result, arguments):
    tested = np.concatenate([test for _, test in result])
    assert len(np.unique(tested)) == len(tested), "a row is tested twice"


def epoch_accuracy(X, y, X_clean, y_clean, name):
    clf = robust().set_params(
        callbacks=[callbacks.EpochAccuracy(X_clean, y_clean, name=name)]
    )
    return clf.fit(X, y).history_


def scored(noise_matrix, metric, seed):
    data = Data(seed % 3)
    clf = LogisticRegression().fit(data.X, data.y)
    scorer = metrics.make_noise_corrected_scorer(noise_matrix, metric=metric)
    return scorer(clf, data.X, data.y)


# name: (public names that it is about, arguments of a problem, call, check, weight)
CASES = {
    "make_noise_matrix": (
        lambda d: {
            "n_classes": d.n_classes, "noise_rate": 0.2, "kind": "symmetric",
            "random_state": 0,
        },
        make_noise_matrix, check_matrix, 4,
    ),
    "corrupt_labels": (
        lambda d: {
            "y": d.y, "noise_matrix": d.Q, "exact": True, "random_state": 0,
        },
        partial(corrupt_labels, return_mask=True), check_corrupted, 4,
    ),
    "corrupt_labels, rate": (
        lambda d: {
            "y": d.y, "noise_rate": 0.2, "kind": "symmetric", "random_state": 0,
        },
        partial(corrupt_labels, return_mask=True), check_corrupted, 4,
    ),
    "fetch_images": (
        lambda d: {"name": "no such name", "data_folder": str(FOLDER)},
        fetch_images, no_check, 1,
    ),
    "label_error_report": (
        lambda d: {"is_error_true": d.mask, "is_error_found": d.P[:, 0] > 0.5},
        metrics.label_error_report, check_report, 3,
    ),
    "noise_corrected_accuracy_score": (
        lambda d: {
            "y_given": d.y, "y_pred": d.pred, "noise_matrix": d.Q,
            "sample_weight": d.weight, "labels": np.unique(d.y),
        },
        metrics.noise_corrected_accuracy_score, check_finite, 5,
    ),
    "noise_corrected_log_loss": (
        lambda d: {
            "y_given": d.y, "y_proba": d.P, "noise_matrix": d.Q,
            "sample_weight": d.weight,
        },
        metrics.noise_corrected_log_loss, check_finite, 5,
    ),
    "make_noise_corrected_scorer": (
        lambda d: {"noise_matrix": Data(d.seed % 3).Q, "metric": "accuracy",
                   "seed": d.seed},
        scored, check_finite, 2,
    ),
    "noise_matrix_error": (
        lambda d: {"noise_matrix": d.Q, "true_matrix": d.Q[::-1]},
        metrics.noise_matrix_error, check_finite, 3,
    ),
    "find_label_issues": (
        lambda d: {
            "X": d.X, "y": d.y, "sample_weight": d.weight, "filter_by": "both", "cv": 3,
        },
        issues_of, check_issues, 6,
    ),
    "find_label_issues, pred_probs": (
        lambda d: {
            "y": d.y, "pred_probs": d.P, "noise_matrix": d.Q,
            "filter_by": "posterior" if d.seed % 2 else "both",
        },
        issues_from_probabilities, check_issues, 6,
    ),
    "RobustLossClassifier": (
        lambda d: {"X": d.X, "y": d.y, "sample_weight": d.weight},
        fitted(robust), check_classifier, 8,
    ),
    "RobustLossClassifier, parameters": (
        lambda d: {
            "X": d.X, "y": d.y, "loss": "blurry", "gamma": 0.2, "delay": 1, "lr": 1e-3,
            "max_epochs": 1, "batch_size": 8, "device": "cpu", "precision": "auto",
            "early_stopping": False, "validation_fraction": 0.2, "n_iter_no_change": 2,
            "class_weight": "balanced", "random_state": 0,
            "module__dropout": 0.1,
        },
        fitted(robust), check_classifier, 6,
    ),
    "RobustLossClassifier, partial_fit": (
        lambda d: {"X": d.X, "y": d.y, "sample_weight": d.weight, "X_new": d.X,
            "seed": d.seed},
        continued, check_classifier, 6,
    ),
    "NoiseAdaptedClassifier": (
        lambda d: {
            "X": d.X, "y": d.y, "sample_weight": d.weight, "is_clean": d.mask,
            "noise_matrix": d.Q,
        },
        fitted(adapted), check_classifier, 8,
    ),
    "NoiseAdaptedClassifier, parameters": (
        lambda d: {
            "X": d.X, "y": d.y, "noise_matrix": "learn", "noise_model": "bottom_up",
            "alpha": 0.5, "gamma": 1.0, "noise_decay": 0.01, "noise_init": "count",
            "warm_up": 1, "n_folds": 2, "n_rounds": 1, "lr": 1e-3,
            "lr_schedule": "one_cycle", "max_epochs": 1, "batch_size": 16,
            "refine": False, "random_state": 0,
        },
        fitted(adapted), check_classifier, 3,
    ),
    "NoiseMatrixEstimator": (
        lambda d: {
            "X": d.X, "y": d.y, "is_clean": d.mask, "sample_weight": d.weight,
            "l1_penalty": 0.01, "shrinkage": 0.5, "cv": 2, "n_bootstrap": 2,
            "method": "auto", "penalty": "off_diagonal", "solver": "fista",
        },
        estimated, check_estimator, 5,
    ),
    "save": (
        lambda d: {"seed": d.seed, "omit": (), "name": ""},
        saved, check_loaded, 1,
    ),
    "EpochAccuracy": (
        lambda d: {
            "X": d.X, "y": d.y, "X_clean": d.X[:6], "y_clean": d.y[:6], "name": "a_acc",
        },
        epoch_accuracy, no_check, 2,
    ),
    "CleanRowsKFold": (
        lambda d: {
            "X": d.X, "y": d.y, "is_clean": d.mask, "n_splits": 2, "shuffle": False,
        },
        folds, check_folds, 4,
    ),
    "make_loss": (
        lambda d: {"loss": "blurry", "n_classes": d.n_classes, "gamma": 0.2},
        losses.make_loss, no_check, 2,
    ),
    "safe_blurry_gamma": (
        lambda d: {"n_classes": d.n_classes},
        losses.safe_blurry_gamma, check_finite, 1,
    ),
    "MLP": (
        lambda d: {
            "X": torch.as_tensor(d.X).float(), "n_features": 3,
            "n_classes": d.n_classes, "dropout": 0.1, "input_scale": 1.0,
            "hidden_layer_sizes": (4,),
        },
        mlp, check_finite, 2,
    ),
    "Dropout": (lambda d: {"X": torch.as_tensor(d.X), "p": 0.5}, dropped, no_check, 1),
    "check_noise_matrix": (
        lambda d: {"noise_matrix": d.Q, "n_classes": d.n_classes},
        noise.check_noise_matrix, check_matrix, 4,
    ),
    "estimate_noise_matrix": (
        lambda d: {
            "y_true_clean": d.y, "pred_clean": d.P, "y_noisy": d.pred,
            "pred_noisy": d.P, "l1_penalty": 0.01, "shrinkage": 0.5, "cv": 2,
            "n_bootstrap": 2, "allowed": d.Q > -1, "random_state": 0, "method": "l1",
            "l1_penalties": np.array([0.0, 0.1]), "y_given_clean": d.pred,
        },
        noise.estimate_noise_matrix, check_estimate, 6,
    ),
    "certain_noise_matrix": (
        lambda d: {"probabilities": d.P, "given": d.codes, "weight": d.weight},
        noise.certain_noise_matrix, check_matrix, 2,
    ),
    "confident_noise_matrix": (
        lambda d: {"probabilities": d.P, "given": d.codes, "weight": d.weight},
        noise.confident_noise_matrix, check_matrix, 2,
    ),
    "count_noise_matrix": (
        lambda d: {
            "predicted": d.pred.astype(int), "given": d.codes,
            "n_classes": d.n_classes, "weight": d.weight,
        },
        noise.count_noise_matrix, check_matrix, 2,
    ),
    "likely_noise_matrix": (
        lambda d: {
            "logits": np.log(d.P), "given": d.codes, "start": d.Q, "weight": d.weight,
        },
        noise.likely_noise_matrix, lambda r, a: stochastic(r[0]), 2,
    ),
    "noise_from_inverse": (
        lambda d: {"R": d.Q, "noisy_prior": prior(d)},
        noise.noise_from_inverse, check_pair, 2,
    ),
    "inverse_from_noise": (
        lambda d: {"Q": d.Q, "clean_prior": prior(d)},
        noise.inverse_from_noise, check_pair, 2,
    ),
    "probability_right": (
        lambda d: {"probabilities": d.P, "given": d.codes, "Q": d.Q},
        noise.probability_right, check_shares, 2,
    ),
    "project_columns": (
        lambda d: {"V": d.Q - 0.1, "allowed": d.Q > -1},
        noise.project_columns, check_matrix, 2,
    ),
    "solve_fista": (confusions, noise.solve_fista, check_solution, 2),
    "solve_cvxpy": (confusions, noise.solve_cvxpy, check_solution, 1),
    "solve_inverse": (
        lambda d: {n: v for n, v in confusions(d).items() if n != "l1_penalty"},
        noise.solve_inverse, check_finite, 2,
    ),
    "log_softmax": (
        lambda d: {"logits": torch.as_tensor(d.P)},
        losses.log_softmax,
        check_log_softmax, 1,
    ),
    "NoiseLayer": (
        lambda d: {
            "matrix": torch.as_tensor(d.Q), "logits": torch.as_tensor(d.P),
            "targets": torch.as_tensor(d.codes),
        },
        layer(nn.NoiseLayer), check_losses, 2,
    ),
    "ConvertedLabels": (
        lambda d: {
            "matrix": torch.as_tensor(d.Q), "logits": torch.as_tensor(d.P),
            "targets": torch.as_tensor(d.codes),
        },
        layer(nn.ConvertedLabels), check_losses, 2,
    ),
    "NoiseMatrixDisplay.from_matrix": (
        lambda d: {"noise_matrix": d.Q, "true_matrix": d.Q},
        drawn(inspection.NoiseMatrixDisplay.from_matrix), no_check, 1,
    ),
    "LossDisplay.from_losses": (
        lambda d: {"losses": "blurry", "n_classes": d.n_classes},
        drawn(inspection.LossDisplay.from_losses), no_check, 1,
    ),
    "LabelIssuesDisplay.from_issues": (
        lambda d: {"issues": issues_table(d), "X": d.X, "n_issues": 3},
        drawn(inspection.LabelIssuesDisplay.from_issues), no_check, 1,
    ),
    "TrainingDisplay.from_estimator": (
        lambda d: {"estimator": model(d.seed), "X": Data(d.seed % 3).X,
                   "y": Data(d.seed % 3).y},
        drawn(inspection.TrainingDisplay.from_estimator), no_check, 1,
    ),
}  # fmt: skip
for _name in LOSSES:
    CASES[f"losses: {_name}"] = (
        lambda d, name=_name: {
            "logits": torch.as_tensor(d.P), "targets": torch.as_tensor(d.codes),
            **LOSS_PARAMETERS.get(name, {}),
        },
        loss_of(_name), check_losses, 1,
    )  # fmt: skip
