"""A hash of the content of any value, equal in every process.

Two values of the same content have the same hash, whatever objects they are. A value
whose content cannot be read has none: an error is better than a guess, since a guess
could take one fit for another.
"""

from __future__ import annotations

import copyreg
import dis
import functools
import hashlib
import reprlib
import site
import sys
import sysconfig
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import nn
from torch.utils.hooks import RemovableHandle

#: Size of a hash, in bytes.
SIZE = 16

# Values that `repr` shows completely.
PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), slice, range)

# Entries of a class that say nothing about what it does.
NOT_CONTENT = {
    *("__dict__", "__weakref__", "__doc__", "__annotations__", "__module__"),
    *("__firstlineno__", "__static_attributes__", "__abstractmethods__", "_abc_impl"),
    *("__annotate__", "__annotate_func__", "__annotations_cache__", "__match_args__"),
}


class UnknownContentError(TypeError):
    """The content of a value cannot be read.

    Attributes
    ----------
    value : object
    """

    def __init__(self, value: Any):
        super().__init__(f"the content of {reprlib.repr(value)} cannot be read")
        self.value = value


def content_hash(value: Any) -> str:
    """Hash of a value, of what it holds, and of the functions that it calls.

    Classes and functions of installed packages count by their name and the version of
    the package, others by their code. The global variables that a function reads count
    if they are data, functions or classes.

    Returns
    -------
    str
        Hexadecimal digits.

    Raises
    ------
    UnknownContentError
        If the value holds something that has no readable content, such as an open
        file.
    """
    return _Hasher().of(value).hex()


def _joined(tag: str, parts: Iterable[Any]) -> bytes:
    total = hashlib.blake2b(tag.encode(), digest_size=SIZE)
    for part in parts:
        total.update(part)
    return total.digest()


def _of_text(tag: str, text: str) -> bytes:
    return _joined(tag, [text.encode("utf-8", "surrogatepass")])


