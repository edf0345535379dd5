"""The default network and its dropout."""

import numpy as np
import pytest
import torch

from sklearn_noisy.nn import MLP, Dropout


def test_mlp():
    module = MLP(6, 3, hidden_layer_sizes=(5, 4), dropout=0.1, input_dropout=0.2)
    linear = [m for m in module.modules() if isinstance(m, torch.nn.Linear)]
    assert [m.out_features for m in linear] == [5, 4, 3]
    assert module(torch.zeros(2, 2, 3)).shape == (2, 3)
    assert len(list(MLP(6, 3, hidden_layer_sizes=()).parameters())) == 2
    scaled = MLP(2, 3, input_scale=10.0)
    scaled.layers.load_state_dict((plain := MLP(2, 3)).layers.state_dict())
    X = torch.randn(4, 2)
    torch.testing.assert_close(scaled(10 * X), plain(X))


@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dropout(p, dtype):
    """As torch's: so many zeros, the rest scaled, the gradient of what is kept."""
    torch.manual_seed(0)
    X = torch.ones(300, 333, dtype=dtype, requires_grad=True)
    out = Dropout(p)(X)
    assert out.dtype == dtype
    kept = out != 0
    # Six standard errors.
    assert abs(kept.double().mean() - (1 - p)) < 6 * (p * (1 - p) / X.numel()) ** 0.5
    # p is rounded to a 65,536th.
    np.testing.assert_allclose(
        out[kept].detach().double(),
        1 / (1 - p),
        rtol=1e-2 if dtype == torch.bfloat16 else 1e-4,
    )
    out.sum().backward()
    torch.testing.assert_close(X.grad, out.detach())
    # All four units of a random number are independent, and so are rows.
    units = kept.double().flatten()[: 4 * (X.numel() // 4)].view(-1, 4)
    correlation = torch.corrcoef(units.T) - torch.eye(4)
    assert correlation.abs().max() < 6 / len(units) ** 0.5
    np.testing.assert_allclose(units.mean(dim=0), 1 - p, atol=6 * 0.5 / 158)


def test_dropout_follows_torch_where_nothing_is_drawn():
    X = torch.arange(6.0).view(2, 3)
    assert Dropout(0.5).eval()(X) is X
    assert torch.equal(Dropout(0.0)(X), X)
    assert torch.equal(Dropout(1.0)(X), torch.zeros(2, 3))
    assert Dropout(0.3)(torch.ones(0, 4)).shape == (0, 4)
    with pytest.raises(ValueError, match="p must be in"):
        Dropout(1.5)
    torch.manual_seed(1)
    one = Dropout(0.5)(torch.ones(50))
    torch.manual_seed(1)
    assert torch.equal(Dropout(0.5)(torch.ones(50)), one)
    Dropout(0.5, inplace=True)(X)
    assert (X == 0).sum() > 1
