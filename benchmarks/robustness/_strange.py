"""Values of the right kind in strange forms, and how an answer to them is judged."""

import random
import re
import signal
import tempfile
import traceback
import warnings
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse
import torch
from sklearn.exceptions import NotFittedError

from sklearn_noisy import exceptions

FOLDER = Path(tempfile.mkdtemp(prefix="robustness-"))
SECONDS = 120  # for one call

OURS = tuple(
    kind
    for kind in map(vars(exceptions).get, exceptions.__all__)
    if not issubclass(kind, Warning)
)
REFUSALS = (ValueError, TypeError, NotFittedError, OSError, *OURS)
# Subclasses of ValueError that a user cannot read.
BARE = (UnicodeError, np.exceptions.AxisError)


def mapped(array):
    """The array in a file that is mapped into memory."""
    path = FOLDER / "mapped.npy"
    path.unlink(missing_ok=True)
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def with_entry(array, value, dtype=None):
    """A copy whose first entry is `value`."""
    copy = np.array(array, dtype=dtype)
    if copy.size:
        copy.flat[0] = value
    return copy


def frame(array, names=None):
    """Series or DataFrame in an order of rows of its own."""
    index = np.arange(len(array))[::-1]
    if array.ndim == 1:
        return pd.Series(array, index=index)
    return pd.DataFrame(array.reshape(len(array), -1), index=index, columns=names)


def tabular(array):
    return array.ndim == 2 and array.dtype.kind in "biuf"


# Each takes a NumPy array; one that cannot be applied raises, and is not applied.
ARRAY_FORMS = {
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(a.tolist()),
    "pandas": frame,
    "pandas, text as index": lambda a: frame(a).set_axis(
        [f"row {k}" for k in range(len(a))]
    ),
    "pandas, index twice": lambda a: frame(a).set_axis([0] * len(a)),
    "pandas, text as columns": lambda a: frame(a, [f"c{k}" for k in range(a.shape[1])]),
    "pandas, columns twice": lambda a: frame(a, ["c"] * a.shape[1]),
    "category": lambda a: frame(a).astype("category"),
    "Int64 with NA": lambda a: pd.Series([pd.NA, *a.tolist()[1:]], dtype="Int64"),
    "polars": lambda a: pl.Series(a) if a.ndim == 1 else pl.DataFrame(a),
    "torch": lambda a: torch.as_tensor(a),
    "torch with gradient": lambda a: torch.as_tensor(a).double().requires_grad_(),
    "mapped": mapped,
    "masked": lambda a: np.ma.masked_array(a, mask=with_entry(a != a, True)),
    "matrix": lambda a: np.asmatrix(a),
    "read-only": lambda a: np.broadcast_to(a, a.shape),
    "Fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=0)[::2],
    "object": lambda a: a.astype(object),
    "float16": lambda a: a.astype(np.float16),
    "float32": lambda a: a.astype(np.float32),
    "longdouble": lambda a: a.astype(np.longdouble),
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "int8": lambda a: a.astype(np.int8),
    "uint8": lambda a: a.astype(np.uint8),
    "uint64": lambda a: a.astype(np.uint64),
    "bool": lambda a: a.astype(bool),
    "complex": lambda a: a.astype(complex),
    "text": lambda a: a.astype(str),
    "bytes": lambda a: a.astype(bytes),
    "StringDType": lambda a: a.astype(str).astype(np.dtypes.StringDType()),
    "datetime": lambda a: a.astype(np.int64).astype("datetime64[D]"),
    "timedelta": lambda a: a.astype(np.int64).astype("timedelta64[s]"),
    "NaN": lambda a: with_entry(a, np.nan, float),
    "inf": lambda a: with_entry(a, np.inf, float),
    "-inf": lambda a: with_entry(a, -np.inf, float),
    "1e39": lambda a: with_entry(a, 1e39, float),
    "1e308": lambda a: with_entry(a, 1e308, float),
    "1e-320": lambda a: with_entry(a, 1e-320, float),
    "all 1e308": lambda a: np.full(a.shape, 1e308),
    "-1": lambda a: with_entry(a, -1),
    "1.5": lambda a: with_entry(a, 1.5, float),
    "10**30": lambda a: with_entry(a, 10**30, object),
    "None inside": lambda a: with_entry(a, None, object),
    "text inside": lambda a: with_entry(a, "text", object),
    "list inside": lambda a: [[[0]], *a.tolist()[1:]],
    "ragged": lambda a: [[0, 1], *a.tolist()[1:]],
    "zeros": np.zeros_like,
    "ones": np.ones_like,
    "empty": lambda a: a[:0],
    "empty list": lambda a: [],
    "one row": lambda a: a[:1],
    "a row less": lambda a: a[:-1],
    "a row more": lambda a: np.concatenate([a, a[:1]]),
    "no columns": lambda a: a[:, :0],
    "a column less": lambda a: a[:, :-1],
    "a column more": lambda a: np.hstack([a, a[:, :1]]),
    "transposed": lambda a: a[None].T if a.ndim == 1 else a.T,
    "flat": lambda a: a.ravel(),
    "one axis more": lambda a: a[None],
    "one axis more, behind": lambda a: a[..., None],
    "scalar": lambda a: a.flat[0],
    "no axis": lambda a: np.array(a.flat[0]),
    "csr": lambda a: scipy.sparse.csr_matrix(a) if tabular(a) else 1 / 0,
    "sparse array": lambda a: scipy.sparse.coo_array(a) if tabular(a) else 1 / 0,
    "bsr": lambda a: scipy.sparse.bsr_matrix(a) if tabular(a) else 1 / 0,
    "dictionary": lambda a: dict(enumerate(a.tolist())),
    "set": lambda a: set(a.ravel().tolist()),
    "range": lambda a: range(len(a)),
    "None": lambda a: None,
    "a text": lambda a: "text",
}

