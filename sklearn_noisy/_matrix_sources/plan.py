"""The noise plan: the parameters of a noise model, checked and resolved."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, is_classifier
from torch import nn

from sklearn_noisy._matrix_sources.by_gradient import GradientMatrix
from sklearn_noisy._matrix_sources.estimated import EstimatedMatrix
from sklearn_noisy._matrix_sources.known import (
    IdentityMatrix,
    KnownMatrix,
    UniformConversion,
)
from sklearn_noisy._matrix_sources.learned import (
    CountedMatrix,
    FoldSettings,
    LearnedMatrix,
)
from sklearn_noisy._matrix_sources.result import MatrixSource
from sklearn_noisy._validation import (
    brief,
    check_choice,
    check_flag,
    check_integer,
    check_real,
    readable,
)
from sklearn_noisy.nn import REGULARIZERS, ConvertedLabels, NoiseLayer

NOISE_MODELS = ("bottom_up", "top_down", "backward")


@dataclass(frozen=True)
class NoisePlan:
    """A noise model, resolved.

    Attributes
    ----------
    source : MatrixSource
        Where the matrix comes from.
    is_fixed : bool
        Whether the matrix is known without training, as ``partial_fit`` requires.
    n_rounds : int
        Nets after the first one.
    """

    source: MatrixSource
    is_fixed: bool
    n_rounds: int


def make_criterion(estimator: Any) -> nn.Module:
    """The criterion of a net, from the matrix that an estimator has found."""
    matrix = estimator.noise_matrix_
    if estimator.noise_model == "bottom_up":
        outside = estimator.outside_label is not None
        return NoiseLayer(torch.as_tensor(matrix), outside=outside)
    if estimator.noise_model == "backward":
        matrix = np.linalg.inv(matrix)
    return ConvertedLabels(torch.as_tensor(matrix))


def is_fixed(noise_model: Any, noise_matrix: Any, refine: Any) -> bool:
    """Whether the matrix of a noise model is known without training."""
    if isinstance(noise_model, str) and noise_model == "top_down":
        return True
    return not isinstance(noise_matrix, (str, BaseEstimator)) and not refine


def make_plan(estimator: Any, make_default: Callable[..., Any]) -> NoisePlan:
    """The plan that an estimator's parameters describe.

    Parameters
    ----------
    estimator : NoiseAdaptedClassifier
    make_default : callable
        Takes the number of clean rows and the trainer, returns the default estimator
        of the matrix for ``noise_matrix="estimate"``.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range, or parameters do not go together.
    """
    _check(estimator)
    settings = FoldSettings(
        n_folds=estimator.n_folds,
        warm_up=estimator.warm_up,
        max_epochs=estimator.max_epochs,
        one_cycle=estimator.lr_schedule == "one_cycle",
        verbose=estimator.verbose,
    )
    model, spec, name = estimator.noise_model, estimator.noise_matrix, "noise_matrix"
    if model == "top_down":
        return NoisePlan(UniformConversion(estimator.alpha), is_fixed=True, n_rounds=0)
    learns = estimator.refine
    if isinstance(spec, str) and spec == "learn":
        learns, spec, name = True, estimator.noise_init, "noise_init"
    source: MatrixSource
    if isinstance(spec, BaseEstimator):
        source = EstimatedMatrix(spec, make_default, settings)
    elif not isinstance(spec, str):
        source = KnownMatrix(spec, name, inverted=model == "backward")
    elif spec == "estimate":
        source = EstimatedMatrix(None, make_default, settings)
    else:
        source = CountedMatrix(settings) if spec == "count" else IdentityMatrix()
    if learns and estimator.regularizer is None:
        source = LearnedMatrix(source, settings)
    elif learns:
        source = _by_gradient(source, estimator)
    n_rounds = estimator.n_rounds if model == "bottom_up" else 0
    return NoisePlan(source, isinstance(source, KnownMatrix), n_rounds)


def _by_gradient(start: MatrixSource, estimator: Any) -> GradientMatrix:
    return GradientMatrix(
        start,
        regularizer=estimator.regularizer,
        decay=estimator.noise_decay,
        lr=estimator.lr if estimator.noise_lr is None else estimator.noise_lr,
        warm_up=estimator.warm_up,
        outside=estimator.outside_label is not None,
        max_epochs=estimator.max_epochs,
    )


def _has_one_group(optimizer: Any) -> bool:
    """Whether this makes an LBFGS, whose ``step`` fails with a second group."""
    made = getattr(optimizer, "func", optimizer)  # of a functools.partial
    return isinstance(made, type) and issubclass(made, torch.optim.LBFGS)


def _check(estimator: Any) -> None:
    """Refuse values out of their range, and those that do not go together."""
    check_choice(estimator.noise_model, "noise_model", NOISE_MODELS)
    check_real(estimator.alpha, "alpha", min_val=0, max_val=1)
    check_real(estimator.gamma, "gamma", min_val=0)
    check_real(estimator.noise_decay, "noise_decay", min_val=0)
    if estimator.noise_lr is not None:
        check_real(
            estimator.noise_lr, "noise_lr", min_val=0, include_boundaries="neither"
        )
    check_integer(estimator.n_rounds, "n_rounds", min_val=0)
    for name in ("warm_up", "n_folds"):
        check_integer(getattr(estimator, name), name, min_val=1, special=("auto",))
    check_flag(estimator.refine, "refine")
    check_choice(
        estimator.lr_schedule,
        "lr_schedule",
        ("one_cycle", "constant"),
        hint="With 'constant', a callback of skorch can set other rates.",
    )
    check_choice(estimator.regularizer, "regularizer", (None, *REGULARIZERS))
    spec, init = estimator.noise_matrix, estimator.noise_init
    if isinstance(spec, str):
        is_valid = spec in ("learn", "estimate")
    elif isinstance(spec, type):
        is_valid = False
    else:
        is_valid = np.ndim(readable(spec, "noise_matrix")) == 2
        if isinstance(spec, BaseEstimator):
            # A classifier may take clean rows as well, but it estimates no matrix.
            accepted = signature(getattr(spec, "fit", len)).parameters
            is_valid = "is_clean" in accepted and not is_classifier(spec)
    if not is_valid:
        raise ValueError(
            "noise_matrix must be 'learn', 'estimate', a NoiseMatrixEstimator "
            f"(an instance) or a matrix; got {brief(spec)}."
        )
    learns = isinstance(spec, str) and spec == "learn"
    if estimator.noise_model == "backward" and (learns or estimator.refine):
        what = "noise_matrix='learn'" if learns else "refine=True"
        raise ValueError(
            f"{what} cannot go with noise_model='backward': its loss has no lower "
            "bound in the matrix. Learn the matrix with 'bottom_up', then pass it."
        )
    by_gradient = (learns or estimator.refine) and estimator.regularizer is not None
    if by_gradient and _has_one_group(estimator.optimizer):
        raise ValueError(
            f"regularizer={estimator.regularizer!r} needs an optimizer with groups of "
            "parameters, since the matrix has a learning rate of its own; "
            "torch.optim.LBFGS has one group. Set regularizer=None, or choose another "
            "optimizer."
        )
    if isinstance(init, str) and init not in ("count", "identity"):
        raise ValueError(
            f"noise_init must be 'count', 'identity' or a matrix; got {brief(init)}."
        )
