"""The numbers of the losses of single numbers: precision, the full range, kinks."""

import math

import mpmath
import pytest
import torch
from backends import EMULATED, Backend
from cases import DTYPES, GAMMAS, HALVES, evaluate, every_gamma, one_hot, uniform
from logit_cases import (
    CASES,
    LogitCase,
    every_case,
    every_case_and_gamma,
    losses,
    numbers,
    sigmoid,
    softplus,
    truths,
)
from properties import given, st
from torch import Tensor

import iouloss

pytestmark = [pytest.mark.regression, pytest.mark.extension]

LOGITS = torch.cat((torch.linspace(-90, 90, 721), torch.tensor([-1e4, -1e3, -150, 1e-3, -1e-3, 1e-20, 150, 1e3, 1e4])))


# ----------------------------------------------------------------------------------------------------------- precision


@every_case
@pytest.mark.parametrize("dtype", DTYPES)
def test_precision(backend: Backend, case: LogitCase, dtype: torch.dtype) -> None:
    x, z = numbers(backend.size(2000), dtype=dtype)
    if case.is_difference:
        x = x / 4
    got, want = losses(case, backend, x, z), truths(case, x, z)
    assert [tensor.dtype for tensor in got] == [torch.promote_types(dtype, torch.float32), dtype]
    relative = 1e-10 if dtype == torch.float64 else case.relative
    torch.testing.assert_close(got[0].double(), want[0], rtol=relative, atol=relative * 1e-2)
    if case.options.get("beta") == 0.63:
        return  # the gradient jumps
    last = {torch.float16: 2.0**-10, torch.bfloat16: 2.0**-7}.get(dtype, relative)
    torch.testing.assert_close(
        got[1].double(), want[1], rtol=last, atol=max(relative, 1e-7 if dtype in HALVES else 0.0)
    )


def textbook(x: Tensor, z: Tensor, gamma: float) -> Tensor:
    """The focal loss as it is usually written in PyTorch, with alpha = 0.25."""
    p = torch.sigmoid(x)
    bce = torch.nn.functional.binary_cross_entropy_with_logits(x, z, reduction="none")
    p_t = p * z + (1 - p) * (1 - z)
    return (0.25 * z + 0.75 * (1 - z)) * (1 - p_t) ** gamma * bce


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
def test_precision_of_the_focal_loss(backend: Backend, gamma: float, target: str, dtype: torch.dtype) -> None:
    case = LogitCase("sigmoid_focal_loss", lambda x, z: math.nan, {"gamma": gamma})
    x = LOGITS[:: 12 if EMULATED else 1].to(dtype)
    x = torch.cat((x, x)).reshape(-1, 1)
    n = len(x)
    classes = (torch.arange(n) >= n // 2).long()
    dense = 1.0 * classes[:, None] if target != "soft" else uniform(n, 1, seed=2, dtype=dtype)
    targets = classes - 1 if target == "index" else dense.to(dtype)  # class 0, or background: no class
    if target == "index":
        dense = one_hot(targets, 1)
    got, true = losses(case, backend, x, targets), truths(case, x, dense)
    eager = evaluate(lambda x: textbook(x, dense.float(), gamma), x.float())
    assert [tensor.dtype for tensor in got] == [torch.float32, dtype]
    sizes = (true[0], 0.75 * slope_size(x.double(), dense.double(), gamma))
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


def test_binary_entropy(backend: Backend) -> None:
    x = torch.linspace(-40, 40, 801, dtype=torch.float64)
    exact = torch.tensor(
        [softplus(v) - v * sigmoid(v) if v < 20 else softplus(-v) + v * sigmoid(-v) for v in x.tolist()]
    )
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-6)):
        got, slope = evaluate(lambda x: iouloss.binary_entropy_loss(x, reduction="none"), x.to(backend.device, dtype))
        torch.testing.assert_close(got.double(), exact.double(), rtol=1e-5, atol=tolerance)
        torch.testing.assert_close(slope.double(), -x * torch.sigmoid(x) * torch.sigmoid(-x), rtol=1e-5, atol=tolerance)
    for shape in ((), (0, 3), (7,)):
        assert iouloss.binary_entropy_loss(torch.zeros(shape, device=backend.device), reduction="none").shape == shape


