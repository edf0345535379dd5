"""Checks of numbers, flags, columns, weights, masks and random states: no torch."""

import inspect
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from numbers import Integral, Real
from reprlib import Repr
from types import NoneType
from typing import Any

import numpy as np
from sklearn.utils import check_array, check_random_state

from sklearn_noisy._typing import ArrayLike, BoolArray, FloatArray
from sklearn_noisy.exceptions import IneffectiveParameterWarning

# Names of parameters, whether they have an effect, and what they need to have one.
Condition = tuple[Iterable[str], bool, str]


def brief(value: Any) -> str:
    """The `repr` of a value for an error message; an array by its kind and shape."""
    shape = getattr(value, "shape", ())
    if len(shape):
        kind = type(value).__name__
        return f"{'an array' if kind == 'ndarray' else kind} of shape {tuple(shape)}"
    return _SHORT.repr(value) if isinstance(value, (list, tuple)) else repr(value)


_SHORT = Repr()
_SHORT.maxother = 200  # of an entry that is an object


def check_choice(
    value: Any, name: str, choices: Iterable[str | None], *, hint: str = ""
) -> None:
    """Raise a ValueError unless `value` is one of the choices.

    Parameters
    ----------
    value : object
        An array is no choice. (Compared with one, it would give an array.)
    name : str
        The parameter's name in an error message.
    choices : iterable of str or None
    hint : str, default=""
        A sentence at the end of the message.
    """
    if not isinstance(value, str | NoneType) or value not in choices:
        listed = ", ".join(map(repr, choices))
        raise ValueError(
            f"{name} must be one of {listed}; got {value!r}.{hint and ' ' + hint}"
        )


def check_flag(value: Any, name: str, *, words: Sequence[str] = ()) -> bool | str:
    """True or False as a bool, or one of the words.

    Parameters
    ----------
    value : object
        A text such as ``"False"`` would count as true, so it is no flag.
    name : str
        The parameter's name in an error message.
    words : sequence of str, default=()
        Further values that are accepted.

    Returns
    -------
    bool or str

    Raises
    ------
    TypeError
        If `value` is not a boolean.
    ValueError
        If there are words, and `value` is another one.
    """
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, str) and value in words:
        return value
    accepted = ", ".join([*map(repr, words), "True or False"])
    kind = ValueError if words and isinstance(value, str) else TypeError
    raise kind(f"{name} must be {accepted}; got {value!r}.")


def check_integer(
    value: Any,
    name: str,
    *,
    min_val: int,
    special: Sequence[int | str] = (),
    hint: str = "",
) -> Any:
    """An integer from `min_val` on as an int, or one of the special values.

    Parameters
    ----------
    value : object
        Integers of NumPy are accepted. A boolean is no integer.
    name : str
        The parameter's name in an error message.
    min_val : int
    special : sequence of int or str, default=()
        Further values that are accepted.
    hint : str, default=""
        A sentence at the end of the message.

    Returns
    -------
    int or str

    Raises
    ------
    TypeError
        If `value` is no integer.
    ValueError
        If it is below `min_val`, or a text that is not among the special values.
    """
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    if (is_integer or isinstance(value, str)) and value in special:
        return int(value) if is_integer else value
    if is_integer and value >= min_val:
        return int(value)
    accepted = " or ".join([*map(repr, special), f"an integer >= {min_val}"])
    is_word = isinstance(value, str) and any(isinstance(s, str) for s in special)
    kind = ValueError if is_integer or is_word else TypeError
    raise kind(f"{name} must be {accepted}, got {value!r}.{hint and ' ' + hint}")


def check_verbose(value: Any) -> None:
    """Raise unless `verbose` is a boolean or an integer from 0 on."""
    if not isinstance(value, bool | np.bool_):
        check_integer(value, "verbose", min_val=0)


def check_real(
    value: Any,
    name: str,
    *,
    min_val: float = -math.inf,
    max_val: float = math.inf,
    include_boundaries: str = "both",
    words: Sequence[str] = (),
) -> Any:
    """A finite number within an interval, as a float, or one of the words.

    Parameters
    ----------
    value : object
    name : str
        The parameter's name in an error message.
    min_val, max_val : float, default=-inf, inf
    include_boundaries : {"left", "right", "both", "neither"}, default="both"
        Which of the finite bounds are allowed values.
    words : sequence of str, default=()
        Further values that are accepted.

    Returns
    -------
    float or str

    Raises
    ------
    TypeError
        If `value` is a boolean or no real number.
    ValueError
        If `value` is NaN, infinite or outside the interval, or a text that is not
        among the words.
    """
    if isinstance(value, str) and value in words:
        return value
    left = include_boundaries in ("left", "both") and math.isfinite(min_val)
    right = include_boundaries in ("right", "both") and math.isfinite(max_val)
    interval = f"{'(['[left]}{min_val}, {max_val}{')]'[right]}"
    accepted = " or ".join([*map(repr, words), f"a number in {interval}"])
    if isinstance(value, bool) or not isinstance(value, Real):
        kind = ValueError if words and isinstance(value, str) else TypeError
        raise kind(f"{name} must be {accepted}, got {value!r}.")
    try:
        number = float(value)
    except OverflowError:  # an integer that no float can hold
        size: Any = value
        number = math.inf if size > 0 else -math.inf
    above = number >= min_val if left else number > min_val
    below = number <= max_val if right else number < max_val
    if not (above and below):  # also for NaN
        within = accepted if words else f"in {interval}"
        raise ValueError(f"{name} must be {within}, got {value!r}.")
    return number