NUMBERS = [
    *(0, 1, 2, 3, -1, 0.0, -0.0, 0.5, 1.0, 1.5, -0.5, 1e-320, 1e-8, 0.999999999),
    *(np.nan, np.inf, -np.inf, True, False, None, "text", "", b"x", 1j, pd.NA),
    *(np.float16(0.5), np.float32(0.3), np.int8(2), np.uint8(3), np.bool_(True)),
    *(np.array(2), np.array([2]), [2], (1, 2), {}, Fraction(1, 3), torch.tensor(0.5)),
    *(np.array([]), [], object, len, np.datetime64("2020-01-01"), range(2)),
]
# Not for sizes: a size that is asked for is a size that is made.
HUGE = [1e308, -1e308, 10**30, -(10**30), 1e39, 2**63, 2**31]
CHOICES = ["", "nonsense", "AUTO", b"both", 0, 1.5, None, True, [], ("both",), {}, len]

NUMBER_FORMS = {repr(value): value for value in NUMBERS}
HUGE_FORMS = {repr(value): value for value in HUGE}
CHOICE_FORMS = {repr(value): value for value in CHOICES}
# Whose error it is. scikit-learn reads columns by narwhals.
PACKAGES = (
    *("sklearn_noisy", "narwhals", "sklearn", "skorch", "cleanlab", "cvxpy", "torch"),
)
NUMPY_WARNS = re.compile(r" encountered in |^Mean of empty|^Degrees of freedom")
SIZES = re.compile(r"n_|max_|cv|_size|hidden|batch|epochs|delay|verbose|jobs|warm_up")


def forms_of(name, value):
    """Names of the strange forms of an argument."""
    if isinstance(value, np.ndarray | torch.Tensor):
        return list(ARRAY_FORMS)
    if isinstance(value, str):
        return list(CHOICE_FORMS)
    numbers = list(NUMBER_FORMS)
    return numbers if SIZES.search(name) else [*numbers, *HUGE_FORMS]


def strange(value, form):
    """`value` in a strange form; as it was where the form does not apply to it.

    A tensor stays one.
    """
    if isinstance(value, torch.Tensor):
        try:
            return torch.as_tensor(strange(value.numpy(), form))
        except Exception:  # torch has no such form
            return value
    if not isinstance(value, np.ndarray):
        forms = CHOICE_FORMS if isinstance(value, str) else NUMBER_FORMS | HUGE_FORMS
        return forms[form]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ARRAY_FORMS[form](value)
    except Exception:  # this array has no such form
        return value


def generators():
    """The state of the global generators."""
    return joblib.hash(
        (
            random.getstate(),
            np.random.get_state(),  # noqa: NPY002
            torch.get_rng_state().numpy(),
        )
    )


