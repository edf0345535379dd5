"""Which rows of the label issues are drawn, and what they look like."""

import numpy as np
from scipy import sparse

from sklearn_noisy._estimators.base import DATASETS
from sklearn_noisy._rows.rows import Rows
from sklearn_noisy._validation import check_integer
from sklearn_noisy.inspection._arguments import as_list

COLUMNS = ("is_label_issue", "label_quality", "given_label", "predicted_label")

# Numbers of channels that an image can have.
CHANNELS = (1, 3, 4)


def check_issues(issues):
    """Raise unless `issues` is a result of ``find_label_issues`` with any row.

    Raises
    ------
    TypeError
        If `issues` is not a DataFrame.
    ValueError
        If it lacks a column or has no row, or if the quality is not a number.
    """
    import pandas as pd

    if not isinstance(issues, pd.DataFrame):
        raise TypeError(
            "issues must be the DataFrame that find_label_issues returns; got "
            f"{type(issues).__name__}."
        )
    missing = [name for name in COLUMNS if name not in issues]
    if missing:
        raise ValueError(
            f"issues must have the columns {', '.join(COLUMNS)}; it lacks "
            f"{', '.join(missing)}."
        )
    if not len(issues):
        raise ValueError("issues must have at least one row to draw; it has none.")
    if not pd.api.types.is_numeric_dtype(issues["label_quality"]):
        raise ValueError(
            "label_quality of issues must hold numbers; got dtype "
            f"{issues['label_quality'].dtype}."
        )


def choose(issues, n_issues, order):
    """Positions of the rows to draw, the lowest quality first.

    Parameters
    ----------
    issues : DataFrame of shape (n_samples, 4)
    n_issues : int
        Maximal number of rows.
    order : {"spread", "quality"}

    Returns
    -------
    int ndarray of shape (min(n_issues, n_samples),)
    """
    by_quality = np.argsort(issues["label_quality"].to_numpy(), kind="stable")
    if order == "quality":
        return by_quality[:n_issues]
    # The rank of a row among those of its pair of labels. Each round takes the next
    # row of every pair, and rounds of label issues precede those of other rows.
    ranked = issues.iloc[by_quality]
    keys = ["is_label_issue", "given_label", "predicted_label"]
    rank = ranked.groupby(keys, sort=False, dropna=False, observed=True).cumcount()
    is_issue = ranked["is_label_issue"].to_numpy(dtype=bool)
    chosen = np.lexsort((np.arange(len(rank)), rank.to_numpy(), ~is_issue))
    return by_quality[np.sort(chosen[:n_issues])]


def positions_in(X, issues):
    """Positions in `X` of the rows of `issues`."""
    n_rows = _n_rows(X)
    has_index = is_pandas(X) and X.index.is_unique
    if has_index and issues.index.isin(X.index).all():
        return X.index.get_indexer(issues.index)
    if len(issues) != n_rows:
        raise ValueError(
            f"issues must have a row for each of the {n_rows} rows of X; got "
            f"{len(issues)}. Only with a DataFrame X can issues be a subset."
        )
    order = np.arange(n_rows)
    if not np.array_equal(issues.index, order):
        raise ValueError(
            "issues must be in the order of X: its index must be that of X, or count "
            "from 0. issues.sort_index() undoes a sort if the index was sorted; "
            "issues.reset_index(drop=True) confirms that the order is right."
        )
    return order


def rows_at(X, positions, image_shape):
    """Rows as images, channels last, or as a DataFrame."""
    rows = _take(X, positions)
    if image_shape is None and rows.ndim <= 2:
        import pandas as pd

        is_list = rows.ndim == 1 and not is_pandas(rows)
        return pd.DataFrame({"X": rows} if is_list else rows)
    images = np.asarray(rows)
    if images.dtype.kind not in "biuf":
        # Numbers may be stored as objects, or in columns of several types.
        try:
            images = images.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"X must hold numbers to be drawn as images; got {images.dtype}."
            ) from error
    if image_shape is not None:
        images = _reshaped(images, image_shape)
    return _channels_last(images)


def is_pandas(X):
    """Whether `X` is a DataFrame or Series of pandas."""
    return hasattr(X, "iloc")


def _n_rows(X):
    if sparse.issparse(X) and X.ndim != 2:
        raise ValueError(f"X must have two axes if it is sparse; got {X.ndim}.")
    if isinstance(X, (list, tuple, *DATASETS)):
        return len(X)
    if not getattr(X, "shape", ()):  # also an array without an axis
        raise TypeError(
            "X must be an array, a DataFrame, a sparse matrix, a list or a Dataset of "
            f"the rows that issues describes; got {X!r}."
        )
    return X.shape[0]


def _take(X, positions):
    """Rows at some positions, as a dense array or as pandas' DataFrame or Series."""
    if is_pandas(X):
        return X.iloc[positions]
    if sparse.issparse(X):
        return X.tocsr()[positions].toarray()  # other formats cannot be indexed
    if isinstance(X, DATASETS):
        return Rows(X).subset(positions).take(slice(None)).numpy()
    if isinstance(X, list | tuple):
        rows = [X[k] for k in positions.tolist()]
        has_no_axis = isinstance(rows[0], str | bytes | dict)
        return _objects(rows) if has_no_axis else np.asarray(rows)
    rows = X[positions]
    if hasattr(rows, "to_dict"):  # a DataFrame of polars
        import pandas as pd

        return pd.DataFrame(rows.to_dict(as_series=False))
    if hasattr(rows, "detach"):  # a tensor, maybe on a GPU
        rows = rows.detach().cpu()
    return _objects(rows.to_list()) if hasattr(rows, "to_list") else np.asarray(rows)


def _objects(values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _reshaped(images, image_shape):
    sizes = as_list(image_shape, "image_shape", of="two or three numbers")
    shape = tuple(
        check_integer(size, "each number of image_shape", min_val=1) for size in sizes
    )
    if np.prod(shape) != np.prod(images.shape[1:]):
        raise ValueError(
            f"image_shape={shape} does not fit the rows of X, which have shape "
            f"{images.shape[1:]}."
        )
    return images.reshape(len(images), *shape)


def _channels_last(images):
    """Images of shape (n, h, w) or (n, h, w, channels)."""
    has_channels = images.ndim == 4
    if has_channels and images.shape[3] not in CHANNELS and images.shape[1] in CHANNELS:
        images = np.moveaxis(images, 1, 3)
    if images.ndim != 3 and not (has_channels and images.shape[3] in CHANNELS):
        raise ValueError(
            "X must hold images of shape (h, w), (h, w, channels) or (channels, h, w) "
            f"with 1, 3 or 4 channels, or be a table; got rows of shape "
            f"{images.shape[1:]}."
        )
    if 0 in images.shape[1:3]:
        raise ValueError(
            f"X must hold images of at least one pixel; got rows of shape "
            f"{images.shape[1:]}."
        )
    return images[..., 0] if has_channels and images.shape[3] == 1 else images
