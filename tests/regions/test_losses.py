"""The losses of regions on every backend: formulas, targets, regions, layouts."""

import itertools
import math
from typing import Any

import pytest
import torch
from backends import EMULATED, Backend, by_differences
from cases import DTYPES, evaluate, misaligned, uniform
from regions import (
    CASES,
    DICE,
    PER,
    REGION_CASE,
    Case,
    close,
    dense,
    every_activation,
    every_case,
    every_case_per,
    every_target,
    logits_for,
    losses,
    some_cases,
    targets_for,
    truths,
)
from regions import naive_values as by_hand
from torch import Tensor

import iouloss

# --------------------------------------------------------------------------------------------------- formulas, regions


@every_case_per
@every_activation
@pytest.mark.parametrize("smooth", [(1e-5, 1e-5), (0.0, 0.5), (1.0, 1.0)])
def test_values_are_the_formulas(
    backend: Backend, case: Case, per: str, activation: str | None, smooth: tuple[float, float]
) -> None:
    logits, targets = logits_for(activation, 2, 3, 2, 3), targets_for("soft", 2, 3, 2, 3)
    smoothing = {"smooth_numerator": smooth[0], "smooth_denominator": smooth[1]}
    value, _ = losses(backend, case, logits, targets, activation=activation, per=per, **smoothing)
    assert value.flatten().tolist() == pytest.approx(by_hand(case, logits, targets, activation, per, smooth), rel=1e-10)
    assert value.shape == {"image_class": (2, 3), "class": (3,), "image": (2,), "batch": ()}[per]


@every_case_per
@every_activation
@every_target
def test_values_and_gradients_are_the_references(
    backend: Backend, case: Case, per: str, activation: str | None, target: str
) -> None:
    logits, targets = logits_for(activation, 2, 3, 5, 7), targets_for(target, 2, 3, 5, 7)
    for weight in (None, torch.tensor([0.5, 2.0, 0.0]).double()):
        options = {"activation": activation, "per": per, "class_weight": weight}
        value = losses(backend, case, logits, targets, **options)[0]
        upstream = uniform(*value.shape, seed=7) - 0.3
        got = losses(backend, case, logits, targets, upstream, **options)
        close(got, truths(case, logits, targets, upstream, **options))


@by_differences
@every_case
@every_activation
@pytest.mark.parametrize("target", ["soft", "index"])
def test_gradcheck(backend: Backend, case: Case, activation: str | None, target: str) -> None:
    logits = (logits_for(activation, 2, 3, 2) / 2).to(backend.device).requires_grad_()
    targets = targets_for(target, 2, 3, 2).to(backend.device)
    assert torch.autograd.gradcheck(lambda x: case(x, targets, activation=activation, reduction="none"), logits)
    assert torch.autograd.gradcheck(lambda x: case(x, targets, activation=activation), logits)


def test_defaults(backend: Backend) -> None:
    logits, targets = logits_for("sigmoid", 2, 3, 4, 4), targets_for("index", 2, 3, 4, 4)
    logits, moved = backend.put(logits, targets)
    for case, activation in (
        (DICE, "sigmoid"),
        (REGION_CASE["focal_tversky"], "sigmoid"),
        (REGION_CASE["generalized_dice"], "softmax"),
    ):
        wanted = truths(case, logits.cpu(), targets, activation=activation, reduction="mean")
        close(evaluate(lambda x, f=case.function: f(x, moved), logits), wanted)
    smoothing = {"smooth_numerator": 2e-5, "smooth_denominator": 2e-5}
    as_dice = evaluate(lambda x: iouloss.dice_loss(x, moved, **smoothing), logits)
    close(evaluate(lambda x: iouloss.tversky_loss(x, moved), logits), as_dice)


# ------------------------------------------------------------------------------------------------------ class indices


@some_cases
@every_activation
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (2, 1, 9), (3, 4), (2, 9, 3, 1, 2)], ids=str)
def test_class_indices_are_one_hot(
    backend: Backend, case: Case, activation: str | None, shape: tuple[int, ...]
) -> None:
    logits, classes = logits_for(activation, *shape), targets_for("index", *shape)
    got = losses(backend, case, logits, classes, activation=activation)
    close(got, truths(case, logits, dense(classes, shape[1]), activation=activation))


def test_an_index_that_is_no_class_is_background(backend: Backend) -> None:
    outside = torch.tensor([-1, 3, 4, -(2**40), 2**40, 2**63 - 1, -(2**63), 2**32, 2**32 + 1])[None]
    logits = logits_for("sigmoid", 1, 3, 9)
    got = losses(backend, DICE, logits, outside)
    close(got, truths(DICE, logits, torch.zeros_like(logits)))


