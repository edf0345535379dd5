"""Parameters: skorch's keyword arguments, and checks of the other parameters."""

import copy
import difflib
from numbers import Integral
from os import PathLike
from types import NoneType

from sklearn.utils import check_scalar
from skorch.callbacks import Callback

from sklearn_noisy._training.settings import copied_callbacks
from sklearn_noisy._validation import check_real
from sklearn_noisy.exceptions import UnknownParameterError

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
        """
        return {**super().get_params(deep=deep), **self._kwargs}

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
            If a name is not a parameter.
        """
        own = {}
        for name, value in params.items():
            group, is_nested, _ = name.partition("__")
            in_group = group in GROUPS and (group != "loss" or hasattr(self, "loss"))
            if name in PASSED_ON or name in self._kwargs or (is_nested and in_group):
                self._kwargs[name] = value
            else:
                own[name] = value
        super().set_params(**own)
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
                hint = _hint(name, self._get_param_names(), has_loss)
                raise UnknownParameterError(
                    f"{type(self).__name__} has no parameter {name!r}.{hint}"
                )
            if group in ("module", "loss"):
                groups[group][rest] = value
            else:
                groups["net"][name] = value
        return groups

    def _check_parameters(self):
        """Refuse values of the training parameters that are out of their range.

        Raises
        ------
        TypeError, ValueError
        """
        check_real(self.lr, "lr", min_val=0, include_boundaries="neither")
        check_scalar(self.max_epochs, "max_epochs", Integral, min_val=1)
        check_scalar(self.n_iter_no_change, "n_iter_no_change", Integral, min_val=1)
        check_real(
            self.validation_fraction,
            "validation_fraction",
            min_val=0,
            max_val=1,
            include_boundaries="neither",
        )
        sizes = (-1, *self._named_batch_sizes)  # -1: skorch's name for all rows
        if self.batch_size not in sizes:
            check_scalar(self.batch_size, "batch_size", Integral, min_val=1)
        if self.early_stopping not in ("auto", True, False):
            raise ValueError(
                "early_stopping must be 'auto', True or False; got "
                f"{self.early_stopping!r}."
            )
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"precision must be one of {', '.join(map(repr, PRECISIONS))}; got "
                f"{self.precision!r}."
            )
        if not isinstance(self.checkpoint, (str, PathLike, NoneType)):
            raise TypeError(
                "checkpoint must be the path of a folder, or None; got "
                f"{self.checkpoint!r}."
            )
        if not callable(self.optimizer):
            raise TypeError(
                "optimizer must be an optimizer class such as torch.optim.Adam; got "
                f"{self.optimizer!r}."
            )
        if not isinstance(self.callbacks, (list, tuple, NoneType)) and (
            self.callbacks != "disable"
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
