"""Training that goes on (warm_start, partial_fit), failed, or was cut."""

import warnings
from contextlib import contextmanager

import numpy as np

from sklearn_noisy._training.net import with_batches
from sklearn_noisy.exceptions import TrainingDivergedError, TrainingInterruptedWarning

__all__ = [
    "READ_BY_EVERY_CALL",
    "all_or_nothing",
    "net_parameters",
    "take_over_changes",
    "warn_if_interrupted",
]

# The net does not depend on them. (`random_state` is where the first call began, the
# others go on with its generator; a change of `device` has an error of its own.)
READ_BY_EVERY_CALL = {
    *("max_epochs", "early_stopping", "validation_fraction", "class_weight"),
    *("warm_start", "checkpoint", "random_state", "device"),
}

# The net takes them over.
TAKEN_OVER = {"lr", "optimizer", "batch_size", "verbose"}
OF_BATCHES = ("iterator_train", "iterator_valid")
GROUPS_TAKEN_OVER = ("optimizer__", *OF_BATCHES)

UNSET = object()


@contextmanager
def all_or_nothing(estimator):
    """Put the attributes back if anything fails.

    A diverged training leaves nothing worth keeping: then the estimator is unfitted.
    """
    before = dict(vars(estimator))
    try:
        yield
    except BaseException as error:
        if isinstance(error, TrainingDivergedError):
            names = {*estimator.get_params(deep=False), "_kwargs"}
            before = {name: v for name, v in before.items() if name in names}
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def net_parameters(estimator):
    """Parameters of an estimator that its net depends on, by name."""
    params = estimator.get_params(deep=False)
    ignored = estimator._read_by_every_call
    return {name: value for name, value in params.items() if name not in ignored}


def take_over_changes(estimator):
    """Let a net take over the parameters that have changed since it was made.

    Parameters
    ----------
    estimator : estimator
        With ``_made_with``, its :func:`net_parameters` when the net was made.

    Raises
    ------
    ValueError
        If one has changed that the net cannot take over.
    """
    before, now = estimator._made_with, net_parameters(estimator)
    changed = {
        name: value
        for name, value in now.items()
        if not _is_same(before.get(name, UNSET), value)
    }
    for name, value in changed.items():
        if name in TAKEN_OVER or (
            name.startswith(GROUPS_TAKEN_OVER) and name != "optimizer__param_groups"
        ):
            continue
        was = "not set" if name not in before else f"{before[name]!r}"
        raise ValueError(
            f"Training goes on with the net of the last call, and {name} has changed "
            f"since, from {was} to {value!r}. Set it back, or fit anew "
            "(warm_start=False). What a net takes over: lr, optimizer and its "
            "parameters, batch_size, iterator_train, iterator_valid, verbose."
        )
    if changed:
        _change(estimator.net_, changed, with_batches(estimator._net_settings()))
        estimator._made_with = now


def _change(net, changed, settings):
    """Give a net other parameters; `settings` are all that it is made with now."""
    if any(name.startswith(OF_BATCHES) for name in changed):
        for name in [name for name in vars(net) if name.startswith(OF_BATCHES)]:
            delattr(net, name)
        for name, value in settings.items():
            if name.startswith(OF_BATCHES):
                setattr(net, name, value)
    for name in ("batch_size", "verbose", "optimizer"):
        if name in changed:
            is_auto = name == "batch_size" and changed[name] == "auto"
            setattr(net, name, net.recipe_[name] if is_auto else changed[name])
    # skorch passes these on to the optimizer that there is.
    net.set_params(
        **{
            name: value
            for name, value in changed.items()
            if name == "lr" or name.startswith("optimizer__")
        }
    )
    if "optimizer" in changed:
        net.initialize_optimizer()
    if "verbose" in changed and "print_log" in dict(net.callbacks_):
        dict(net.callbacks_)["print_log"].initialize()  # with a heading


def warn_if_interrupted(estimator):
    """Tell of an interrupt that ended the training."""
    if estimator.net_.interrupted_:
        warnings.warn(
            f"Training was interrupted in epoch {estimator.n_iter_}: the model is what "
            "was reached until then.",
            TrainingInterruptedWarning,
            stacklevel=4,
        )


def _is_same(a, b):
    if a is b:
        return True
    if hasattr(a, "shape") or hasattr(b, "shape"):
        return np.array_equal(a, b)
    return bool(a == b)
