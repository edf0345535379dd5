"""Noise matrices, corrupted labels, image archives."""

import io

import numpy as np
import pandas as pd
import pytest

from sklearn_noisy.datasets import corrupt_labels, fetch_images, make_noise_matrix


@pytest.mark.parametrize("kind", ["symmetric", "uniform", "pair", "random"])
@pytest.mark.parametrize("K", [2, 3, 10])
def test_columns_sum_to_one(kind, K):
    Q = make_noise_matrix(K, 0.4, kind, random_state=0)
    np.testing.assert_allclose(Q.sum(axis=0), 1)
    assert (Q >= 0).all()
    change = 1 - Q.diagonal()
    np.testing.assert_allclose(change, 0.4 * (K - 1) / K if kind == "uniform" else 0.4)


def test_matrices_by_hand():
    np.testing.assert_allclose(
        make_noise_matrix(3, 0.2), [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]
    )
    # Class 0 goes to 1 (row 1, column 0), 2 stays.
    np.testing.assert_allclose(
        make_noise_matrix(3, 0.4, "asymmetric", class_map={0: 1, 1: 0}),
        [[0.6, 0.4, 0], [0.4, 0.6, 0], [0, 0, 1]],
    )
    np.testing.assert_allclose(
        make_noise_matrix(3, 0.3, "pair"), [[0.7, 0, 0.3], [0.3, 0.7, 0], [0, 0.3, 0.7]]
    )
    first = make_noise_matrix(4, 0.5, "random", random_state=0)
    np.testing.assert_array_equal(
        first, make_noise_matrix(4, 0.5, "random", random_state=0)
    )
    assert len(np.unique(first)) == 13


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((1, 0.2), ValueError, "n_classes must be an integer >= 2, got 1"),
        ((2.0, 0.2), TypeError, "n_classes must be an integer"),
        ((3, 1.0), ValueError, r"noise_rate must be in \[0, 1\), got 1.0"),
        ((3, -0.1), ValueError, "noise_rate must be in"),
        ((3, "much"), TypeError, "noise_rate must be a number"),
        ((3, 0.2, "diagonal"), ValueError, "kind must be one of.*got 'diagonal'"),
        ((3, 0.2, "asymmetric"), ValueError, "class_map goes with kind='asymmetric'"),
    ],
)
def test_impossible_matrices(args, error, message):
    with pytest.raises(error, match=message):
        make_noise_matrix(*args)


def test_impossible_class_maps():
    with pytest.raises(ValueError, match="class_map names class 3; .* 0 to 2"):
        make_noise_matrix(3, 0.2, "asymmetric", class_map={0: 3})
    with pytest.raises(ValueError, match="only with it"):
        make_noise_matrix(3, 0.2, "pair", class_map={0: 1})
    with pytest.raises(TypeError, match="class_map must be a dict"):
        make_noise_matrix(3, 0.2, "asymmetric", class_map=[1, 2, 0])


def transitions(y, y_given, classes):
    """Matrix of the frequencies P(given j | true i) that were realised."""
    return np.array([[(y_given[y == i] == j).mean() for i in classes] for j in classes])


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("labels", [[0, 1, 2], ["ant", "bee", "cat"], [-1.0, 2.0, 9.0]])
def test_realised_frequencies_are_those_of_the_matrix(exact, labels):
    y = np.array(labels)[np.random.RandomState(0).randint(0, 3, 30_000)]
    Q = np.array([[0.7, 0.2, 0.0], [0.1, 0.8, 0.0], [0.2, 0.0, 1.0]])
    y_given, changed = corrupt_labels(
        y, Q, exact=exact, return_mask=True, random_state=0
    )
    assert y_given.dtype == y.dtype
    np.testing.assert_array_equal(changed, y_given != y)
    # Three standard errors of a frequency from 10,000 draws; rounding, if exact.
    np.testing.assert_allclose(
        transitions(y, y_given, labels), Q, atol=2e-4 if exact else 0.014
    )
    np.testing.assert_array_equal(
        y_given, corrupt_labels(y, Q, exact=exact, random_state=0)
    )


@pytest.mark.parametrize("kind", ["symmetric", "pair", "random"])
@pytest.mark.parametrize("n", [10, 101, 1797])
def test_exact_counts(kind, n):
    y = np.random.RandomState(0).randint(0, 7, n)
    changed = corrupt_labels(
        y, noise_rate=0.3, kind=kind, exact=True, return_mask=True, random_state=1
    )[1]
    assert changed.sum() == round(0.3 * n)