def _qualified(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"


@functools.cache
def _installed_in() -> tuple[Path, ...]:
    names = ("purelib", "platlib", "stdlib", "platstdlib")
    folders = [sysconfig.get_path(name) for name in names]
    folders += [*site.getsitepackages(), site.getusersitepackages()]
    return tuple(Path(folder).resolve() for folder in folders)


@functools.cache
def _version_of(module_name: str) -> str | None:
    """Version of the installed package of a module; None for the user's code."""
    top = module_name.partition(".")[0]
    if top in sys.stdlib_module_names and top != "__main__":
        return sys.version
    module = sys.modules.get(top)
    file = getattr(module, "__file__", None)
    is_ours = top == __name__.partition(".")[0]  # possibly installed in editable mode
    if file is None or not (
        is_ours or any(map(Path(file).resolve().is_relative_to, _installed_in()))
    ):
        return None
    return str(getattr(module, "__version__", ""))


class _Hasher:
    """Hashes of values, each computed once."""

    def __init__(self) -> None:
        self.known: dict[int, bytes] = {}
        self.kept: list[Any] = []  # so that no id is used twice
        self.open: list[int] = []

    def of(self, value: Any) -> bytes:
        """Hash of a value.

        Raises
        ------
        UnknownContentError
        """
        if type(value) in PLAIN:
            return _of_text(type(value).__name__, repr(value))
        place = id(value)
        if place in self.known:
            return self.known[place]
        if place in self.open:  # it holds itself
            steps = len(self.open) - self.open.index(place)
            return _of_text("cycle", str(steps))
        self.open.append(place)
        try:
            found = self._of(value)
        except RecursionError:
            raise UnknownContentError(value) from None
        finally:
            self.open.pop()
        self.kept.append(value)
        self.known[place] = found
        return found

    def all(self, tag: str, values: Iterable[Any]) -> bytes:
        return _joined(tag, map(self.of, values))

    def _of(self, value: Any) -> bytes:
        name = type(value).__name__
        if type(value) in (list, tuple):
            return self.all(name, value)
        if type(value) in (dict, types.MappingProxyType):
            return self._of_mapping("dict", value, self.of)
        if type(value) in (set, frozenset):
            return _joined("set", sorted(map(self.of, value)))
        if type(value) in (np.ndarray, np.memmap):
            return self._of_array(value)
        if isinstance(value, torch.Tensor):
            return self._of_tensor(value)
        if isinstance(value, types.ModuleType):
            return self._of_module(value)
        if isinstance(value, type):
            return self._of_class(value)
        if isinstance(value, types.FunctionType):
            return self._of_function(value)
        if isinstance(value, types.CodeType):
            return self._of_code(value)
        if isinstance(value, types.MethodType):
            return self.all("method", (value.__func__, value.__self__))
        if isinstance(value, (torch.dtype, torch.device, torch.memory_format)):
            return _of_text(name, str(value))
        if isinstance(value, (staticmethod, classmethod)):
            return self.all(name, [value.__func__])
        if isinstance(value, property):
            return self.all(name, (value.fget, value.fset, value.fdel))
        if isinstance(value, torch.Generator):
            return self.all(name, (str(value.device), value.get_state()))
        return self._of_object(value)

    def _of_mapping(self, tag: str, value: Mapping[Any, Any], of: Any) -> bytes:
        pairs = (_joined("", (self.of(key), of(entry))) for key, entry in value.items())
        return _joined(tag, sorted(pairs))

    def _of_array(self, array: np.ndarray) -> bytes:
        about = f"{array.dtype.str}{array.dtype.descr}{array.shape}"
        if array.dtype.hasobject:
            return _joined(about, [self.all("items", array.ravel().tolist())])
        # In its memory order: equal values in another order are another array, since
        # the last bit of a matrix product depends on it.
        order = "F" if array.flags.f_contiguous else "C"
        flat = array.ravel(order="K" if order == "F" else "C")
        return _joined(about + order, [flat.view(np.uint8).data])

    def _of_tensor(self, tensor: torch.Tensor) -> bytes:
        if nn.parameter.is_lazy(tensor):
            return _of_text("lazy", str(tensor.dtype))
        about = f"{tensor.dtype}{tuple(tensor.shape)}{tensor.device}"
        about += f"{tensor.requires_grad}{tensor.layout}"
        if tensor.layout == torch.sparse_coo:
            tensor = tensor.coalesce()
            return _joined(
                about, map(self.of, (tensor.indices(), tensor.values(), None))
            )
        if tensor.layout != torch.strided:
            raise UnknownContentError(tensor)
        flat = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
        return _joined(about, [flat.numpy().data])

    def _of_object(self, value: Any) -> bytes:
        """Of what the object says of itself, as for a copy of it."""
        if isinstance(value, types.BuiltinFunctionType):
            holder = value.__self__
            is_function = holder is None or isinstance(holder, types.ModuleType)
            name = f"{value.__module__}.{value.__qualname__}"
            return _of_text("builtin", name) if is_function else self._reduced(value)
        if sparse.issparse(value):
            parts = value.tocoo()
            return self.all(
                "sparse",
                (type(value), value.shape, parts.row, parts.col, parts.data),
            )
        if hasattr(value, "to_numpy"):
            return self._of_frame(value)
        return self._reduced(value)

    def _of_frame(self, value: Any) -> bytes:
        """Of a DataFrame, Series or Index of pandas or polars."""
        columns = [value]
        if hasattr(value, "columns"):
            columns = [
                value[:, k] if _is_polars(value) else value.iloc[:, k]
                for k in range(value.shape[1])
            ]
        labels = [
            None if axis is None else [str(axis.dtype), np.asarray(axis)]
            for axis in (getattr(value, "index", None),)
            if not callable(axis)
        ]
        content = [[str(c.dtype), c.name, np.asarray(c)] for c in columns]
        return self.all("frame", (type(value), labels, content))

    def _reduced(self, value: Any) -> bytes:
        try:
            registered = copyreg.dispatch_table.get(type(value))
            reduced = registered(value) if registered else value.__reduce_ex__(4)
        except (TypeError, AttributeError, ValueError, RuntimeError, OSError) as error:
            raise UnknownContentError(value) from error
        if isinstance(reduced, str):  # the name of a global object
            return _of_text("global", f"{type(value).__module__}.{reduced}")
        function, arguments, *rest = reduced
        state, items, pairs = (*rest, None, None, None)[:3]
        if isinstance(value, nn.Module) and isinstance(state, dict):
            state = {**state, **_hooks_in(state)}
        return self.all(
            "object",
            (
                _qualified(function) if hasattr(function, "__qualname__") else function,
                type(value),
                arguments,
                state,
                None if items is None else list(items),
                None if pairs is None else dict(pairs),
            ),
        )

    # Code.

    def _of_module(self, module: types.ModuleType) -> bytes:
        version, content = _version_of(module.__name__), b""
        if version is None and getattr(module, "__file__", None):
            content = Path(str(module.__file__)).read_bytes()
        return _joined(f"module {module.__name__} {version}", [content])

    def _of_class(self, cls: type) -> bytes:
        version = _version_of(cls.__module__)
        if version is not None:
            return _of_text("class", f"{_qualified(cls)} {version}")
        entries = {
            name: entry for name, entry in vars(cls).items() if name not in NOT_CONTENT
        }
        return _joined(
            f"class {cls.__qualname__}",
            (
                self.all("bases", cls.__bases__),
                self._of_mapping("entries", entries, self._of_named),
            ),
        )

    def _of_function(self, function: types.FunctionType) -> bytes:
        version = _version_of(function.__module__ or "")
        if version is not None and "<" not in function.__qualname__:
            return _of_text("function", f"{_qualified(function)} {version}")
        cells = []
        for cell in function.__closure__ or ():
            try:
                cells.append(cell.cell_contents)
            except ValueError:  # it is set later
                cells.append("empty cell")
        known = function.__globals__
        read = {
            name: known[name]
            for name in _globals_of(function.__code__)
            if name in known
        }
        if version is not None:
            read = {}  # a function inside one of a package
        return _joined(
            "function",
            (
                self._of_code(function.__code__),
                self.of(function.__defaults__),
                self.of(function.__kwdefaults__),
                self.of(cells),
                self.of(vars(function)),
                self._of_mapping("globals", read, self._of_named),
            ),
        )

    def _of_code(self, code: types.CodeType) -> bytes:
        return self.all(
            "code",
            (
                *(code.co_code, code.co_names, code.co_varnames, code.co_freevars),
                *(code.co_argcount, code.co_kwonlyargcount, code.co_flags),
                code.co_consts,
            ),
        )

    def _of_named(self, value: Any) -> bytes:
        """Of what a function or a class refers to by a name.

        This may be anything, such as a logger. Without readable content, it counts by
        its type.
        """
        n_open = len(self.open)
        try:
            return self.of(value)
        except UnknownContentError:
            del self.open[n_open:]
            return _of_text("unknown", _qualified(type(value)))


def _hooks_in(state: dict[str, Any]) -> dict[str, Any]:
    """Hooks of a module, without the numbers that torch counts them by."""
    return {
        name: list(entry.values()) if isinstance(entry, dict) else None
        for name, entry in state.items()
        if "hook" in name and isinstance(entry, (dict, RemovableHandle))
    }


def _globals_of(code: types.CodeType) -> set[str]:
    """Names of the global variables that a function and those inside it read."""
    names = {
        str(step.argval)
        for step in dis.get_instructions(code)
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _globals_of(constant)
    return names


def _is_polars(frame: Any) -> bool:
    return type(frame).__module__.partition(".")[0] == "polars"
