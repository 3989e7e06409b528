"""Every way through the kernels of regions: dtypes of logits, targets, weights and upstream gradients, layouts."""

import itertools
from typing import Any

import pytest
import torch
from backends import Backend
from cases import DTYPES, misaligned, uniform
from regions import ACTIVATIONS, CASES, DICE, REGION_CASE, Case, every_case, losses, truths

from iouloss import reference
from iouloss.checks.tensors import INTEGRAL

pytestmark = pytest.mark.extension

PER = ("image_class", "class", "image", "batch")


@every_case
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_way_through_the_values(backend: Backend, case: Case, reduction: str, dtype: torch.dtype) -> None:
    if not backend.compiled:
        pytest.skip("the reference has no such operator")
    ways = itertools.product(PER, (None, *DTYPES), DTYPES)
    for number, (per, weight_dtype, upstream_dtype) in enumerate(ways):
        if case.formula == "generalized_dice" and per in ("image_class", "class"):
            continue
        activation = ACTIVATIONS[number // len(DTYPES) % 2]
        x = (4 * uniform(2, 3, 10, seed=number) - 2).to(dtype)
        targets = uniform(2, 3, 10, seed=number + 1).to(dtype)
        class_weight = None if weight_dtype is None else uniform(3, seed=4).to(weight_dtype)
        values = {"image_class": (2, 3), "class": (3,), "image": (2,), "batch": ()}[per]
        weight = uniform(*values, seed=6).to(upstream_dtype) if number // len(DTYPES) % 3 else None
        by = torch.tensor(7.0, dtype=dtype) if reduction == "mean" else None
        options = case.given(activation, per, reduction=reduction)

        exact = x.double().requires_grad_()
        others = (None if tensor is None else tensor.double() for tensor in (weight, class_weight, by))
        want = reference.region_loss(reference.RegionInputs(exact, targets.double(), *others, **options))
        upstream = uniform(*want.shape, seed=5).to(upstream_dtype)
        (slope,) = torch.autograd.grad(want, exact, upstream.double())

        moved = [
            None if tensor is None else tensor.to(backend.device) for tensor in (x, targets, weight, class_weight, by)
        ]
        ops, upstream = torch.ops.iouloss, upstream.to(backend.device)
        loss, slopes = ops.region_loss_and_slopes(*moved, None, **options)
        assert torch.equal(ops.region_loss(*moved, None, **options), loss)
        gradient = ops.region_loss_backward(upstream, slopes, *moved, None, **options)
        torch.testing.assert_close(loss.cpu().double(), want.detach(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(gradient.cpu().double(), slope, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("case", CASES[:2], ids=lambda case: case.name)
@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("place", [torch.clone, misaligned], ids=["vectors", "one by one"])
def test_every_way_through_the_gradient(backend: Backend, case: Case, activation: str, place: Any) -> None:
    if not backend.compiled:
        pytest.skip("the reference has no such operator")
    options, ops = case.given(activation, reduction="none"), torch.ops.iouloss
    for number, (kind, other) in enumerate(itertools.product(DTYPES, DTYPES)):
        x, targets = (8 * uniform(2, 3, 12, seed=number) - 4).to(kind), uniform(2, 3, 12, seed=number + 1).to(other)
        exact = x.double().detach().requires_grad_()
        want = reference.region_loss(reference.RegionInputs(exact, targets.double(), **options))
        upstream = uniform(2, 3, seed=5).to(torch.bfloat16)  # which all others can be
        (slope,) = torch.autograd.grad(want, exact, upstream.double())
        given = (
            *(place(tensor.to(backend.device)) for tensor in (x, targets)),
            None,
            None,
            None,
            None,
            *options.values(),
        )
        loss, slopes = ops.region_loss_and_slopes(*given)
        torch.testing.assert_close(loss.cpu().double(), want.detach(), rtol=1e-5, atol=1e-6)
        last = {torch.float16: 2.0**-10, torch.bfloat16: 2.0**-7}.get(kind, 1e-4)
        for dtype in DTYPES:
            gradient = ops.region_loss_backward(upstream.to(backend.device, dtype), slopes, *given)
            torch.testing.assert_close(gradient.cpu().double(), slope, rtol=last, atol=1e-6)


@pytest.mark.parametrize("case", CASES[:2], ids=lambda case: case.name)
@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("dtype", INTEGRAL)
def test_integer_targets_in_every_way(backend: Backend, case: Case, activation: str, dtype: torch.dtype) -> None:
    """Dense ones are the numbers that they are, and classes those of int64."""
    if not backend.compiled:
        pytest.skip("the reference has no such operator")
    options, ops = case.given(activation, reduction="none"), torch.ops.iouloss
    hot = (torch.arange(66).reshape(2, 3, 11) * 5 % 7 < 3).to(backend.device)
    classes = (torch.arange(22).reshape(2, 11) % (2 if dtype == torch.bool else 5)).to(backend.device)

    def results(x: torch.Tensor, targets: torch.Tensor) -> list[torch.Tensor]:
        given = (x, targets, None, None, None, None, *options.values())
        loss, slopes = ops.region_loss_and_slopes(*given)
        return [loss, slopes, ops.region_loss_backward(torch.ones_like(loss), slopes, *given)]

    for kind, place in itertools.product(DTYPES, (torch.clone, misaligned)):
        x = place((8 * uniform(2, 3, 11, seed=1) - 4).to(backend.device, kind))
        for targets, wanted in ((hot, hot.float()), (classes, classes)):
            for got, want in zip(results(x, place(targets.to(dtype))), results(x, wanted), strict=True):
                assert torch.equal(got, want)


@pytest.mark.parametrize("case", [DICE, REGION_CASE["generalized_dice"]], ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_partial_sums_of_a_large_image(backend: Backend, case: Case, dtype: torch.dtype) -> None:
    """A softmax leaves so many that each thread has fifteen of a class to fold: eight at a time, and the rest."""
    x, targets = (4 * uniform(1, 2, 61_440) - 2).to(dtype), uniform(1, 2, 61_440, seed=1).to(dtype)
    options = {"activation": "softmax", "per": "image"}
    (got, gradient), (want, slope) = losses(backend, case, x, targets, **options), truths(case, x, targets, **options)
    torch.testing.assert_close(got.double(), want, rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient.double(), slope, rtol=1e-4, atol=1e-9)
