"""A loss that is compared with its truth."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Loss = Callable[..., Tensor]


@dataclass
class Call:
    """A loss of host tensors. The first is differentiated; on the device, ``layout`` changes the layout of each."""

    name: str
    ours: Loss
    truth: Loss
    tensors: list[Tensor]
    layout: Callable[[Tensor], Tensor] = lambda tensor: tensor


def evaluate(loss: Loss, call: Call, device: str) -> list[Tensor]:
    """The loss and its gradient."""
    first, *others = (call.layout(t) if t.is_floating_point() else t for t in (t.to(device) for t in call.tensors))
    leaf = first.detach().requires_grad_()
    value = loss(leaf, *others)
    (gradient,) = torch.autograd.grad(value, leaf, torch.ones(value.shape, dtype=value.dtype).to(device))
    return [value.detach().cpu(), gradient.cpu()]
