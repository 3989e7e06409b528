"""Whatever the strides of a tensor are, and where it begins: the values and the gradient are those of a copy of it."""

from typing import Any

import pytest
import torch
from backends import Backend
from every_call import CALLS, Call
from properties import given, settings, st
from strides import laid_out, layouts
from torch import Tensor

every_call = pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)


def few_of(backend: Backend) -> Any:
    """PyTorch's own operators are not under test here, and slow."""
    return settings() if backend.compiled else settings(max_examples=3)


def tensors_of(data: Any, call: Call, device: str) -> dict[str, Tensor]:
    tensors = {}
    for name, given_ in call.tensors.items():
        dtype = data.draw(st.sampled_from(list(given_.dtypes)), f"dtype of {name}")
        layout = data.draw(layouts(given_.shape), f"layout of {name}")
        tensors[name] = laid_out(given_.values.to(dtype).to(device), layout, given_.shape)
    return tensors


def upstream_of(data: Any, loss: Tensor) -> Tensor:
    values = torch.linspace(0.5, 1.5, max(loss.numel(), 1), dtype=loss.dtype, device=loss.device)
    return laid_out(values, data.draw(layouts(loss.shape), "layout of what is upstream"), loss.shape)


def evaluated(call: Call, tensors: dict[str, Tensor], reduction: str, upstream: Tensor) -> list[Tensor]:
    leaves = {name: x.detach().requires_grad_() if name in call.by else x for name, x in tensors.items()}
    loss = call(**leaves, reduction=reduction)
    gradients = torch.autograd.grad(loss, [leaves[name] for name in call.by], upstream)
    return [loss, *gradients, call(**tensors, reduction=reduction)]


@every_call
def test_the_layout_makes_no_difference(backend: Backend, call: Call) -> None:
    @few_of(backend)
    @given(st.data(), st.sampled_from(["none", "mean", "sum"]))
    def check(data: Any, reduction: str) -> None:
        tensors = tensors_of(data, call, backend.device)
        copies = {name: x.clone(memory_format=torch.contiguous_format) for name, x in tensors.items()}
        upstream = upstream_of(data, call(**copies, reduction=reduction))
        got = evaluated(call, tensors, reduction, upstream)
        want = evaluated(call, copies, reduction, upstream.clone(memory_format=torch.contiguous_format))
        for a, b in zip(got, want, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7, equal_nan=True)

    check()