def readable(value: Any, name: str) -> Any:
    """A tensor as an array; anything else as it is.

    NumPy reads no tensor that requires a gradient, is on a GPU or holds bfloat16.

    Parameters
    ----------
    value : array-like
    name : str
        The argument's name in an error message.

    Raises
    ------
    ValueError
        If `value` is a sequence of entries of different lengths.
    """
    if hasattr(value, "detach"):
        tensor = value.detach().cpu()
        return (tensor.float() if "bfloat16" in str(tensor.dtype) else tensor).numpy()
    if isinstance(value, (list, tuple)):
        try:
            np.shape(value)
        except ValueError as error:
            raise ValueError(
                f"{name} must be array-like; it holds entries of different lengths."
            ) from error
    return value


def check_sample_weight(
    sample_weight: ArrayLike | None, n_samples: int, name: str = "sample_weight"
) -> FloatArray:
    """Weights as a float64 array of shape (n_samples,); None is all ones.

    Extremely large or small ones are multiplied by a common factor (`moderate`).

    Raises
    ------
    ValueError
        If the shape differs, a weight is negative or not finite, or all weights
        are zero.
    """
    if sample_weight is None:
        return np.ones(n_samples)
    weight = check_array(
        readable(sample_weight, name),
        ensure_2d=False,
        allow_nd=True,
        dtype=np.float64,
        input_name=name,
    )
    if weight.shape != (n_samples,):
        raise ValueError(
            f"{name} must have shape ({n_samples},), one weight per row of "
            f"X; got {weight.shape}."
        )
    if (weight < 0).any():
        row = int(np.flatnonzero(weight < 0)[0])
        raise ValueError(
            f"{name} must not be negative; got {weight[row]:g} in row {row}."
        )
    if not weight.any():
        raise ValueError(f"{name} must contain at least one non-zero number.")
    return moderate(weight)


def moderate(weight: FloatArray) -> FloatArray:
    """Weights of the same ratios, whose sums and squares are finite and positive.

    If the largest one is above 1e100 or below 1e-100, all are multiplied by the same
    power of two, which is exact.
    """
    largest = weight.max()
    if largest == 0 or 1e-100 <= largest <= 1e100:
        return weight
    return np.ldexp(weight, -int(np.frexp(largest)[1]))


def check_same_order(**arguments: Any) -> None:
    """Raise if two pandas objects hold the same rows in a different order.

    Two indices of different labels say nothing about the order of the rows: positions
    count, as in scikit-learn.

    Parameters
    ----------
    **arguments : object
        By name; only Series and DataFrames are compared.

    Raises
    ------
    ValueError
        If two indices hold the same different labels, in another order.
    """
    indices = {
        name: argument.index
        for name, argument in arguments.items()
        if hasattr(argument, "iloc")
    }
    for (first, index), (second, other) in combinations(indices.items(), 2):
        row = _first_difference(index, other)
        if row is not None:
            raise ValueError(
                f"{first} and {second} hold the same rows in a different order: their "
                f"indices have the same labels, but row {row} is {index[row]!r} in "
                f"{first} and {other[row]!r} in {second}. Reorder one of them "
                f"({second}.loc[{first}.index]), or call reset_index(drop=True) on "
                "both if their positions match."
            )


def _first_difference(index: Any, other: Any) -> int | None:
    """First row in which indices of the same labels differ; None if there is none."""
    if index is other or len(index) != len(other):
        return None
    differs = np.flatnonzero(np.asarray(index != other))
    is_same_set = (
        len(differs) and index.is_unique and other.is_unique and index.isin(other).all()
    )
    return int(differs[0]) if is_same_set else None


def check_is_clean(
    is_clean: ArrayLike, n_samples: int, *, needed: bool = True
) -> BoolArray:
    """Boolean mask of shape (n_samples,).

    Raises
    ------
    ValueError
        If `is_clean` is not a boolean mask of that shape, or if one True is `needed`
        and the mask has none.
    """
    mask = np.asarray(readable(is_clean, "is_clean"))
    if mask.shape != (n_samples,) or mask.dtype != bool:
        raise ValueError(
            f"is_clean must be a boolean mask of shape ({n_samples},); got shape "
            f"{mask.shape}, dtype {mask.dtype}."
        )
    if needed and not mask.any():
        raise ValueError(
            "is_clean marks no row as clean. Leave it out where no label was checked."
        )
    return mask


