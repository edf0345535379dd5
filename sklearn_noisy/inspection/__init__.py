"""Plots; matplotlib is imported when one is drawn."""

from sklearn_noisy.inspection._label_issues import LabelIssuesDisplay
from sklearn_noisy.inspection._losses import LossDisplay
from sklearn_noisy.inspection._noise_matrix import NoiseMatrixDisplay
from sklearn_noisy.inspection._training import TrainingDisplay

__all__ = [
    "LabelIssuesDisplay",
    "LossDisplay",
    "NoiseMatrixDisplay",
    "TrainingDisplay",
]
