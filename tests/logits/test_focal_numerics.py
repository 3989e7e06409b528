"""The sigmoid focal loss: its formula, in every precision and over the full range of numbers."""

import math

import pytest
import torch
from backends import Backend
from cases import (
    GAMMAS,
    HALVES,
    LOGITS,
    evaluate,
    every_gamma,
    naive_focal_loss,
    one_hot,
    random_logits,
    random_targets,
    uniform,
)
from cases import focal_losses as losses
from cases import focal_truths as truths
from properties import given, st
from torch import Tensor

from iouloss import sigmoid_focal_loss

pytestmark = pytest.mark.extension

ALPHAS = (None, 0.25, 0.0, 1.0)


# ------------------------------------------------------------------------------------------------ formula, precision


@every_gamma
@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("hard", [True, False])
def test_value_and_gradient_are_the_papers(backend: Backend, gamma: float, alpha: float | None, hard: bool) -> None:
    logits, targets = random_logits(40), random_targets(40, hard=hard)
    value, gradient = losses(backend, logits, targets, alpha=alpha, gamma=gamma)
    for i, (x, z) in enumerate(zip(logits.tolist(), targets.tolist(), strict=True)):
        assert value[i].item() == pytest.approx(naive_focal_loss(x, z, alpha, gamma), rel=1e-11)
        above, below = (naive_focal_loss(x + step, z, alpha, gamma) for step in (1e-6, -1e-6))
        assert gradient[i].item() == pytest.approx((above - below) / 2e-6, rel=1e-6, abs=1e-9)


@every_gamma
@pytest.mark.parametrize("hard", [True, False])
def test_gradcheck(backend: Backend, gamma: float, hard: bool) -> None:
    logits = (random_logits(3, 4) / 3).to(backend.device).requires_grad_()
    logits.data[0, 0] = 0  # where the formula changes sides
    targets = random_targets(3, 4, hard=hard).to(backend.device)
    assert torch.autograd.gradcheck(lambda x: sigmoid_focal_loss(x, targets, gamma=gamma, reduction="none"), logits)
    assert torch.autograd.gradcheck(lambda x: sigmoid_focal_loss(x, targets, gamma=gamma), logits)


def textbook(logits: Tensor, targets: Tensor, gamma: float) -> Tensor:
    """The formula as it is usually written in PyTorch, with alpha = 0.25."""
    p = torch.sigmoid(logits)
    bce = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    p_t = p * targets + (1 - p) * (1 - targets)
    return (0.25 * targets + 0.75 * (1 - targets)) * (1 - p_t) ** gamma * bce


def slope_size(x: Tensor, z: Tensor, gamma: float) -> Tensor:
    """The gradient's terms with their magnitudes added, against which a difference of them is measured."""
    p, n = torch.sigmoid(x), torch.sigmoid(-x)
    q, bce = z * n + (1 - z) * p, -z * torch.nn.functional.logsigmoid(x) - (1 - z) * torch.nn.functional.logsigmoid(-x)
    hard = (z == 0) | (z == 1)
    difference = torch.where(hard, (p - z).abs(), torch.maximum(p, z))
    return gamma * q ** (gamma - 1) * p * n * bce + q**gamma * difference


