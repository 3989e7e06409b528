"""Every way through the step from a region's sums to its loss and slopes: dtypes of weights and upstream gradients."""

import itertools

import pytest
import torch
from cases import DTYPES, uniform
from conftest import Backend
from regions import ACTIVATIONS, CASES, Case, every_case

from iouloss import reference

PER = ("image_class", "class", "image", "batch")


@every_case
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_way_through_the_values(backend: Backend, case: Case, reduction: str, dtype: torch.dtype) -> None:
    if not backend.compiled:
        pytest.skip("the reference has no such operator")
    ways = itertools.product(PER, (None, *DTYPES), DTYPES)
    for number, (per, weight_dtype, upstream_dtype) in enumerate(ways):
        if case.kind == "generalized_dice" and per in ("image_class", "class"):
            continue
        activation = ACTIVATIONS[number % 2]
        x = (4 * uniform(2, 3, 10, seed=number) - 2).to(dtype)
        targets = uniform(2, 3, 10, seed=number + 1).to(dtype)
        weight = None if weight_dtype is None else uniform(3, seed=4).to(weight_dtype)
        by = torch.tensor(7.0, dtype=dtype) if reduction == "mean" else None
        options = case.arguments(activation, per, reduction=reduction)

        exact = x.double().requires_grad_()
        others = (None if tensor is None else tensor.double() for tensor in (weight, by))
        want = reference.region_loss(exact, targets.double(), *others, *options)
        upstream = uniform(*want.shape, seed=5).to(upstream_dtype)
        (slope,) = torch.autograd.grad(want, exact, upstream.double())

        moved = [None if tensor is None else tensor.to(backend.device) for tensor in (x, targets, weight, by)]
        ops, upstream = torch.ops.iouloss, upstream.to(backend.device)
        loss, slopes = ops.region_loss_and_slopes(*moved, None, *options)
        assert torch.equal(ops.region_loss(*moved, None, *options), loss)
        gradient = ops.region_loss_backward(upstream, slopes, *moved, None, *options)
        torch.testing.assert_close(loss.cpu().double(), want.detach(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(gradient.cpu().double(), slope, rtol=1e-4, atol=1e-7)


def test_the_table_has_every_kind() -> None:
    assert {case.kind for case in CASES} == {"dice", "generalized_dice", "tversky"}
