"""The losses of single numbers on every backend."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from backends import EMULATED, Backend, by_differences, every_kind, of_the_reference
from cases import (
    DTYPES,
    evaluate,
    layouts,
    one_hot,
    random_logits,
    random_targets,
    uniform,
)
from logit_cases import (
    ALPHA_CASES,
    CASES,
    FOCAL,
    GAMMA_CASES,
    LogitCase,
    by_class,
    by_reference,
    close,
    every_case,
    losses,
    numbers,
    of_each_operator,
    parametrized,
    truths,
)
from torch import Tensor

import iouloss
from iouloss import functional, sigmoid_focal_loss

pytestmark = pytest.mark.regression


# ------------------------------------------------------------------------------------------------------------ formulas


@parametrized((*CASES, *GAMMA_CASES, *ALPHA_CASES))
def test_value_and_gradient_are_the_papers(backend: Backend, case: LogitCase) -> None:
    points = [
        (x, z) for x in (-30.03, -7.1, -1.2, -0.2, 0.0, 0.31, 2.3, 8.9, 31.7) for z in (0.0, 1.0, 0.02, 0.6, 0.95)
    ]
    x, z = (torch.tensor(values, dtype=torch.float64) for values in zip(*points, strict=True))
    value, slope = losses(case, backend, x, z)
    exact = torch.tensor([case.naive(*p) for p in points], dtype=torch.float64)
    torch.testing.assert_close(value, exact, rtol=1e-11, atol=1e-13)
    if case.has_constant:
        return

    def differences(h: float) -> Tensor:
        return torch.tensor([(case.naive(a + h, b) - case.naive(a - h, b)) / (2 * h) for a, b in points]).double()

    if case.is_difference:  # some points are at kinks
        torch.testing.assert_close(slope, differences(1e-6), rtol=1e-4, atol=1e-6)
    else:
        torch.testing.assert_close(slope, (4 * differences(1e-3) - differences(2e-3)) / 3, rtol=1e-6, atol=1e-9)


def off_the_kinks(backend: Backend, case: LogitCase) -> tuple[Tensor, Tensor]:
    x, z = numbers(6, 3)
    x[0, 0] = 0  # where the formulas of logits change sides
    x, z = backend.put(x, x + z + 0.013 if case.is_difference else z)
    return x.requires_grad_(), z


@by_differences
@pytest.mark.extension
@parametrized(case for case in (*CASES, *GAMMA_CASES) if not case.has_constant)
def test_gradcheck(backend: Backend, case: LogitCase) -> None:
    x, z = off_the_kinks(backend, case)
    assert torch.autograd.gradcheck(lambda x: case(x, z, reduction="none"), x)
    assert torch.autograd.gradcheck(lambda x: case(x, z), x)


@of_the_reference
@every_kind
@pytest.mark.extension
@parametrized(case for case in CASES if not case.has_constant)
def test_gradgradcheck(backend: Backend, case: LogitCase) -> None:
    x, z = off_the_kinks(backend, case)
    assert torch.autograd.gradgradcheck(lambda x: case(x, z), x)


@every_case
def test_targets_that_require_a_gradient_get_one(backend: Backend, case: LogitCase) -> None:
    x, z = backend.put(*numbers(5))
    _, slope, by_target = evaluate(lambda x, z: case(x, z, reduction="sum"), x, z)
    torch.testing.assert_close(slope, evaluate(lambda x: case(x, z, reduction="sum"), x)[1])
    assert by_target.isfinite().all()
    if case.is_difference:
        torch.testing.assert_close(by_target, -slope)


@of_the_reference
@every_kind
@pytest.mark.parametrize("gamma", [1.0, 2.0, 2.5])
def test_what_requires_a_gradient_gets_one(backend: Backend, gamma: float) -> None:
    def mean(x: Tensor, z: Tensor, w: Tensor, a: Tensor, f: Tensor) -> Tensor:
        return sigmoid_focal_loss(x, z, a, gamma, weight=w, avg_factor=f)

    inputs = (random_logits(4, 3) / 3, random_targets(4, 3, hard=False), uniform(4, seed=8), uniform(3, seed=9))
    inputs = (*inputs, torch.tensor(5.0).double())
    assert torch.autograd.gradcheck(mean, [x.to(backend.device).requires_grad_() for x in inputs])


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
            close(got, evaluate(lambda x, f=theirs, r=reduction: f(x, z, reduction=r), x), rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------------------------------------------------ class indices


@by_class
@pytest.mark.parametrize("shape", [(200, 1), (200, 3), (200, 5), (200, 80), (2, 3, 4), (4,)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_class_indices_are_one_hot(
    backend: Backend, case: LogitCase, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    if shape[0] == 200:
        shape = (backend.size(200), shape[1])
    x = random_logits(*shape).to(dtype)
    classes = (torch.arange(math.prod(shape[:-1])) % (shape[-1] + 3) - 1).reshape(shape[:-1])  # some are no class
    exact = dtype == torch.float64
    got = losses(case, backend, x, classes)
    wanted = losses(case, backend, x, one_hot(classes, shape[-1], dtype))
    close(got, wanted, rtol=1e-11 if exact else 1e-5, atol=1e-14 if exact else 1e-12)


@by_class
def test_an_index_that_is_no_class_is_background(backend: Backend, case: LogitCase) -> None:
    outside = torch.tensor([-1, 3, 4, -(2**40), 2**40, 2**63 - 1, -(2**63), 2**32, 2**32 + 1])
    x = random_logits(len(outside), 3)
    close(losses(case, backend, x, outside), losses(case, backend, x, torch.zeros_like(x)))


@by_class
@pytest.mark.parametrize("weighting", ["none", "row", "each"])
def test_ignored_rows(backend: Backend, case: LogitCase, weighting: str) -> None:
    """They are out of the losses, the gradient and the mean, whatever their logits, weights and what is upstream."""
    for ignore_index in (None, -1, 2, 7):
        classes = torch.arange(20) % 5
        classes[::3] = -100 if ignore_index is None else ignore_index
        kept = classes != classes[0]
        x = random_logits(20, 4)
        weight = {"none": torch.ones(20, 4), "row": uniform(20, seed=5), "each": uniform(20, 4, seed=5)}[weighting]
        weight = weight.double()
        factor = weight if weight.ndim == 2 else weight[:, None]
        wanted = losses(case, backend, x, one_hot(classes, 4))
        value, gradient = (w * factor * kept[:, None] for w in wanted)
        x[~kept] = torch.tensor([math.nan, math.inf, -math.inf, 1e30]).double()
        if weighting != "none":
            weight[~kept] = math.nan
        upstream = torch.where(kept, 1.0, math.inf)[:, None].expand(20, 4)
        moved = backend.put(classes, weight)
        options: dict[str, Any] = {"weight": None if weighting == "none" else moved[1], "ignore_index": ignore_index}
        each = evaluate(
            lambda x, c=moved[0], o=options: case(x, c, reduction="none", **o),
            x.to(backend.device),
            upstream=upstream.double().to(backend.device),
        )
        close(each, [value, gradient])
        assert not any(tensor[~kept].any() for tensor in each)
        if ignore_index in (-1, 7):
            continue
        for by, divisor in ({}, int(kept.sum()) * 4), ({"avg_factor": 3}, 3), ({"reduction": "sum"}, 1):
            reduced = losses(case, backend, x, classes, **{"reduction": "mean"} | options | by)
            close(reduced, [value.sum() / divisor, gradient / divisor])
        if weighting == "none":
            all_ignored = torch.full_like(classes, int(classes[0]))
            nothing = losses(case, backend, x, all_ignored, reduction="mean", ignore_index=ignore_index)
            assert not any(tensor.any() for tensor in nothing)


def test_scores_are_the_targets_of_the_classes(backend: Backend) -> None:
    x, classes, scores = random_logits(40, 7), torch.arange(40) % 9 - 1, uniform(40, seed=3)
    scores[classes == 4] = math.nan
    dense = one_hot(classes, 7) * scores.nan_to_num()[:, None]
    kept = classes != 4
    case = LogitCase("quality_focal_loss", lambda x, z: math.nan)
    wanted = losses(case, backend, x, dense)
    for layout in (x, x.t().contiguous().t()):
        for g, w in zip(losses(case, backend, layout, classes, scores=scores, ignore_index=4), wanted, strict=True):
            torch.testing.assert_close(g[kept], w[kept])
            assert (g[~kept] == 0).all()


# ----------------------------------------------------------------------------------------------------- smoothed labels


@pytest.mark.parametrize("target", ["hard", "soft", "index"])
@pytest.mark.parametrize("gamma", [0.0, 1.5, 2.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_smooth_all_is_the_loss_of_smoothed_targets(
    backend: Backend, target: str, gamma: float, dtype: torch.dtype
) -> None:
    x, classes, smoothing = random_logits(40, 7, dtype=dtype), torch.arange(40) % 9 - 1, 0.3
    dense = one_hot(classes, 7) if target == "index" else random_targets(40, 7, hard=target == "hard")
    given = classes if target == "index" else dense.to(dtype)
    alpha = uniform(7, seed=8)
    options = {"gamma": gamma, "alpha": alpha}
    got = losses(FOCAL, backend, x, given, **options, label_smoothing=smoothing, smooth_all=True)
    exact = dtype == torch.float64
    dense = dense if exact else dense.float().double()
    wanted = truths(FOCAL, x, dense * (1 - smoothing) + smoothing / 2, **options)
    close(got, wanted, rtol=1e-11 if exact else 1e-5, atol=1e-13 if exact else 1e-6)


def test_smooth_all_needs_something_to_smooth(backend: Backend) -> None:
    x, z = random_logits(20, 5), random_targets(20, 5, hard=False)
    assert all(map(torch.equal, losses(FOCAL, backend, x, z, smooth_all=True), losses(FOCAL, backend, x, z)))
    alone, with_all = (
        losses(FOCAL, backend, x, z, label_smoothing=0.2, smooth_all=everywhere) for everywhere in (False, True)
    )
    assert (alone[0] - with_all[0]).abs().max() > 1e-2


# ------------------------------------------------------------------------------------------- alpha, weights, reduction


@pytest.mark.parametrize("dtype", DTYPES)
def test_parameters_by_class(backend: Backend, dtype: torch.dtype) -> None:
    (x, z), classes = numbers(30, 6), torch.arange(30) % 7
    alpha = torch.linspace(0, 1, 6).to(dtype)
    dense = losses(FOCAL, backend, x, z, alpha=alpha, gamma=1.5)
    for column in range(6):
        wanted = losses(FOCAL, backend, x[:, column], z[:, column], alpha=alpha[column].item(), gamma=1.5)
        close([g[:, column] for g in dense], wanted)
    index = losses(FOCAL, backend, x, classes, alpha=alpha)
    close(index, losses(FOCAL, backend, x, one_hot(classes, 6), alpha=alpha))
    weight = torch.linspace(0.5, 3, 6).to(dtype)
    bce = LogitCase("binary_cross_entropy_loss", lambda x, z: math.nan)
    got = losses(bce, backend, x, z, pos_weight=weight)
    weight = weight.double()
    close(got, evaluate(lambda x: F.binary_cross_entropy_with_logits(x, z, pos_weight=weight, reduction="none"), x))


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_equalized_focal_loss_is_a_focal_loss_for_each_class(backend: Backend, dense: bool, dtype: torch.dtype) -> None:
    x, z = backend.put(*numbers(31, 6, dtype))
    balance = torch.linspace(0, 1, 6, dtype=dtype, device=backend.device)
    classes = (torch.arange(31) % 7).to(backend.device)
    targets = z if dense else classes
    got = evaluate(lambda x: iouloss.equalized_focal_loss(x, targets, balance, reduction="none"), x)
    for column in range(6):
        gamma = 2 + 8 * (1 - float(balance[column]))
        target = z[:, column] if dense else (classes == column).to(dtype)
        want = evaluate(
            lambda x, t=target, g=gamma: g / 2 * sigmoid_focal_loss(x, t, gamma=g, reduction="none"), x[:, column]
        )
        close([g[:, column] for g in got], want, rtol=1e-5, atol=1e-12)


def check_reductions(backend: Backend, case: LogitCase, targets: Tensor, dense: Tensor, weighting: str) -> None:
    """Values and gradients, of more than a block has, against the reference's losses one by one."""
    rows, columns = dense.shape
    x = random_logits(rows, columns)
    weight = {"none": None, "row": uniform(rows, seed=6), "each": uniform(rows, columns, seed=6)}[weighting]
    factor = 1 if weight is None else weight[:, None] if weighting == "row" else weight
    upstream = uniform(rows, columns, seed=7) - 0.5
    targets, by = backend.put(targets, torch.tensor(7.0))
    given = None if weight is None else weight.to(backend.device)
    (value, gradient), some = truths(case, x, dense), torch.tensor(1.7).double()
    value = value * factor
    for options, divisor, up in (
        ({"reduction": "none"}, None, upstream),
        ({"reduction": "sum"}, 1, some),
        ({}, value.numel(), some),
        ({"avg_factor": by}, 7, some),
    ):
        got = evaluate(
            lambda x, o=options: case(x, targets, weight=given, **o),
            x.to(backend.device),
            upstream=up.to(backend.device),
        )
        wanted = [value if divisor is None else value.sum() / divisor, gradient * factor * up / (divisor or 1)]
        close(got, wanted, rtol=1e-10, atol=1e-13)


