"""How a classification layer begins."""

import pytest
import torch
from torch import nn

import iouloss


def test_prior_bias() -> None:
    assert iouloss.prior_bias() == pytest.approx(-4.59512, abs=1e-5)
    assert iouloss.prior_bias(0.1) == pytest.approx(-2.19722, abs=1e-5)
    layer = nn.Conv2d(3, 4, 1)
    iouloss.init_prior_bias(layer, 0.02)
    torch.testing.assert_close(torch.sigmoid(layer.bias), torch.full((4,), 0.02))
    with pytest.raises(ValueError, match=r"pi: got 1.0, wants a number in \(0, 1\)"):
        iouloss.prior_bias(1.0)
    with pytest.raises(TypeError, match="layer: got Conv2d without a bias, wants a module with one"):
        iouloss.init_prior_bias(nn.Conv2d(3, 4, 1, bias=False))
