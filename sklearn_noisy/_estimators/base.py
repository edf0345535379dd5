"""The base of the classifiers: check → encode → train → softmax → decode.

A subclass decides what is trained, and with which criterion. It completes the
specification of the net (`_net_spec`) and may train several nets (`_train`).
"""

import warnings
from collections.abc import Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    validate_data,
)
from skorch.helper import SliceDataset
from torch.utils.data import DataLoader, Dataset, IterableDataset

from sklearn_noisy._estimators.parameters import SkorchParamsMixin
from sklearn_noisy._labels import (
    check_no_missing,
    check_partial_fit_classes,
    check_y_given,
    class_weights,
    encode_labels,
    fixed_width,
    label_array,
)
from sklearn_noisy._rows.rows import FitData, Rows, TrainingData, check_range
from sklearn_noisy._training.callbacks import BestEpoch
from sklearn_noisy._training.checkpoint import checkpointed
from sklearn_noisy._training.settings import check_monitored, check_settings
from sklearn_noisy._training.surroundings import own_torch_modes
from sklearn_noisy._training.trainer import (
    NetSpec,
    Trainer,
    resolve_device,
    warn_if_emulated,
)
from sklearn_noisy._validation import (
    check_columns,
    check_is_clean,
    check_same_order,
    check_sample_weight,
    own_generator,
    warn_without_effect,
)
from sklearn_noisy.exceptions import ModuleOutputError, TrainingInterruptedWarning
from sklearn_noisy.nn import MLP, floating_dtype

# Types that read their rows on request.
DATASETS = (Dataset, SliceDataset)


@dataclass(frozen=True)
class AutoSettings:
    """What ``"auto"`` means; measured on digits and MNIST (doc/benchmarks.md).

    Attributes
    ----------
    min_rows : int
        From this number of rows on, validation rows are held out and the default MLP
        has dropout. With fewer rows, neither is worth its cost. Without them,
        scikit-learn's rule that a row of weight k equals k rows holds exactly.
    dropout : float
        Fraction of the hidden units that is dropped.
    """

    min_rows: int = 1000
    dropout: float = 0.5


AUTO = AutoSettings()

# Parameters on which the net does not depend. (`random_state` seeds only the first
# call; a change of `device` raises its own error.)
READ_BY_EVERY_CALL = {
    *("max_epochs", "early_stopping", "validation_fraction", "class_weight"),
    *("warm_start", "checkpoint", "random_state", "device"),
}


