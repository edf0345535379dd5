"""A fit that was killed continues where it stopped.

A fit is a sequence of stages: the training of one net, or of several together. The
stages are the same in every repetition of the fit, since all seeds come from one
generator. Each stage keeps its state in a file of its own. When the same fit is called
again, stages that ended are restored, and the unfinished one continues.
"""

import io
import pickle
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from sklearn_noisy._serialization.file import write_whole
from sklearn_noisy._version import __version__
from sklearn_noisy.exceptions import TrainingDivergedError

# Parameters without effect on what a fit learns.
WITHOUT_EFFECT = ("checkpoint", "verbose")

# Packages whose objects joblib can hash.
HASHABLE = ("numpy", "scipy", "pandas", "polars")


class Checkpoint:
    """Files of one fit.

    Parameters
    ----------
    folder : Path
    key : str
        Identifies this fit.
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
            With ``epochs``, ``state_dict`` and ``load_state_dict``.
        """
        self.n_stages += 1
        path = self.folder / f"{self.key}-{self.n_stages}.pt"
        if path.exists():
            content = read(path)
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
            write(content, path)
            yield

    def share_generator(self, generator: np.random.RandomState) -> None:
        """Set a generator to the state that it had when the fit first began."""
        path = self.folder / f"{self.key}-0.pt"
        if path.exists():
            generator.set_state(read(path))
        else:
            write(generator.get_state(legacy=False), path)

    def remove(self) -> None:
        """Remove the files: the fit has ended."""
        for path in self.files():
            path.unlink(missing_ok=True)  # the same fit may run twice

    def files(self) -> list[Path]:
        """Existing files of this fit."""
        return list(self.folder.glob(f"{self.key}-*"))


def write(content: Any, path: Path) -> None:
    """Replace a file in one step: a kill leaves the old one or the new one."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_whole(path, buffer.getvalue())


def read(path: Path) -> Any:
    """Content of a file that :func:`write` wrote.

    Raises
    ------
    RuntimeError
        If the file is something else.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        error.add_note(f"checkpoint={str(path.parent)!r} holds {path.name}: remove it.")
        raise


@contextmanager
def checkpointed(
    estimator: Any, trainer: Any, data: Any, before: Any
) -> Iterator[None]:
    """Write checkpoints during a fit, and remove them when it has ended.

    The files stay if training was interrupted or failed. They are removed if it
    diverged, since it would diverge again.

    Parameters
    ----------
    estimator : estimator
        With `checkpoint`, a folder.
    trainer : Trainer
    data : TrainingData
    before : object
        What training continues from, or None.
    """
    folder = Path(estimator.checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint(folder, fit_key(estimator, data, before))
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


def fit_key(estimator: Any, data: Any, before: Any) -> str:
    """Hash of everything that a fit depends on.

    Parameters
    ----------
    estimator : estimator
    data : TrainingData
    before : object
        What training continues from, or None.
    """
    params = {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        if name not in WITHOUT_EFFECT
    }
    about = [type(estimator), params, before, vars(data), __version__]
    return joblib.hash(_by_content([*about, torch.__version__]))


def _by_content(value: Any) -> Any:
    """The value in a form that joblib can hash: arrays, plain values, names."""
    if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, nn.Module):
        state = {k: v.detach().cpu().numpy() for k, v in value.state_dict().items()}
        return [_by_content(type(value)), repr(value), state]
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, np.random.RandomState):
        return value.get_state(legacy=False)
    if isinstance(value, dict):
        return {key: _by_content(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_by_content(entry) for entry in value]
    module = type(value).__module__
    if hasattr(value, "__dict__") and module.partition(".")[0] not in HASHABLE:
        return [_by_content(type(value)), _by_content(vars(value))]
    return value
