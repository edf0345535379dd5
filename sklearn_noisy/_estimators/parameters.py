"""Parameters: skorch's keyword arguments, and checks of the other parameters."""

import copy
import difflib
import inspect
from os import PathLike, fspath
from pathlib import Path
from types import NoneType

from skorch.callbacks import Callback

from sklearn_noisy._training.settings import copied_callbacks
from sklearn_noisy._validation import (
    check_choice,
    check_flag,
    check_integer,
    check_real,
    check_verbose,
)
from sklearn_noisy.exceptions import UnknownParameterError
from sklearn_noisy.losses import LOSSES

# skorch's own names that the estimators pass on.
PASSED_ON = (
    "iterator_train",
    "iterator_valid",
    "compile",
    "use_caching",
    "torch_load_kwargs",
)

PRECISIONS = ("auto", "float32", "float64", "bfloat16")

# Groups of skorch's (and of our loss's) parameters: `group__name`.
GROUPS = (
    "module",
    "loss",
    "optimizer",
    "iterator_train",
    "iterator_valid",
    "callbacks",
    "compile",
)

# skorch's parameters that the estimators set themselves, and what to use instead.
RESERVED = {
    "criterion": "use loss (and loss__<name> for its parameters)",
    "train_split": "use early_stopping and validation_fraction",
    "classes": "the classes come from y; partial_fit takes classes",
    "predict_nonlinearity": "the softmax is applied for you; the module returns logits",
    "dataset": "pass X and y to fit",
}


# Names of scikit-learn's MLPClassifier, and the corresponding names here.
KNOWN_ELSEWHERE = {
    "activation": "module__activation",
    "alpha": "optimizer__weight_decay",
    "hidden_layer_sizes": "module__hidden_layer_sizes",
    "learning_rate": "lr",
    "learning_rate_init": "lr",
    "max_iter": "max_epochs",
    "solver": "optimizer",
}


def parameters_of_loss(loss):
    """Names of the parameters of a loss by name or class; none for other objects."""
    cls = LOSSES.get(loss) if isinstance(loss, str) else loss
    return inspect.signature(cls).parameters if isinstance(cls, type) else {}


def _takes_any(cls):
    """Whether the constructor takes keyword arguments that it does not name."""
    accepted = inspect.signature(cls).parameters.values()
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted)


