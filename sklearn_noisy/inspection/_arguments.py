"""Arguments that several displays share."""

from collections.abc import Iterable

from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

WHERE = (
    "the last step of a Pipeline, the best_estimator_ of a fitted search or the clf of "
    "a CleanLearning"
)


def find_estimator(estimator, classes, *, hint=""):
    """The estimator of this package that another one holds, or the given one itself.

    Parameters
    ----------
    estimator : estimator
        An instance of one of `classes`, or a Pipeline, a fitted search, a CleanLearning
        or another estimator with ``estimator_`` that holds one at any depth.
    classes : tuple of type
    hint : str, default=""
        Last sentence of the error message.

    Returns
    -------
    An instance of one of `classes`

    Raises
    ------
    TypeError
        If there is none.
    NotFittedError
        If a search is not fitted, so that it has no best estimator yet.
    """
    inner = estimator
    while not isinstance(inner, classes):
        held = _held_by(inner)
        if held is None:
            names = " or a ".join(cls.__name__ for cls in classes)
            raise TypeError(
                f"estimator must be a {names}, or hold one ({WHERE}); got "
                f"{estimator!r}.{hint and ' ' + hint}"
            )
        inner = held
    return inner


def _held_by(estimator):
    """The fitted estimator that predicts for another one, or None."""
    if isinstance(estimator, Pipeline):
        return estimator.steps[-1][1]
    if isinstance(estimator, FrozenEstimator):
        return estimator.estimator
    for name in ("best_estimator_", "estimator_", "clf"):
        held = getattr(estimator, name, None)
        if held is not None:
            return held
    if hasattr(estimator, "param_distributions") or hasattr(estimator, "param_grid"):
        try:
            check_is_fitted(estimator)
        except NotFittedError as error:
            raise NotFittedError(
                f"This {type(estimator).__name__} is not fitted yet: it has no "
                "best_estimator_."
            ) from error
        raise NotFittedError(
            f"This {type(estimator).__name__} was fitted with refit=False: it has no "
            "best_estimator_."
        )
    return None


def as_list(values, name, *, of):
    """The entries of a list, an array or another iterable.

    Parameters
    ----------
    values : iterable
        A text is refused: it would be taken for a list of characters.
    name : str
        Name of the argument in an error message.
    of : str
        What the entries are, in the plural.

    Raises
    ------
    TypeError
        If `values` is a text or not iterable.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a list of {of}; got {values!r}.")
    return list(values)
