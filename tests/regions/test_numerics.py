"""The losses of regions: every precision, the kinks, the full range of numbers, and bits that repeat."""

import math

import pytest
import torch
from backends import Backend
from cases import HALVES, evaluate, uniform
from properties import given, st
from regions import (
    CASES,
    DICE,
    REGION_CASE,
    TVERSKY,
    Case,
    every_activation,
    every_case,
    logits_for,
    losses,
    targets_for,
    truths,
)

import iouloss
from iouloss.reference.regions import probabilities

pytestmark = pytest.mark.extension

# ------------------------------------------------------------------------------------------------------------ precision


@every_case
@every_activation
@pytest.mark.parametrize("dtype", [torch.float32, *HALVES])
@pytest.mark.parametrize("spread", [1.0, 8.0])
def test_precision(backend: Backend, case: Case, activation: str | None, dtype: torch.dtype, spread: float) -> None:
    """Against float64, each value and each element of the gradient by itself; targets are classes."""
    pixels = backend.size(400)
    logits = 12 * uniform(2, 3, pixels) - 6
    logits = (spread * logits).to(dtype)
    if activation is None:
        logits = torch.sigmoid(logits.double()).to(dtype)
    targets = targets_for("index", 2, 3, pixels)
    got = losses(backend, case, logits, targets, activation=activation)
    true = truths(case, logits, targets, activation=activation)
    info = torch.finfo(dtype)
    for kind, g, t in zip(("loss", "gradient"), got, true, strict=True):
        rounding = torch.zeros_like(t)
        if kind == "gradient" and dtype != torch.float32:
            rounding = t.abs() * info.eps / 2 + info.smallest_normal * info.eps
        size, counts = t.abs(), t.abs() > 1e-25
        if kind == "gradient" and activation == "softmax":
            # p_c (h_c - sum of p_k h_k) is measured by its terms, which are alike where no class is at the pixel.
            p, n = probabilities(logits.double(), "softmax")
            size = p * n * (t.abs() / (p * n)).nan_to_num().amax((1, 2), keepdim=True)
            counts = size > 1e-25
        error = ((g.double() - t).abs() - rounding).clamp(min=0) / size
        assert error[counts].max() <= 1e-5, kind
        assert g.isfinite().all(), kind


@every_activation
def test_confident_and_right(backend: Backend, activation: str | None) -> None:
    """A loss of 1e-6 keeps its relative precision, and so does its gradient."""
    targets = targets_for("index", 2, 4, 64).clamp(0, 3)
    logits = 28 * (targets[:, None] == torch.arange(4)[:, None]).float() - 14 + uniform(2, 4, 64, dtype=torch.float32)
    if activation is None:
        logits = torch.sigmoid(logits)
    for case in CASES:
        smoothing = {"smooth_numerator": 0.0, "smooth_denominator": 0.0}
        got = losses(backend, case, logits, targets, activation=activation, **smoothing)
        true = truths(case, logits, targets, activation=activation, smooth=(0.0, 0.0))
        assert ((got[0].double() - true[0]).abs() / true[0]).max() < 1e-5
        error = (got[1].double() - true[1]).abs() / true[1].abs().amax(1, keepdim=True)
        assert error[true[1].abs().amax(1, keepdim=True).expand_as(error) > 1e-25].max() < 1e-5


@pytest.mark.parametrize("dtype", HALVES)
def test_sums_of_halves_do_not_overflow(backend: Backend, dtype: torch.dtype) -> None:
    side = 300 if backend.size(300) == 300 else 40
    logits, targets = torch.full((1, 1, side, side), 20.0, dtype=dtype), torch.ones(1, 1, side, side, dtype=dtype)
    for case in CASES:
        value, gradient = losses(backend, case, logits, targets)
        assert (value.abs() < 1e-5).all() and gradient.isfinite().all()


# ---------------------------------------------------------------------------------------------------------------- kinks


