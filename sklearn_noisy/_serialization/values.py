"""Values as JSON and tensors, and back.

None, booleans, integers, finite floats, text and lists are JSON themselves. Any other
value is an object with a single key that names its kind, ``{"tuple": [1, 2]}``. Arrays
and tensors go into a separate table. ``KINDS`` lists the kinds: each has a test, an
encoder and a decoder. Decoding makes data only, and refers to classes of ``PACKAGES``
only; no name in a file is imported.
"""

import inspect
import math
import re
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from sklearn_noisy import losses, nn
from sklearn_noisy._validation import check_generator_state
from sklearn_noisy.exceptions import InvalidFileError

# Types of arrays and tensors that safetensors and torch both support.
DTYPES = {
    getattr(torch, name): name
    for name in (
        *("bool", "uint8", "uint16", "uint32", "uint64"),
        *("int8", "int16", "int32", "int64"),
        *("float16", "bfloat16", "float32", "float64"),
    )
}

# Packages whose classes a file may name, and the base that a class must have.
PACKAGES = {
    "torch.nn": (torch.nn, torch.nn.Module),
    "torch.optim": (torch.optim, torch.optim.Optimizer),
    "torch.utils.data": (torch.utils.data, torch.utils.data.DataLoader),
    "sklearn_noisy.losses": (losses, losses.BaseLoss),
    "sklearn_noisy.nn": (nn, (nn.MLP, nn.TensorBatches)),
}

# Where the classes of a package are defined, if not in the package itself.
DEFINED_IN = {"sklearn_noisy.nn": "sklearn_noisy."}


# Errors of a decoder if no encoder wrote what it reads.
DECODING_ERRORS = (
    *(ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError),
    *(RuntimeError, StopIteration, SyntaxError, TypeError, ValueError),
)

# Types of arrays that a file may name: numbers, text of any width, objects.
NUMPY_DTYPE = re.compile(r"[<>|=]?([biuf][0-9]+|U[0-9]+|O[0-9]*)")


class CannotHoldError(TypeError):
    """A value that a file cannot hold."""

    def __init__(self, value):
        super().__init__(f"a file cannot hold {value!r}")
        self.value = value


class Encoder:
    """Turn values into JSON.

    Attributes
    ----------
    tensors : dict of str to tensor
        Tensors that the JSON refers to by name.
    """

    def __init__(self):
        self.tensors = {}

    def encode(self, value, where):
        """JSON for a value.

        Parameters
        ----------
        value : object
        where : str
            Prefix of the names of tensors.

        Raises
        ------
        CannotHoldError
        """
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float and math.isfinite(value):
            return value
        if type(value) is list:
            return self.encode_all(value, where)
        for tag, kind in self.kinds().items():
            if kind.matches(value):
                return {tag: kind.encode(value, self, where)}
        raise CannotHoldError(value)

    def encode_all(self, values, where):
        """JSON list of the values."""
        return [self.encode(value, f"{where}.{i}") for i, value in enumerate(values)]

    def put(self, tensor, where):
        """Put a copy of a tensor into the table; returns its name there."""
        if tensor.layout != torch.strided or tensor.dtype not in DTYPES:
            raise CannotHoldError(tensor)
        name, number = where, 1
        while name in self.tensors:
            number += 1
            name = f"{where}#{number}"
        self.tensors[name] = tensor.detach().cpu().clone().contiguous()
        return name

    def kinds(self):
        """Kinds of values, by tag."""
        return KINDS


class Decoder:
    """Turn JSON from :class:`Encoder` back into values.

    Parameters
    ----------
    tensors : dict of str to tensor
    """

    def __init__(self, tensors):
        self.tensors = tensors

    def decode(self, encoded):
        """The value.

        Raises
        ------
        InvalidFileError, KeyError, TypeError, ValueError, …
            If no :class:`Encoder` wrote it.
        """
        if isinstance(encoded, list):
            return [self.decode(value) for value in encoded]
        if not isinstance(encoded, dict):
            return encoded
        ((tag, payload),) = encoded.items()
        if tag not in self.kinds():
            raise InvalidFileError(f"values of the kind {tag!r} are unknown")
        return self.kinds()[tag].decode(payload, self)

    def kinds(self):
        """Kinds of values, by tag."""
        return KINDS


