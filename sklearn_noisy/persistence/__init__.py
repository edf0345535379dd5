"""Save and load fitted estimators, in files of data: no pickle, no code."""

import os
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import torch
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_noisy._serialization.file import (
    pack,
    remove_leftovers,
    unpack,
    write_whole,
)
from sklearn_noisy._serialization.values import DECODING_ERRORS
from sklearn_noisy._training.surroundings import own_torch_modes
from sklearn_noisy._version import __version__
from sklearn_noisy.exceptions import InvalidFileError
from sklearn_noisy.persistence._estimators import (
    ESTIMATORS,
    StateDecoder,
    StateEncoder,
    encode_estimator,
)
from sklearn_noisy.persistence._pipelines import (
    UntrustedStepError,
    decode_pipeline,
    encode_pipeline,
    is_ours,
    last_step,
)

__all__ = ["load", "save"]

PACKAGES = ("scikit-learn", "skorch", "numpy")


@own_torch_modes()
def save(estimator, path, *, omit=()):
    """Save a fitted estimator in one file, which :func:`load` reads.

    The file is a safetensors file. Its tensors are weights, matrices and the state of
    the optimizer; its metadata contain everything else as JSON, such as the parameters.
    Before the file is written, the estimator is rebuilt from its content in memory,
    which ensures that it can be loaded. This builds a `module` of your own once more.

    Parameters
    ----------
    estimator : RobustLossClassifier, NoiseAdaptedClassifier, NoiseMatrixEstimator \
            or Pipeline
        A fitted one. The last step of a Pipeline must be one of the others. Its other
        steps need skops (``pip install skops``), which also keeps them without pickle.
    path : str, bytes or path-like
        Any name is accepted; other tools recognise the extension ``.safetensors``. An
        existing file is replaced in one step, so that there is never a partial file.
    omit : tuple of str, default=()
        Names of parameters that are left out of the file and must be passed to
        :func:`load`. Parameters that contain code need this: ``callbacks``, a loss
        of your own, ``constraints``, or the `estimator` of a NoiseMatrixEstimator if
        it is not of this package. A `module` of your own is always left out and need
        not be named.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is another estimator, or if a parameter cannot be kept in a file and is
        not in `omit`.
    ValueError
        If `omit` names a parameter that the estimator does not have; if a fitted
        classifier cannot be rebuilt because parameters were changed after ``fit``.

    See Also
    --------
    load : Read the file.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import sklearn_noisy
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = sklearn_noisy.RobustLossClassifier(max_epochs=5, random_state=0)
    >>> clf = clf.fit(X, y)
    >>> with TemporaryDirectory() as folder:
    ...     sklearn_noisy.save(clf, folder + "/iris.safetensors")
    ...     again = sklearn_noisy.load(folder + "/iris.safetensors")
    >>> bool((again.predict_proba(X) == clf.predict_proba(X)).all())
    True
    """
    if not is_ours(estimator):
        raise TypeError(
            f"estimator must be one of {', '.join(ESTIMATORS)}, or a Pipeline whose "
            f"last step is one of them; got {estimator!r}."
        )
    check_is_fitted(estimator)
    if not isinstance(omit, tuple | list | set) or not all(
        isinstance(name, str) for name in omit
    ):
        example = f", ({omit!r},)" if isinstance(omit, str) else ""
        raise TypeError(f"omit must be a tuple of names{example}; got {omit!r}.")
    encoder = StateEncoder(tuple(omit))
    if type(estimator) is Pipeline:
        payload = {"pipeline": encode_pipeline(estimator, encoder)}
    else:
        own = encode_estimator(estimator, encoder, "", is_outermost=True)
        payload = {"estimator": own}
    unused = [name for name in omit if name not in encoder.left_out]
    if unused:
        raise ValueError(
            f"omit names {', '.join(map(repr, unused))}, but "
            f"{type(last_step(estimator)).__name__} has no such parameter."
        )
    content = pack(
        {
            **payload,
            "left_out": {
                name: _describe(value) for name, value in encoder.left_out.items()
            },
            "versions": {
                "sklearn_noisy": __version__,
                **{name: version(name) for name in PACKAGES},
                "torch": torch.__version__,  # the metadata lack the local suffix
            },
        },
        encoder.tensors,
    )
    _check_loads(content, encoder.left_out)
    remove_leftovers(os.path.realpath(os.fsdecode(path)))
    write_whole(path, content)


