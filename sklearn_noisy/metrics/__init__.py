"""Scores corrected for label noise, and scores of found label errors and matrices."""

from sklearn_noisy.metrics._label_errors import label_error_report
from sklearn_noisy.metrics._noise_corrected import (
    make_noise_corrected_scorer,
    noise_corrected_accuracy_score,
    noise_corrected_log_loss,
)
from sklearn_noisy.metrics._noise_matrix import noise_matrix_error

__all__ = [
    "label_error_report",
    "make_noise_corrected_scorer",
    "noise_corrected_accuracy_score",
    "noise_corrected_log_loss",
    "noise_matrix_error",
]
