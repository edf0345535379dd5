"""What the parameters of a noise model may be."""

from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_scalar

from sklearn_noisy._validation import check_real
from sklearn_noisy.nn import REGULARIZERS

__all__ = ["check_noise_parameters"]

NOISE_MODELS = ("bottom_up", "top_down", "backward")


def check_noise_parameters(estimator):
    """Refuse values that are out of their range or do not go together.

    Raises
    ------
    TypeError, ValueError
    """
    if estimator.noise_model not in NOISE_MODELS:
        raise ValueError(
            f"noise_model must be one of {', '.join(map(repr, NOISE_MODELS))}; "
            f"got {estimator.noise_model!r}."
        )
    _check_matrix_parameters(estimator)
    check_real(estimator.alpha, "alpha", min_val=0, max_val=1)
    check_real(estimator.gamma, "gamma", min_val=0)
    check_real(estimator.noise_decay, "noise_decay", min_val=0)
    if estimator.noise_lr is not None:
        check_real(
            estimator.noise_lr,
            "noise_lr",
            min_val=0,
            include_boundaries="neither",
        )
    check_scalar(estimator.n_rounds, "n_rounds", Integral, min_val=0)
    if estimator.warm_up != "auto":
        check_scalar(estimator.warm_up, "warm_up", Integral, min_val=1)
    if estimator.n_folds != "auto":
        check_scalar(estimator.n_folds, "n_folds", Integral, min_val=1)
    if estimator.lr_schedule not in ("one_cycle", "constant"):
        raise ValueError(
            "lr_schedule must be 'one_cycle' or 'constant' (others are skorch "
            f"callbacks, with 'constant'); got {estimator.lr_schedule!r}."
        )


def _check_matrix_parameters(estimator):
    spec = estimator.noise_matrix
    if isinstance(spec, type) or (
        isinstance(spec, str) and spec not in ("learn", "estimate")
    ):
        raise ValueError(
            "noise_matrix must be 'learn', 'estimate', a NoiseMatrixEstimator "
            f"(an instance) or a matrix; got {spec!r}."
        )
    if not isinstance(spec, (str, BaseEstimator)) and np.ndim(spec) != 2:
        raise ValueError(
            "noise_matrix must be 'learn', 'estimate', a NoiseMatrixEstimator or a "
            f"matrix; got {spec!r}."
        )
    learns = isinstance(spec, str) and spec == "learn"
    if estimator.noise_model == "backward" and (learns or estimator.refine):
        what = "noise_matrix='learn'" if learns else "refine=True"
        raise ValueError(
            f"{what} cannot go with noise_model='backward': its loss has no lower "
            "bound in the matrix. Learn bottom-up, then give the matrix."
        )
    if estimator.regularizer is not None and estimator.regularizer not in REGULARIZERS:
        raise ValueError(
            f"regularizer must be None or one of "
            f"{', '.join(map(repr, REGULARIZERS))}; got {estimator.regularizer!r}."
        )
    if isinstance(estimator.noise_init, str) and estimator.noise_init not in (
        "count",
        "identity",
    ):
        raise ValueError(
            "noise_init must be 'count', 'identity' or a matrix; got "
            f"{estimator.noise_init!r}."
        )