class BaseNoisyLabelClassifier(SkorchParamsMixin, ClassifierMixin, BaseEstimator):
    """Base of the classifiers; see :class:`RobustLossClassifier`.

    A fitted classifier has a private ``_trainer``, which holds the net, its
    specification, the generator of seeds and the history.
    """

    _read_by_every_call = READ_BY_EVERY_CALL

    # Takes labels and classes, returns indices and classes. An outside row has index K.
    _encode = staticmethod(encode_labels)

    def predict(self, X):
        """Most probable true label of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), \
                ndarray of shape (n_samples, ...) or Dataset

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        codes = self.predict_proba(X).argmax(axis=1)
        return self.classes_[codes]

    def predict_proba(self, X):
        """Probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), \
                ndarray of shape (n_samples, ...) or Dataset

        Returns
        -------
        float64 ndarray of shape (n_samples, n_classes)
            Column k belongs to ``classes_[k]``.
        """
        return softmax(self._logits(X), axis=1)

    def predict_log_proba(self, X):
        """Logarithm of the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), \
                ndarray of shape (n_samples, ...) or Dataset

        Returns
        -------
        float64 ndarray of shape (n_samples, n_classes)
        """
        return log_softmax(self._logits(X), axis=1)

    @property
    def net_(self):
        """The trained skorch net."""
        return _trainer_of(self).net

    @property
    def module_(self):
        """The trained ``nn.Module``; it returns logits."""
        return self.net_.module_

    @property
    def history_(self):
        """Skorch's history: one row per epoch."""
        return _trainer_of(self).history

    @property
    def n_iter_(self):
        """Epochs trained so far."""
        return len(self.history_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = True
        return tags

    # One call of fit or partial_fit.

    def _fit(
        self,
        X,
        y,
        sample_weight,
        is_clean=None,
        *,
        y_given=None,
        partial=False,
        classes=None,
    ):
        goes_on = hasattr(self, "_trainer") and (partial or self.warm_start)
        keeps = nullcontext()
        with own_torch_modes(), all_or_nothing(self, goes_on):
            self._check_parameters()
            if partial:
                known = self.classes_ if goes_on else None
                classes = check_partial_fit_classes(classes, self.class_weight, known)
            data = self._check_data(X, y, sample_weight, is_clean, goes_on, classes)
            if y_given is not None:
                data = with_y_given(data, y_given, is_clean)
            if goes_on and not np.array_equal(data.classes, self.classes_):
                raise ValueError(
                    "warm_start=True continues with the classes of the first fit, "
                    f"{self.classes_.tolist()}; y holds {data.classes.tolist()}."
                )
            self.classes_ = data.classes
            # The net was made for the rows of its first call. In partial_fit the number
            # of rows to come is unknown, and the net is one for few.
            n_rows = 0 if partial else len(data.y)
            n_rows = self._trainer.spec.n_rows if goes_on else n_rows
            device = resolve_device(self.device)
            spec = self._net_spec(data.rows, data.classes, n_rows, device)
            callbacks = check_settings(spec.settings, spec.optimizer, spec.callbacks)
            self._warn_of_parameters(data, spec, goes_on=goes_on, partial=partial)
            holds_out = self.early_stopping and not partial
            if self.early_stopping == "auto":
                holds_out = len(data.y) >= AUTO.min_rows and not partial
            if goes_on:
                trainer = self._trainer
                check_range(data.rows, floating_dtype(self.module_))
                trainer.take_over(self._continued(spec))
            else:
                trainer = Trainer(spec, own_generator(self.random_state))
            if not holds_out:
                check_monitored(callbacks, partial=partial)
            if self.checkpoint is not None and not partial:
                before = trainer.content() if goes_on else None
                params = self._all_parameters()
                keeps = checkpointed(self, params, trainer, data, before)
            with keeps:
                parts = FitData(data, data, None)
                if holds_out:
                    parts = data.hold_out(self.validation_fraction, trainer.rng)
                self._train(trainer, parts, goes_on=goes_on, partial=partial)
            # The losses of the held-out rows were compared with those of other nets.
            best_epoch = dict(trainer.net.callbacks_).get("best_epoch")
            if isinstance(best_epoch, BestEpoch):
                best_epoch.best_losses_ = None
            self._trainer = trainer
            if trainer.net.interrupted_:
                if _RAISES.get():
                    raise KeyboardInterrupt
                warnings.warn(
                    f"Training was interrupted in epoch {self.n_iter_}: the model is "
                    "the one that training had reached.",
                    TrainingInterruptedWarning,
                    stacklevel=3,
                )
        return self

    def _check_data(self, X, y, sample_weight, is_clean, goes_on, classes=None):
        """Checked and encoded rows.

        A row of weight 0 is left out here, before anything depends on it: it then
        counts as absent for the classes, the scale of the inputs, the held-out rows,
        the number of rows, and the order of the others.
        """
        check_same_order(X=X, y=y, sample_weight=sample_weight, is_clean=is_clean)
        shape = self._trainer.spec.row_shape if goes_on else None
        rows, (y,) = check_rows(self, X, (y,), shape)
        weight = check_sample_weight(sample_weight, len(y))
        if is_clean is None:
            is_clean = np.zeros(len(y), dtype=bool)
        else:
            # The rows of one call of partial_fit may include no clean row.
            is_clean = check_is_clean(is_clean, len(y), needed=classes is None)
        kept = weight > 0
        if not kept.all():
            rows, y = rows.subset(kept), y[kept]
            weight, is_clean = weight[kept], is_clean[kept]
        codes, classes = self._encode(y, classes)
        inside = codes < len(classes)
        is_clean = is_clean & inside  # an outside row has no true class
        per_class = class_weights(
            self.class_weight, codes[inside], classes, weight[inside]
        )
        of_rows = weight * np.append(per_class, 1.0)[codes]
        if not of_rows.any():
            raise ValueError(
                f"class_weight={self.class_weight!r} gives every row weight 0."
            )
        return TrainingData(
            rows=rows,
            y=codes,
            targets=codes,
            weight=of_rows,
            sample_weight=weight,
            classes=classes,
            is_clean=is_clean,
            is_noisy=inside & ~is_clean,
            kept=kept,
        )

    def _conditions(self, data):
        """Which parameters have an effect, and when: see `without_effect`.

        Parameters
        ----------
        data : TrainingData or None
            None stands for any rows: those of one call of `partial_fit` tell nothing
            of the other calls.
        """
        return [
            (
                ("validation_fraction", "n_iter_no_change"),
                bool(self.early_stopping),
                "early_stopping=True or 'auto'",
            ),
        ]

    def _warn_of_parameters(self, data, spec, *, goes_on, partial):
        """Warn of emulation and of parameters without an effect, once for a net."""
        if spec.autocast and not goes_on:
            warn_if_emulated(spec.device)
        if goes_on and partial:
            return
        values = self.get_params(deep=False)
        if goes_on:  # the first call has warned of the others
            # The constructor of a subclass may take only some of them.
            readable = self._read_by_every_call & values.keys()
            values = {name: values[name] for name in readable}
        warn_without_effect(
            type(self),
            values,
            self._conditions(None if partial else data),
            stacklevel=4,
        )

    def _net_spec(self, rows, classes, n_rows, device):
        """Specification of a net for rows of this kind."""
        groups, precision = self._check_kwargs(), self.precision
        params = groups["module"]
        if self.module is None:
            params.setdefault("dropout", AUTO.dropout if n_rows >= AUTO.min_rows else 0)
            if precision == "auto" and device.type == "cpu":
                is_wide = rows.source.dtype == torch.float64
                precision = "float64" if is_wide else "float32"
        dtypes = {"float32": torch.float32, "float64": torch.float64}
        parameters = self._all_parameters()
        for name in self._read_by_every_call:
            del parameters[name]
        disabled = self.callbacks == "disable"
        return NetSpec(
            module=MLP if self.module is None else self.module,
            module_params=params,
            scales_inputs=self.module is None
            and not {"input_scale", "input_center"} & {*params},
            row_shape=rows.source.row_shape,
            labels=classes,
            n_rows=n_rows,
            dtype=dtypes.get(precision),
            autocast=precision == "bfloat16",
            device=device,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            lr=self.lr,
            max_epochs=self.max_epochs,
            criterion=None,
            callbacks="disable" if disabled else list(self.callbacks or []),
            settings=groups["net"],
            verbose=self.verbose,
            parameters=parameters,
        )

    def _continued(self, spec):
        """The spec with which the net of the last call continues."""
        return spec

    def _train(self, trainer, parts, *, goes_on, partial):
        """Train the net of the last call, or a new one."""
        if not goes_on:
            trainer.build(parts.everything)
        trainer.run(parts, 1 if partial else self.max_epochs)

    def _logits(self, X):
        check_is_fitted(self)
        with own_torch_modes():
            rows, _ = check_rows(self, X, (), self._trainer.spec.row_shape)
            check_range(rows, floating_dtype(self.module_))
            logits = self.net_.logits(rows)
        # -inf is the logit of a class that a network excludes.
        wrong = np.flatnonzero(~np.isfinite(logits.max(axis=1)))
        if len(wrong):
            row = int(wrong[0])
            raise ModuleOutputError(
                f"The network returns no probabilities for {len(wrong)} of "
                f"{len(logits)} rows of X, the first of them row {row}: its logits "
                "are not finite. The row or the weights of the network hold values "
                "that are too large or not finite."
            )
        return logits


def with_y_given(data, y_given, is_clean):
    """The data with the labels that clean rows had before they were checked."""
    mask = None
    if is_clean is not None:
        # Neither outside rows nor rows of weight 0.
        mask = np.zeros(len(data.kept), dtype=bool)
        mask[data.kept] = data.is_clean
    codes = check_y_given(y_given, mask, data.classes)
    return replace(data, y_given=codes[data.kept])


# Whether an interrupt of a fit is raised, also if there is a model already.
_RAISES = ContextVar("raises", default=False)


@contextmanager
def interrupts_raised():
    """Let interrupted fits of this thread raise, also inside of other estimators."""
    token = _RAISES.set(True)
    try:
        yield
    finally:
        _RAISES.reset(token)


def _trainer_of(estimator):
    try:
        return vars(estimator)["_trainer"]
    except KeyError:
        # An AttributeError, so that hasattr(estimator, "net_") is False before fit.
        name = type(estimator).__name__
        raise AttributeError(f"{name} is not fitted yet.") from None


@contextmanager
def all_or_nothing(estimator, goes_on):
    """Restore the estimator if anything fails.

    Parameters
    ----------
    estimator : estimator
    goes_on : bool
        Whether the net of the last call continues to train.
    """
    before = dict(vars(estimator))
    trainer = before["_trainer"].restored_on_error() if goes_on else nullcontext()
    try:
        with trainer:
            yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def check_rows(estimator, X, labels, row_shape):
    """Checked rows and labels.

    Parameters
    ----------
    estimator : estimator
        If `row_shape` is None, its ``n_features_in_`` is set and, for a DataFrame, its
        ``feature_names_in_``.
    X : {array-like, sparse matrix, Dataset or Rows} of shape (n_samples, ...)
        Only the first row of a data set is checked.
    labels : tuple of array-like of shape (n_samples,)
        Empty for prediction.
    row_shape : tuple of int or None
        Shape of the rows of the last call, which these must have.

    Returns
    -------
    rows : Rows
    labels : list of ndarrays of shape (n_samples,)
    """
    refuse_unindexable(X)
    for y in labels:
        if y is not None:
            check_no_missing(y)  # scikit-learn looks for NaN alone
    options = {"reset": row_shape is None, "allow_nd": True}
    if isinstance(X, DATASETS):
        rows = X if isinstance(X, Rows) else _rows_of_dataset(X)
        _check_width(rows)
        if row_shape is not None:
            _check_shape(estimator, rows.source.row_shape, row_shape)
        validate_data(estimator, rows.take(slice(0, 1)).numpy(), **options)
        labels = [label_array(y, warn=True) for y in labels]
        check_consistent_length(rows, *labels)
        return rows, labels
    check_columns(X)
    shape = getattr(X, "shape", ())
    if row_shape is not None and shape and (len(shape) > 2 or len(row_shape) > 1):
        # Images: scikit-learn compares the sizes of one axis alone.
        _check_shape(estimator, shape[1:], row_shape)
    labels = [fixed_width(y) for y in labels]
    checked = validate_data(estimator, X, *labels, accept_sparse="csr", **options)
    X, *labels = checked if labels else [checked]
    # The order of the indices must not change what a fit depends on (checkpoints).
    rows = Rows(X.sorted_indices() if sparse.issparse(X) else X)
    _check_width(rows)
    if row_shape is not None:
        _check_shape(estimator, rows.source.row_shape, row_shape)
    return rows, labels


def _check_width(rows):
    if 0 in rows.source.row_shape:
        raise ValueError(
            f"X has rows of shape {rows.source.row_shape}, which hold no value; a "
            "minimum of 1 is required."
        )


def refuse_unindexable(X):
    """Refuse an `X` whose rows have no positions.

    Raises
    ------
    TypeError
        If `X` is a DataLoader, an IterableDataset or another data set without a
        length, or a mapping.
    """
    if isinstance(X, DataLoader):
        raise TypeError(
            "X must be an array or a data set, not a DataLoader. Give its dataset as "
            "X; iterator_train=torch.utils.data.DataLoader loads it with workers."
        )
    if isinstance(X, range):
        raise TypeError(f"X must hold rows of numbers; got {X!r}.")
    if isinstance(X, Mapping) and not sparse.issparse(X):  # SciPy 1.13 has dictionaries
        raise TypeError(
            "X must be one array, DataFrame, sparse matrix or data set; got a "
            f"{type(X).__name__} with the keys {list(X)[:5]}. A dict of columns "
            "becomes one by pandas.DataFrame(X)."
        )
    if isinstance(X, Dataset) and not (
        hasattr(X, "__len__") and not isinstance(X, IterableDataset)
    ):
        raise TypeError(
            "X must be a data set with __len__ and __getitem__, since rows are "
            f"shuffled, held out and left out by their positions; {type(X).__name__} "
            "has only an order. Give a map-style Dataset, or an array."
        )


def _check_shape(estimator, shape, expected):
    if tuple(shape) != tuple(expected):
        raise ValueError(
            f"X has rows of shape {tuple(shape)}, but {type(estimator).__name__} was "
            f"fitted on rows of shape {tuple(expected)}."
        )


def _rows_of_dataset(X):
    if not len(X):
        raise ValueError("X is a data set of 0 rows; a minimum of 1 is required.")
    rows = Rows(X)
    if not rows.source.row_shape:
        raise ValueError(
            "X must be a data set of rows that are arrays, or of tuples that begin "
            f"with one; its first row is {X[0]!r}. (SliceDataset takes the first item "
            "of each row, so its rows must be tuples.)"
        )
    return rows