def fingerprint(values):
    """Hashes of the content of the arguments."""

    def content(value):
        if isinstance(value, torch.Tensor):
            return value.detach().numpy()
        if isinstance(value, pd.Series | pd.DataFrame):  # these hold caches
            return value.index.tolist(), value.to_numpy(dtype=object).tolist()
        if isinstance(value, np.ma.MaskedArray):  # joblib cannot hash these
            return np.asarray(value.data), np.asarray(value.mask)
        return value

    return {
        name: joblib.hash(content(value))
        for name, value in values.items()
        if isinstance(
            value,
            (
                *(np.ndarray, pd.Series, pd.DataFrame, list, dict, torch.Tensor),
                *(scipy.sparse.sparray, scipy.sparse.spmatrix),
            ),
        )
    }


class TooSlowError(BaseException):
    """A call did not end; no handler of `Exception` swallows this."""


@contextmanager
def at_most(seconds):
    """TooSlowError in the main thread after `seconds`."""

    def stop(*_):
        raise TooSlowError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def innermost(error):
    """``(package, place)`` of the frame that raised."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    parts = Path(frame.filename).parts
    for package in PACKAGES:
        if package in parts:
            inside = "/".join(parts[len(parts) - parts[::-1].index(package) :])
            return package, f"{package}/{inside}:{frame.lineno}"
    return "other", f"{Path(frame.filename).name}:{frame.lineno}"


def last_of_ours(error):
    """The last line of the package through which the error came."""
    ours = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "sklearn_noisy" in Path(frame.filename).parts
    ]
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "outside"


def names_an_argument(message, names):
    words = set(re.findall(r"\w+", message))
    return bool(words & set(names))


def judge_error(error, names, *, takes_tensors=False):
    """None if the error is one that helps; else what is wrong with it."""
    if isinstance(error, TooSlowError):
        return f"no answer within {SECONDS} s"
    of_torch = isinstance(error, RuntimeError | IndexError | TypeError)
    if takes_tensors and (of_torch or innermost(error)[0] == "torch"):
        return None  # modules refuse tensors in the words of torch
    if not isinstance(error, REFUSALS) or isinstance(error, BARE):
        return "type of the error"
    package, _ = innermost(error)
    if package in ("sklearn", "narwhals"):
        return None  # scikit-learn's own checks have words of their own
    if not names_an_argument(str(error), names):
        return "no argument named"
    return None


def observe(call, check, arguments, names, *, draws=False):
    """Run a call once; ``(outcome, failure or None)``.

    Outcomes are ``"answered"``, ``"refused"`` and ``"failed"``. Only a call that
    `draws` may move the global generators.
    """
    before, state = fingerprint(arguments), generators()
    failure = None
    outcome = "answered"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with at_most(SECONDS):
                result = call(**arguments)
        except (Exception, TooSlowError) as error:
            outcome = "refused"
            takes_tensors = any(
                isinstance(value, torch.Tensor) for value in arguments.values()
            )
            if what := judge_error(error, names, takes_tensors=takes_tensors):
                failure = {
                    "what": what,
                    "error": type(error).__name__,
                    "message": str(error)[:300],
                    "place": last_of_ours(error),
                }
        else:
            try:
                check(result, arguments)
            except Exception as error:  # the result has not even the form
                failure = {
                    "what": "result",
                    "error": type(error).__name__,
                    "message": str(error)[:300],
                }
    for warning in caught:
        # NumPy's, raised by a line of the package.
        ours = "sklearn_noisy" in Path(warning.filename).parts
        bare = NUMPY_WARNS.search(str(warning.message))
        if failure is None and ours and bare:
            failure = {
                "what": "bare warning",
                "message": str(warning.message)[:300],
                "place": f"{Path(warning.filename).name}:{warning.lineno}",
            }
    # None is NumPy's global generator, as in scikit-learn.
    draws = draws or arguments.get("random_state", 0) is None
    if generators() != state and not draws:
        failure = {"what": "global generator moved"}
    after = fingerprint(arguments)
    if changed := [name for name in before if before[name] != after.get(name)]:
        failure = {"what": "input modified", "message": ", ".join(changed)}
    return ("failed" if failure else outcome), failure