@every_case
@every_activation
@pytest.mark.parametrize("ignore_index", [-100, -1, 2, 7])
def test_ignored_pixels(backend: Backend, case: Case, activation: str | None, ignore_index: int) -> None:
    logits, classes = logits_for(activation, 2, 4, 30), targets_for("index", 2, 4, 30)
    ignored = torch.arange(30) % 3 == 0
    classes[:, ignored] = ignore_index
    classes[:, ~ignored] = torch.where(classes[:, ~ignored] == ignore_index, 0, classes[:, ~ignored])
    others = logits[..., ~ignored], classes[..., ~ignored]
    logits[..., ignored] = math.nan  # not even looked at
    options = {"activation": activation, "ignore_index": ignore_index}
    value, gradient = losses(backend, case, logits, classes, **options)
    wanted = truths(case, *others, activation=activation)
    close([value, gradient[..., ~ignored]], wanted)
    assert (gradient[..., ignored] == 0).all()
    overflow = torch.full_like(value, math.inf)
    gradient = losses(backend, case, logits, classes, overflow, **options)[1]
    assert (gradient[..., ignored] == 0).all() and not gradient[..., ~ignored].isfinite().all()


@every_case
@every_activation
def test_all_pixels_ignored(backend: Backend, case: Case, activation: str | None) -> None:
    logits, classes = logits_for(activation, 2, 3, 8), torch.full((2, 8), -100)
    for tensor in losses(backend, case, logits, classes, activation=activation):
        assert (tensor == 0).all()


# ----------------------------------------------------------------------------------------------------------- reductions


@pytest.mark.parametrize("per", PER)
@pytest.mark.parametrize("weighted", [False, True])
def test_reductions(backend: Backend, per: str, weighted: bool) -> None:
    logits, targets = logits_for("sigmoid", 3, 4, 50), targets_for("soft", 3, 4, 50)
    options: dict[str, Any] = {"per": per, "class_weight": uniform(4, seed=9) if weighted else None}
    each, gradient = losses(backend, REGION_CASE["tversky"], logits, targets, **options)
    factor = torch.tensor([7], device=backend.device)
    for reduction, by, given in (
        ("sum", 1, {}),
        ("mean", each.numel(), {}),
        ("mean", 7, {"avg_factor": 7}),
        ("mean", 7, {"avg_factor": 7.0}),
        ("mean", 7, {"avg_factor": factor}),
    ):
        got = losses(backend, REGION_CASE["tversky"], logits, targets, reduction=reduction, **options, **given)
        close(got, [each.sum() / by, gradient / by])
        upstream = torch.tensor(-1.7, dtype=torch.float64)
        got = losses(
            backend, REGION_CASE["tversky"], logits, targets, upstream, reduction=reduction, **options, **given
        )
        close(got, [each.sum() / by, gradient / by * -1.7])


@pytest.mark.parametrize("zero", [0, 0.0, "tensor"])
def test_avg_factor_0_gives_0(backend: Backend, zero: float | str) -> None:
    factor = torch.zeros(1, dtype=torch.int64) if zero == "tensor" else zero
    logits, targets = logits_for("sigmoid", 2, 3, 5), targets_for("soft", 2, 3, 5)
    for tensor in losses(backend, DICE, logits, targets, avg_factor=factor, reduction="mean"):
        assert (tensor == 0).all()


@every_case_per
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_a_weight_multiplies_values_and_gradients(backend: Backend, case: Case, per: str, dtype: torch.dtype) -> None:
    logits, targets = logits_for("sigmoid", 3, 4, 5), targets_for("soft", 3, 4, 5)
    each, _ = losses(backend, case, logits, targets, per=per)
    weight = (uniform(*each.shape, 2, seed=9)[..., 0] - 0.2).to(dtype)  # with strides
    got = losses(backend, case, logits, targets, per=per, weight=weight)
    close(got[:1], [each * weight.double()])
    close(got[1:], losses(backend, case, logits, targets, weight.double(), per=per)[1:])
    total = losses(backend, case, logits, targets, per=per, weight=weight, reduction="mean", avg_factor=4)
    close(total, [got[0].sum() / 4, got[1] / 4])