@every_case
@pytest.mark.parametrize("weighting", ["none", "row", "each"])
def test_reductions_are_compositions(backend: Backend, case: LogitCase, weighting: str) -> None:
    _, z = numbers(207)
    check_reductions(backend, case, z, z, weighting)


@by_class
@pytest.mark.parametrize("weighting", ["none", "row", "each"])
def test_reductions_of_class_indices(backend: Backend, case: LogitCase, weighting: str) -> None:
    classes = torch.arange(207) % 6
    check_reductions(backend, case, classes, one_hot(classes, 5), weighting)


@of_each_operator
@pytest.mark.parametrize("factor", [7, 7.0, "int64", "float32", "float16", "shaped"])
def test_avg_factor(backend: Backend, case: LogitCase, factor: float | str) -> None:
    given: Any = factor
    if isinstance(factor, str):
        shape, dtype = ((1, 1), torch.float64) if factor == "shaped" else ((), getattr(torch, factor))
        given = torch.full(shape, 7, dtype=dtype, device=backend.device)
    x, z = numbers(11, 3)
    wanted = [truths(case, x, z)[0].sum() / 7, truths(case, x, z)[1] / 7]
    close(losses(case, backend, x, z, avg_factor=given, reduction="mean"), wanted)
    for targets in (z, torch.arange(11)) if case is FOCAL else (z,):
        nothing = losses(case, backend, x, targets, avg_factor=given * 0, reduction="mean")
        assert not any(tensor.any() for tensor in nothing)


