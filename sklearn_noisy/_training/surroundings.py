"""Settings of torch that the caller may have made, and that a net is independent of."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def own_torch_modes() -> Iterator[None]:
    """Gradients as torch has them by default, and new tensors on the CPU.

    All of these modes belong to the thread, so other threads keep theirs.
    """
    with ExitStack() as modes:
        modes.enter_context(torch.inference_mode(mode=False))
        modes.enter_context(torch.enable_grad())
        # Only where it is needed: the mode makes every call of torch slower.
        if torch.empty(0).device.type != "cpu":
            modes.enter_context(torch.device("cpu"))
        yield
