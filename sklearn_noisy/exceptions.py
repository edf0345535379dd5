"""Errors and warnings of the package.

Each also inherits from the built-in or scikit-learn type that a caller would catch
without knowing this package.
"""

from sklearn.exceptions import ConvergenceWarning

__all__ = [
    "CheckpointWarning",
    "DeviceNotAvailableError",
    "EmulatedPrecisionWarning",
    "IneffectiveParameterWarning",
    "InvalidFileError",
    "LossWarmUpWarning",
    "ModuleOutputError",
    "NoiseModelWarning",
    "TrainingDivergedError",
    "TrainingInterruptedWarning",
    "UnknownParameterError",
]


class DeviceNotAvailableError(RuntimeError):
    """The requested device does not exist on this machine."""


class InvalidFileError(ValueError):
    """A saved model or a checkpoint is damaged, of another kind or another format."""


class ModuleOutputError(ValueError):
    """The module does not return logits of shape ``(n_samples, n_classes)``."""


class TrainingDivergedError(FloatingPointError):
    """The training loss became NaN or infinite."""


class UnknownParameterError(TypeError):
    """A keyword argument is a parameter of neither the estimator nor skorch."""


class CheckpointWarning(UserWarning):
    """A checkpoint could not be removed after the fit that wrote it."""


class EmulatedPrecisionWarning(UserWarning):
    """The device has no instructions for this precision, which makes it very slow."""


class IneffectiveParameterWarning(UserWarning):
    """Parameters were set that have no effect with the values of the others."""


class LossWarmUpWarning(ConvergenceWarning):
    """The robust loss took over from cross-entropy too early, or never did."""


class TrainingInterruptedWarning(UserWarning):
    """An interrupt (Ctrl-C) ended training early."""


class NoiseModelWarning(UserWarning):
    """The assumptions about the noise make the result unreliable."""
