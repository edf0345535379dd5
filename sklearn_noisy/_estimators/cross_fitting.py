"""Cross-fitting: each row is predicted by a model that did not train on it."""

import inspect

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from sklearn import get_config
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array, indexable
from torch.utils.data import Dataset, Subset
from tqdm import tqdm

from sklearn_noisy._estimators.base import (
    DATASETS,
    BaseNoisyLabelClassifier,
    interrupts_raised,
    refuse_unindexable,
)
from sklearn_noisy._labels import (
    label_codes,
)
from sklearn_noisy._rows.rows import Rows
from sklearn_noisy._splits import make_splits
from sklearn_noisy._validation import (
    check_columns,
    check_sample_weight,
)


def weight_params(estimator, weight):
    """Weights as ``{name: weight}``, with the name that ``estimator.fit`` expects.

    Raises
    ------
    TypeError
        If ``estimator.fit`` takes no weights.
    """
    if weight is None:
        return {}
    if isinstance(estimator, Pipeline) and not get_config()["enable_metadata_routing"]:
        return {f"{estimator.steps[-1][0]}__sample_weight": weight}
    accepted = inspect.signature(estimator.fit).parameters.values()
    if not any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in accepted):
        raise TypeError(
            f"sample_weight was given, but {type(estimator).__name__}.fit takes none."
        )
    return {"sample_weight": weight}


def rows_for(estimator, X, n_jobs):
    """`X` in the form whose subsets are cheapest for `estimator`.

    Our classifiers share the rows if they are fitted one after another: no fold copies
    the rows, and they move to a GPU only once.

    Parameters
    ----------
    estimator : classifier
    X : array-like, Dataset or Rows
    n_jobs : int or None
    """
    is_ours = isinstance(estimator, BaseNoisyLabelClassifier)
    shares = is_ours and effective_n_jobs(n_jobs) == 1
    if isinstance(X, Rows):
        return X if shares else X.original()
    if not shares or isinstance(X, DATASETS):
        return X
    check_columns(X)
    X = check_array(
        X, accept_sparse="csr", allow_nd=True, input_name="X", estimator=estimator
    )
    return Rows(X)


def take(X, rows):
    """Rows of an array, DataFrame, list or data set."""
    if isinstance(X, Rows):
        return X.subset(rows)
    if isinstance(X, Dataset):
        return Subset(X, rows.tolist())
    if isinstance(X, list):  # of texts, say
        return [X[i] for i in rows]
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def fit_on(estimator, X, labels, rows, fit_params):
    """`estimator` fitted on some rows.

    Raises
    ------
    KeyboardInterrupt
        Also if one of our classifiers would only end its training early: a fold whose
        model is partly trained is not comparable with the others.
    """
    params = {name: value[rows] for name, value in fit_params.items()}
    with interrupts_raised():
        return estimator.fit(take(X, rows), labels[rows], **params)


def predict_proba_for(estimator, X, rows, classes):
    """Probabilities, columns as in `classes`; 0 for a class without training rows.

    Raises
    ------
    ValueError
        If the estimator knows a class that is none of `classes`.
    """
    return _widened(estimator.predict_proba(take(X, rows)), estimator.classes_, classes)


def _widened(probabilities, known, classes):
    """Columns of the known classes among those of all classes; 0 for the others."""
    unknown = {*known.tolist()} - {*classes.tolist()}
    if unknown:
        raise ValueError(
            f"estimator predicts classes that are not among {classes.tolist()}: "
            f"{sorted(unknown, key=str)}."
        )
    wide = np.zeros((len(probabilities), len(classes)))
    wide[:, label_codes(known, classes)] = probabilities
    return wide


def out_of_fold_probabilities(  # noqa: PLR0913
    estimator,
    X,
    labels,
    classes,
    *,
    cv,
    fit_params,
    n_jobs,
    verbose,
    extends=False,
):
    """Probabilities of each row by a model that did not train on it.

    Parameters
    ----------
    estimator : classifier
    X : array-like or Dataset of shape (n_samples, ...)
    labels : ndarray of shape (n_samples,)
    classes : ndarray of shape (n_classes,)
        Sorted.
    cv : int, splitter or iterable of splits
    fit_params : dict of str to ndarray of shape (n_samples,)
        See :func:`fit_arguments`.
    n_jobs : int or None
    verbose : int
    extends : bool, default=False
        Whether classes that only the estimator knows are added; otherwise they are an
        error. A model that is fitted already, or one with a named noise matrix, may
        know classes that no row has.

    Returns
    -------
    pred_probs : ndarray of shape (n_samples, n_classes)
    classes : ndarray of shape (n_classes,)

    Raises
    ------
    ValueError
        If a row is in no test part, a model predicts NaN, or it knows none of the
        classes.
    """
    refuse_unindexable(X)
    X, labels = indexable(list(X) if isinstance(X, tuple) else X, labels)
    splits = make_splits(cv, X, labels)
    X = rows_for(estimator, X, n_jobs)
    tasks = (
        delayed(_fit_predict)(clone(estimator), X, labels, train, test, fit_params)
        for train, test in splits
    )
    results = Parallel(n_jobs=n_jobs, return_as="generator")(tasks)
    pred_probs = np.zeros((len(labels), len(classes)))
    is_predicted = np.zeros(len(labels), dtype=bool)
    bar = tqdm(results, total=len(splits), desc="folds", disable=not verbose)
    for (_, test), (part, known) in zip(splits, bar, strict=True):
        if extends:
            before, classes = classes, _joined(classes, known)
            if len(before) < len(classes):
                pred_probs = _widened(pred_probs, before, classes)
        pred_probs[test] = _widened(part, known, classes)
        is_predicted[test] = True
    if not is_predicted.all():
        raise ValueError(
            "cv must have every row in a test part; "
            f"{(~is_predicted).sum()} of {len(labels)} rows are in none."
        )
    if np.isnan(pred_probs).any():
        raise ValueError("estimator.predict_proba returned NaN.")
    return pred_probs, classes


def fit_arguments(estimator, sample_weight, n_samples, is_clean=None):
    """Weights, and the mask where ``estimator.fit`` takes it, as ``{name: values}``."""
    if sample_weight is not None:
        sample_weight = check_sample_weight(sample_weight, n_samples)
    arguments = weight_params(estimator, sample_weight)
    takes_mask = "is_clean" in inspect.signature(estimator.fit).parameters
    if is_clean is not None and takes_mask:
        arguments["is_clean"] = is_clean
    return arguments


def _joined(classes, known):
    """The classes, and those that a model knows as well."""
    if {*known.tolist()} <= {*classes.tolist()}:
        return classes
    if not {*known.tolist()} & {*classes.tolist()}:
        raise ValueError(
            f"estimator predicts the classes {known.tolist()}, none of which is among "
            f"{classes.tolist()}."
        )
    return np.union1d(classes, known)


def _fit_predict(estimator, X, labels, train, test, fit_params):
    """Probabilities of the test rows, and the classes of their columns."""
    mask = fit_params.get("is_clean")
    if mask is not None and not mask[train].any():  # a mask must mark a row
        fit_params = {k: v for k, v in fit_params.items() if k != "is_clean"}
    fit_on(estimator, X, labels, train, fit_params)
    return estimator.predict_proba(take(X, test)), np.asarray(estimator.classes_)