@pytest.mark.parametrize("ratio", [1e-30, 1e-12, 1e-7, 1e-4, 1e-2, 0.3, 3.0, 79.0])
@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_balanced_l1_of_any_ratio_of_its_parameters(
    backend: Backend, dtype: torch.dtype, ratio: float, beta: float
) -> None:
    """Where gamma is much smaller than alpha, most of the formula cancels."""
    alpha = float(torch.tensor(0.5, dtype=dtype))
    gamma = float(torch.tensor(ratio * alpha, dtype=dtype))
    distances = torch.tensor([1e-6, 1e-3, 0.1, 0.45, 0.9, 2.0, 40.0], dtype=dtype)

    def exact(d: mpmath.mpf) -> mpmath.mpf:
        b = mpmath.expm1(mpmath.mpf(gamma) / alpha)
        if d < beta:
            return alpha / b * (b * d + 1) * mpmath.log1p(b * d / beta) - alpha * d
        return gamma * d + gamma / b - alpha * beta

    def slope(d: mpmath.mpf) -> mpmath.mpf:
        b = mpmath.expm1(mpmath.mpf(gamma) / alpha)
        return alpha * (mpmath.log1p(b * d / beta) + (1 - beta) / (b * d + beta)) if d < beta else mpmath.mpf(gamma)

    def loss(x: torch.Tensor) -> torch.Tensor:
        zero = torch.zeros_like(x)
        return iouloss.balanced_l1_loss(x, zero, alpha=alpha, gamma=gamma, beta=beta, reduction="none")

    with mpmath.workdps(80):
        wanted = [[float(f(mpmath.mpf(d))) for d in distances.tolist()] for f in (exact, slope)]
    last = 1e-13 if dtype == torch.float64 else 2e-6
    for got, want in zip(evaluate(loss, distances.to(backend.device)), wanted, strict=True):
        torch.testing.assert_close(got.cpu().double(), torch.tensor(want, dtype=torch.float64), rtol=last, atol=1e-37)


# ------------------------------------------------------------------------------------------------------ the full range


@pytest.mark.parametrize("gamma", (*GAMMAS, 1e-3, 1.7))
def test_confident_logits_have_finite_losses_and_gradients(backend: Backend, gamma: float) -> None:
    case = LogitCase("sigmoid_focal_loss", lambda x, z: math.nan, {"gamma": gamma})
    for dtype, largest in ((torch.float32, 3.4e38), (torch.float64, 1.7e308)):
        sizes = torch.tensor([0.0, 17, 50, 88, 104, 150, 745, 1e4, 1e20, largest], dtype=dtype)
        x = torch.cat((sizes, -sizes))
        for z in (0.0, 1.0, 0.5, 1e-30, 1e-45):
            for tensor in losses(case, backend, x, torch.full_like(x, z)):
                assert tensor.isfinite().all()


def some(data: st.DataObject) -> tuple[Tensor, Tensor]:
    """Any finite numbers of a dtype, and targets or shares: every pair of eight and eight."""
    dtype, width = data.draw(st.sampled_from([(torch.float32, 32), (torch.float64, 64)]))
    finite = st.floats(allow_nan=False, allow_infinity=False, width=width)
    share = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1, width=32))
    x, z = (torch.tensor(data.draw(st.lists(each, min_size=8, max_size=8)), dtype=dtype) for each in (finite, share))
    return x.repeat(8), z.repeat_interleave(8)


@every_case_and_gamma
def test_finite_logits_have_finite_losses(backend: Backend, case: LogitCase) -> None:
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        x, z = some(data)
        loss, gradient = losses(case, backend, x, -x / 2 + z if case.is_difference else z)
        assert loss.isfinite().all() and (loss >= -1).all() and gradient.isfinite().all()

    check()


def test_the_equalized_focal_loss_is_finite(backend: Backend) -> None:
    """Its factor is larger than 1 for rare classes, and what it multiplies may be the largest number."""

    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        x, z = (each.reshape(8, 8).T for each in some(data))
        balance = some(data)[1][::8].to(backend.device)
        z = z.to(backend.device)
        loss, gradient = evaluate(
            lambda x: iouloss.equalized_focal_loss(x, z, balance, reduction="none"), x.to(backend.device)
        )
        assert loss.isfinite().all() and (loss >= 0).all() and gradient.isfinite().all()

    check()


@every_case_and_gamma
def test_nan_reaches_the_output(backend: Backend, case: LogitCase) -> None:
    for dtype in (torch.float32, torch.float64, torch.float16):
        x, z = numbers(16, 3, dtype)
        x[5, 1] = math.nan
        for targets in (z, torch.arange(16) % 4) if case.takes_classes else (z,):
            for tensor in losses(case, backend, x, targets):
                assert tensor.isnan().nonzero().tolist() == [[5, 1]]
            assert case(*backend.put(x, targets)).isnan()


# --------------------------------------------------------------------------------------------------------------- kinks


def test_kinks_of_differences(backend: Backend) -> None:
    zeros = torch.zeros(4, 3, device=backend.device)
    for case in CASES:
        if case.is_difference:
            found = evaluate(lambda *x, case=case: case(*x, reduction="none"), zeros, zeros)
            assert all((tensor == 0).all() for tensor in found)


def test_the_minimum_of_the_quality_focal_loss_has_gradient_0(backend: Backend) -> None:
    x, z = torch.zeros(3, 1, device=backend.device), torch.full((3, 1), 0.5, device=backend.device)
    for beta in (0.0, 0.5, 1.0, 2.0):
        value, slope = evaluate(lambda x, b=beta: iouloss.quality_focal_loss(x, z, beta=b), x)
        assert (slope == 0).all() and (value < 1e-15 or beta == 0)
