"""Every formula of single numbers through every way that its kernels have: dtypes, layouts, class indices, weights."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from backends import Backend
from cases import DTYPES, misaligned, uniform
from torch import Tensor

from iouloss import reference
from iouloss.reference import common, logits, regression
from iouloss.reference.checks import INTEGRAL

pytestmark = [pytest.mark.regression, pytest.mark.extension]

PARAMETERS = {
    "square_focal": (2.0, 0.0, 0.0),
    "focal": (1.5, 0.0, 0.0),
    "equalized_focal": (0.5, 2.0, 4.5),
    "smooth_focal": (1.5, 0.2, 0.0),
    "focal_star": (1.5, 0.5, 0.0),
    "poly_focal": (1.5, 0.7, 0.3),
    "quality_focal": (0.0, 1.5, 0.0),
    "varifocal": (0.0, 1.5, 1.0),
    "gaussian_focal": (0.0, 1.5, 3.0),
    "binary_cross_entropy": (0.0, 0.0, 0.0),
    "asymmetric": (1.5, 2.0, 0.05),
    "asymmetric_attached": (1.5, 2.0, 0.05),
    "binary_entropy": (0.0, 0.0, 0.0),
    "l1": (0.0, 0.0, 0.0),
    "l2": (0.0, 0.0, 0.0),
    "smooth_l1": (0.0, 0.7, 1.0),
    "balanced_l1": (0.5, 1.5, 1.0),
    "focal_l1": (2.0, -0.2, 0.0),
}
every_formula = pytest.mark.parametrize("formula", PARAMETERS)
IGNORED = 2
WITH_TARGETS = PARAMETERS.keys() - {"binary_entropy"}


@dataclass(frozen=True)
class Call:
    """The arguments of the operator."""

    formula: str
    logits: Tensor
    targets: Tensor
    scores: Tensor | None
    weight: Tensor | None
    alpha: Tensor | None  # one for each class
    gamma: Tensor | None
    complement: bool
    avg_factor: Tensor | None
    reduction: str
    ignores: bool = True

    @property
    def ignore_index(self) -> int | None:
        return IGNORED if self.ignores and self.formula in WITH_TARGETS else None

    def operator(self) -> tuple[Any, ...]:
        gamma, second, third = PARAMETERS[self.formula]
        tensors = (self.logits, self.targets, self.scores, self.weight, self.alpha, self.gamma, self.avg_factor, None)
        numbers = (0.25, 0.75, self.complement, gamma, second, third)
        return (*tensors, self.formula, *numbers, self.ignore_index, self.reduction)

    def truth(self, x: Tensor) -> Tensor:
        """By the reference in float64, of the same rounded numbers; ``x`` are the logits."""

        def double(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.cpu().double()

        gamma, second, third = PARAMETERS[self.formula]
        alpha, of_class = double(self.alpha), double(self.gamma)
        p = reference.Parameters(
            0.25, 0.75, gamma if of_class is None else of_class, second, third, alpha, self.complement
        )
        targets = self.targets.cpu() if self.targets.dtype == torch.int64 else double(self.targets)
        scores, weight = double(self.scores), double(self.weight)
        if self.formula in logits.FORMULAS:
            options = (self.formula, p, self.ignore_index, "none")
            return logits.logit_loss(reference.LogitInputs(x, targets, scores, weight, None, *options))
        # What the kernels make of a regression with class indices: nobody wants that, but it is the same way.
        kept = targets != IGNORED
        if targets.dtype == torch.int64:
            kept = kept[..., None]
            hot = targets[..., None] == torch.arange(x.shape[-1])
            targets = hot * (1.0 if scores is None else scores[..., None])
        loss = (
            p.alpha1
            * (1.0 if alpha is None else alpha)
            * regression.FORMULAS[self.formula](x - targets, gamma, p.second, p.third)
        )
        weight = weight[..., None] if weight is not None and weight.shape != x.shape else weight
        return common.reduce_loss(torch.where(kept, loss, 0.0), weight, None, "none")


def calls(formula: str, backend: Backend) -> Iterator[Call]:
    """Every pair of a dtype of the logits and one of the rest, in both alignments, each with four sets of arguments."""
    hard = formula in ("focal", "square_focal", "equalized_focal", "varifocal")  # whose classes have no scores
    for number, (kind, other, place) in enumerate(itertools.product(DTYPES, DTYPES, (torch.clone, misaligned))):
        for columns, dense, scored, weighted, by_class in (
            (7, True, False, "each", True),
            (7, False, True, "row", True),
            (9, False, True, "none", False),
            (7, True, False, "none", False),
        ):
            ignores = by_class or not dense  # else nothing differs from logit to logit
            # An odd number of rows, so that the last thread has three logits; each place of four has a class somewhere.
            classes = ((2 * torch.arange(9) + number) % (columns + 1)).to(backend.device)
            x = place((8 * uniform(9, columns, seed=number) - 4).to(backend.device, kind))
            targets = place(uniform(9, columns, seed=number + 1).to(backend.device, other))
            weight = uniform(*((9, columns) if weighted == "each" else (9,)), seed=3).to(backend.device, other)
            if ignores:
                targets[0, number % columns] = IGNORED
            alpha = uniform(columns, seed=4).to(backend.device, other)
            gamma = None if formula == "square_focal" else 1 + uniform(columns, seed=6)
            kind_of_gamma = torch.float64 if number % 2 else other  # which does not decide what is computed in
            if formula in regression.FORMULAS:  # they have one for all
                gamma = torch.full((columns,), PARAMETERS[formula][0])
            yield Call(
                *(formula, x, targets if dense else classes),
                uniform(9, seed=7).to(backend.device, other) if scored and not hard else None,
                None if weighted == "none" else weight,
                alpha if by_class else None,
                gamma.to(backend.device, kind_of_gamma) if by_class and gamma is not None else None,
                *(by_class and number % 3 > 0, None, "none", ignores),
            )


@every_formula
def test_every_way_through_the_kernels(backend: Backend, formula: str) -> None:
    if not backend.compiled:
        pytest.skip("the reference has no such operator")
    for call in calls(formula, backend):
        leaf = call.logits.detach().requires_grad_()
        losses = torch.ops.iouloss.logit_loss(*replace(call, logits=leaf).operator())
        upstream = uniform(*losses.shape, seed=9).to(backend.device, losses.dtype)
        (gradient,) = torch.autograd.grad(losses, leaf, upstream)
        for dtype in DTYPES:  # autograd gives it that of the loss; the operator takes what it is given
            again = torch.ops.iouloss.logit_loss_backward(upstream.to(dtype), *call.operator())
            torch.testing.assert_close(again, gradient, rtol=1e-2, atol=1e-2)
        exact_leaf = call.logits.detach().cpu().double().requires_grad_()
        wanted = call.truth(exact_leaf)
        (slope,) = torch.autograd.grad(wanted, exact_leaf, upstream.cpu().double())
        relative = 1e-9 if losses.dtype == torch.float64 else 2e-4 if formula.startswith("asymmetric") else 1e-5
        torch.testing.assert_close(losses.detach().cpu().double(), wanted.detach(), rtol=relative, atol=relative / 10)
        last = {torch.float16: 2.0**-10, torch.bfloat16: 2.0**-7}.get(leaf.dtype, relative)
        torch.testing.assert_close(
            gradient.cpu().double(), slope, rtol=max(last, relative), atol=max(relative / 10, 1e-7)
        )


def results(call: Call) -> list[Tensor]:
    """The losses and the gradient, each by its kernel, and the sum with its gradient."""
    ops, summed = torch.ops.iouloss, replace(call, reduction="sum").operator()
    losses = ops.logit_loss(*call.operator())
    gradient = ops.logit_loss_backward(torch.ones_like(losses), *call.operator())
    return [losses, gradient, ops.logit_loss_and_gradient(*summed)[1]]


def same(got: list[Tensor], wanted: list[Tensor]) -> None:
    for g, w in zip(got, wanted, strict=True):
        torch.testing.assert_close(g, w, rtol=0, atol=0, equal_nan=True)


@every_formula
def test_an_infinite_logit_changes_nothing_of_the_others(backend: Backend, formula: str) -> None:
    """The kernels read what makes a loss once more where it is not finite."""
    if not backend.compiled:
        pytest.skip("the reference has no such operator")
    for call in calls(formula, backend):
        infinite = (misaligned if call.logits.data_ptr() % 16 else torch.clone)(call.logits)
        wanted = results(call)
        infinite[::4, 3] = math.inf
        infinite[1::4, 2] = -math.inf
        got, others = results(replace(call, logits=infinite)), ~infinite.isinf()
        same([g[others] for g in got], [w[others] for w in wanted])


@every_formula
def test_integer_targets_in_every_way(backend: Backend, formula: str) -> None:
    """Dense ones are the numbers that they are, and classes those of int64; beside infinite logits, too."""
    if not backend.compiled:
        pytest.skip("the reference has no such operator")
    x = 8 * uniform(9, 7, seed=1) - 4
    x[::4, 3] = math.inf
    hot = (torch.arange(63).reshape(9, 7) * 5 % 7 < 3).to(backend.device)
    classes = (torch.arange(9) % 8).to(backend.device)
    for kind, place in itertools.product(DTYPES, (torch.clone, misaligned)):
        moved = place(x.to(backend.device, kind))
        call = Call(formula, moved, hot, None, None, None, None, False, None, "none")
        dense, of_class = (results(replace(call, targets=targets)) for targets in (hot.float(), classes))
        for dtype in INTEGRAL[1:]:
            same(results(replace(call, targets=place(hot.to(dtype)))), dense)
            same(results(replace(call, targets=place(classes.to(dtype)))), of_class)
            weighted = replace(call, targets=place(classes.to(dtype)), weight=torch.ones(9, device=backend.device))
            same(results(weighted), of_class)
        same(results(replace(call, targets=place(hot))), dense)


@every_formula
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("upstream", [1.0, 3.0])
@pytest.mark.parametrize("rows", [7, 1501])
def test_sums_of_one_block_and_of_several(
    backend: Backend, formula: str, dtype: torch.dtype, upstream: float, rows: int
) -> None:
    """With and without a gradient, of a number of logits that is no multiple of what a thread takes."""
    if not backend.compiled:
        pytest.skip("the reference has no such operator")
    x, z = backend.put(8 * uniform(rows, 3).to(dtype) - 4, uniform(rows, 3, seed=1).to(dtype))
    by = torch.tensor(7.0, device=backend.device)
    call = Call(formula, x, z, None, None, None, None, False, by, "mean")
    loss = torch.ops.iouloss.logit_loss(*call.operator())
    leaf = x.detach().requires_grad_()
    with_gradient = torch.ops.iouloss.logit_loss(*replace(call, logits=leaf).operator())
    (gradient,) = torch.autograd.grad(with_gradient, leaf, torch.full_like(loss, upstream))
    each = torch.ops.iouloss.logit_loss(*replace(call, logits=leaf, avg_factor=None, reduction="none").operator())
    (slope,) = torch.autograd.grad(each, leaf, torch.full_like(each, upstream / 7))
    torch.testing.assert_close(loss, each.detach().sum() / 7, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(with_gradient.detach(), loss, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient, slope, rtol=1e-5, atol=1e-7)
