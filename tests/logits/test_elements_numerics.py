"""The numbers of the losses of single numbers: values, gradients, precision, kinks."""

import math

import mpmath
import pytest
import torch
import torch.nn.functional as F
from backends import Backend, every_kind, of_the_reference
from cases import DTYPES, HALVES, evaluate
from element_cases import CASES, Case, every_case, numbers, sigmoid, softplus, truth
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import iouloss
from iouloss import functional

pytestmark = [pytest.mark.regression, pytest.mark.extension]

# ------------------------------------------------------------------------------------------------------------- numbers


@every_case
def test_value_and_gradient_are_the_papers(backend: Backend, case: Case) -> None:
    points = [
        (x, z) for x in (-30.03, -7.1, -1.2, -0.2, 0.0, 0.31, 2.3, 8.9, 31.7) for z in (0.0, 1.0, 0.02, 0.6, 0.95)
    ]
    x, z = (torch.tensor(values, dtype=torch.float64) for values in zip(*points, strict=True))
    got, slope = evaluate(lambda x: case(x, z.to(x.device), reduction="none"), x.to(backend.device))
    exact = torch.tensor([case.naive(*p) for p in points], dtype=torch.float64)
    torch.testing.assert_close(got, exact, rtol=1e-9, atol=1e-13)
    if case.has_constant:
        return
    h = 1e-6
    by_hand = torch.tensor([(case.naive(a + h, b) - case.naive(a - h, b)) / (2 * h) for a, b in points]).double()
    torch.testing.assert_close(slope, by_hand, rtol=1e-4, atol=1e-6)


without_constants = pytest.mark.parametrize(
    "case", [case for case in CASES if not case.has_constant], ids=lambda case: case.id
)


def off_the_kinks(backend: Backend, case: Case) -> tuple[Tensor, Tensor]:
    x, z = backend.put(*numbers(6, 3))
    if case.is_difference:
        z = x + z + 0.013
    return x.requires_grad_(), z


@without_constants
def test_gradcheck(backend: Backend, case: Case) -> None:
    x, z = off_the_kinks(backend, case)
    assert torch.autograd.gradcheck(lambda x: case(x, z, reduction="none"), x)
    assert torch.autograd.gradcheck(lambda x: case(x, z), x)


@of_the_reference
@every_kind
@without_constants
def test_gradgradcheck(backend: Backend, case: Case) -> None:
    x, z = off_the_kinks(backend, case)
    assert torch.autograd.gradgradcheck(lambda x: case(x, z), x)


@every_case
@pytest.mark.parametrize("dtype", DTYPES)
def test_precision(backend: Backend, case: Case, dtype: torch.dtype) -> None:
    x, z = numbers(backend.size(2000), dtype=dtype)
    if case.is_difference:
        x = x / 4
    want = truth(case, x, z)
    got = evaluate(lambda x: case(x, z.to(x.device), reduction="none"), x.to(backend.device))
    assert [tensor.dtype for tensor in got] == [torch.promote_types(dtype, torch.float32), dtype]
    relative = 1e-10 if dtype == torch.float64 else case.relative
    torch.testing.assert_close(got[0].double(), want[0], rtol=relative, atol=relative * 1e-2)
    if case.options.get("beta") == 0.63:
        return  # the gradient jumps
    last = {torch.float16: 2.0**-10, torch.bfloat16: 2.0**-7}.get(dtype, relative)
    torch.testing.assert_close(
        got[1].double(), want[1], rtol=last, atol=max(relative, 1e-7 if dtype in HALVES else 0.0)
    )


@every_case
@settings(max_examples=200, deadline=None)
@given(
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1, width=32)),
    st.sampled_from(["extension", "reference"]),
)
def test_finite_in_finite_out(case: Case, x: float, z: float, by: str) -> None:
    number, target = torch.tensor([x], requires_grad=True), torch.tensor([z])
    if case.is_difference:
        target = torch.tensor([-x / 2 + z])
    target.requires_grad_(by == "reference" and not case.is_difference)
    loss = case(number, target, reduction="none")
    loss.sum().backward()
    assert loss.isfinite().all() and (loss >= -1).all() and number.grad.isfinite().all()


@settings(max_examples=200, deadline=None)
@given(
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1, width=32)),
    st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1, width=32)),
    st.sampled_from(["extension", "reference"]),
)
def test_the_equalized_focal_loss_is_finite(x: float, z: float, balance: float, by: str) -> None:
    """Its factor is larger than 1 for rare classes, and what it multiplies may be the largest number."""
    number, target = torch.tensor([[x]], requires_grad=True), torch.tensor([[z]], requires_grad=by == "reference")
    loss = iouloss.equalized_focal_loss(number, target, torch.tensor([balance]), reduction="none")
    loss.sum().backward()
    assert loss.isfinite().all() and (loss >= 0).all() and number.grad.isfinite().all()


@every_case
def test_nan_is_not_hidden(backend: Backend, case: Case) -> None:
    x, z = backend.put(torch.full((9, 1), math.nan), torch.linspace(0, 1, 9)[:, None])
    assert all(tensor.isnan().all() for tensor in evaluate(lambda x: case(x, z, reduction="none"), x))


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


# --------------------------------------------------------------------------------------------------------------- peers


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_torch_has_the_same(backend: Backend, dtype: torch.dtype) -> None:
    x, z = backend.put(*numbers(60, dtype=dtype))
    pairs = {
        "l1": (functional.l1_loss, F.l1_loss),
        "l2": (functional.l2_loss, F.mse_loss),
        "smooth_l1": (functional.smooth_l1_loss, F.smooth_l1_loss),
        "huber": (functional.huber_loss, F.huber_loss),
        "bce": (functional.binary_cross_entropy_loss, F.binary_cross_entropy_with_logits),
    }
    for ours, theirs in pairs.values():
        for reduction in ("none", "sum", "mean"):
            got = evaluate(lambda x, f=ours, r=reduction: f(x, z, reduction=r), x)
            want = evaluate(lambda x, f=theirs, r=reduction: f(x, z, reduction=r), x)
            for g, w in zip(got, want, strict=True):
                torch.testing.assert_close(g, w, rtol=1e-5, atol=1e-5)


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
