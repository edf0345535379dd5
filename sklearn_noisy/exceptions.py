"""Errors and warnings of the package.

Each one also inherits the builtin or scikit-learn type that a caller would
catch without knowing this package.
"""

from sklearn.exceptions import ConvergenceWarning

__all__ = [
    "DeviceNotAvailableError",
    "InvalidFileError",
    "LossWarmUpWarning",
    "ModuleOutputError",
    "NoiseModelWarning",
    "TrainingDivergedError",
    "TrainingInterruptedWarning",
    "UnknownParameterError",
]


class DeviceNotAvailableError(RuntimeError):
    """The device that was asked for does not exist on this machine."""


class InvalidFileError(ValueError):
    """What :func:`sklearn_noisy.load` was given is no whole file of its own."""


class ModuleOutputError(ValueError):
    """The module does not return logits of shape ``(n_samples, n_classes)``."""


class TrainingDivergedError(FloatingPointError):
    """The training loss became NaN or infinite."""


class UnknownParameterError(TypeError):
    """A keyword argument that neither the estimator nor skorch knows."""


class LossWarmUpWarning(ConvergenceWarning):
    """A robust loss came on too early, or never did."""


class TrainingInterruptedWarning(UserWarning):
    """An interrupt (Ctrl-C) ended the training before its time."""


class NoiseModelWarning(UserWarning):
    """What is assumed of the noise makes the result doubtful."""
