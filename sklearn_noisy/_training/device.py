"""Devices and torch's global generators."""

from contextlib import contextmanager

import torch

from sklearn_noisy.exceptions import DeviceNotAvailableError

__all__ = ["resolve_device", "seeded_torch"]


def resolve_device(device):
    """The torch device that a `device` parameter means.

    Parameters
    ----------
    device : str or torch.device
        ``"auto"`` is ``"cuda"`` where there is one, else ``"cpu"``.

    Returns
    -------
    torch.device

    Raises
    ------
    TypeError, ValueError
        If `device` names no device.
    DeviceNotAvailableError
        If it names one that is not there.
    """
    accepted = "'cpu', 'cuda', 'cuda:<index>', 'auto' or a torch.device"
    if not isinstance(device, (str, torch.device)):
        raise TypeError(f"device must be {accepted}; got {device!r}.")
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device must be {accepted}; got {device!r}.") from error
    if resolved.type == "cpu":
        return resolved
    backend = getattr(torch, resolved.type, None)
    if backend is None or not backend.is_available():
        raise DeviceNotAvailableError(
            f"device={str(device)!r} was asked for, but torch {torch.__version__} "
            f"finds no {resolved.type} device here. Use device='cpu' or "
            "device='auto', or install a torch build for your device."
        )
    if resolved.index is not None and resolved.index >= backend.device_count():
        raise DeviceNotAvailableError(
            f"device={str(device)!r} was asked for, but there are only "
            f"{backend.device_count()} {resolved.type} devices here (counted from 0)."
        )
    return resolved


@contextmanager
def seeded_torch(seed, device):
    """Seed torch's generators inside, put them back outside."""
    on_cuda = device.type == "cuda"
    devices = range(torch.cuda.device_count()) if on_cuda else []
    with torch.random.fork_rng(devices=devices):
        # torch.manual_seed would also touch the devices that are not saved.
        torch.default_generator.manual_seed(seed)
        if on_cuda:
            torch.cuda.manual_seed_all(seed)
        yield
