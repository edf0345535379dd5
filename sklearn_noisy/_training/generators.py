"""Torch's global generators: seeded for the fit of one thread at a time, and restored.

Modules, dropout and initial weights draw from generators that a process has only once.
So fits in threads of one process take turns.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from sklearn_noisy._threads import Turn

SEED_LIMIT = np.iinfo(np.int32).max

States = dict[str, Any]


def _states(*, cuda: bool) -> States:
    states: States = {"cpu": torch.get_rng_state()}
    if cuda:
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def _restore(states: States) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state_all(states["cuda"])


class Generators:
    """Who draws from torch's global generators.

    Attributes
    ----------
    turn : Turn
        Held by the thread that draws.
    n_open : int
        Fits that have seeded the generators and have not ended. Several are open only
        if one of them has lent its turn.
    untouched : dict
        States from before the first of them.
    lent_by : object
        The fit that has lent its turn, if no other fit has done so since.
    """

    def __init__(self) -> None:
        self.turn = Turn()
        self.n_open = 0
        self.untouched: States = {}
        self.lent_by: object = None

    @contextmanager
    def seeded(self, seed: int, *, cuda: bool) -> Iterator[None]:
        """Seed the generators; restore them at the end.

        Parameters
        ----------
        seed : int
        cuda : bool
            Whether to seed those of the GPUs as well.
        """
        with self.turn.held():
            is_outermost = self.turn.depth == 1
            before = _states(cuda=cuda)
            if is_outermost:
                self.untouched = {**before, **(self.untouched if self.n_open else {})}
                self.n_open += 1
            try:
                # torch.manual_seed would also seed devices that are not saved.
                torch.default_generator.manual_seed(seed)
                if cuda:
                    torch.cuda.manual_seed_all(seed)
                yield
            finally:
                _restore(before)
                if is_outermost:
                    self.n_open -= 1
                    if not self.n_open:
                        _restore(self.untouched)

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Let fits of other threads draw, while this thread may wait for them."""
        if not self.turn.depth:
            yield
            return
        mine = _states(cuda=torch.cuda.is_available() and torch.cuda.is_initialized())
        self.lent_by = token = object()
        try:
            with self.turn.lent():
                yield
        finally:
            # Fits that began and ended in between left the generators as they were.
            if self.lent_by is not token:
                _restore(mine)
            self.lent_by = None


GENERATORS = Generators()


@contextmanager
def seeded_torch(rng: np.random.RandomState, device: torch.device) -> Iterator[None]:
    """Seed torch's generators by one draw from `rng`; restore them at the end.

    Other threads wait until then.
    """
    with GENERATORS.seeded(rng.randint(SEED_LIMIT), cuda=device.type == "cuda"):
        yield
