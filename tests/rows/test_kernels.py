"""Every kernel on rows of logits through every way that it has: dtypes, layouts, weights, sums and left gradients."""

import itertools
from typing import Any

import pytest
import torch
from backends import Backend
from cases import DTYPES, evaluate, misaligned, random_logits, uniform
from operators import arguments as of_operator
from row_cases import RowCase, every_kernel
from torch import Tensor

import iouloss
from iouloss import reference
from iouloss.checks.tensors import INTEGRAL

pytestmark = pytest.mark.extension

CLASSES, ROWS = 12, 5  # all three vectors of four that a thread has


def arguments(
    case: RowCase, logits: Tensor, targets: Tensor | None, weight: Any, by: Any, class_weight: Any, reduction: str
) -> dict[str, Any]:
    """Of the operator."""
    others = {"weight": weight, "avg_factor": by, "class_weight": class_weight, "reduction": reduction}
    return of_operator("row_loss", case.inputs(logits, targets, **others))


def truths(case: RowCase, logits: Tensor, targets: Tensor | None, weight: Tensor, class_weight: Any) -> Tensor:
    """The losses by the reference, of the same numbers in float64."""
    targets, weight, class_weight = (
        x.double() if x is not None and x.is_floating_point() else x for x in (targets, weight, class_weight)
    )
    others = {"weight": weight, "class_weight": class_weight, "reduction": "none"}
    return reference.row_loss(case.inputs(logits, targets, **others))


def close(got: Tensor, wanted: Tensor, dtype: torch.dtype) -> None:
    last = {torch.float64: 1e-9, torch.float16: 2.0**-10, torch.bfloat16: 2.0**-7}.get(dtype, 2e-5)
    torch.testing.assert_close(got.detach().cpu().double(), wanted.detach(), rtol=last, atol=min(last, 1e-6))


@every_kernel
@pytest.mark.parametrize("place", [torch.clone, misaligned], ids=["vectors", "one by one"])
def test_every_way_through_the_kernels(backend: Backend, case: RowCase, place: Any) -> None:
    """Every dtype of logits, with every one of targets, of weights, and of an upstream gradient."""
    if not backend.compiled:
        pytest.skip("the reference has no such operator")
    for number, (kind, other) in enumerate(itertools.product(DTYPES, DTYPES)):
        of_weights = DTYPES[(number + number // 4) % 4]
        logits = (8 * uniform(ROWS, CLASSES, seed=number) - 4).to(kind)
        targets = case.make_targets(ROWS, classes=CLASSES, seed=number + 1, dtype=other)
        weight, class_weight = (uniform(n, seed=n, dtype=of_weights) + 0.5 for n in (ROWS, CLASSES))
        class_weight = class_weight if case.by_class else None
        exact = logits.double().detach().requires_grad_()
        wanted = truths(case, exact, targets, weight, class_weight)
        upstream = uniform(ROWS, seed=3).to(torch.bfloat16)  # which all others can be
        (slope,) = torch.autograd.grad(wanted, exact, upstream.double())

        x, z, w, v = (
            None if x is None else place(x.to(backend.device)) for x in (logits, targets, weight, class_weight)
        )
        given = arguments(case, x, z, w, None, v, "none")
        losses = torch.ops.iouloss.row_loss(**given)
        close(losses, wanted, losses.dtype)
        for dtype in DTYPES:
            gradient = torch.ops.iouloss.row_loss_backward(upstream.to(backend.device, dtype), **given)
            close(gradient, slope, torch.float32 if losses.dtype == torch.float32 == kind else kind)

        # A gradient that was left is computed again for an infinite one.
        leaf, given = x.detach().requires_grad_(), given | {"reduction": "sum"}
        infinite = torch.full((), torch.inf, dtype=losses.dtype, device=backend.device)
        (again,) = torch.autograd.grad(torch.ops.iouloss.row_loss(**(given | {"logits": leaf})), leaf, infinite)
        wanted = torch.ops.iouloss.row_loss_backward(infinite, **given)
        torch.testing.assert_close(again, wanted, rtol=0, atol=0, equal_nan=True)


@every_kernel
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("upstream", [1.0, 3.0])
@pytest.mark.parametrize("rows", [7, 601])
def test_sums_of_one_block_and_of_several(
    backend: Backend, case: RowCase, dtype: torch.dtype, upstream: float, rows: int
) -> None:
    """With and without a gradient, of a number of logits that is no multiple of what a thread takes."""
    if not backend.compiled:
        pytest.skip("the reference has no such operator")
    logits, targets = random_logits(rows, 3, dtype=dtype), case.make_targets(rows, classes=3, dtype=dtype)
    by = torch.tensor(7.0, device=backend.device)
    leaf = logits.to(backend.device).requires_grad_()
    moved = None if targets is None else targets.to(backend.device)
    given = arguments(case, leaf, moved, None, by, None, "mean")
    with_gradient = torch.ops.iouloss.row_loss(**given)
    loss = torch.ops.iouloss.row_loss(**(given | {"logits": leaf.detach()}))
    (gradient,) = torch.autograd.grad(with_gradient, leaf, torch.full_like(loss, upstream))
    each = torch.ops.iouloss.row_loss(**arguments(case, leaf, moved, None, None, None, "none"))
    (slope,) = torch.autograd.grad(each, leaf, torch.full_like(each, upstream))
    for got in (with_gradient, loss):
        torch.testing.assert_close(got, each.detach().sum() / 7, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient, slope / 7, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_class_indices_of_any_dtype(backend: Backend, smoothing: float) -> None:
    """They are those of int64, to the bit, in every kernel that takes any."""
    if not backend.compiled:
        pytest.skip("the reference has no such operator")
    classes = (torch.arange(ROWS) % 2).to(backend.device)
    for function, kind, dtype in itertools.product(
        (iouloss.softmax_focal_loss, iouloss.cross_entropy_loss), DTYPES, INTEGRAL
    ):
        x = (8 * uniform(ROWS, CLASSES) - 4).to(backend.device, kind)
        got, wanted = (
            evaluate(lambda x, t=t, f=function: f(x, t, label_smoothing=smoothing, reduction="none"), x)
            for t in (classes.to(dtype), classes)
        )
        assert all(torch.equal(g, w) for g, w in zip(got, wanted, strict=True))
