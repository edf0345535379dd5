"""A fit that was killed continues where it stopped.

A fit is a sequence of stages: the training of one net, or of several together. The
stages are the same in every repetition of the fit, since all seeds come from one
generator. Each stage keeps its state in a file of its own. When the same fit is called
again, stages that ended are restored, and the unfinished one continues.

The files hold data, as those of `sklearn_noisy.save` do, and only their owner can read
them. Fits with the same key that run at the same time have different slots, so they
share no file.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import skorch
import torch
from tqdm import tqdm

from sklearn_noisy._rows.rows import TrainingData
from sklearn_noisy._serialization.file import (
    CHECKPOINT,
    pack,
    remove_leftovers,
    unpack,
    write_whole,
)
from sklearn_noisy._serialization.values import (
    DECODING_ERRORS,
    KINDS,
    CannotHoldError,
    Decoder,
    Encoder,
)
from sklearn_noisy._training.content_hash import UnknownContentError, content_hash
from sklearn_noisy._training.net import CallbackState
from sklearn_noisy._validation import check_generator_state
from sklearn_noisy._version import __version__
from sklearn_noisy.exceptions import (
    CheckpointWarning,
    InvalidFileError,
    TrainingDivergedError,
)

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Parameters without effect on what a fit learns.
WITHOUT_EFFECT = ("checkpoint", "verbose")

#: Files and folders that nobody else can read.
OWNER_ONLY_FILE, OWNER_ONLY_FOLDER = 0o600, 0o700


class Checkpoint:
    """Files of one fit.

    Parameters
    ----------
    folder : Path
    key : str
        Identifies this fit, and its slot.
    """

    def __init__(self, folder: Path, key: str):
        self.folder = folder
        self.key = key
        self.n_stages = 0

    def epochs_of(self, training: Any) -> Iterator[None]:
        """Epochs of the next stage, from its last checkpoint on; each writes one.

        Parameters
        ----------
        training : object
            With ``epochs``, ``state_dict``, ``check_state`` and ``load_state_dict``.
        """
        self.n_stages += 1
        path = self._path(self.n_stages)
        # Attributes of callbacks that are not data, as they are at first.
        start = StateEncoder()
        start.encode({"state": training.state_dict()}, "")
        if path.exists():
            with named_in_errors(path):
                content = read(path)
                training.check_state(content["state"])
                torch.set_rng_state(content["cpu"])
                if content["cuda"]:
                    torch.cuda.set_rng_state_all(content["cuda"])
                training.load_state_dict(content["state"])
        for _ in training.epochs():
            on_cuda = torch.cuda.is_available() and torch.cuda.is_initialized()
            content = {
                "state": training.state_dict(),
                "cpu": torch.get_rng_state(),
                "cuda": torch.cuda.get_rng_state_all() if on_cuda else [],
            }
            write(content, path, start.unheld)
            yield

    def share_generator(self, generator: np.random.RandomState) -> None:
        """Set a generator to the state that it had when the fit first began."""
        path = self._path(0)
        if path.exists():
            with named_in_errors(path):
                state = read(path)
                check_generator_state(state)
                generator.set_state(state)
        else:
            write(generator.get_state(legacy=False), path)

    def remove(self) -> None:
        """Remove the files: the fit has ended.

        Warns
        -----
        CheckpointWarning
            If a file cannot be removed. The fit is complete nevertheless.
        """
        try:
            for path in self.files():
                path.unlink(missing_ok=True)
                remove_leftovers(path, age=0)
        except OSError as error:
            warnings.warn(
                f"fit has ended, but a checkpoint of it cannot be removed: {error}. "
                "Remove the file, or the next call of the same fit resumes from it.",
                CheckpointWarning,
                stacklevel=2,
            )

    def files(self) -> list[Path]:
        """Existing files of this fit."""
        return sorted(self.folder.glob(f"{self.key}-*"))

    def _path(self, stage: int) -> Path:
        return self.folder / f"{self.key}-{stage}.safetensors"


# Content of the files.


class StateEncoder(Encoder):
    """An encoder of the state of a training.

    A callback may have attributes that are not data, such as a function, an open file
    or a progress bar. They are left out if they are as they were when the training
    began, since the callback of another process begins with the same ones.

    Parameters
    ----------
    at_start : dict or None
        `unheld` of the encoder that encoded the state when the training began; None
        for that encoder itself.

    Attributes
    ----------
    unheld : dict of str to str or None
        Hash of each attribute that was left out; None if it has no readable content.
    """

    def __init__(self, at_start: dict[str, str | None] | None = None):
        super().__init__()
        self.at_start = at_start
        self.unheld: dict[str, str | None] = {}

    def encode(self, value: Any, where: str) -> Any:
        """JSON for a value."""
        if type(value) is not CallbackState:
            return super().encode(value, where)
        pairs = []
        for name, entry in value.items():
            place = f"{where}.{name}"
            try:
                pairs.append([name, super().encode(entry, place)])
            except CannotHoldError:
                try:
                    found = content_hash(entry)
                except UnknownContentError:
                    found = None
                if self.at_start is not None and found != self.at_start.get(place):
                    raise
                self.unheld[place] = found
        return {"dict": pairs}


class StateDecoder(Decoder):
    """A decoder of data alone."""

    def kinds(self) -> dict[str, Any]:
        """Kinds of values, by tag."""
        return {tag: KINDS[tag] for tag in KINDS if tag not in ("class", "loss")}


def write(content: Any, path: Path, at_start: Any = None) -> None:
    """Replace a file in one step: a kill leaves the old one or the new one.

    Raises
    ------
    TypeError
        If the content is not data.
    """
    encoder = StateEncoder(at_start or {})
    try:
        document = encoder.encode(content, "")
    except CannotHoldError as error:
        raise TypeError(
            f"checkpoint cannot keep the state of this training: {error}. A callback "
            "with the methods state_dict and load_state_dict decides what is kept."
        ) from error
    packed = pack(document, encoder.tensors, CHECKPOINT)
    write_whole(path, packed, mode=OWNER_ONLY_FILE)


def read(path: Path) -> Any:
    """Content of a file that :func:`write` wrote.

    Raises
    ------
    InvalidFileError
        If the file is something else, or damaged.
    """
    document, tensors = unpack(path.read_bytes(), path.name, CHECKPOINT)
    return StateDecoder(tensors).decode(document)


@contextmanager
def named_in_errors(path: Path) -> Iterator[None]:
    """Raise an InvalidFileError that names the file, for any error of its content."""
    try:
        yield
    except DECODING_ERRORS as error:
        raise InvalidFileError(
            f"checkpoint={str(path.parent)!r} holds {path.name}, which is damaged or "
            f"no checkpoint of this fit: {error}. Remove the file to begin anew."
        ) from error


# A fit.


@contextmanager
def checkpointed(
    estimator: Any,
    params: Mapping[str, Any],
    trainer: Any,
    data: TrainingData,
    before: Any,
) -> Iterator[None]:
    """Write checkpoints during a fit, and remove them when it has ended.

    The files stay if training was interrupted or failed. They are removed if it
    diverged, since it would diverge again.

    Parameters
    ----------
    estimator : estimator
        With `checkpoint`, a folder.
    params : dict
        All parameters that a fit reads.
    trainer : Trainer
    data : TrainingData
    before : object
        What training continues from, or None.

    Raises
    ------
    TypeError
        If the content of a parameter or of the rows cannot be read.
    InvalidFileError
        If a checkpoint of this fit is damaged.
    """
    folder = Path(estimator.checkpoint)
    key = fit_key(type(estimator), params, data, before)
    folder.mkdir(mode=OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
    with own_slot(folder, key) as name:
        checkpoint = Checkpoint(folder, name)
        if estimator.verbose and checkpoint.files():
            tqdm.write(f"resuming from the checkpoint in {folder}", file=sys.stderr)
        checkpoint.share_generator(trainer.rng)
        trainer.checkpoint = checkpoint
        try:
            yield
        except TrainingDivergedError:
            checkpoint.remove()
            raise
        finally:
            trainer.checkpoint = None
        if not trainer.net.interrupted_:
            checkpoint.remove()


def fit_key(cls: type, params: Mapping[str, Any], data: Any, before: Any) -> str:
    """Hash of everything that a fit depends on.

    Parameters
    ----------
    cls : type
        Class of the estimator.
    params : dict
        All parameters that a fit reads.
    data : TrainingData
    before : object
        What training continues from, or None.

    Raises
    ------
    TypeError
        If something that a fit depends on has no readable content.
    """
    params = {
        name: value for name, value in params.items() if name not in WITHOUT_EFFECT
    }
    packages = (np, sklearn, skorch, torch)
    about = {
        "class": cls,
        "params": params,
        "before": before,
        "data": {**vars(data), "rows": (data.rows.source.X, data.rows.positions)},
        "versions": [__version__, *(package.__version__ for package in packages)],
    }
    try:
        return content_hash(about)
    except UnknownContentError as error:
        raise TypeError(
            "checkpoint needs the content of all parameters and rows, to tell this fit "
            f"from others, but {error}. Set checkpoint=None, or give the class of the "
            "object a method __getstate__ that returns its content."
        ) from error


# Fits that run at the same time.

# Descriptors of the locks that this process holds.
_HELD: set[int] = set()


def _release_in_child() -> None:
    """Let no child keep the lock of its parent: workers can outlive a killed one."""
    for descriptor in _HELD:
        os.close(descriptor)
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release_in_child)


@contextmanager
def own_slot(folder: Path, key: str) -> Iterator[str]:
    """Key and number of a slot that no other fit uses at present.

    The system releases the lock of a process that was killed. A free slot with files
    comes first: the fit of a killed process continues. Without locks (on Windows, and
    on some network file systems), all fits of a key have the same slot.

    Parameters
    ----------
    folder : Path
    key : str
    """
    names = (path.name.split(".")[1] for path in folder.glob(f"{key}.*-*"))
    used = sorted({int(name.partition("-")[0]) for name in names})
    number, path, descriptor = next(
        (number, path, descriptor)
        for number in chain(used, count(1))
        for path in (folder / f"{key}.{number}.lock",)
        if (descriptor := _locked(path)) is not None
    )
    _HELD.add(descriptor)
    try:
        yield f"{key}.{number}"
    finally:
        path.unlink(missing_ok=True)
        _HELD.discard(descriptor)
        os.close(descriptor)


def _locked(path: Path) -> int | None:
    """Descriptor of a locked file; None if another fit has locked it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, OWNER_ONLY_FILE)
        if fcntl is None:
            return descriptor
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except FileNotFoundError:
            pass  # its owner removed the file before this lock: try again
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:  # this file system has no locks
            return descriptor
        os.close(descriptor)
