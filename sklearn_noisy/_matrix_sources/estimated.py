"""A noise matrix that is estimated from clean rows."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.base import clone

from sklearn_noisy._matrix_sources.learned import FoldNets, FoldSettings
from sklearn_noisy._matrix_sources.result import MatrixResult
from sklearn_noisy._rows.rows import FitData, TrainingData
from sklearn_noisy._training.generators import GENERATORS
from sklearn_noisy._training.trainer import Trainer, check_sampler
from sklearn_noisy.exceptions import NoiseModelWarning
from sklearn_noisy.noise import confident_noise_matrix


@dataclass(frozen=True)
class EstimatedMatrix:
    """The matrix of a NoiseMatrixEstimator.

    Attributes
    ----------
    estimator : NoiseMatrixEstimator or None
        None makes the default one, which needs clean rows. Without any, the matrix is
        that of the confident joint.
    make_default : callable
        Takes the number of clean rows and the trainer, returns an estimator.
    settings : FoldSettings
        Settings of the nets whose predictions the confident joint uses.
    """

    estimator: Any
    make_default: Callable[[int, Trainer], Any]
    settings: FoldSettings

    def find(self, data: FitData, trainer: Trainer) -> MatrixResult:
        """The estimate.

        Warns
        -----
        NoiseModelWarning
            If there is no clean row to estimate from.
        """
        rows, estimator = data.everything, self.estimator
        if estimator is None and not rows.is_clean.any():
            warnings.warn(
                "noise_matrix='estimate' needs clean rows, and there is no is_clean: "
                "the confident joint is used instead. 'learn' needs no clean rows and "
                "is more accurate.",
                NoiseModelWarning,
                stacklevel=2,
            )
            nets = FoldNets(rows, self.settings, trainer)
            matrix = confident_noise_matrix(
                softmax(nets.warm_up(), axis=1), nets.given, nets.weight
            )
            return MatrixResult(matrix, [matrix])
        if estimator is None:
            check_sampler(trainer.spec, rows.subset(rows.is_clean))  # has folds
            estimator = self.make_default(int(rows.is_clean.sum()), trainer)
        fitted = clone(estimator)
        if self.settings.verbose and "verbose" in fitted.get_params(deep=False):
            fitted.set_params(verbose=self.settings.verbose)
        fitted = _fit(fitted, rows)
        return MatrixResult(fitted.noise_matrix_, [fitted.noise_matrix_], fitted)


def _fit(estimator: Any, rows: TrainingData) -> Any:
    """Fit on the rows that belong to a class, without class weights."""
    inside = rows.subset(rows.is_clean | rows.is_noisy)
    weight, more = inside.sample_weight, {}
    if inside.y_given is not None:
        known = np.where(inside.is_clean, inside.y_given, inside.y)
        more["y_given"] = inside.classes[known]
    # It may fit its folds in threads, which take turns with this one.
    with GENERATORS.lent():
        return estimator.fit(
            inside.rows,
            inside.classes[inside.y],
            None if (weight == 1).all() else weight,
            is_clean=inside.is_clean if inside.is_clean.any() else None,
            **more,
        )
