"""NoiseAdaptedClassifier: a net and a model of how its labels were made wrong."""

import warnings

import numpy as np
import torch
from sklearn.utils.metaestimators import available_if

from sklearn_noisy._base import AUTO_MIN_ROWS, BaseNoisyLabelClassifier
from sklearn_noisy._data import encode_labels
from sklearn_noisy._device import resolve_device, seeded_torch
from sklearn_noisy._net import BestEpoch, OneCycle
from sklearn_noisy._noise_learning import Folds, MatrixPath, StartLearning
from sklearn_noisy._noise_matrix import NoiseMatrixEstimator
from sklearn_noisy._noise_params import check_noise_parameters
from sklearn_noisy._noise_source import (
    check_matrix_for,
    estimate_from,
    warn_unless_dominant,
)
from sklearn_noisy._robust_loss import RobustLossClassifier
from sklearn_noisy.exceptions import NoiseModelWarning
from sklearn_noisy.nn import (
    ConvertedLabels,
    NoiseLayer,
    floating_dtype,
)

__all__ = ["NoiseAdaptedClassifier"]


def _is_named(spec, name):
    """Whether a parameter that may be a matrix is this string."""
    return isinstance(spec, str) and spec == name


def _is_known(estimator):
    """Whether the noise model needs nothing but the labels of a batch."""
    if estimator.noise_model == "top_down":
        return True
    matrix = estimator.noise_matrix
    return not isinstance(matrix, (str, NoiseMatrixEstimator)) and not estimator.refine


def _has_noise_matrix(estimator):
    return estimator.noise_model != "top_down"