@every_case
@pytest.mark.parametrize("dtype", [*DTYPES, "mixed"])
def test_every_loss_leaves_its_gradient(backend: Backend, case: LogitCase, dtype: torch.dtype | str) -> None:
    """Of more than a block has, and not a multiple of what a thread takes; in any layout, with any factors."""
    kinds = (torch.float32, torch.float64) if dtype == "mixed" else (dtype, dtype)
    x, z = (values.to(kind) for values, kind in zip(numbers(251), kinds, strict=True))
    z, weight, by = backend.put(z, torch.linspace(0.5, 2, 251, dtype=torch.float64), torch.tensor(3.0))
    last = {torch.float16: 2.0**-10, torch.bfloat16: 2.0**-7}.get(kinds[0], 1e-6)
    for view in (x, layouts(x)["every other column"]):
        leaf = view.to(backend.device).requires_grad_()
        each = case(leaf, z, weight=weight, reduction="none")
        for upstream in (1.0, 3.0, math.inf):
            (want,) = torch.autograd.grad(each, leaf, torch.full_like(each, upstream), retain_graph=True)
            loss = case(leaf, z, weight=weight, reduction="sum")
            (got,) = torch.autograd.grad(loss, leaf, torch.full_like(loss, upstream))
            torch.testing.assert_close(loss, each.sum(), rtol=1e-5, atol=1e-4)
            torch.testing.assert_close(got, want, rtol=last, atol=1e-6, equal_nan=True)
            if upstream == 1:
                value, slope = evaluate(lambda x: case(x, z, weight=weight, avg_factor=by), leaf)
                torch.testing.assert_close(value, loss.detach().cpu() / 3)
                torch.testing.assert_close(slope.double(), want.cpu().double() / 3, rtol=2 * last, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_more_logits_than_threads_on_the_device(backend: Backend, dtype: torch.dtype) -> None:
    rows = 93_000 if EMULATED else 1_000_000
    x, classes = random_logits(rows, 3, dtype=dtype), torch.arange(rows) % 4
    got = sigmoid_focal_loss(*backend.put(x, classes), reduction="sum").cpu().double()
    wanted = by_reference(FOCAL, x.double(), one_hot(classes, 3), reduction="sum").detach()
    torch.testing.assert_close(got, wanted, rtol=1e-11 if dtype == torch.float64 else 1e-6, atol=0)
