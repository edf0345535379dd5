"""What a noise model adds to the classifier that owns a net.

Where the matrix comes from, the criterion that is made of it, clean and outside rows,
and the nets that are trained after the first one.
"""

import warnings

import numpy as np
import torch

from sklearn_noisy._estimators.base import BaseNoisyLabelClassifier
from sklearn_noisy._estimators.noise_matrix import NoiseMatrixEstimator
from sklearn_noisy._estimators.robust_loss import RobustLossClassifier
from sklearn_noisy._matrix_sources.known import (
    check_matrix_for,
    estimate_from,
    warn_unless_dominant,
)
from sklearn_noisy._matrix_sources.learned import (
    Folds,
    MatrixPath,
    StartLearning,
    auto_folds,
)
from sklearn_noisy._matrix_sources.plan import check_noise_parameters
from sklearn_noisy._training.between_epochs import BestEpoch, OneCycle, is_worse
from sklearn_noisy._training.continuation import READ_BY_EVERY_CALL
from sklearn_noisy._training.device import resolve_device, seeded_torch
from sklearn_noisy._validation import encode_labels
from sklearn_noisy.exceptions import NoiseModelWarning
from sklearn_noisy.nn import ConvertedLabels, NoiseLayer, floating_dtype
from sklearn_noisy.noise._checks import check_possible

__all__ = ["BaseNoiseModelClassifier", "can_train_by_parts", "has_noise_matrix"]


# Attributes of a fit that had to find its matrix.
OF_A_MATRIX_THAT_WAS_FOUND = (
    "noise_matrix_path_",
    "noise_matrix_estimator_",
    "label_quality_",
)

# Rows per step, and from so many rows on. Where most labels of many rows are wrong, the
# default network learns them by heart in smaller steps: with the true matrix of 80 %
# noise on MNIST its last epoch was right about .818 of the test images, and about .915
# in steps of 512.
BATCH, BATCH_OF_MANY, MANY_ROWS = 128, 512, 10_000


def _is_named(spec, name):
    """Whether a parameter that may be a matrix is this string."""
    return isinstance(spec, str) and spec == name


def is_known(estimator):
    """Whether the noise model needs nothing but the labels of a batch."""
    if estimator.noise_model == "top_down":
        return True
    matrix = estimator.noise_matrix
    return not isinstance(matrix, (str, NoiseMatrixEstimator)) and not estimator.refine


def can_train_by_parts(estimator):
    """Whether there is a ``partial_fit``; the error says why not."""
    if not is_known(estimator):
        raise AttributeError(
            "partial_fit needs a known noise_matrix (and refine=False) or "
            "noise_model='top_down': a part of the rows does not tell a matrix."
        )
    return True


def has_noise_matrix(estimator):
    """Whether there is a ``predict_noisy_proba``; the error says why not."""
    if estimator.noise_model == "top_down":
        raise AttributeError(
            "noise_model='top_down' converts labels and says nothing of how probable a "
            "given label is; 'bottom_up' has predict_noisy_proba."
        )
    return True