@every_case
def test_an_empty_region(backend: Backend, case: Case) -> None:
    """No target and no prediction: nothing over nothing is a loss of 0, with and without smoothing."""
    nothing = torch.zeros(1, 2, 6)
    for smooth in ((0.0, 0.0), (1e-5, 1e-5)):
        smoothing = {"smooth_numerator": smooth[0], "smooth_denominator": smooth[1]}
        for activation, logits in ((None, nothing), ("sigmoid", nothing - 1e4)):
            value, gradient = losses(backend, case, logits, nothing, activation=activation, **smoothing)
            assert (value == 0).all() and gradient.isfinite().all()
            assert smooth != (0.0, 0.0) or (gradient == 0).all()
    value, gradient = losses(backend, case, nothing, nothing, activation=None, smooth_numerator=0.0)
    assert gradient.isfinite().all()  # mmdetection's smoothing
    assert (value == (0 if case.gamma == 0.5 else 1)).all() or (value == 1).all()


@every_case
def test_all_right(backend: Backend, case: Case) -> None:
    """At the minimum: the loss is 0, and a root of it has the gradient 0, not an infinite one."""
    targets = targets_for("hard", 1, 3, 20, dtype=torch.float32)
    for activation, logits in ((None, targets), ("sigmoid", 2e4 * targets - 1e4)):
        value, gradient = losses(backend, case, logits, targets, activation=activation)
        assert (value == 0).all() and gradient.isfinite().all()
        assert case.gamma == 1 or (gradient == 0).all()


@every_case
def test_all_wrong(backend: Backend, case: Case) -> None:
    targets = targets_for("hard", 1, 3, 20, dtype=torch.float32)
    for activation, logits in ((None, 1 - targets), ("sigmoid", 1e4 - 2e4 * targets)):
        value, gradient = losses(backend, case, logits, targets, activation=activation, smooth_numerator=0.0)
        torch.testing.assert_close(value, torch.ones_like(value), rtol=1e-5, atol=0)
        assert gradient.isfinite().all()


def test_more_smoothing_above_than_below(backend: Backend) -> None:
    """A loss below 0 as such; of its root there is none, and it counts as 0."""
    targets = targets_for("hard", 1, 1, 20)
    smoothing = {"activation": None, "smooth_numerator": 1.0, "smooth_denominator": 0.5}
    assert losses(backend, REGION_CASE["tversky"], targets, targets, **smoothing)[0] < 0
    for tensor in losses(backend, REGION_CASE["focal_tversky"], targets, targets, **smoothing):
        assert (tensor == 0).all()


def test_absent_classes_of_the_generalized_dice_loss(backend: Backend) -> None:
    """They weigh as much as the smallest that is present; if none is, nothing weighs anything."""
    logits, classes = logits_for("softmax", 2, 4, 12), torch.zeros(2, 12, dtype=torch.int64)
    classes[0, :5] = 2
    classes[1] = -1
    value, gradient = losses(backend, REGION_CASE["generalized_dice"], logits, classes, activation="softmax")
    p, g = torch.softmax(logits[0], 0), (classes[0] == torch.arange(4)[:, None]).double()
    weight = torch.tensor([1 / 49, 1 / 25, 1 / 25, 1 / 25], dtype=torch.float64)
    inter, sums = (weight * (p * g).sum(1)).sum(), (weight * (p + g).sum(1)).sum()
    torch.testing.assert_close(value[0], 1 - (2 * inter + 1e-5) / (sums + 1e-5))
    assert value[1] == 0 and (gradient[1] == 0).all()


# ------------------------------------------------------------------------------------------------------- the full range


@given(data=st.data())
def check_finite(backend: Backend, data: st.DataObject) -> None:
    dtype, width = data.draw(st.sampled_from([(torch.float32, 32), (torch.float64, 64)]))
    finite = st.floats(allow_nan=False, allow_infinity=False, width=width)
    unit = st.sampled_from([0.0, 1.0, 0.5, 1e-45, 1e-30, 1 - 2**-24])
    logits = torch.tensor(data.draw(st.lists(finite, min_size=12, max_size=12)), dtype=dtype).reshape(1, 3, 4)
    targets = torch.tensor(data.draw(st.lists(unit, min_size=12, max_size=12)), dtype=dtype).reshape(1, 3, 4)
    given_probabilities = torch.tensor(data.draw(st.lists(unit, min_size=12, max_size=12)), dtype=dtype).reshape(
        1, 3, 4
    )
    classes = torch.tensor([data.draw(st.lists(st.integers(-1, 3), min_size=4, max_size=4))])
    smooth = data.draw(st.sampled_from([0.0, 1e-30, 1e-5, 1.0]))
    smoothing = {"smooth_numerator": smooth, "smooth_denominator": smooth}
    for case in CASES:
        for activation in ("sigmoid", "softmax", None):
            x = given_probabilities if activation is None else logits
            for t in (targets, classes):
                for tensor in losses(backend, case, x, t, activation=activation, **smoothing):
                    assert tensor.isfinite().all(), (case.name, activation, tensor)


