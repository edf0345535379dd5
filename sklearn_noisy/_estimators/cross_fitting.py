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
from sklearn_noisy._rows.rows import Rows
from sklearn_noisy._splits import make_splits
from sklearn_noisy._validation import check_sample_weight


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
    """Probabilities, columns as in `classes`; 0 for a class without training rows."""
    probabilities = np.zeros((len(rows), len(classes)))
    columns = np.searchsorted(classes, estimator.classes_)
    probabilities[:, columns] = estimator.predict_proba(take(X, rows))
    return probabilities


def out_of_fold_probabilities(
    estimator, X, labels, classes, cv, sample_weight, n_jobs, verbose
):
    """Probabilities of shape (n_samples, n_classes), each row out of fold."""
    refuse_unindexable(X)
    X, labels = indexable(X, labels)
    if sample_weight is not None:
        sample_weight = check_sample_weight(sample_weight, len(labels))
    fit_params = weight_params(estimator, sample_weight)
    splits = make_splits(cv, X, labels)
    X = rows_for(estimator, X, n_jobs)
    tasks = (
        delayed(_fit_predict)(
            clone(estimator), X, labels, train, test, classes, fit_params
        )
        for train, test in splits
    )
    results = Parallel(n_jobs=n_jobs, return_as="generator")(tasks)
    pred_probs = np.full((len(labels), len(classes)), np.nan)
    bar = tqdm(results, total=len(splits), desc="folds", disable=not verbose)
    for (_, test), part in zip(splits, bar, strict=True):
        pred_probs[test] = part
    missing = np.isnan(pred_probs).any(axis=1)
    if missing.any():
        raise ValueError(
            f"cv must have every row in a test part; {missing.sum()} of {len(labels)} "
            "rows are in none."
        )
    return pred_probs


def _fit_predict(estimator, X, labels, train, test, classes, fit_params):
    """Probabilities of the test rows, columns as in `classes`."""
    fit_on(estimator, X, labels, train, fit_params)
    return predict_proba_for(estimator, X, test, classes)