def given_generator(
    random_state: int | np.random.RandomState | None,
) -> np.random.RandomState:
    """The generator that `random_state` means.

    Raises
    ------
    ValueError
        If it is no seed.
    """
    try:
        return check_random_state(random_state)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "random_state must be None, an integer from 0 to 4294967295 or a "
            f"numpy.random.RandomState; got {brief(random_state)}."
        ) from error


def own_generator(
    random_state: int | np.random.RandomState | None,
) -> np.random.RandomState:
    """A new generator, seeded by one draw from `random_state`.

    None takes entropy from the system, so that NumPy's global generator keeps its
    state.
    """
    if random_state is None:
        random_state = np.random.SeedSequence().generate_state(1)[0]
    rng = given_generator(random_state)
    return np.random.RandomState(rng.randint(np.iinfo(np.int32).max))


def check_columns(X: Any) -> None:
    """Raise if a column of a DataFrame holds dates, times or durations.

    Converted to numbers, a missing one would be -9.2e18. Columns that share a name and
    NumPy's strings of variable width are refused, too: scikit-learn 1.9 fails on both,
    with messages that do not name X.

    Raises
    ------
    ValueError
    """
    if getattr(getattr(X, "dtype", None), "kind", "") == "T":
        raise ValueError(f"X must hold numbers; got dtype {X.dtype}.")
    if not hasattr(X, "columns") or not hasattr(X, "dtypes"):
        return
    names = list(X.columns)
    if len({*names}) < len(names):
        name = max(names, key=names.count)
        raise ValueError(
            "X must have columns of different names; "
            f"{names.count(name)} of them have the name {name!r}."
        )
    for name, dtype in zip(names, X.dtypes, strict=True):
        if hasattr(dtype, "is_temporal"):  # of polars
            is_temporal = dtype.is_temporal()
        else:
            is_temporal = getattr(dtype, "kind", "O") in "mM"
        if is_temporal:
            raise ValueError(
                f"X must hold numbers; column {name!r} is of dtype {dtype}. Convert "
                "it, for instance to a number of days."
            )


def check_generator_state(state: Any) -> None:
    """Raise unless a state is one of ``numpy.random.RandomState``.

    NumPy reads memory at the position without a check, so a forged state could crash
    the interpreter.

    Raises
    ------
    ValueError
    """
    try:
        key, position = state["state"]["key"], state["state"]["pos"]
        is_valid = (
            state["bit_generator"] == "MT19937"
            and isinstance(key, np.ndarray)
            and (key.dtype, key.shape)
            == (np.uint32, (624,))  # numbers of the Mersenne Twister
            and type(position) is int
            and 0 <= position <= 624
            and state["has_gauss"] in (0, 1)
            and np.isfinite(state["gauss"])
        )
    except (KeyError, TypeError) as error:
        raise ValueError("this is no state of a random generator") from error
    if not is_valid:
        raise ValueError("this is no state of a random generator")


def without_effect(
    called: Callable[..., Any],
    values: Mapping[str, Any],
    conditions: Iterable[Condition],
) -> dict[str, str]:
    """Parameters that were set and have no effect, and what each needs to have one.

    Parameters
    ----------
    called : callable
        Function or class whose signature has the defaults.
    values : dict
        The parameters by name. One that equals its default was not set.
    conditions : iterable of tuples
        A parameter has an effect if it has one by every condition that names it. The
        first one that it does not meet is reported.
    """
    signature = inspect.signature(called).parameters
    found: dict[str, str] = {}
    for names, has_effect, need in conditions:
        for name in names if not has_effect else ():
            # A subclass need not take every parameter.
            if name in values and name in signature:
                value, default = values[name], signature[name].default
                plain = isinstance(value, (str, Real, np.bool_))
                if not (value is default or (plain and value == default)):
                    found.setdefault(name, need)
    return found


def warn_without_effect(
    called: Callable[..., Any],
    values: Mapping[str, Any],
    conditions: Iterable[Condition],
    *,
    stacklevel: int,
) -> None:
    """Warn of all parameters :func:`without_effect` at once.

    Warns
    -----
    IneffectiveParameterWarning
    """
    found = without_effect(called, values, conditions)
    if found:
        each = (f"{name}={brief(values[name])} needs {found[name]}" for name in found)
        warnings.warn(
            f"{called.__name__} has parameters without an effect: {'; '.join(each)}. "
            "Leave them at their defaults, or set what they need.",
            IneffectiveParameterWarning,
            stacklevel=stacklevel + 1,
        )
