"""Every formula of single numbers through every way that its kernels have: dtypes, layouts, class indices, weights."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from backends import EMULATED, Backend
from cases import DTYPES, misaligned, uniform
from operators import arguments
from torch import Tensor

from iouloss import reference
from iouloss._tables import LOGITS, REGRESSION
from iouloss.checks.tensors import INTEGRAL

pytestmark = [pytest.mark.regression, pytest.mark.extension]

OPTIONS: dict[str, dict[str, float]] = {
    "square_focal": {},
    "focal": {"gamma": 1.5},
    "equalized_focal": {"gamma": 1.5, "scale": 2.0},
    "smooth_focal": {"gamma": 1.5, "label_smoothing": 0.2},
    "focal_star": {"gamma": 1.5, "beta": 0.5},
    "poly_focal": {"gamma": 1.5, "epsilon1": 0.7, "epsilon0": 0.3},
    "quality_focal": {"beta": 1.5},
    "varifocal": {"gamma": 1.5},
    "gaussian_focal": {"alpha": 1.5, "beta": 3.0},
    "binary_cross_entropy": {},
    "asymmetric": {"gamma_neg": 2.0, "gamma_pos": 1.5, "margin": 0.05},
    "asymmetric_attached": {"gamma_neg": 2.0, "gamma_pos": 1.5, "margin": 0.05},
    "binary_entropy": {},
    "l1": {},
    "l2": {},
    "smooth_l1": {"beta": 0.7, "factor": 1.0},
    "balanced_l1": {"alpha": 0.5, "gamma": 1.5, "beta": 1.0},
    "focal_l1": {"alpha": 2.0, "beta": 0.8},
}
every_formula = pytest.mark.parametrize("formula", [*LOGITS, *REGRESSION])
IGNORED = 2
WITH_TARGETS = OPTIONS.keys() - {"binary_entropy"}


@dataclass(frozen=True)
class Call:
    """A call of the operator of the formula."""

    formula: str
    logits: Tensor
    targets: Tensor
    scores: Tensor | None = None
    weight: Tensor | None = None
    alpha: Tensor | None = None  # one for each class
    balance: Tensor | None = None
    complement: bool = False
    avg_factor: Tensor | None = None
    reduction: str = "none"
    ignores: bool = True

    def inputs(self) -> Any:
        options = {"weight": self.weight, "avg_factor": self.avg_factor, "reduction": self.reduction}
        options |= {"formula": self.formula, **OPTIONS[self.formula]}
        if self.formula in REGRESSION:
            return reference.RegressionInputs(self.logits, self.targets, **options)
        ignore_index = IGNORED if self.ignores and self.formula in WITH_TARGETS else None
        options |= {"alpha1": 0.25, "alpha0": 0.75, "alpha_per_class": self.alpha, "complement": self.complement}
        options |= {"scores": self.scores, "balance": self.balance, "ignore_index": ignore_index}
        return reference.LogitInputs(self.logits, self.targets, **options)

    def __call__(self, way: str = "", *upstream: Tensor) -> Any:
        """By the operator, or by its twin ``_backward`` or ``_and_gradient``."""
        name = "regression_loss" if self.formula in REGRESSION else "logit_loss"
        return getattr(torch.ops.iouloss, name + way)(*upstream, **arguments(name, self.inputs()))

    def truth(self, x: Tensor) -> Tensor:
        """By the reference in float64, of the same rounded numbers; ``x`` are the logits."""
        exact = {
            field: value.cpu().double() if value.is_floating_point() else value.cpu()
            for field, value in self.inputs()._asdict().items()
            if isinstance(value, Tensor)
        }
        if self.formula in REGRESSION:
            return reference.regression_loss(self.inputs()._replace(**exact | {"pred": x}))
        return reference.logit_loss(self.inputs()._replace(**exact | {"logits": x}))


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
            dense = dense or formula in REGRESSION
            ignores = by_class or not dense  # else nothing differs from logit to logit
            # An odd number of rows, so that the last thread has three logits; each place of four has a class somewhere.
            classes = ((2 * torch.arange(9) + number) % (columns + 1)).to(backend.device)
            x = place((8 * uniform(9, columns, seed=number) - 4).to(backend.device, kind))
            targets = place(uniform(9, columns, seed=number + 1).to(backend.device, other))
            kind_of_factor = torch.float64 if number % 2 else other  # which does not decide what is computed in
            weight = uniform(*((9, columns) if weighted == "each" else (9,)), seed=3).to(backend.device, kind_of_factor)
            if ignores:
                targets[0, number % columns] = IGNORED
            yield Call(
                *(formula, x, targets if dense else classes),
                uniform(9, seed=7).to(backend.device, other) if scored and not hard else None,
                None if weighted == "none" else weight,
                uniform(columns, seed=4).to(backend.device, other) if by_class else None,
                balance_of(formula, columns, backend, kind_of_factor),
                by_class and number % 3 > 0,
                ignores=ignores,
            )


def balance_of(formula: str, classes: int, backend: Backend, dtype: torch.dtype) -> Tensor | None:
    return uniform(classes, seed=6).to(backend.device, dtype) if formula == "equalized_focal" else None


@every_formula
def test_every_way_through_the_kernels(backend: Backend, formula: str) -> None:
    if not backend.compiled:
        pytest.skip("the reference has no such operator")
    for call in calls(formula, backend):
        leaf = call.logits.detach().requires_grad_()
        losses = replace(call, logits=leaf)()
        floats = [x.dtype for x in (call.logits, call.targets) if x.is_floating_point()]
        assert losses.dtype == (torch.float64 if torch.float64 in floats else torch.float32)
        upstream = (64 * uniform(*losses.shape, seed=9)).round() / 64  # which every dtype has
        upstream = upstream.to(backend.device, losses.dtype)
        (gradient,) = torch.autograd.grad(losses, leaf, upstream)
        for dtype in DTYPES:  # autograd gives it that of the loss; the operator takes what it is given
            again = call("_backward", upstream.to(dtype))
            torch.testing.assert_close(again, gradient, rtol=0, atol=0)
        exact_leaf = call.logits.detach().cpu().double().requires_grad_()
        wanted = call.truth(exact_leaf)
        (slope,) = torch.autograd.grad(wanted, exact_leaf, upstream.cpu().double())
        relative = 1e-9 if losses.dtype == torch.float64 else 2e-4 if formula.startswith("asymmetric") else 1e-5
        torch.testing.assert_close(losses.detach().cpu().double(), wanted.detach(), rtol=relative, atol=relative / 10)
        last = {torch.float16: 2.0**-10, torch.bfloat16: 2.0**-7, torch.float32: 2.0**-23}.get(leaf.dtype, relative)
        torch.testing.assert_close(
            gradient.cpu().double(), slope, rtol=max(last, relative), atol=max(relative / 10, 1e-7)
        )


def results(call: Call) -> list[Tensor]:
    """The losses and the gradient, each by its kernel, and the sum with its gradient."""
    losses = call()
    gradient = call("_backward", torch.ones_like(losses))
    return [losses, gradient, replace(call, reduction="sum")("_and_gradient")[1]]


def same(got: list[Tensor], wanted: list[Tensor]) -> None:
    for g, w in zip(got, wanted, strict=True):
        torch.testing.assert_close(g, w, rtol=0, atol=0, equal_nan=True)


@every_formula
def test_an_infinite_logit_changes_nothing_of_the_others(backend: Backend, formula: str) -> None:
    """The kernels read what makes a loss once more where it is not finite."""
    if not backend.compiled:
        pytest.skip("the reference has no such operator")
    every = 5 if EMULATED else 1  # by fives, each of the four sets of arguments meets most pairs of dtypes
    for call in itertools.islice(calls(formula, backend), 0, None, every):
        infinite = (misaligned if call.logits.data_ptr() % 16 else torch.clone)(call.logits)
        wanted = results(call)
        infinite[::4, 3] = math.inf
        infinite[1::4, 2] = -math.inf
        got, others = results(replace(call, logits=infinite)), ~infinite.isinf()
        same([g[others] for g in got], [w[others] for w in wanted])


@pytest.mark.parametrize("formula", LOGITS)
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
        call = Call(formula, moved, hot, balance=balance_of(formula, 7, backend, torch.float32))
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
@pytest.mark.parametrize("rows", [341, 342, 1501])
def test_sums_of_one_block_and_of_several(
    backend: Backend, formula: str, dtype: torch.dtype, upstream: float, rows: int
) -> None:
    """With and without a gradient, of a number of logits that is no multiple of what a thread takes."""
    if not backend.compiled:
        pytest.skip("the reference has no such operator")
    x, z = backend.put(8 * uniform(rows, 3).to(dtype) - 4, uniform(rows, 3, seed=1).to(dtype))
    by = torch.tensor(7.0, device=backend.device)
    balance = balance_of(formula, 3, backend, torch.float32)
    call = Call(formula, x, z, balance=balance, avg_factor=by, reduction="mean")
    loss = call()
    leaf = x.detach().requires_grad_()
    with_gradient = replace(call, logits=leaf)()
    (gradient,) = torch.autograd.grad(with_gradient, leaf, torch.full_like(loss, upstream))
    each = replace(call, logits=leaf, avg_factor=None, reduction="none")()
    (slope,) = torch.autograd.grad(each, leaf, torch.full_like(each, upstream / 7))
    relative = 1e-11 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(loss, each.detach().sum() / 7, rtol=relative, atol=relative)
    torch.testing.assert_close(with_gradient.detach(), loss, rtol=relative / 10, atol=relative / 10)
    torch.testing.assert_close(gradient, slope, rtol=relative, atol=relative / 100)
