"""What decides which epoch is kept."""

import torch

from sklearn_noisy._training.callbacks import is_worse


def test_worse_by_a_standard_error():
    others = torch.linspace(0, 5, 100)
    assert is_worse(others + 0.1, others)
    assert not is_worse(others - 0.1, others)
    # The difference has standard deviation 1, its mean a standard error of 0.1.
    spread = torch.tensor([1.0, -1.0]).repeat(50)
    assert is_worse(others + spread + 0.12, others)
    assert not is_worse(others + spread + 0.08, others)
