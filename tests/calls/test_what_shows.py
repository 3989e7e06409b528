"""What is wrong with a weight or with what is upstream shows in the loss and in the gradient, of every loss."""

import math

import pytest
import torch
from backends import Backend
from every_call import CALLS, Call
from torch import Tensor

every_call = pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
weighted = pytest.mark.parametrize("call", [c for c in CALLS if "weight" in c.tensors], ids=lambda call: call.name)
every_number = pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])


def inputs(call: Call, device: str) -> dict[str, Tensor]:
    tensors = {}
    for name, given in call.tensors.items():
        count = math.prod(given.shape)
        values = given.values.flatten().repeat(-(-count // given.values.numel()))[:count].reshape(*given.shape)
        tensors[name] = values.to(given.dtypes[0]).to(device)
    if "mask" in tensors:
        tensors["mask"] = torch.ones_like(tensors["mask"])
    return tensors


def evaluated(call: Call, tensors: dict[str, Tensor], reduction: str, upstream: Tensor | None) -> list[Tensor]:
    leaves = {name: x.detach().requires_grad_() if name in call.by else x for name, x in tensors.items()}
    loss = call(**leaves, reduction=reduction)
    above = torch.ones_like(loss) if upstream is None else upstream.expand_as(loss).contiguous()
    return [loss, *torch.autograd.grad(loss, [leaves[name] for name in call.by], above)]


@weighted
@every_number
def test_a_weight(backend: Backend, call: Call, number: float) -> None:
    tensors = inputs(call, backend.device)
    plain = evaluated(call, tensors, "none", None)
    tensors["weight"].flatten()[0] = number
    got = evaluated(call, tensors, "none", None)
    for after, before in zip(got, plain, strict=True):
        changed = after != before  # where the weight is that of the first item, which counted for something
        assert changed.any()
        assert not after[changed].isfinite().any()
    total = evaluated(call, tensors, "sum", None)[0]
    assert not total.isfinite()


@every_call
@every_number
@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_what_is_upstream(backend: Backend, call: Call, number: float, reduction: str) -> None:
    tensors = inputs(call, backend.device)
    plain = evaluated(call, tensors, reduction, None)[1:]
    upstream = torch.full((), number, dtype=torch.float32, device=backend.device)
    for after, before in zip(evaluated(call, tensors, reduction, upstream)[1:], plain, strict=True):
        counted = before != 0
        assert counted.any()
        assert not after[counted].isfinite().any()