def test_the_uniform_rate_counts_labels_drawn_anew():
    y = np.arange(10_000) % 10
    _, changed = corrupt_labels(
        y, noise_rate=0.8, kind="uniform", exact=True, return_mask=True, random_state=0
    )
    assert changed.mean() == 0.72


def test_nothing_else_changes():
    y = pd.Series(["a", "b"] * 10, index=range(5, 25), name="label")
    before = y.copy()
    y_given = corrupt_labels(y, noise_rate=0.5, random_state=0)
    pd.testing.assert_series_equal(y, before)
    assert isinstance(y_given, pd.Series)
    assert y_given.name == "label"
    assert y_given.index.equals(y.index)
    assert set(y_given) == {"a", "b"}
    state = np.random.get_state()[1].copy()
    corrupt_labels([True, False] * 9, noise_rate=0.5, random_state=0)
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    np.testing.assert_array_equal(corrupt_labels([1, 2, 1], noise_rate=0), [1, 2, 1])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({}, "Give either noise_matrix or noise_rate"),
        ({"noise_rate": 0.1, "noise_matrix": np.eye(3)}, "Give either"),
        ({"noise_matrix": np.eye(4)}, r"must have shape \(3, 3\).*got \(4, 4\)"),
        ({"noise_matrix": np.full((3, 3), 0.3)}, "column 0 sums to 0.9"),
        ({"noise_matrix": np.diag([1, 1, 2.0]) - [[0], [0], [1]]}, "non-negative"),
        ({"noise_rate": 1}, "noise_rate must be in"),
        ({"noise_rate": 0.1, "kind": "asymmetric"}, "needs a class_map"),
        ({"noise_rate": 0.1, "kind": "odd"}, "kind must be one of"),
    ],
)
def test_impossible_corruptions(kwargs, message):
    with pytest.raises(ValueError, match=message):
        corrupt_labels([0, 1, 2], **kwargs)


def jpeg(value):
    Image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    Image.new("RGB", (32, 32), (value, 0, 0)).save(file, "JPEG")
    return np.frombuffer(file.getvalue(), np.uint8)


def test_local_archives(tmp_path, monkeypatch):
    rng = np.random.RandomState(0)
    X = rng.randint(0, 255, (20, 28, 28), dtype=np.uint8)
    y = np.repeat([0, 1], 10).astype(np.uint8)
    np.savez(tmp_path / "mnist.npz", X_train=X, y_train=y, X_test=X[:4], y_test=y[:4])
    monkeypatch.setenv("SKLEARN_NOISY_DATA", str(tmp_path))
    data = fetch_images("mnist", shuffle=False)
    np.testing.assert_array_equal(data.X_train, X)
    assert data.y_test.dtype == np.int64
    shuffled = fetch_images("mnist", random_state=1)
    order = [np.flatnonzero((image == X).all((1, 2)))[0] for image in shuffled.X_train]
    assert sorted(order) == list(range(20)) != order
    np.testing.assert_array_equal(shuffled.y_train, y[order])

    images = [jpeg(value) for value in (10, 200)]
    offset = np.cumsum([0, *map(len, images)])
    part = {"jpeg": np.concatenate(images), "offset": offset, "y": np.array([3, 5])}
    np.savez(
        tmp_path / "cifar10.npz",
        **{f"{k}_{p}": v for k, v in part.items() for p in ("train", "test")},
    )
    data = fetch_images("cifar10", data_folder=tmp_path, shuffle=False)
    assert data.X_train.shape == (2, 32, 32, 3)
    assert data.X_train.dtype == np.uint8
    np.testing.assert_allclose(data.X_train[:, 5, 5, 0], [10, 200], atol=5)


def test_archive_errors(tmp_path):
    with pytest.raises(ValueError, match="name must be one of 'mnist'.*got 'svhn'"):
        fetch_images("svhn")
    with pytest.raises(FileNotFoundError, match="holds no mnist.npz"):
        fetch_images("mnist", data_folder=tmp_path)
    np.savez(tmp_path / "mnist.npz", X_train=np.zeros((1, 28, 28)))
    with pytest.raises(ValueError, match="holds no array 'y_train'"):
        fetch_images("mnist", data_folder=tmp_path)


