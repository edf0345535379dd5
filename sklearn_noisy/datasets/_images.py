"""MNIST, Fashion-MNIST and CIFAR-10."""

import io
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
from sklearn.datasets import fetch_openml
from sklearn.utils import Bunch

from sklearn_noisy._validation import check_choice, check_flag, given_generator

# name → (name at OpenML, shape of an image, training rows)
SOURCES = {
    "mnist": ("mnist_784", (28, 28), 60_000),
    "fashion_mnist": ("Fashion-MNIST", (28, 28), 60_000),
    "cifar10": ("CIFAR_10", (32, 32, 3), 50_000),
}


def fetch_images(name, *, data_folder=None, shuffle=True, random_state=0):
    """Load an image data set, from a local folder or from OpenML.

    Parameters
    ----------
    name : {"mnist", "fashion_mnist", "cifar10"}
    data_folder : path, default=None
        Folder that holds ``<name>.npz``. None takes the environment variable
        ``SKLEARN_NOISY_DATA``. If neither is set, or that folder lacks the file, the
        data are downloaded from OpenML into scikit-learn's cache.
    shuffle : bool, default=True
        Whether to shuffle the rows of each part; the archives are sorted by class.
    random_state : int, RandomState instance or None, default=0
        Seed of the shuffling.

    Returns
    -------
    Bunch
        ``X_train``, ``X_test``: uint8 of shape (n, 28, 28) or (n, 32, 32, 3);
        ``y_train``, ``y_test``: int64 of shape (n,).

    Raises
    ------
    ValueError
        If `name` is unknown or the archive lacks an array.
    ImportError
        If CIFAR-10 is read from a local archive and pillow is not installed.
    FileNotFoundError
        If the given `data_folder` holds no archive.
    """
    check_choice(name, "name", SOURCES)
    check_flag(shuffle, "shuffle")
    folder = data_folder or os.environ.get("SKLEARN_NOISY_DATA")
    archive = Path(folder) / f"{name}.npz" if folder else None
    if archive is not None and archive.is_file():
        data = _read_archive(archive)
    elif data_folder is not None:
        raise FileNotFoundError(f"data_folder={str(folder)!r} holds no {name}.npz.")
    else:
        data = _fetch(name)
    if shuffle:
        rng = given_generator(random_state)
        for part in ("train", "test"):
            order = rng.permutation(len(data[f"y_{part}"]))
            for key in (f"X_{part}", f"y_{part}"):
                data[key] = data[key][order]
    return data


def _read_archive(path):
    data = Bunch()
    with np.load(path) as archive:
        for part in ("train", "test"):
            if f"y_{part}" not in archive:
                raise ValueError(f"{path} holds no array 'y_{part}'.")
            data[f"y_{part}"] = archive[f"y_{part}"].astype(np.int64)
            if f"jpeg_{part}" in archive:
                data[f"X_{part}"] = _decode(
                    archive[f"jpeg_{part}"], archive[f"offset_{part}"]
                )
            else:
                data[f"X_{part}"] = archive[f"X_{part}"]
    return data


def _decode(stream, offset):
    """Images from a concatenation of JPEG files."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "CIFAR-10 is stored as JPEG: reading it needs pillow, "
            "pip install sklearn-noisy[images]."
        ) from error
    stream = stream.tobytes()
    return np.stack(
        [
            np.asarray(Image.open(io.BytesIO(stream[start:stop])))
            for start, stop in pairwise(offset)
        ]
    )


def _fetch(name):
    openml_name, shape, n_train = SOURCES[name]
    X, y = fetch_openml(openml_name, version=1, return_X_y=True, as_frame=False)
    if name == "cifar10":  # stored channel by channel
        X = X.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    X = X.reshape(-1, *shape).astype(np.uint8)
    y = y.astype(np.int64)
    return Bunch(
        X_train=X[:n_train], y_train=y[:n_train], X_test=X[n_train:], y_test=y[n_train:]
    )
