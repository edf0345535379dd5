"""Pictures; matplotlib is imported when one is drawn."""

from sklearn_noisy.inspection._noise_matrix import NoiseMatrixDisplay

__all__ = ["NoiseMatrixDisplay"]