class SkorchParamsMixin:
    """Parameters that arrive through ``**kwargs``.

    ``__init__`` stores them in ``_kwargs`` and ``fit`` checks them, as scikit-learn
    requires. ``get_params``, ``set_params``, ``clone`` and ``repr`` include them.
    """

    # Values of `batch_size` that are not numbers.
    _named_batch_sizes = ()

    def get_params(self, deep=True):
        """Parameters of this estimator, including those of skorch that were set.

        Parameters
        ----------
        deep : bool, default=True
            Also the parameters of contained estimators.

        Returns
        -------
        dict
            Without those that a subclass sets in its constructor and does not take.
        """
        params = super().get_params(deep=deep)
        return {**params, **self._kwargs} if _takes_any(type(self)) else params

    def _all_parameters(self):
        """All that a fit reads, including what a subclass sets in its constructor.

        Returns
        -------
        dict
            Parameters of this class and of those that it extends, by name. The
            constructor of a subclass may take others than the one that it calls.
        """
        params = dict(self._kwargs)
        for cls in type(self).__mro__:
            if issubclass(cls, SkorchParamsMixin) and "__init__" in vars(cls):
                for name, parameter in inspect.signature(cls).parameters.items():
                    if parameter.kind is not parameter.VAR_KEYWORD:
                        params[name] = getattr(self, name)
        return params

    def set_params(self, **params):
        """Set parameters, by skorch's names too (``module__x``, ``optimizer__x``).

        Parameters
        ----------
        **params

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a name is not a parameter. The message suggests the one that was
            probably meant. No parameter has then changed.
        """
        own = {}
        before, kwargs = dict(vars(self)), dict(self._kwargs)
        nested = {
            name: value.get_params(deep=False)
            for name, value in before.items()
            if hasattr(value, "get_params") and not isinstance(value, type)
        }
        for name, value in params.items():
            group, is_nested, _ = name.partition("__")
            in_group = group in GROUPS and (group != "loss" or hasattr(self, "loss"))
            is_passed_on = name in PASSED_ON or (is_nested and in_group)
            if (is_passed_on or name in self._kwargs) and _takes_any(type(self)):
                self._kwargs[name] = value
            else:
                own[name] = value
        try:
            super().set_params(**own)
        except ValueError as error:
            vars(self).clear()
            vars(self).update(before, _kwargs=kwargs)
            for name, parameters in nested.items():
                before[name].set_params(**parameters)
            loss = own.get("loss", getattr(self, "loss", None))
            unknown = [name for name in own if name not in self.get_params()]
            hint = self._hint(unknown[0], loss) if unknown else ""
            raise ValueError(f"{error}{hint}") from error
        return self

    def __sklearn_clone__(self):
        """An unfitted copy, whose callbacks share what the given ones hold.

        scikit-learn would copy all that a callback holds, which is impossible for an
        open file and wrong for a logger.
        """
        bare = copy.copy(self)
        bare.callbacks = None
        new = super(SkorchParamsMixin, bare).__sklearn_clone__()
        new.callbacks = copied_callbacks(self.callbacks)
        return new

    def _check_kwargs(self):
        """Parameters of each group, without its prefix; refuses unknown names.

        Returns
        -------
        dict of str to dict
            ``"module"``, ``"loss"`` and, under ``"net"`` with their full names, those
            that skorch's net takes.

        Raises
        ------
        UnknownParameterError
            The message suggests the parameter that was probably meant.
        """
        groups = {"module": {}, "loss": {}, "net": {}}
        has_loss = hasattr(self, "loss")
        for name, value in self._kwargs.items():
            group, is_nested, rest = name.partition("__")
            if group in RESERVED:
                raise UnknownParameterError(
                    f"{type(self).__name__} does not take {name!r}: {RESERVED[group]}."
                )
            in_group = is_nested and rest and group in GROUPS
            if not (name in PASSED_ON or in_group) or (
                group == "loss" and not has_loss
            ):
                hint = self._hint(name, getattr(self, "loss", None))
                raise UnknownParameterError(
                    f"{type(self).__name__} has no parameter {name!r}.{hint}"
                )
            if group in ("module", "loss"):
                groups[group][rest] = value
            else:
                groups["net"][name] = value
        return groups

    def _hint(self, name, loss=None):
        """Hint of an error: the parameters that were probably meant."""
        has_loss = hasattr(self, "loss")
        of_loss = [] if loss is None else [*LOSSES, loss]
        if any(name in parameters_of_loss(each) for each in of_loss):
            meant = [f"loss__{name}"]
            if name in KNOWN_ELSEWHERE:
                meant.insert(0, KNOWN_ELSEWHERE[name])
            return f" Did you mean {' or '.join(map(repr, meant))}?"
        return _hint(name, self._get_param_names(), has_loss)

    def _check_parameters(self):
        """Refuse values of the training parameters that are out of their range.

        Raises
        ------
        TypeError, ValueError
        """
        check_real(self.lr, "lr", min_val=0, include_boundaries="neither")
        check_integer(self.max_epochs, "max_epochs", min_val=1)
        check_integer(
            self.n_iter_no_change,
            "n_iter_no_change",
            min_val=1,
            hint="Training does not stop early if it is max_epochs or more.",
        )
        check_real(
            self.validation_fraction,
            "validation_fraction",
            min_val=0,
            max_val=1,
            include_boundaries="neither",
        )
        # -1: skorch's name for all rows
        special = (-1, *self._named_batch_sizes)
        check_integer(self.batch_size, "batch_size", min_val=1, special=special)
        check_flag(self.early_stopping, "early_stopping", words=("auto",))
        check_flag(self.warm_start, "warm_start")
        check_verbose(self.verbose)
        check_choice(self.precision, "precision", PRECISIONS)
        _check_folder(self.checkpoint)
        if not callable(self.optimizer):
            raise TypeError(
                "optimizer must be an optimizer class such as torch.optim.Adam; got "
                f"{self.optimizer!r}."
            )
        if not isinstance(self.callbacks, (list, tuple, NoneType)) and (
            not isinstance(self.callbacks, str) or self.callbacks != "disable"
        ):
            raise TypeError(
                "callbacks must be a list of skorch callbacks, 'disable' or None; got "
                f"{self.callbacks!r}."
            )
        if isinstance(self.callbacks, (list, tuple)):
            for callback in self.callbacks:
                name, given = "", callback
                if isinstance(callback, tuple) and len(callback) == 2:
                    name, given = callback
                is_class = isinstance(given, type) and issubclass(given, Callback)
                if not isinstance(name, str) or not (
                    is_class or isinstance(given, Callback)
                ):
                    raise TypeError(
                        "callbacks must be a list of skorch callbacks, or of pairs "
                        f"of a name and one; got {callback!r} in it."
                    )


def _check_folder(checkpoint):
    """Refuse a `checkpoint` that cannot be a folder."""
    if checkpoint is None:
        return
    if not isinstance(checkpoint, (str, PathLike)):
        raise TypeError(
            f"checkpoint must be the path of a folder, or None; got {checkpoint!r}."
        )
    if not fspath(checkpoint):
        raise ValueError(
            "checkpoint must be the path of a folder, or None; got ''. (The working "
            "directory is '.'.)"
        )
    for path in (Path(checkpoint), *Path(checkpoint).parents):
        if path.exists() and not path.is_dir():
            raise ValueError(
                f"checkpoint must be the path of a folder; {str(path)!r} is a file."
            )


def _hint(name, own, has_loss):
    """Hint of an error: the parameter that was probably meant."""
    if name in KNOWN_ELSEWHERE:
        return f" Did you mean {KNOWN_ELSEWHERE[name]!r}?"
    groups = [group for group in GROUPS if group != "loss" or has_loss]
    group, is_nested, rest = name.partition("__")
    head = group if is_nested else name
    known = [*own, *PASSED_ON, *groups]
    near = difflib.get_close_matches(head, known, n=1, cutoff=0.5)
    near = [f"{match}__{rest}" if is_nested else match for match in near]
    # module_x or modulex for module__x
    near += [
        f"{g}__{name[len(g) :].lstrip('_')}"
        for g in groups
        if name.startswith(g) and name != g
    ]
    return f" Did you mean {near[-1]!r}?" if near else ""
