"""`is_clean` of RobustLossClassifier: labels that are known to be right."""

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.datasets import load_digits
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_noisy import NoiseAdaptedClassifier, RobustLossClassifier, load, save
from sklearn_noisy._training.callbacks import ScheduledLoss
from sklearn_noisy.datasets import corrupt_labels
from sklearn_noisy.exceptions import IneffectiveParameterWarning
from sklearn_noisy.losses import BlurryLoss, CrossEntropyLoss


def classifier(**params):
    defaults = {"loss": "mean_absolute_error", "max_epochs": 3, "random_state": 0}
    return RobustLossClassifier(
        module__hidden_layer_sizes=(16,), **{**defaults, **params}
    )


@pytest.fixture(scope="module")
def rows():
    X, y = load_digits(return_X_y=True)
    X, y = X[:500] / 16, y[:500]
    is_clean = np.random.RandomState(0).rand(500) < 0.4
    given = corrupt_labels(y, noise_rate=0.4, random_state=1)
    return X, np.where(is_clean, y, given), is_clean


def test_the_loss_of_each_row():
    """Codes from 3 on are labels that are known to be right."""
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    labels, targets = torch.tensor([0, 1, 2, 0]), torch.tensor([0, 4, 2, 3])
    criterion = ScheduledLoss("blurry", 3, {"gamma": 0.3})
    robust, plain = BlurryLoss(0.3)(logits, labels), CrossEntropyLoss()(logits, labels)
    torch.testing.assert_close(criterion(logits, targets), plain)
    criterion.active = True
    expected = torch.where(torch.tensor([True, False, True, False]), robust, plain)
    torch.testing.assert_close(criterion(logits, targets), expected)
    criterion.has_clean = False
    torch.testing.assert_close(criterion(logits, labels), robust)


def test_if_all_rows_are_clean_it_is_cross_entropy(rows):
    X, y, _ = rows
    found = classifier(delay=1).fit(X, y, is_clean=np.ones(len(y), dtype=bool))
    plain = classifier(loss="cross_entropy").fit(X, y)
    np.testing.assert_array_equal(found.predict_proba(X), plain.predict_proba(X))


def test_a_mask_without_effect(rows):
    """None, and cross-entropy for both kinds of rows, change nothing."""
    X, y, is_clean = rows
    plain = classifier(loss="cross_entropy", early_stopping=False).fit(X, y)
    masked = classifier(loss="cross_entropy", early_stopping=False)
    masked.fit(X, y, is_clean=is_clean)
    np.testing.assert_array_equal(masked.predict_proba(X), plain.predict_proba(X))


def test_clean_rows_help(rows):
    """The robust loss alone learns slowly from few rows."""
    X, y, is_clean = rows
    X_all, y_all = load_digits(return_X_y=True)
    scores = [
        classifier(delay=1, max_epochs=15, lr=0.01)
        .fit(X, y, is_clean=mask)
        .score(X_all[500:] / 16, y_all[500:])
        for mask in (None, is_clean)
    ]
    assert scores[1] > scores[0] + 0.05


@pytest.mark.parametrize("early_stopping", [False, True])
def test_training_goes_on_and_files_keep_it(rows, tmp_path, early_stopping):
    X, y, is_clean = rows
    clf = classifier(delay=1, early_stopping=early_stopping, warm_start=True)
    clf.fit(X, y, is_clean=is_clean)
    save(clf, tmp_path / "model")
    loaded = load(tmp_path / "model")
    for part in (clf, loaded):
        part.partial_fit(X, y, is_clean=is_clean).fit(X, y, is_clean=is_clean)
        part.fit(X, y)
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))


def test_a_schedule_counts_clean_rows_too(rows):
    X, y, is_clean = rows
    clf = classifier(loss="blurry", max_epochs=25, lr=0.01)
    clf.fit(X, y, is_clean=is_clean)
    assert clf.history_[:, "robust"][0] is False
    assert clf.history_[-1, "robust"]


def test_without_callbacks_it_is_cross_entropy(rows):
    X, y, is_clean = rows
    disabled = classifier(callbacks="disable")
    with pytest.warns(IneffectiveParameterWarning, match="loss='mean_absolute_error'"):
        disabled.fit(X, y, is_clean=is_clean)
    plain = classifier(loss="cross_entropy").fit(X, y)
    np.testing.assert_array_equal(disabled.predict_proba(X), plain.predict_proba(X))


def test_the_mask_is_checked_and_routed(rows):
    X, y, is_clean = rows
    with pytest.raises(ValueError, match=r"is_clean must be a boolean mask"):
        classifier().fit(X, y, is_clean=is_clean.astype(int))
    with pytest.raises(ValueError, match="is_clean marks no row"):
        classifier().fit(X, y, is_clean=np.zeros(len(y), dtype=bool))
    plain = classifier(delay=1)
    with config_context(enable_metadata_routing=True):
        clf = classifier(delay=1).set_fit_request(is_clean=True)
        pipe = Pipeline([("scale", StandardScaler()), ("clf", clf)])
        pipe.fit(X, y, is_clean=is_clean)
    scaled = pipe["scale"].transform(X)
    plain.fit(scaled, y, is_clean=is_clean)
    np.testing.assert_array_equal(pipe.predict_proba(X), plain.predict_proba(scaled))


def test_a_classifier_estimates_no_matrix(rows):
    X, y, _ = rows
    with pytest.raises(ValueError, match="noise_matrix must be 'learn', 'estimate'"):
        NoiseAdaptedClassifier(noise_matrix=classifier()).fit(X, y)