@own_torch_modes()
def load(path, *, module=None, trusted=(), **params):
    """Read an estimator that :func:`save` wrote.

    The file holds data only: nothing in it is executed or imported. The only classes
    that it can refer to are those of this package and torch's layers, losses and
    optimizers. Files from untrusted sources are therefore safe to load, except that
    they can require much memory.

    Parameters
    ----------
    path : str, bytes or path-like
    module : nn.Module class or instance, callable or None, default=None
        The network, if it was one of your own: a class, an instance or a callable
        that builds the same architecture. Its weights come from the file. If the
        estimator contains another one, both receive it.
    trusted : sequence of str, default=()
        Of a Pipeline: types of its other steps, beyond those that skops knows, such as
        classes of your own. An error names those that a file needs.
    **params
        The other parameters that were left out (`omit` of :func:`save`).

    Returns
    -------
    RobustLossClassifier, NoiseAdaptedClassifier, NoiseMatrixEstimator or Pipeline
        It makes the same predictions as the saved estimator. ``partial_fit``, and
        ``fit`` with ``warm_start=True``, continue its training. Callbacks that are
        passed to this function start without their earlier state.

    Raises
    ------
    InvalidFileError
        If the file was not written by :func:`save`, is cut off, was changed, or has
        another format. The error inherits from ValueError.
    TypeError
        If a parameter that was left out is missing, or if a parameter is passed that
        was not left out; if a step of a Pipeline holds types that are not `trusted`.
    ImportError
        If the file holds a Pipeline and skops is not installed.
    ValueError
        If `module` is another network than the one that was saved.

    Warns
    -----
    DeviceWarning
        If the net was trained on a device that does not exist on this machine. The
        weights are then on the CPU.

    See Also
    --------
    save : Write the file.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import sklearn_noisy
    >>> import torch
    >>> from sklearn.datasets import load_iris
    >>> class Linear(torch.nn.Linear):
    ...     def __init__(self, n_features, n_classes):
    ...         super().__init__(n_features, n_classes)
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = sklearn_noisy.RobustLossClassifier(Linear, loss="cross_entropy")
    >>> clf = clf.fit(X, y)
    >>> with TemporaryDirectory() as folder:
    ...     sklearn_noisy.save(clf, folder + "/iris.safetensors")
    ...     again = sklearn_noisy.load(folder + "/iris.safetensors", module=Linear)
    >>> again.module_
    Linear(in_features=4, out_features=3, bias=True)
    """
    path = Path(os.fsdecode(path))
    content = path.read_bytes()
    document, tensors = unpack(content, str(path))
    given = params if module is None else {"module": module, **params}
    decoder = StateDecoder(tensors, given)
    with _invalid_if_it_fails(path):
        left_out = dict(document["left_out"])
    _check_given(left_out, given, path)
    with _invalid_if_it_fails(path):
        estimator = _decoded(document, decoder, trusted)
    if not given:
        with _invalid_if_it_fails(path):
            decoder.finish()
        return estimator
    try:
        decoder.finish()
    except DECODING_ERRORS as error:
        had = ", ".join(f"{name} was {was}" for name, was in left_out.items())
        got = ", ".join(f"{name}={value!r}" for name, value in given.items())
        raise ValueError(
            f"{path}, in which {had}, does not match {got}: {error}"
        ) from error
    return estimator


def _decoded(document, decoder, trusted):
    if "pipeline" in document:
        return decode_pipeline(document["pipeline"], decoder, trusted)
    return decoder.decode({"estimator": document["estimator"]})


def _describe(value):
    """Description of a parameter that was left out, for errors."""
    if not hasattr(value, "__qualname__"):
        if isinstance(value, (list, tuple)):
            return repr(value)
        value = type(value)
    return f"{value.__module__}.{value.__qualname__}"


def _check_given(left_out, given, path):
    for name, was in left_out.items():
        if name not in given:
            raise TypeError(
                f"{path} was saved without {name}, which was {was}: pass it as "
                f"load(path, {name}=...)."
            )
    for name in given:
        if name not in left_out:
            raise TypeError(
                f"load got {name}, which is none of the parameters that were left out "
                f"of the file (omit): {[*left_out]}. Use set_params afterwards to "
                "change a parameter."
            )


@contextmanager
def _invalid_if_it_fails(name):
    """Raise InvalidFileError for an error that no file from ``save`` can cause."""
    try:
        yield
    except UntrustedStepError:
        raise
    except DECODING_ERRORS as error:
        raise InvalidFileError(
            f"{name} holds what save never wrote: {error}."
        ) from error


def _check_loads(content, left_out):
    """Raise unless the estimator can be rebuilt."""
    document, tensors = unpack(content, "The file")
    decoder = StateDecoder(tensors, left_out)
    try:
        _decoded(document, decoder, None)
        # A CPU is more likely than a GPU to have memory for a second net.
        decoder.finish(device="cpu")
    except Exception as error:
        raise ValueError(
            "The estimator cannot be rebuilt from its parameters. Were they changed "
            f"after fit? {error}"
        ) from error