@some_cases
def test_what_requires_a_gradient_gets_one(backend: Backend, case: Case) -> None:
    def mean(x: Tensor, z: Tensor, v: Tensor, w: Tensor, f: Tensor) -> Tensor:
        return case(x, z, per="image", weight=v, class_weight=w, avg_factor=f)

    inputs = (logits_for("sigmoid", 2, 3, 2) / 3, targets_for("soft", 2, 3, 2))
    inputs = (*inputs, uniform(2, seed=7), uniform(3, seed=8) + 0.1, torch.tensor(5.0).double())
    wanted = [x.to(backend.device).requires_grad_() for x in inputs]
    if case.formula == "generalized_dice":  # its weights are constants
        wanted[1].requires_grad_(False)
    assert torch.autograd.gradcheck(mean, wanted)


# -------------------------------------------------------------------------------------------------- shapes and layouts


@every_activation
@pytest.mark.parametrize("target", ["soft", "index"])
@pytest.mark.parametrize("classes", [1, 3])
def test_every_size(backend: Backend, activation: str | None, target: str, classes: int) -> None:
    sizes = (0, 1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025)
    for pixels in sizes[::3] if EMULATED else sizes:
        shape = (2, classes, pixels)
        logits, targets = logits_for(activation, *shape), targets_for(target, *shape)
        for case in (REGION_CASE["square_dice"], REGION_CASE["focal_tversky"]):
            got = losses(backend, case, logits, targets, activation=activation)
            close(got, truths(case, logits, targets, activation=activation))


@every_activation
@every_case
@pytest.mark.parametrize("target", ["hard", "index"])
def test_many_parts(backend: Backend, case: Case, activation: str | None, target: str) -> None:
    """More pixels than a thread, a block or a tile takes at once."""
    shape = (2, 3, 8199) if EMULATED else (2, 20, 150, 151)
    if EMULATED and case.formula == "tversky":
        return
    logits = logits_for(activation, *shape, dtype=torch.float32)
    targets = targets_for(target, *shape, dtype=torch.float32)
    got = losses(backend, case, logits, targets, activation=activation, per="image")
    close(got, truths(case, logits, targets, activation=activation, per="image"), 2e-6)


@pytest.mark.parametrize("shape", [(700, 3, 2), (2, 700, 3), (40, 30, 5)], ids=str)
@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("per", PER)
def test_many_regions(backend: Backend, shape: tuple[int, ...], activation: str, per: str) -> None:
    logits, targets = logits_for(activation, *shape), targets_for("index", *shape)
    weight = uniform(shape[1], seed=3) + 0.5
    options = {"activation": activation, "per": per, "class_weight": weight}
    close(
        losses(backend, DICE, logits, targets, **options),
        truths(DICE, logits, targets, **options),
    )
    mean = losses(backend, DICE, logits, targets, reduction="mean", **options)
    close(mean, truths(DICE, logits, targets, reduction="mean", **options))


@every_case_per
@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (0, 0), (3, 1), (1, 1, 1, 1)], ids=str)
def test_shapes(backend: Backend, case: Case, per: str, shape: tuple[int, ...]) -> None:
    for activation, target in (("sigmoid", "soft"), ("softmax", "soft"), ("softmax", "index")):
        logits, targets = logits_for(activation, *shape), targets_for(target, *shape)
        options = {"activation": activation, "per": per}
        close(losses(backend, case, logits, targets, **options), truths(case, logits, targets, **options))
        for reduction in ("mean", "sum"):
            value, gradient = losses(backend, case, logits, targets, reduction=reduction, **options)
            assert value.shape == () and value.isfinite() and gradient.shape == shape and gradient.isfinite().all()


@every_activation
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_any_layout(backend: Backend, activation: str | None, dtype: torch.dtype) -> None:
    shape = (2, 4, 6, 8)
    logits, targets = logits_for(activation, *shape, dtype=dtype), targets_for("soft", *shape, dtype=dtype)
    classes = targets_for("index", *shape)
    logits, targets, classes = backend.put(logits, targets, classes)
    views = {
        "misaligned": misaligned,
        "channels last": lambda x: x.movedim(1, -1).contiguous().movedim(-1, 1) if x.ndim == 4 else x,
        "part of a wider one": lambda x: torch.cat((x, x + 1), -1)[..., : x.shape[-1]],
        "every other": lambda x: torch.stack((x, x + 1), -1)[..., 0],
    }
    kept = {"activation": activation, "class_weight": uniform(4, seed=2)}
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 8e-3}[dtype]
    expected = [losses(backend, DICE, logits, t, **kept) for t in (targets, classes)]
    for view in views.values():
        for given, wanted in zip((targets, classes), expected, strict=True):
            for x, t in ((view(logits), given), (logits, view(given)), (view(logits), view(given))):
                close(losses(backend, DICE, x, t, **kept), wanted, tolerance)
    row = targets[:, :1].expand(shape)
    close(
        losses(backend, DICE, logits, row, **kept),
        losses(backend, DICE, logits, row.contiguous(), **kept),
        tolerance,
    )