@dataclass(frozen=True)
class Kind:
    """One kind of value.

    Attributes
    ----------
    matches : callable
        Whether a value is of this kind.
    encode : callable
        Takes the value, the encoder and the prefix of names; returns JSON.
    decode : callable
        Takes that JSON and the decoder; returns the value.
    """

    matches: Callable
    encode: Callable
    decode: Callable


def exactly(*types):
    """A test for values of these types. A subclass may hold more, so it fails."""
    return lambda value: type(value) in types


# Plain values.


def decode_float(payload, decoder):
    if type(payload) is not str:
        raise InvalidFileError(f"{payload!r} is no float")
    return float(payload)


def encode_dict(value, encoder, where):
    return [
        [encoder.encode(key, where), encoder.encode(entry, f"{where}.{key}")]
        for key, entry in value.items()
    ]


def decode_dict(pairs, decoder):
    return {decoder.decode(key): decoder.decode(entry) for key, entry in pairs}


# Arrays. Their names in the file are their paths in the estimator.


def encode_array(value, encoder, where):
    if value.dtype.kind in "UO":
        # There are no tensors of text or objects: each item is encoded by itself.
        return {
            "dtype": value.dtype.str,
            "shape": list(value.shape),
            "items": encoder.encode_all(value.ravel().tolist(), where),
        }
    try:
        # from_numpy knows no other byte order.
        native = np.array(value, dtype=value.dtype.newbyteorder("="), order="C")
        tensor = torch.from_numpy(native.T.copy() if _is_fortran(value) else native)
    except TypeError:
        raise CannotHoldError(value) from None
    return {
        "dtype": value.dtype.str,
        "tensor": encoder.put(tensor, where),
        # The last bit of a matrix product can depend on the memory order.
        "order": "F" if _is_fortran(value) else "C",
    }


def _is_fortran(value):
    return value.flags.f_contiguous and not value.flags.c_contiguous


def decode_array(payload, decoder):
    if not NUMPY_DTYPE.fullmatch(payload["dtype"]):
        raise InvalidFileError(f"no array is of {payload['dtype']!r}")
    dtype = np.dtype(payload["dtype"])
    if "items" in payload:
        if dtype.kind not in "UO":
            raise InvalidFileError(f"an array of {dtype} has no items")
        array = np.empty(len(payload["items"]), dtype=object)
        for i, item in enumerate(decoder.decode(payload["items"])):
            array[i] = item  # one by one: NumPy would turn tuples into columns
        if dtype.kind == "U":
            # As wide as its longest item: a file could name any width.
            array = array.astype(str)
        return array.reshape(payload["shape"])
    if dtype.kind not in "biuf":
        raise InvalidFileError(f"an array of {dtype} is no tensor")
    array = decoder.tensors[payload["tensor"]].numpy().astype(dtype)
    return array.T if payload["order"] == "F" else array