def test_finite_logits_have_finite_losses(backend: Backend) -> None:
    check_finite(backend)


@every_case
@every_activation
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_nan_reaches_its_region(backend: Backend, case: Case, activation: str | None, dtype: torch.dtype) -> None:
    logits, targets = logits_for(activation, 2, 3, 9, dtype=dtype), targets_for("index", 2, 3, 9).clamp(0, 2)
    for place in (0, 4):
        broken = logits.clone()
        broken[1, place % 3, place] = math.nan
        value, gradient = losses(backend, case, broken, targets, activation=activation, per="image")
        assert value.isnan().tolist() == [False, True]
        assert gradient[0].isfinite().all() and gradient[1].isnan().all()
        moved = targets.to(backend.device)
        assert case(broken.to(backend.device), moved, activation=activation).isnan()


def test_an_infinite_upstream_gradient_is_not_hidden(backend: Backend) -> None:
    logits, targets = logits_for("sigmoid", 2, 3, 9), targets_for("soft", 2, 3, 9)
    upstream = torch.tensor(math.inf, dtype=torch.float64)
    assert not losses(backend, DICE, logits, targets, upstream, reduction="mean")[1].isfinite().any()


# ----------------------------------------------------------------------------------------------------------- repetition


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("per", ["image_class", "class", "batch"])
def test_runs_are_equal_bit_by_bit(backend: Backend, activation: str, per: str) -> None:
    logits, targets = logits_for(activation, 2, 3, 3000, dtype=torch.float32), targets_for("index", 2, 3, 3000)
    options = {"activation": activation, "per": per, "reduction": "mean"}
    first = losses(backend, REGION_CASE["focal_tversky"], logits, targets, **options)
    for _ in range(2 if backend.size(100) < 100 else 20):
        again = losses(backend, REGION_CASE["focal_tversky"], logits, targets, **options)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_the_number_of_threads_changes_nothing(backend: Backend, activation: str) -> None:
    if backend.device != "cpu" or not backend.compiled:
        pytest.skip("the CPU's threads have no part in this backend, or their sums are torch's")
    logits, targets = logits_for(activation, 2, 5, 40_000, dtype=torch.float32), targets_for("index", 2, 5, 40_000)
    threads = torch.get_num_threads()
    results = []
    for count in (1, 2, 4):
        torch.set_num_threads(count)
        results.append(losses(backend, DICE, logits, targets, activation=activation, reduction="mean"))
    torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_second_backward_is_the_same(backend: Backend) -> None:
    logits = logits_for("sigmoid", 2, 3, 100, dtype=torch.float32).to(backend.device).requires_grad_()
    before = logits.detach().clone()
    loss = iouloss.tversky_loss(logits, targets_for("index", 2, 3, 100).to(backend.device), **TVERSKY)
    first = torch.autograd.grad(loss, logits, retain_graph=True)[0]
    second = torch.autograd.grad(loss, logits)[0]
    assert torch.equal(first, second) and torch.equal(logits.detach(), before)


@pytest.mark.parametrize("dtype", HALVES)
def test_autocast_changes_nothing(backend: Backend, dtype: torch.dtype) -> None:
    targets = targets_for("index", 2, 3, 20).to(backend.device)
    for inputs_dtype in (torch.float32, dtype):
        logits = logits_for("sigmoid", 2, 3, 20, dtype=inputs_dtype).to(backend.device)
        expected = evaluate(lambda x: iouloss.dice_loss(x, targets), logits)
        with torch.autocast(backend.device, dtype):
            got = evaluate(lambda x: iouloss.dice_loss(x, targets), logits)
        assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(got, expected, strict=True))