@every_gamma
@pytest.mark.parametrize("target", ["hard", "soft", "index"])
@pytest.mark.parametrize("dtype", [torch.float32, *HALVES])
def test_precision(backend: Backend, gamma: float, target: str, dtype: torch.dtype) -> None:
    logits = LOGITS[:: 12 if backend.size(1000) < 1000 else 1].to(dtype)
    logits = torch.cat((logits, logits)).reshape(-1, 1)
    n = len(logits)
    classes = (torch.arange(n) >= n // 2).long()
    dense = 1.0 * classes[:, None] if target != "soft" else uniform(n, 1, seed=2, dtype=dtype)
    given_targets = classes - 1 if target == "index" else dense.to(dtype)  # class 0, or background: no class
    if target == "index":
        dense = one_hot(given_targets, 1)
    got = losses(backend, logits, given_targets, gamma=gamma)
    true = truths(logits, dense, gamma=gamma)
    eager = evaluate(lambda x: textbook(x, dense.float(), gamma), logits.float())
    assert [tensor.dtype for tensor in got] == [torch.float32, dtype]
    sizes = (true[0], 0.75 * slope_size(logits.double(), dense.double(), gamma))
    for kind, g, e, t, size in zip(("loss", "gradient"), got, eager, true, sizes, strict=True):
        counts = t.abs() > 1e-25
        size = torch.maximum(size, t.abs())
        rounding = torch.zeros_like(t)
        if kind == "gradient" and dtype != torch.float32:
            info = torch.finfo(dtype)
            rounding = t.abs() * info.eps / 2 + info.smallest_normal * info.eps
        error, eager_error = (((x.double() - t).abs() - rounding).clamp(min=0) / size for x in (g, e))
        most = 5e-6 if gamma > 2 else 1e-6 if target != "soft" or kind == "loss" else 2e-6
        assert error[counts].max() <= most, kind
        assert error[counts].max() <= 2 * eager_error[counts].nan_to_num(math.inf).max() + 1e-6, kind
        assert g.isfinite().all(), kind
        assert (g.double().abs()[t.abs() < 1e-30] < 1e-25).all(), kind


# ----------------------------------------------------------------------------------------------------- the full range


@pytest.mark.parametrize("gamma", (*GAMMAS, 1e-3, 1.7))
def test_confident_logits_have_finite_losses_and_gradients(backend: Backend, gamma: float) -> None:
    for dtype, largest in ((torch.float32, 3.4e38), (torch.float64, 1.7e308)):
        sizes = torch.tensor([0.0, 17, 50, 88, 104, 150, 745, 1e4, 1e20, largest], dtype=dtype)
        logits = torch.cat((sizes, -sizes))
        for z in (0.0, 1.0, 0.5, 1e-30, 1e-45):
            for tensor in losses(backend, logits, torch.full_like(logits, z), gamma=gamma):
                assert tensor.isfinite().all()


@given(data=st.data())
def check_finite(backend: Backend, data: st.DataObject) -> None:
    dtype, width = data.draw(st.sampled_from([(torch.float32, 32), (torch.float64, 64)]))
    finite = st.floats(allow_nan=False, allow_infinity=False, width=width)
    size = backend.size(64)
    logits = torch.tensor(data.draw(st.lists(finite, min_size=8, max_size=8)), dtype=dtype).repeat(8)[:size]
    targets = torch.tensor(data.draw(st.lists(st.floats(0, 1, width=32), min_size=8, max_size=8)), dtype=dtype)
    targets = targets.repeat_interleave(8)[:size]
    for gamma in (0.0, 0.25, 1.0, 2.0, 3.5):
        for tensor in losses(backend, logits, targets, gamma=gamma):
            assert tensor.isfinite().all()


def test_finite_logits_have_finite_losses(backend: Backend) -> None:
    check_finite(backend)


@every_gamma
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_nan_reaches_the_output(backend: Backend, gamma: float, dtype: torch.dtype) -> None:
    logits = random_logits(16, 3, dtype=dtype)
    logits[5, 1] = math.nan
    for targets in (random_targets(16, 3, hard=True, dtype=dtype), torch.arange(16) % 4):
        for tensor in losses(backend, logits, targets, gamma=gamma):
            assert tensor.isnan().nonzero().tolist() == [[5, 1]]
        assert sigmoid_focal_loss(logits.to(backend.device), targets.to(backend.device), gamma=gamma).isnan()


def test_infinite_losses_are_not_hidden(backend: Backend) -> None:
    logits = torch.tensor([math.inf, -math.inf])
    value, _ = losses(backend, logits, torch.tensor([0.0, 1.0]))
    assert not value.isfinite().any()


def test_an_infinite_upstream_gradient_is_not_hidden(backend: Backend) -> None:
    upstream = torch.tensor(math.inf, device=backend.device)
    targets = random_targets(8, hard=False).to(backend.device)
    gradient = evaluate(
        lambda x: sigmoid_focal_loss(x, targets), random_logits(8).to(backend.device), upstream=upstream
    )[1]
    assert not gradient.isfinite().any()