@pytest.mark.parametrize("logits_dtype", DTYPES)
@pytest.mark.parametrize("targets_dtype", [*DTYPES, torch.int64])
@every_activation
@pytest.mark.parametrize("case", CASES[:2], ids=lambda case: case.name)
@pytest.mark.parametrize("pixels", [13, 16])
def test_mixed_dtypes(
    backend: Backend,
    logits_dtype: torch.dtype,
    targets_dtype: torch.dtype,
    activation: str | None,
    case: Case,
    pixels: int,
) -> None:
    shape = (2, 3, pixels)
    logits = logits_for(activation, *shape, dtype=logits_dtype)
    indices = targets_dtype == torch.int64
    targets = targets_for("index", *shape) if indices else targets_for("soft", *shape, dtype=targets_dtype)
    compute = torch.float64 if torch.float64 in (logits_dtype, targets_dtype) else torch.float32
    for weight_dtype in DTYPES:
        options = {"activation": activation, "class_weight": uniform(3, seed=5, dtype=weight_dtype)}
        got = losses(backend, case, logits, targets, **options)
        assert [tensor.dtype for tensor in got] == [compute, logits_dtype]
        true = truths(case, logits, targets, **options)
        close(got[:1], true[:1], 1e-6 if compute == torch.float32 else 1e-12)
        rounding = {torch.float32: 1e-7, torch.float16: 1e-3, torch.bfloat16: 8e-3}.get(logits_dtype, 0.0)
        close(got[1:], true[1:], rounding + (3e-6 if compute == torch.float32 else 1e-12))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "case, per", [(DICE, "image_class"), (DICE, "image"), (REGION_CASE["generalized_dice"], "image")]
)
def test_an_upstream_gradient_of_any_dtype(backend: Backend, dtype: torch.dtype, case: Case, per: str) -> None:
    """Autograd gives it the dtype of the loss; the operator takes what it is given."""
    if not backend.compiled:
        pytest.skip("the reference has no such operator")
    logits, targets = logits_for("sigmoid", 2, 3, 9, dtype=dtype), targets_for("index", 2, 3, 9)
    logits, targets, weight = backend.put(logits, targets, uniform(3, seed=5))
    ops = torch.ops.iouloss
    for weight_dtype, other in itertools.product(DTYPES, DTYPES):
        arguments = (
            logits,
            targets,
            None,
            weight.to(weight_dtype),
            None,
            None,
            *case.given(per=per, reduction="none").values(),
        )
        shape = (2,) if per == "image" else (2, 3)
        upstream = uniform(*shape, seed=12, dtype=torch.bfloat16).to(backend.device)
        slopes = ops.region_loss_and_slopes(*arguments)[1]
        expected, got = (ops.region_loss_backward(upstream.to(each), slopes, *arguments) for each in (dtype, other))
        close([got], [expected], 1e-6 if other != torch.float16 else 1e-3)


@every_activation
@pytest.mark.parametrize("case", CASES[:2], ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("pixels", [13, 16])
@pytest.mark.parametrize("target", ["soft", "index"])
def test_an_upstream_gradient_of_any_size(
    backend: Backend, activation: str | None, case: Case, dtype: torch.dtype, pixels: int, target: str
) -> None:
    shape = (1, 3, pixels)
    logits, targets = logits_for(activation, *shape, dtype=dtype), targets_for(target, *shape, dtype=dtype)
    compute = torch.float64 if dtype == torch.float64 else torch.float32
    for factor in (1.0, 3.0, 0.3, 0.0):
        up = torch.tensor(factor, dtype=compute)
        got = losses(backend, case, logits, targets, up, activation=activation, reduction="mean")
        true = truths(case, logits, targets, up, activation=activation, reduction="mean")
        close(got, true, {torch.float64: 1e-11, torch.float32: 3e-6, torch.bfloat16: 8e-3}[dtype])
    up = torch.tensor(math.inf, dtype=compute)
    assert not losses(backend, case, logits, targets, up, activation=activation, reduction="sum")[1].isfinite().all()