def test_a_rate_in_the_place_of_the_matrix_is_told():
    with pytest.raises(ValueError, match=r"got 0.3. Pass a noise rate as noise_rate"):
        corrupt_labels([0, 1], 0.3)


def test_rare_targets_of_small_classes_are_drawn():
    # Of 100 classes of 10 rows, one row changes each: 90 to class 0, 10 to class 1.
    n_classes = 100
    Q = 0.9 * np.eye(n_classes)
    Q[0] += 0.09
    Q[1] += 0.01
    y = np.repeat(np.arange(n_classes), 10)
    y_given = corrupt_labels(y, Q, exact=True, random_state=0)
    assert (y_given[20:] == 0).sum() == pytest.approx(0.9 * 98, abs=1)
    assert (y_given[20:] == 1).sum() == pytest.approx(0.1 * 98, abs=1)


@pytest.mark.parametrize(
    "y",
    [
        pd.Series([1, 2, 3] * 20, dtype="Int64"),
        pd.Series([True, False] * 30, dtype="boolean"),
        pd.Series(["a", "b", "c"] * 20, dtype="string"),
        pd.Series(["a", "b", "c"] * 20, dtype="category"),
        pd.Series([3, 1, 2] * 20, dtype=pd.CategoricalDtype([3, 2, 1], ordered=True)),
        pd.Series([1, 2, 3] * 20, dtype="int8"),
        pd.Series(["a", "b", "c"] * 20, dtype=object),
    ],
    ids=lambda y: str(y.dtype),
)
@pytest.mark.parametrize("exact", [False, True])
def test_pandas_labels_come_back_as_they_came(y, exact):
    y = y.rename("label").set_axis(range(100, 160))
    y_given, changed = corrupt_labels(
        y, noise_rate=0.4, exact=exact, return_mask=True, random_state=0
    )
    assert y_given.dtype == y.dtype
    assert y_given.name == "label"
    assert y_given.index.equals(y.index)
    np.testing.assert_array_equal(changed, (y_given != y).to_numpy(dtype=bool))
    assert 10 < changed.sum() < 40
    frame = corrupt_labels(y.to_frame(), noise_rate=0.4, exact=exact, random_state=0)
    pd.testing.assert_frame_equal(frame, y_given.to_frame())


def test_labels_that_lack_a_class():
    y = np.array(["a", "b"] * 30)
    Q = np.array([[0.5, 0, 0], [0.2, 0.6, 0], [0.3, 0.4, 1]])
    frame = pd.DataFrame(Q, index=list("abc"), columns=list("abc"))
    y_given = corrupt_labels(y, frame.iloc[::-1], random_state=0)
    assert set(y_given) == {"a", "b", "c"}
    np.testing.assert_array_equal(
        y_given, corrupt_labels(y, Q, classes=["a", "b", "c"], random_state=0)
    )
    # A class that y lacks may be given.
    by_rate = corrupt_labels(y, noise_rate=0.5, classes=["a", "b", "c"], random_state=0)
    assert set(by_rate) == {"a", "b", "c"}
    in_categories = pd.Series(y, dtype=pd.CategoricalDtype(["c", "b", "a"]))
    of_series = corrupt_labels(in_categories, frame, random_state=0)
    assert of_series.tolist() == y_given.tolist()
    for arguments, message in (
        ((y, Q), r"must have shape \(2, 2\).*give a DataFrame with the classes"),
        ((pd.Series(y, dtype="category"), frame), r"\['c'\] are none.*add_categories"),
        ((np.append(y, "d"), frame), "the classes"),
    ):
        with pytest.raises(ValueError, match=message):
            corrupt_labels(*arguments, random_state=0)
    with pytest.raises(ValueError, match="classes must be sorted"):
        corrupt_labels(y, Q, classes=["b", "a", "c"])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.linspace(0, 1, 9), "Unknown label type: continuous"),
        (pd.DataFrame({"label": [1.0, None, 2.0]}), "1 of 3 are missing"),
        (pd.Series([1, None, 2], dtype="Int64"), "1 of 3 are missing"),
    ],
)
def test_what_is_no_label(y, message):
    with pytest.raises(ValueError, match=message):
        corrupt_labels(y, noise_rate=0.3)