class BaseNoiseModelClassifier(BaseNoisyLabelClassifier):
    """Base of :class:`NoiseAdaptedClassifier`, which documents the parameters."""

    # Whether the gradient learns the matrix of the net that is set up next.
    _by_gradient = False

    _named_batch_sizes = ("auto",)

    # Weights of rows are made anew for every call.
    _read_by_every_call = READ_BY_EVERY_CALL | {"gamma"}

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
                f"got labels such as {y.tolist()[0]!r}."
            )
        if classes is not None and outside in classes:
            raise ValueError(
                f"outside_label={outside!r} is no class, but classes holds it."
            )
        is_outside = y == outside
        if classes is None and not is_outside.any():
            warnings.warn(
                f"outside_label={outside!r} does not occur in y: there are no outside "
                "rows.",
                NoiseModelWarning,
                stacklevel=2,
            )
        if is_outside.all():
            raise ValueError(f"y holds nothing but outside_label={outside!r}.")
        inside, classes = encode_labels(y[~is_outside], classes)
        codes = np.full(len(y), len(classes), dtype=np.int64)
        codes[~is_outside] = inside
        return codes, classes

    def _check_training_data(self, X, y, sample_weight, is_clean=None, **options):
        data = super()._check_training_data(X, y, sample_weight, is_clean, **options)
        # An outside label tells of no class, whoever has checked it.
        data.is_clean = data.is_clean & ~data.is_outside
        if self.gamma == 0 and not data.is_clean.any():
            raise ValueError(
                "gamma=0 leaves out all noisy rows, and is_clean marks no other."
            )
        return data

    def _prepare_to_go_on(self, data):
        check_possible(self.noise_matrix_, data.y[data.is_noisy], data.classes)
        super()._prepare_to_go_on(data)

    # The noise model.

    def _make_criterion(self):
        if self.noise_model == "bottom_up":
            return NoiseLayer(
                torch.as_tensor(self.noise_matrix_),
                learn=self._by_gradient,
                regularizer=self.regularizer,
                decay=self.noise_decay,
                outside=self.outside_label is not None,
            )
        matrix = self.noise_matrix_
        if self.noise_model == "backward":
            matrix = np.linalg.inv(matrix)
        return ConvertedLabels(torch.as_tensor(matrix))

    def _criterion_state(self):
        layer = self.net_.criterion_
        if not isinstance(layer, NoiseLayer):
            return {"layer": None}
        groups = vars(self.net_).get("optimizer__param_groups", ())
        return {
            "layer": {
                "by_gradient": any(pattern == "matrix" for pattern, _ in groups),
                "learn": layer.learn,
                # The logarithms may have been taken in a wider type than the matrix
                # now has.
                "log_table": layer.log_table,
            }
        }

    def _remake_criterion(self, state):
        return self._make_criterion()

    def _rebuild_net(self, state, device):
        kept = state["criterion"]["layer"]
        self._by_gradient = kept is not None and kept["by_gradient"]
        super()._rebuild_net(state, device)
        self._by_gradient = False
        if kept is not None:
            layer = self.net_.criterion_
            layer.set_learning(kept["learn"])
            layer.log_table = kept["log_table"].to(layer.matrix.device)

    def _learns(self):
        learns = self.refine or _is_named(self.noise_matrix, "learn")
        return learns and self.noise_model == "bottom_up"

    def _make_callbacks(self):
        cycles = self.lr_schedule == "one_cycle"
        by = "loss" if self.noise_model == "bottom_up" else "accuracy"
        patience = None if cycles else self.n_iter_no_change
        callbacks = [("best_epoch", BestEpoch(patience, by=by))]
        if cycles:
            callbacks.append(("cycle", OneCycle()))
        if self._by_gradient:
            callbacks += [
                ("start_learning", StartLearning(self._literal_warm_up() + 1)),
                ("noise_matrix_path", MatrixPath()),
            ]
        return callbacks

    def _auto_batch(self, n_rows):
        return BATCH_OF_MANY if n_rows >= MANY_ROWS else BATCH

    def _net_settings(self):
        settings = super()._net_settings()
        if self._by_gradient:
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
        elif is_known(self):
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
        self.net_.round_ = 0

    def _train(self, data, train, valid):
        for name in OF_A_MATRIX_THAT_WAS_FOUND:
            vars(self).pop(name, None)  # of an earlier fit
        if not is_known(self):
            self._find_matrix(data)
        self._by_gradient = self._learns() and self.regularizer is not None
        super()._train(data, train, valid)
        if self._by_gradient:
            self._take_learned_matrix()
        if not is_known(self) and not data.is_clean.any():
            warn_unless_dominant(self.noise_matrix_, self.classes_)
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
        # Class weights change how classes are learned, not how labels went wrong.
        data = data.without_class_weight()
        folds = self._make_folds(data)
        with seeded_torch(self._seed(), resolve_device(self.device)):
            path = [self._start_matrix(data, folds)]
            if self._learns() and self.regularizer is None:
                path = folds.learn(path[0])
                self._keep_quality(data, folds.quality)
        self.noise_matrix_ = path[-1]
        self.noise_matrix_path_ = np.stack(path)

    def _keep_quality(self, data, of_noisy):
        """``label_quality_``, for every row that came."""
        if of_noisy is None:  # judged by no other net
            return
        quality = np.where(data.is_clean, 1.0, np.nan)
        quality[data.is_noisy] = of_noisy
        self.label_quality_ = np.full(len(data.kept), np.nan)
        self.label_quality_[data.kept] = quality

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
                self._plain_classifier(),
                cv=min(5, max(2, int(data.is_clean.sum()))),
                random_state=self._seed(),
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
            n_folds = auto_folds(data.is_noisy.sum())
        elif n_folds > data.is_noisy.sum():
            raise ValueError(
                f"n_folds={n_folds} is more than the {data.is_noisy.sum()} noisy rows."
            )

        def make_net(part, criterion, callbacks):
            net = self._make_net(part, criterion, callbacks, n_rows=len(data.y))
            net.verbose = 0  # lines of several nets at once say nothing
            return net

        return Folds(
            data,
            n_folds,
            make_net,
            self._rows,
            max_epochs=self.max_epochs,
            one_cycle=self.lr_schedule == "one_cycle",
            checkpoint=self._checkpoint,
            verbose=self.verbose,
        )

    def _plain_classifier(self):
        """The same net with cross-entropy, for the clean rows."""
        same = ("module", "optimizer", "lr", "max_epochs", "device")
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
            batch_size=BATCH if self.batch_size == "auto" else self.batch_size,
            **{name: getattr(self, name) for name in same},
            **kwargs,
        )

    def _take_learned_matrix(self):
        """The matrix that the gradient ended with, fixed from now on."""
        self._by_gradient = False
        layer = self.net_.criterion_
        layer.set_learning(False)
        callbacks = dict(self.net_.callbacks_)
        if "start_learning" in callbacks:
            callbacks["start_learning"].has_ended_ = True
        matrix = layer.matrix.detach().cpu().double().numpy()
        self.noise_matrix_ = matrix / matrix.sum(axis=0)
        if "noise_matrix_path" in callbacks:
            path = [self.noise_matrix_path_[0], *callbacks["noise_matrix_path"].path_]
            self.noise_matrix_path_ = np.stack(path)

    # More nets.

    def _train_on_posteriors(self, data, train, valid):
        """New nets, each trained on what the last one makes of the given labels.

        Without validation rows the last net is kept; with them, a net that is
        clearly worse than the one before it is not.
        """
        layer = NoiseLayer(torch.as_tensor(self.noise_matrix_))
        for number in range(1, self.n_rounds + 1):
            if self.net_.interrupted_:
                break
            teacher = self.net_
            rows = self._rows(train)
            logits = torch.from_numpy(teacher.logits(rows))
            dtype = torch.promote_types(floating_dtype(teacher.module_), torch.float32)
            rows.y = layer.posterior(logits, rows.y).to(dtype)
            self._set_up(data, n_rows=len(data.y))
            self.net_.history_ = teacher.history_
            self.net_.round_ = number
            self._run_on(self.net_, rows, valid, self.max_epochs)
            if self.net_.interrupted_:
                # The last one is whole. That training was cut, it tells for all.
                teacher.interrupted_ = True
                self.net_ = teacher
                break
            compare = valid is not None and self.callbacks != "disable"
            if compare and is_worse(*map(_kept_losses, (self.net_, teacher))):
                self.net_ = teacher
                break


def _kept_losses(net):
    """Of the validation rows, in the epoch that was kept."""
    return dict(net.callbacks_)["best_epoch"].best_losses_
