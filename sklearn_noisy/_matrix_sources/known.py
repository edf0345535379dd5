"""A noise matrix that needs no data: given by the user, or of the top-down model."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_noisy._matrix_sources.result import MatrixResult
from sklearn_noisy._rows.rows import FitData
from sklearn_noisy._training.trainer import Trainer
from sklearn_noisy.exceptions import NoiseModelWarning
from sklearn_noisy.noise._checks import (
    check_possible,
    class_matrix,
    is_singular,
)


@dataclass(frozen=True)
class KnownMatrix:
    """The matrix of a parameter.

    Attributes
    ----------
    matrix : array-like or DataFrame of shape (n_classes, n_classes)
        A DataFrame has the classes as its index and its columns, in any order.
    name : str
        Of the parameter, for errors.
    inverted : bool
        Whether its inverse is needed.
    """

    matrix: Any
    name: str
    inverted: bool = False

    def find(self, data: FitData, trainer: Trainer) -> MatrixResult:
        """The matrix in the order of the classes, as float64.

        Raises
        ------
        ValueError
            If it is no noise matrix of these classes, makes a label that was given
            impossible, or is singular and no clean row distinguishes the classes.
        """
        rows, name = data.everything, self.name
        Q = class_matrix(self.matrix, rows.classes, name)
        check_possible(Q, rows.y[rows.is_noisy], rows.classes, name)
        if is_singular(Q):
            message = f"{name} is singular: given labels cannot tell some classes apart"
            if self.inverted or not rows.is_clean.any():
                raise ValueError(message + ".")
            warnings.warn(
                message + ", only the clean rows can.", NoiseModelWarning, stacklevel=2
            )
        return MatrixResult(Q, [Q])


@dataclass(frozen=True)
class IdentityMatrix:
    """The identity, from which learning starts in the paper."""

    def find(self, data: FitData, trainer: Trainer) -> MatrixResult:
        """The identity."""
        eye = np.eye(len(data.everything.classes))
        return MatrixResult(eye, [eye])


@dataclass(frozen=True)
class UniformConversion:
    """The top-down model, in which a given label keeps the weight `alpha`."""

    alpha: float

    def find(self, data: FitData, trainer: Trainer) -> MatrixResult:
        """``α I + (1 − α) / K``."""
        n_classes = len(data.everything.classes)
        uniform = np.full((n_classes, n_classes), (1 - self.alpha) / n_classes)
        matrix = uniform + self.alpha * np.eye(n_classes)
        return MatrixResult(matrix, [matrix])
