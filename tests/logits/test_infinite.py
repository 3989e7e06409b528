"""Logits of -inf and +inf, as masks leave them: the loss and its gradient are the limits of those of large logits."""

import math
from typing import Any

import pytest
import torch
from backends import Backend
from cases import evaluate, random_logits, uniform
from logit_cases import CASES, LogitCase, by_class, parametrized
from row_cases import RowCase, every_row_case, row_losses
from torch import Tensor

import iouloss

INFINITY = torch.tensor([-math.inf, math.inf])
every_dtype = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)


def are_limits(got: list[Tensor], near: list[Tensor], dtype: torch.dtype) -> None:
    """A loss and its gradient are those of large logits; what has grown with them is infinite."""
    tolerance = 1e-9 if dtype == torch.float64 else 1e-5
    grown = near[0] > 1e15
    assert (got[0][grown] == math.inf).all()
    torch.testing.assert_close(got[0][~grown], near[0][~grown], rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(got[1], near[1], rtol=tolerance, atol=tolerance)


# -------------------------------------------------------------------------------------------------------------- logits


@by_class
@every_dtype
def test_infinite_logits_are_the_limit_of_large_ones(backend: Backend, case: LogitCase, dtype: torch.dtype) -> None:
    x, z = (t.flatten() for t in torch.meshgrid(INFINITY, torch.tensor([0.0, 0.02, 0.3, 0.5, 0.8, 1.0]), indexing="ij"))
    x, z = backend.put(x.to(dtype), z.to(dtype))
    got = evaluate(lambda x: case(x, z, reduction="none"), x)
    near = evaluate(lambda x: case(x, z, reduction="none"), x.sign() * 1e30)
    are_limits(got, near, dtype)
    right = ((x < 0) == (z == 0)).cpu() & ((z == 0) | (z == 1)).cpu()
    if not case.options.get("smooth_all"):
        assert not any(tensor[right].any() for tensor in got)
    if case.name in ("sigmoid_focal_loss", "binary_cross_entropy_loss", "quality_focal_loss", "varifocal_loss"):
        wrong = ((x > 0) & (z == 0)) | ((x < 0) & (z > 0))
        assert (got[0][wrong.cpu()] == math.inf).all()


@pytest.mark.parametrize("gamma", [0.0, 0.25, 1.0, 2.0, 3.5])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@every_dtype
def test_every_gamma(backend: Backend, gamma: float, smoothing: float, dtype: torch.dtype) -> None:
    x = INFINITY.to(backend.device, dtype)
    options: dict[str, Any] = {"gamma": gamma, "label_smoothing": smoothing, "reduction": "none"}
    for z in (x < 0).to(dtype), (x > 0).to(dtype):
        got = evaluate(lambda x, z=z: iouloss.sigmoid_focal_loss(x, z, **options), x)
        are_limits(got, evaluate(lambda x, z=z: iouloss.sigmoid_focal_loss(x, z, **options), x.sign() * 1e30), dtype)


@parametrized(case for case in CASES if case.takes_classes and not case.options.get("smooth_all"))
def test_masked_classes_cost_nothing(backend: Backend, case: LogitCase) -> None:
    x = random_logits(12, 5)
    x[:, 3] = -math.inf
    index = torch.tensor([0, 1, 2, 4, 5, -1] * 2)
    x, index = backend.put(x, index)
    got = evaluate(lambda x: case(x, index, reduction="none"), x)
    seen = [0, 1, 2, 4]
    hot = (index[:, None] == torch.tensor(seen, device=index.device)).double()
    want = evaluate(lambda x: case(x, hot, reduction="none"), x[:, seen])
    for g, w in zip(got, want, strict=True):
        torch.testing.assert_close(g[:, seen], w)
        assert not g[:, 3].any()
    mean, gradient = evaluate(lambda x: case(x, index), x)
    assert mean.isfinite() and gradient.isfinite().all()


def test_a_factor_of_0_outweighs_an_infinity(backend: Backend) -> None:
    x, z = backend.put(INFINITY, torch.tensor([1.0, 0.0]))
    zeros = torch.tensor([0.0, 1.0], device=backend.device)
    for got in (
        evaluate(lambda x: iouloss.sigmoid_focal_loss(x, z, zeros), x),
        evaluate(lambda x: iouloss.sigmoid_focal_loss(x[:1], z[:1], 0.0), x),
        evaluate(lambda x: iouloss.binary_cross_entropy_loss(x[:1], z[:1], 0.0), x),
        evaluate(lambda x: iouloss.varifocal_loss(x[1:], z[1:], 0.0), x),
        evaluate(lambda x: iouloss.binary_entropy_loss(x), x),
    ):
        assert not any(tensor.any() for tensor in got)


@by_class
def test_nan_stays_nan_beside_an_infinity(backend: Backend, case: LogitCase) -> None:
    x = torch.tensor([[math.nan, -math.inf, math.inf]]).to(backend.device)
    z = torch.tensor([[0.0, 0.0, 1.0]]).to(backend.device)
    for tensor in evaluate(lambda x: case(x, z, reduction="none"), x):
        assert tensor[0, 0].isnan() and not tensor[0, 1:].isnan().any()


# ---------------------------------------------------------------------------------------------------------------- rows


def rows(case: RowCase, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
    """Rows whose last class is masked, some of them with that class for a target."""
    logits = random_logits(8, 5, dtype=dtype) / 4
    logits[:, 4] = -math.inf
    targets = {
        "classes": torch.arange(8) % 5,
        "places": torch.tensor([0.0, 0.4, 2.0, 2.7, 3.0, 3.2, 3.7, 4.0]).double(),
        "probabilities": uniform(8, 5, seed=2),
        "none": None,
    }[case.targets]
    if case.targets == "probabilities":
        targets[::2, 4] = 0
        targets = targets / targets.sum(-1, keepdim=True)
    return logits, targets.to(dtype) if targets is not None and targets.is_floating_point() else targets


@every_row_case
@every_dtype
def test_masked_classes_of_rows_are_the_limit_of_small_logits(
    backend: Backend, case: RowCase, dtype: torch.dtype
) -> None:
    logits, targets = rows(case, dtype)
    got = row_losses(case, backend, logits, targets)
    near = row_losses(case, backend, logits.clamp(min=-1e30), targets)
    if case.name == "focal_smooth":  # whose gradient grows, too
        assert (got[0] == math.inf).all() and got[1].abs().max() < 5
        return
    are_limits(got, near, dtype)
    if case.targets == "classes" and not case.options.get("label_smoothing"):
        assert ((got[0] == math.inf) == (targets == 4)).all()


@pytest.mark.parametrize("loss", [iouloss.cross_entropy_loss, iouloss.softmax_focal_loss])
@every_dtype
def test_a_masked_class_of_weight_0_adds_nothing(backend: Backend, loss: Any, dtype: torch.dtype) -> None:
    logits, index = random_logits(8, 5, dtype=dtype) / 4, torch.arange(8) % 4
    logits[:, 4] = -math.inf
    weight = torch.tensor([0.5, 1.0, 2.0, 1.5, 0.0], dtype=dtype)
    logits, index, weight = backend.put(logits, index, weight)
    name = "alpha" if loss is iouloss.softmax_focal_loss else "class_weight"
    options = {name: weight, "label_smoothing": 0.2, "reduction": "none"}
    got = evaluate(lambda x: loss(x, index, **options), logits)
    assert got[0].isfinite().all() and not got[1][:, 4].any()
    are_limits(got, evaluate(lambda x: loss(x, index, **options), logits.clamp(min=-1e30)), dtype)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_only_class_that_is_left(backend: Backend, smoothing: float) -> None:
    logits = torch.full((2, 3), -math.inf).double()
    logits[:, 1] = 2.0
    logits, index = backend.put(logits, torch.tensor([1, 1]))
    for tensor in evaluate(lambda x: iouloss.softmax_focal_loss(x, index, label_smoothing=smoothing), logits):
        assert not tensor.any()
    loss, gradient = evaluate(lambda x: iouloss.cross_entropy_loss(x, index, label_smoothing=smoothing), logits)
    assert loss == (math.inf if smoothing else 0) and gradient.isfinite().all()