def is_frame(value):
    """Whether a value is a pandas DataFrame; this does not import pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and type(value) is pandas.DataFrame


def encode_frame(frame, encoder, where):
    columns = [frame.iloc[:, k].to_numpy() for k in range(frame.shape[1])]
    labels = [
        labels.to_numpy() if labels.dtype.kind in "biuf" else labels.tolist()
        for labels in (frame.index, frame.columns)
    ]
    if not frame.equals(build_frame(columns, *labels)):
        raise CannotHoldError(frame)
    return encoder.encode_all([columns, *labels], where)


def build_frame(columns, index, names):
    """A DataFrame from arrays, one per column, and labels."""
    import pandas as pd

    frame = pd.DataFrame(dict(enumerate(columns)), index=pd.Index(index))
    return frame.set_axis(pd.Index(names), axis=1)


def encode_random_state(value, encoder, where):
    state = value.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        raise CannotHoldError(value)
    return encoder.encode(state, where)


def decode_random_state(payload, decoder):
    state = decoder.decode(payload)
    check_generator_state(state)
    generator = np.random.RandomState(0)
    generator.set_state(state)
    return generator


# Torch.


def decode_dtype(name, decoder):
    return next(dtype for dtype, known in DTYPES.items() if known == name)


# Classes.


def package_of(cls):
    """The package by which a file may refer to a class, or None."""
    for name in PACKAGES:
        if class_in(name, cls.__name__) is cls:
            return name
    return None


def class_in(package_name, name):
    """The class of this name that a package defines, or None."""
    package, base = PACKAGES[package_name]
    cls = vars(package).get(name)
    is_own = (
        isinstance(cls, type)
        and issubclass(cls, base)
        and f"{cls.__module__}.".startswith(DEFINED_IN.get(package_name, package_name))
    )
    return cls if is_own else None


def encode_class(cls, encoder, where):
    package = package_of(cls)
    if package is None:
        raise CannotHoldError(cls)
    return [package, cls.__name__]


def decode_class(payload, decoder):
    package_name, name = payload
    cls = class_in(package_name, name) if package_name in PACKAGES else None
    if cls is None:
        raise InvalidFileError(
            f"it names {package_name}.{name}, which is none of the classes that a file "
            "may name"
        )
    return cls


def is_our_loss(value):
    return type(value) in losses.LOSSES.values()


def encode_loss(loss, encoder, where):
    (name,) = (name for name, cls in losses.LOSSES.items() if cls is type(loss))
    params = {}
    for key, parameter in inspect.signature(type(loss)).parameters.items():
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            continue  # nn.Module's own *args
        value = getattr(loss, key)  # a loss stores its parameters by their names
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu().numpy()
        params[key] = value
    return [name, encoder.encode(params, where)]


def decode_loss(payload, decoder):
    name, params = payload
    return losses.LOSSES[name](**decoder.decode(params))


KINDS = {
    "float": Kind(
        exactly(float),  # the finite ones are JSON
        lambda value, encoder, where: repr(value),
        decode_float,
    ),
    "tuple": Kind(
        exactly(tuple, torch.Size),
        lambda value, encoder, where: encoder.encode_all(value, where),
        lambda payload, decoder: tuple(decoder.decode(payload)),
    ),
    "dict": Kind(exactly(dict, OrderedDict), encode_dict, decode_dict),
    "set": Kind(
        exactly(set),
        lambda value, encoder, where: encoder.encode_all(value, where),
        lambda payload, decoder: set(decoder.decode(payload)),
    ),
    "array": Kind(exactly(np.ndarray), encode_array, decode_array),
    "scalar": Kind(
        lambda value: isinstance(value, np.generic),
        lambda value, encoder, where: encode_array(np.array(value), encoder, where),
        lambda payload, decoder: decode_array(payload, decoder)[()],
    ),
    "frame": Kind(
        is_frame,
        encode_frame,
        lambda payload, decoder: build_frame(*decoder.decode(payload)),
    ),
    "random_state": Kind(
        exactly(np.random.RandomState), encode_random_state, decode_random_state
    ),
    "tensor": Kind(
        exactly(torch.Tensor),
        lambda value, encoder, where: encoder.put(value, where),
        lambda payload, decoder: decoder.tensors[payload],
    ),
    "device": Kind(
        exactly(torch.device),
        lambda value, encoder, where: str(value),
        lambda payload, decoder: torch.device(payload),
    ),
    "dtype": Kind(
        lambda value: isinstance(value, torch.dtype) and value in DTYPES,
        lambda value, encoder, where: DTYPES[value],
        decode_dtype,
    ),
    "class": Kind(lambda value: isinstance(value, type), encode_class, decode_class),
    "loss": Kind(is_our_loss, encode_loss, decode_loss),
}
