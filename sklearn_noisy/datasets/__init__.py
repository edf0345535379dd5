"""Synthetic label noise, and image data sets."""

from sklearn_noisy.datasets._images import fetch_images
from sklearn_noisy.datasets._noise import corrupt_labels, make_noise_matrix

__all__ = ["corrupt_labels", "fetch_images", "make_noise_matrix"]