class NoiseAdaptedClassifier(BaseNoisyLabelClassifier):
    """DOC."""

    def __init__(
        self,
        module=None,
        *,
        noise_model="bottom_up",
        noise_matrix="learn",
        alpha=0.5,
        gamma=1.0,
        regularizer=None,
        noise_decay=0.01,
        noise_lr=None,
        noise_init="count",
        warm_up="auto",
        n_folds="auto",
        refine=False,
        n_rounds=1,
        outside_label=None,
        optimizer=torch.optim.AdamW,
        lr=3e-3,
        lr_schedule="one_cycle",
        max_epochs=30,
        batch_size=128,
        device="cpu",
        precision="auto",
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=10,
        class_weight=None,
        warm_start=False,
        callbacks=None,
        random_state=None,
        verbose=0,
        **kwargs,
    ):
        self.module = module
        self.noise_model = noise_model
        self.noise_matrix = noise_matrix
        self.alpha = alpha
        self.gamma = gamma
        self.regularizer = regularizer
        self.noise_decay = noise_decay
        self.noise_lr = noise_lr
        self.noise_init = noise_init
        self.warm_up = warm_up
        self.n_folds = n_folds
        self.refine = refine
        self.n_rounds = n_rounds
        self.outside_label = outside_label
        self.optimizer = optimizer
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.device = device
        self.precision = precision
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose
        self._store_kwargs(kwargs)

    def fit(self, X, y, sample_weight=None, *, is_clean=None):
        """Train on labels some of which may be wrong.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features) or \
                ndarray of shape (n_samples, ...)
            Rows of any numeric dtype: a table, a sparse matrix (made dense
            batch by batch) or, for instance, images.
        y : array-like of shape (n_samples,)
            True labels where `is_clean`, given labels elsewhere; `outside_label`
            for rows that belong to no class.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. A row of weight 0 counts as absent.
        is_clean : bool array-like of shape (n_samples,), default=None
            True where the label is known to be right.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For an argument or a parameter out of its range.
        TypeError
            For an unknown parameter.
        ModuleOutputError
            If the module does not return logits of shape
            ``(n_samples, n_classes)``.
        DeviceNotAvailableError
            If `device` does not exist here.
        TrainingDivergedError
            If the loss became NaN; the estimator is then unfitted.

        Warns
        -----
        NoiseModelWarning
            If ``"estimate"`` has no clean row to estimate from; for the backward
            correction; if the matrix is not dominated by its diagonal.
        """
        return self._fit(X, y, sample_weight, is_clean)

    @available_if(_is_known)
    def partial_fit(self, X, y, classes=None, sample_weight=None, *, is_clean=None):
        """Train for one epoch on these rows.

        Only with a known matrix or the top-down model: a matrix cannot be estimated
        from a part of the rows. No row is held out, the learning rate stays.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features) or \
                ndarray of shape (n_samples, ...)
        y : array-like of shape (n_samples,)
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come; needed in the first call.
        sample_weight : array-like of shape (n_samples,), default=None
        is_clean : bool array-like of shape (n_samples,), default=None

        Returns
        -------
        self
        """
        return self._partial_fit(X, y, classes, sample_weight, is_clean)

    @available_if(_has_noise_matrix)
    def predict_noisy_proba(self, X):
        """Probability of each *given* label: the noise matrix times `predict_proba`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features) or \
                ndarray of shape (n_samples, ...)

        Returns
        -------
        float64 ndarray of shape (n_samples, n_classes)
        """
        return self.predict_proba(X) @ self.noise_matrix_.T

    # Checks.

    def _check_parameters(self):
        check_noise_parameters(self)
        return super()._check_parameters()

    def _encode(self, y, classes):
        outside = self.outside_label
        if outside is None:
            return super()._encode(y, classes)
        is_text = y.dtype.kind in "US" or (
            y.dtype.kind == "O" and isinstance(y[0], str)
        )
        if isinstance(outside, str) != is_text:
            raise ValueError(
                f"outside_label={outside!r} must be of the type of the labels in y; "
                f"got labels such as {y[0]!r}."
            )
        if classes is not None and outside in classes:
            raise ValueError(
                f"outside_label={outside!r} is no class, but classes holds it."
            )
        is_outside = y == outside
        if is_outside.all():
            raise ValueError(f"y holds nothing but outside_label={outside!r}.")
        inside, classes = encode_labels(y[~is_outside], classes)
        codes = np.full(len(y), len(classes), dtype=np.int64)
        codes[~is_outside] = inside
        return codes, classes

    def _check_training_data(self, X, y, sample_weight, is_clean=None, **options):
        data = super()._check_training_data(X, y, sample_weight, is_clean, **options)
        if self.gamma == 0 and not data.is_clean.any():
            raise ValueError(
                "gamma=0 leaves out all noisy rows, and is_clean marks no other."
            )
        return data

    # The noise model.

    def _make_criterion(self, data):
        if self.noise_model == "bottom_up":
            return NoiseLayer(
                torch.as_tensor(self.noise_matrix_),
                learn=self._learns() and self.regularizer is not None,
                regularizer=self.regularizer,
                decay=self.noise_decay,
            )
        matrix = self.noise_matrix_
        if self.noise_model == "backward":
            matrix = np.linalg.inv(matrix)
        return ConvertedLabels(torch.as_tensor(matrix))

    def _learns(self):
        learns = self.refine or _is_named(self.noise_matrix, "learn")
        return learns and self.noise_model == "bottom_up"

    def _make_callbacks(self):
        cycles = self.lr_schedule == "one_cycle"
        by = "loss" if self.noise_model == "bottom_up" else "accuracy"
        patience = None if cycles else self.n_iter_no_change
        callbacks = [("best_epoch", BestEpoch(patience, by=by))]
        if cycles:
            callbacks.append(("cycle", OneCycle(self.max_epochs)))
        if self._learns() and self.regularizer is not None:
            callbacks += [
                ("start_learning", StartLearning(self._literal_warm_up() + 1)),
                ("noise_matrix_path", MatrixPath()),
            ]
        return callbacks

    def _net_settings(self):
        settings = super()._net_settings()
        if self._learns() and self.regularizer is not None:
            group = {
                "lr": self.lr if self.noise_lr is None else self.noise_lr,
                "weight_decay": 0.0,
            }
            groups = settings.get("optimizer__param_groups", [])
            settings["optimizer__param_groups"] = [("matrix", group), *groups]
        return settings

    def _set_up(self, data, n_rows):
        if self.noise_model == "top_down":
            n_classes = data.n_classes
            self.noise_matrix_ = np.full(
                (n_classes, n_classes), (1 - self.alpha) / n_classes
            ) + self.alpha * np.eye(n_classes)
        elif _is_known(self):
            inverted = self.noise_model == "backward"
            self.noise_matrix_ = check_matrix_for(
                data, self.noise_matrix, "noise_matrix", inverted=inverted
            )
        if self.noise_model == "backward":
            warnings.warn(
                "noise_model='backward' inverts the noise matrix: its loss has no "
                "lower bound, and networks diverge. 'bottom_up' does not.",
                NoiseModelWarning,
                stacklevel=2,
            )
        super()._set_up(data, n_rows)

    def _train(self, data, train, valid):
        if not _is_known(self):
            self._find_matrix(data)
        super()._train(data, train, valid)
        if self._learns() and self.regularizer is not None:
            self._take_learned_matrix()
        if self.noise_model == "bottom_up":
            self._train_on_posteriors(data, train, valid)

    def _rows(self, data, *, training=True):
        rows = super()._rows(data)
        targets = np.where(data.is_clean, data.y + data.n_classes, data.y)
        targets[data.is_outside] = 2 * data.n_classes
        rows.y = torch.from_numpy(targets)
        if training:
            rows.weight[torch.from_numpy(data.is_noisy)] *= self.gamma
        return rows

    def _find_matrix(self, data):
        """Estimate or learn ``noise_matrix_``."""
        if not data.is_noisy.any():
            raise ValueError(
                f"noise_matrix={self.noise_matrix!r} needs noisy rows; is_clean marks "
                "every one."
            )
        folds = self._make_folds(data)
        with seeded_torch(self._seed(), resolve_device(self.device)):
            path = [self._start_matrix(data, folds)]
            if self._learns() and self.regularizer is None:
                path = folds.learn(path[0])
        self.noise_matrix_ = path[-1]
        self.noise_matrix_path_ = np.stack(path)

    def _start_matrix(self, data, folds):
        spec = self.noise_matrix
        if _is_named(spec, "estimate") and not data.is_clean.any():
            warnings.warn(
                "noise_matrix='estimate' estimates from clean rows, and there is no "
                "is_clean: the confident joint is taken instead. 'learn' needs no "
                "clean rows and is more exact.",
                NoiseModelWarning,
                stacklevel=2,
            )
            return folds.confident(folds.warm_up(self._warm_up_epochs()))
        if _is_named(spec, "estimate"):
            spec = NoiseMatrixEstimator(
                self._plain_classifier(), random_state=self._seed()
            )
        if isinstance(spec, NoiseMatrixEstimator):
            self.noise_matrix_estimator_ = estimate_from(data, spec)
            return self.noise_matrix_estimator_.noise_matrix_
        name = "noise_matrix"
        if _is_named(spec, "learn"):
            name, spec = "noise_init", self.noise_init
        if _is_named(spec, "identity"):
            return np.eye(data.n_classes)
        if _is_named(spec, "count"):
            return folds.count(folds.warm_up(self._warm_up_epochs()))
        return check_matrix_for(data, spec, name, inverted=False)

    def _warm_up_epochs(self):
        return None if self.warm_up == "auto" else self.warm_up

    def _literal_warm_up(self):
        """Epochs after which the gradient starts to change the matrix."""
        return self.max_epochs // 3 if self.warm_up == "auto" else self.warm_up

    def _make_folds(self, data):
        n_folds = self.n_folds
        if n_folds == "auto":
            n_folds = 2 if data.is_noisy.sum() >= AUTO_MIN_ROWS else 1

        def make_net(part, criterion, callbacks):
            return self._make_net(part, criterion, callbacks, n_rows=len(data.y))

        one_cycle = self.lr_schedule == "one_cycle"
        return Folds(data, n_folds, make_net, self._rows, self.max_epochs, one_cycle)

    def _plain_classifier(self):
        """The same net with cross-entropy, for the clean rows."""
        same = ("module", "optimizer", "lr", "max_epochs", "batch_size", "device")
        same += ("precision", "early_stopping", "validation_fraction")
        kwargs = {
            name: value
            for name, value in self._kwargs.items()
            if not name.startswith("callbacks")
        }
        return RobustLossClassifier(
            loss="cross_entropy",
            n_iter_no_change=self.n_iter_no_change,
            random_state=self._seed(),
            **{name: getattr(self, name) for name in same},
            **kwargs,
        )

    def _after_training(self):
        if not _is_known(self):
            warn_unless_dominant(self.noise_matrix_, self.classes_)

    def _take_learned_matrix(self):
        """The matrix that the gradient ended with, fixed from now on."""
        layer = self.net_.criterion_
        layer.set_learning(False)
        matrix = layer.matrix.cpu().double().numpy()
        self.noise_matrix_ = matrix / matrix.sum(axis=0)
        callbacks = dict(self.net_.callbacks_)
        path = [self.noise_matrix_path_[0], *callbacks["noise_matrix_path"].path_]
        self.noise_matrix_path_ = np.stack(path)

    # More nets.

    def _train_on_posteriors(self, data, train, valid):
        """New nets, each trained on what the last one makes of the given labels.

        Without validation rows the last net is kept; with them, a net must beat
        the one before it.
        """
        layer = NoiseLayer(torch.as_tensor(self.noise_matrix_))
        for _ in range(self.n_rounds):
            if self.net_.interrupted_:
                break
            teacher = self.net_
            rows = self._rows(train)
            logits = torch.from_numpy(teacher.logits(rows))
            dtype = torch.promote_types(floating_dtype(teacher.module_), torch.float32)
            rows.y = layer.posterior(logits, rows.y).to(dtype)
            self._set_up(data, n_rows=len(data.y))
            self.net_.history_ = teacher.history_
            self._run_on(self.net_, rows, valid, self.max_epochs)
            if valid is not None and self.callbacks != "disable":
                loss, loss_before = map(_validation_loss, (self.net_, teacher))
                if loss >= loss_before:
                    self.net_ = teacher
                    break


def _validation_loss(net):
    """Loss of the epoch that was kept."""
    return -dict(net.callbacks_)["best_epoch"].best_score_[1]
