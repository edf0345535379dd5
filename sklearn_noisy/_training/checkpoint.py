"""A fit that was killed goes on where it was.

A fit is a sequence of stages, the trainings of one net or of several together, which
are the same whenever it is repeated: all seeds come from one generator. So each stage
keeps, in a file of its own, how far it came; when the same fit is called again, stages
that ended are put back and the one that did not goes on.
"""

import io
import pickle
import sys
import types
from contextlib import contextmanager
from pathlib import Path

import joblib
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from sklearn_noisy._serialization.file import write_whole
from sklearn_noisy._version import __version__
from sklearn_noisy.exceptions import TrainingDivergedError

__all__ = ["NoCheckpoint", "checkpointed"]

# Parameters that change nothing of what a fit learns.
WITHOUT_EFFECT = ("checkpoint", "verbose")


class NoCheckpoint:
    """Keeps nothing."""

    def stage(self):
        """No stage."""
        return

    def share_generator(self, generator):
        """Nothing to share."""


class Checkpoint:
    """Files of one fit.

    Parameters
    ----------
    folder : Path
    key : str
        Tells this fit from others.
    """

    def __init__(self, folder, key):
        self.folder = folder
        self.key = key
        self.n_stages = 0

    def stage(self):
        """The next stage; the same call of another run gets the same one."""
        self.n_stages += 1
        return Stage(self.folder / f"{self.key}-{self.n_stages}.pt")

    def share_generator(self, generator):
        """Give a generator the state that it had when the fit began first."""
        path = self.folder / f"{self.key}-0.pt"
        if path.exists():
            generator.set_state(read(path))
        else:
            write(generator.get_state(legacy=False), path)

    def remove(self):
        """Remove the files: the fit has ended."""
        for path in self.files():
            path.unlink()

    def files(self):
        """Those that there are."""
        return list(self.folder.glob(f"{self.key}-*"))


class Stage:
    """One file: what a stage needs to go on, with torch's generators.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path):
        self.path = path

    def load(self):
        """How far the stage came, and the generators as they were; None at first."""
        if not self.path.exists():
            return None
        content = read(self.path)
        torch.set_rng_state(content["cpu"])
        if content["cuda"]:
            torch.cuda.set_rng_state_all(content["cuda"])
        return content["progress"]

    def save(self, progress):
        """Replace the file."""
        on_cuda = torch.cuda.is_available() and torch.cuda.is_initialized()
        content = {
            "progress": progress,
            "cpu": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if on_cuda else [],
        }
        write(content, self.path)


def write(content, path):
    """Replace a file, all at once: a kill leaves the old one or the new one."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_whole(path, buffer.getvalue())


def read(path):
    """What :func:`write` wrote.

    Raises
    ------
    RuntimeError
        If it is something else.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        error.add_note(f"checkpoint={str(path.parent)!r} holds {path.name}: remove it.")
        raise


@contextmanager
def checkpointed(estimator, data, go_on):
    """The checkpoint of a fit; its files are removed when the fit has ended.

    They stay if it was interrupted, and if it failed, unless training diverged, which
    it would again.

    Parameters
    ----------
    estimator : estimator
        With `checkpoint`, a folder or None.
    data : TrainingData
    go_on : bool
        Whether training goes on with the net of the last fit.
    """
    if estimator.checkpoint is None:
        yield NoCheckpoint()
        return
    folder = Path(estimator.checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint(folder, fit_key(estimator, data, go_on))
    if estimator.verbose and checkpoint.files():
        tqdm.write(f"going on from the checkpoint in {folder}", file=sys.stderr)
    try:
        yield checkpoint
    except TrainingDivergedError:
        checkpoint.remove()
        raise
    if not estimator.net_.interrupted_:
        checkpoint.remove()


def fit_key(estimator, data, go_on):
    """Hash of everything that a fit depends on."""
    params = {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        if name not in WITHOUT_EFFECT
    }
    before = (estimator.module_, estimator.n_iter_) if go_on else None
    about = [type(estimator), params, before, vars(data), __version__]
    return joblib.hash(_by_content([*about, torch.__version__]))


def _by_content(value):
    """The same value made of what can be hashed: arrays, plain values, names."""
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
    if hasattr(value, "__dict__") and module.partition(".")[0] not in KNOWN:
        return [_by_content(type(value)), _by_content(vars(value))]
    return value


# What joblib can hash as it is.
KNOWN = ("numpy", "scipy", "pandas", "polars")
