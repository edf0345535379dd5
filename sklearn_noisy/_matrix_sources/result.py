"""The interface of a source of the noise matrix, and its result."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sklearn_noisy._rows.rows import FitData
from sklearn_noisy._training.trainer import Trainer


@dataclass(frozen=True)
class MatrixResult:
    """A noise matrix, and further results of its source.

    Attributes
    ----------
    matrix : ndarray of shape (n_classes, n_classes)
        ``Q[j, i] = P(given j | true i)``.
    path : list of ndarrays of shape (n_classes, n_classes)
        The initial matrix and, if it was learned, the matrix after each epoch.
    estimator : NoiseMatrixEstimator or None
        The fitted estimator, if one was used.
    label_quality : ndarray of shape (n_noisy,) or None
        Probability that the label of each noisy row is right, by a net that did not
        train on the row.
    is_net_trained : bool
        Whether the trainer's net has been trained with the matrix.
    """

    matrix: np.ndarray
    path: list[np.ndarray]
    estimator: Any = None
    label_quality: np.ndarray | None = None
    is_net_trained: bool = False


class MatrixSource(Protocol):
    """Finds the noise matrix of a fit."""

    def find(self, data: FitData, trainer: Trainer) -> MatrixResult:
        """The matrix.

        Parameters
        ----------
        data : FitData
        trainer : Trainer
            Seeds come from ``trainer.rng``. Torch's generators are seeded already,
            unless the plan says that the source needs no data.
        """
        ...
