"""Losses of paired boxes, every formula on every backend."""

import math

import pytest
import torch
from cases import (
    BOX_CASES,
    KINK_GRADIENTS,
    KINK_VALUES,
    KINKS,
    BoxCase,
    degenerate_boxes,
    evaluate,
    kink_boxes,
    layouts,
    naive_box_loss,
    random_boxes,
    to_corners,
    to_format,
)
from conftest import Backend
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

FORMATS = ("xyxy", "xywh", "cxcywh")
SIZES = (0, 1, 31, 32, 33, 127, 128, 129)
HALVES = (torch.float16, torch.bfloat16)
every_case = pytest.mark.parametrize("case", BOX_CASES, ids=lambda case: case.formula)
every_format = pytest.mark.parametrize("fmt", FORMATS)


def on(backend: Backend, *tensors: Tensor) -> list[Tensor]:
    return [tensor.to(backend.device) for tensor in tensors]


def losses(case: BoxCase, *boxes: Tensor, **options) -> list[Tensor]:
    """The losses, and the gradients of their sum by prediction and target."""
    return evaluate(lambda *b: case(*b, reduction="none", **options), *boxes)


def truths(case: BoxCase, *boxes: Tensor, **options) -> list[Tensor]:
    """The same by the reference in float64, of the same rounded boxes."""
    return evaluate(lambda *b: case.truth(*b, **options), *(box.cpu().double() for box in boxes))


# ----------------------------------------------------------------------------------------------------------- formulas


@every_case
@pytest.mark.parametrize("eps", [1e-7, 0.25])
def test_value_and_gradient_are_the_papers(backend: Backend, case: BoxCase, eps: float) -> None:
    pred, target = random_boxes(24, 10.0)
    value, by_pred, by_target = losses(case, *on(backend, pred, target), eps=eps)
    step = 1e-6
    for i, (p, t) in enumerate(zip(pred.tolist(), target.tolist(), strict=True)):
        assert value[i].item() == pytest.approx(naive_box_loss(case, p, t, eps), abs=1e-10)
        for k in range(4):
            above, below = ([*p[:k], p[k] + sign * step, *p[k + 1 :]] for sign in (1, -1))
            slope = (naive_box_loss(case, above, t, eps, at=p) - naive_box_loss(case, below, t, eps, at=p)) / (2 * step)
            assert by_pred[i, k].item() == pytest.approx(slope, rel=1e-6, abs=1e-7)
    _, swapped_by_target, swapped_by_pred = losses(case, *on(backend, target, pred), eps=eps)
    torch.testing.assert_close(by_pred, swapped_by_pred, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(by_target, swapped_by_target, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", [case for case in BOX_CASES if not case.has_constant], ids=lambda case: case.formula)
@every_format
def test_gradcheck(backend: Backend, case: BoxCase, fmt: str) -> None:
    boxes = [to_format(box, fmt).requires_grad_() for box in on(backend, *random_boxes(6, 10.0))]
    weight = torch.rand(6, dtype=torch.float64, device=backend.device)
    for reduction in ("none", "mean"):
        assert torch.autograd.gradcheck(lambda p, t, r=reduction: case(p, t, weight, reduction=r, fmt=fmt), boxes)


# -------------------------------------------------------------------------------------------------------------- kinks


@pytest.mark.parametrize("name", KINK_VALUES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_kinks_have_their_values(backend: Backend, name: str, dtype: torch.dtype) -> None:
    boxes = on(backend, *(torch.tensor([box], dtype=dtype) for box in KINKS[name]))
    by_formula = {case.formula: case for case in BOX_CASES}
    for formula, expected in zip(("giou", "diou", "ciou"), KINK_VALUES[name], strict=True):
        assert losses(by_formula[formula], *boxes)[0].item() == pytest.approx(expected, abs=2e-7)
    for formula, expected in zip(("giou", "diou"), KINK_GRADIENTS[name], strict=True):
        assert losses(by_formula[formula], *boxes)[1][0].tolist() == pytest.approx(expected, rel=1e-5, abs=1e-7)


@every_case
@pytest.mark.parametrize("scale", [1.0, 1 / 64, 512.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, *HALVES])
def test_kinks_are_the_references(backend: Backend, case: BoxCase, scale: float, dtype: torch.dtype) -> None:
    # Small whole numbers times a power of two: the kinks survive the rounding to any dtype.
    boxes = on(backend, *kink_boxes(dtype, scale))
    tolerance = 1e-12 if dtype == torch.float64 else 2e-6
    rounding = torch.finfo(dtype).eps / 2
    for got, true in zip(losses(case, *boxes), truths(case, *boxes), strict=True):
        if dtype == torch.float16:  # which does not hold every gradient
            got, true = got.nan_to_num(), true.clamp(-65504, 65504)
        assert got.isfinite().all()
        allowed = tolerance * true.abs().clamp(min=1).amax(tuple(range(1, true.ndim)), keepdim=True)
        error = (got.double() - true).abs()
        wrong = (error > allowed + rounding * true.abs()).flatten(1).any(1) if got.ndim > 1 else error > allowed
        assert not wrong.any(), [name for name, bad in zip(KINKS, wrong, strict=True) if bad]


@every_case
def test_equal_boxes_have_no_gradient(backend: Backend, case: BoxCase) -> None:
    pred = on(backend, random_boxes(backend.size(200), 640.0, torch.float32)[0])[0]
    value, by_pred, by_target = losses(case, pred, pred)
    assert value.abs().max() < 1e-6
    assert by_pred.abs().max() == by_target.abs().max() == 0


@every_case
def test_both_arguments_may_be_one_tensor(backend: Backend, case: BoxCase) -> None:
    boxes = on(backend, random_boxes(8, 640.0)[0])[0].requires_grad_()
    (gradient,) = torch.autograd.grad(case(boxes, boxes), boxes)
    assert gradient.abs().max() < 1e-8


# ---------------------------------------------------------------------------------------------------------- precision


@every_case
@pytest.mark.parametrize("scale", [640.0, 1.0])
@pytest.mark.parametrize("make, fmt", [(random_boxes, "xyxy"), (degenerate_boxes, "xyxy"), (random_boxes, "cxcywh")])
def test_float32_is_precise(backend: Backend, case: BoxCase, scale: float, make, fmt: str) -> None:
    boxes = [to_format(box, fmt).float() for box in make(backend.size(4000), scale)]
    got = losses(case, *on(backend, *boxes), fmt=fmt)
    true = truths(case, *boxes, fmt=fmt)
    eager = evaluate(lambda *b: case.truth(*b, fmt=fmt), *boxes)
    if fmt != "xyxy" and "log" in case.formula:
        # Edges that must be computed from centres are rounded, and with them a sliver of overlap, whose logarithm
        # then has that relative error. Corners are subtracted as they are.
        overlapping = truths(BOX_CASES[0], *boxes, fmt=fmt)[0] < 0.9
        got, true, eager = ([tensor[overlapping] for tensor in tensors] for tensors in (got, true, eager))
    for kind, g, t, e in zip(("loss", "by pred", "by target"), got, true, eager, strict=True):
        size = 1.0 if kind == "loss" else t.abs().max().item()
        error, eager_error = ((x.double() - t).abs().max().item() / size for x in (g, e))
        assert error <= 2e-6, kind
        assert error <= 2 * eager_error + 2e-7, kind


@every_case
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("scale", [640.0, 1.0])
def test_halves_are_computed_in_float32(backend: Backend, case: BoxCase, dtype: torch.dtype, scale: float) -> None:
    several = [make(backend.size(500), scale, dtype) for make in (random_boxes, degenerate_boxes)]
    boxes = [torch.cat(parts) for parts in zip(*several, strict=True)]
    got, true = losses(case, *on(backend, *boxes)), truths(case, *boxes)
    assert [tensor.dtype for tensor in got] == [torch.float32, dtype, dtype]
    assert (got[0].double() - true[0]).abs().max() <= 2e-6
    for g, t in zip(got[1:], true[1:], strict=True):
        inside = t.abs() <= torch.finfo(dtype).max  # a gradient may be more than float16 holds
        largest = t[inside].abs().max()
        rounding = torch.finfo(dtype).eps / 2 * t.abs() + torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
        assert ((g.double() - t).abs() <= 2e-6 * largest + rounding)[inside].all()


@pytest.mark.parametrize("fmt", ["xywh", "cxcywh"])
def test_sizes_keep_their_precision_far_from_the_origin(backend: Backend, fmt: str) -> None:
    first = torch.tensor([[5000.3, 7000.7, 1.1, 0.9]])
    second = first + torch.tensor([[0.001953125, 0.0, 0.1, 0.1]])
    for case in BOX_CASES:
        got, true = losses(case, *on(backend, first, second), fmt=fmt), truths(case, first, second, fmt=fmt)
        torch.testing.assert_close(got[0].double(), true[0], rtol=0, atol=2e-6)
        torch.testing.assert_close(got[1].double(), true[1], rtol=0, atol=2e-6 * true[1].abs().max().item())


# ----------------------------------------------------------------------------------------------------- the full range


@st.composite
def wild_boxes(draw: st.DrawFn) -> Tensor:
    """64 pairs whose coordinates come from a handful of numbers of the whole float range, so that many coincide."""
    dtype, width = draw(st.sampled_from([(torch.float32, 32), (torch.float64, 64)]))
    numbers = draw(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=width), min_size=2, max_size=12))
    picks = draw(st.binary(min_size=512, max_size=512))
    return torch.tensor([numbers[pick % len(numbers)] for pick in picks], dtype=dtype).view(64, 8)


@pytest.mark.parametrize("eps", [1e-7, 0.0, 1e30])
@every_format
def test_finite_boxes_have_finite_losses(backend: Backend, eps: float, fmt: str) -> None:
    @given(wild_boxes())
    def check(boxes: Tensor) -> None:
        pairs = on(backend, boxes[: backend.size(64), :4], boxes[: backend.size(64), 4:])
        for case in BOX_CASES:
            for tensor in losses(case, *pairs, fmt=fmt, eps=eps):
                assert tensor.isfinite().all(), case.formula

    check()


@every_case
@pytest.mark.parametrize("exponent", [-40, 45, 60, 100])
def test_losses_do_not_depend_on_the_unit_of_length(backend: Backend, case: BoxCase, exponent: int) -> None:
    pairs = random_boxes(backend.size(100), 64.0, torch.float32)
    unit = 2.0**exponent
    value, by_pred, by_target = losses(case, *on(backend, *pairs), eps=0.0)
    for eps in (0.0, 1e-7) if exponent > 0 else (0.0,):
        got = losses(case, *on(backend, *(box * unit for box in pairs)), eps=eps)
        # Where the boxes are apart, -ln(max(IoU, eps)) is -ln(eps): a ratio has no unit, nor has the eps beside it.
        same = torch.ones_like(value, dtype=torch.bool) if eps == 0 else value < 1e3
        torch.testing.assert_close(got[0][same], value[same], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(got[1] * unit, by_pred, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(got[2] * unit, by_target, rtol=1e-5, atol=1e-6)


@every_case
@pytest.mark.parametrize("size", [2.0**40, 2.0**60, 2.0**120])
def test_eps_beside_a_ratio_is_no_area(backend: Backend, case: BoxCase, size: float) -> None:
    pred = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 2.0, 1.0]]) * size
    target = torch.tensor([[2.0, 2.0, 3.0, 3.0], [0.0, 0.0, 1.0, 1.0]]) * size
    got = losses(case, *on(backend, pred, target), eps=0.01)[0]
    torch.testing.assert_close(got.double(), truths(case, pred, target, eps=0.01)[0], rtol=2e-6, atol=2e-6)


@every_case
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_nan_and_inf_reach_the_output(backend: Backend, case: BoxCase, bad: float, dtype: torch.dtype) -> None:
    pred, target = (box.clone() for box in random_boxes(16, 640.0, dtype))
    for i in range(4):
        pred[i, i] = bad
        target[i + 5, i] = bad
    touched = torch.arange(16) < 9
    touched[4] = False
    for fmt in FORMATS:
        for tensor in losses(case, *on(backend, pred, target), fmt=fmt):
            per_box = tensor if tensor.ndim == 1 else tensor.isnan().all(1).where(touched, tensor.isnan().any(1))
            is_nan = per_box.isnan() if per_box.is_floating_point() else per_box
            assert is_nan.tolist() == touched.tolist()
        assert case(*on(backend, pred, target), fmt=fmt).isnan()


# ----------------------------------------------------------------------------------------- shapes, layouts and dtypes


@every_case
@pytest.mark.parametrize("n", SIZES)
def test_every_size(backend: Backend, case: BoxCase, n: int) -> None:
    boxes = random_boxes(n, 640.0)
    for got, true in zip(losses(case, *on(backend, *boxes)), truths(case, *boxes), strict=True):
        torch.testing.assert_close(got, true, rtol=1e-11, atol=1e-12)
    total = evaluate(lambda *b: case(*b, reduction="sum"), *on(backend, *boxes))
    torch.testing.assert_close(total[0], truths(case, *boxes)[0].sum(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("shape", [(4,), (1, 4), (2, 3, 4), (2, 0, 4), (1, 2, 1, 4)])
def test_leading_dimensions(backend: Backend, shape: tuple[int, ...]) -> None:
    case = BOX_CASES[5]
    boxes = [box.view(shape) for box in random_boxes(math.prod(shape) // 4, 640.0)]
    weight = torch.rand(shape[:-1], dtype=torch.float64)
    value, by_pred, _ = losses(case, *on(backend, *boxes), weight=weight.to(backend.device))
    assert value.shape == shape[:-1] and by_pred.shape == shape
    torch.testing.assert_close(value, case.truth(*boxes) * weight)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_no_boxes_have_a_loss_of_0_with_a_graph(backend: Backend, reduction: str) -> None:
    for case in BOX_CASES:
        pred, target = (torch.empty(0, 4, device=backend.device, requires_grad=True) for _ in range(2))
        loss = case(pred, target, reduction=reduction)
        loss.backward()
        assert loss.item() == 0 and pred.grad.shape == (0, 4) and target.grad.shape == (0, 4)


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_any_layout(backend: Backend, case: BoxCase, dtype: torch.dtype) -> None:
    pred, target = on(backend, *random_boxes(37, 640.0, dtype))
    expected = losses(case, pred, target)
    for name, view in layouts(pred).items():
        other = layouts(target)[name]
        assert torch.equal(view, pred)
        for boxes in ((view, target), (pred, other), (view, other)):
            for got, wanted in zip(losses(case, *boxes), expected, strict=True):
                torch.testing.assert_close(got, wanted, rtol=1e-6, atol=1e-6, msg=lambda text, name=name: name + text)


def test_expanded_boxes_and_weights(backend: Backend) -> None:
    case = BOX_CASES[3]
    pred, target = on(backend, *random_boxes(9, 640.0))
    one = target[:1].expand(9, 4)
    torch.testing.assert_close(losses(case, pred, one), losses(case, pred, one.contiguous()))
    weight = torch.tensor([0.5], dtype=torch.float64, device=backend.device).expand(9)
    torch.testing.assert_close(
        losses(case, pred, target, weight=weight), losses(case, pred, target, weight=weight.contiguous())
    )
    leaf = target[0].clone().requires_grad_()
    case(pred, leaf.expand(9, 4), reduction="sum").backward()
    torch.testing.assert_close(leaf.grad.cpu(), losses(case, pred, one)[2].sum(0))


@pytest.mark.parametrize("pred_dtype", [torch.float64, torch.float32, *HALVES])
@pytest.mark.parametrize("target_dtype", [torch.float64, torch.float32, *HALVES])
def test_mixed_dtypes(backend: Backend, pred_dtype: torch.dtype, target_dtype: torch.dtype) -> None:
    pred, target = random_boxes(33, 64.0)
    boxes = [pred.to(pred_dtype), target.to(target_dtype)]
    compute = torch.float64 if torch.float64 in (pred_dtype, target_dtype) else torch.float32
    for weight_dtype in (torch.float64, torch.float16):
        weight = torch.linspace(0, 1, 33, dtype=weight_dtype)
        for case in BOX_CASES[3:6]:
            got = losses(case, *on(backend, *boxes), weight=weight.to(backend.device))
            assert [tensor.dtype for tensor in got] == [compute, pred_dtype, target_dtype]
            true = case.truth(*(box.double() for box in boxes)) * weight.double()
            torch.testing.assert_close(got[0].double(), true, rtol=0, atol=1e-10 if compute == torch.float64 else 2e-6)


@every_case
@pytest.mark.parametrize("fmt", ["xywh", "cxcywh"])
def test_formats_are_conversions(backend: Backend, case: BoxCase, fmt: str) -> None:
    boxes = [to_format(box, fmt) for box in random_boxes(50, 640.0)]
    got = losses(case, *on(backend, *boxes), fmt=fmt)
    by_hand = evaluate(lambda *b: case.truth(*(to_corners(box, fmt) for box in b)), *boxes)
    for g, wanted in zip(got, by_hand, strict=True):
        torch.testing.assert_close(g, wanted, rtol=1e-9, atol=1e-11)


# ------------------------------------------------------------------------------------------- weights and reductions


@every_case
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("weighted", [False, True])
def test_reductions_are_compositions(backend: Backend, case: BoxCase, reduction: str, weighted: bool) -> None:
    n = backend.size(1000)
    boxes = random_boxes(n, 640.0)
    weight = torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) if weighted else None
    upstream = torch.linspace(-2, 3, n, dtype=torch.float64) if reduction == "none" else torch.tensor(1.7).double()

    def composed(*b: Tensor) -> Tensor:
        each = case.truth(*b) * (1 if weight is None else weight)
        return each if reduction == "none" else each.sum() / (n if reduction == "mean" else 1)

    def fused(*b: Tensor) -> Tensor:
        return case(*b, None if weight is None else weight.to(backend.device), reduction=reduction)

    got = evaluate(fused, *on(backend, *boxes), upstream=upstream.to(backend.device))
    for g, wanted in zip(got, evaluate(composed, *boxes, upstream=upstream), strict=True):
        torch.testing.assert_close(g, wanted, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("shape", [None, (), (1,), (1, 1)])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.float64, torch.float32, torch.float16])
def test_avg_factor(backend: Backend, shape: tuple[int, ...] | None, dtype: torch.dtype) -> None:
    boxes = random_boxes(20, 640.0)
    number = 7 if shape is None and not dtype.is_floating_point else 7.0
    factor = number if shape is None else torch.full(shape, 7, dtype=dtype, device=backend.device)
    for case in BOX_CASES[3:6]:
        got = evaluate(lambda *b, case=case: case(*b, avg_factor=factor), *on(backend, *boxes))
        for g, wanted in zip(got, evaluate(lambda *b, case=case: case.truth(*b).sum() / 7, *boxes), strict=True):
            torch.testing.assert_close(g, wanted, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("dtype", [None, torch.int64, torch.float32])
def test_avg_factor_0_gives_0(backend: Backend, dtype: torch.dtype | None) -> None:
    zero = 0 if dtype is None else torch.zeros((), dtype=dtype, device=backend.device)
    for case in BOX_CASES:
        for tensor in evaluate(lambda *b, c=case: c(*b, avg_factor=zero), *on(backend, *random_boxes(5, 640.0))):
            assert (tensor == 0).all()


def test_weight_and_avg_factor_may_require_a_gradient(backend: Backend) -> None:
    boxes = on(backend, *random_boxes(6, 640.0))
    each = BOX_CASES[5](*boxes, reduction="none")
    weight = torch.rand(6, dtype=torch.float64, device=backend.device)
    factor = torch.tensor(3.0, dtype=torch.float64, device=backend.device)
    _, by_weight, by_factor = evaluate(lambda w, f: BOX_CASES[5](*boxes, w, avg_factor=f), weight, factor)
    torch.testing.assert_close(by_weight, (each / 3).cpu())
    torch.testing.assert_close(by_factor, (-(each * weight).sum() / 9).cpu())


# -------------------------------------------------------------------------------------------- autograd and repetition


@every_case
def test_a_second_backward_is_the_same(backend: Backend, case: BoxCase) -> None:
    pred, target = on(backend, *random_boxes(40, 640.0, torch.float32))
    before = pred.clone()
    pred.requires_grad_()
    loss = case(pred, target)
    first = torch.autograd.grad(loss, pred, retain_graph=True)[0]
    second = torch.autograd.grad(loss, pred)[0]
    assert torch.equal(first, second) and torch.equal(pred.detach(), before)


@pytest.mark.parametrize("needs", [(True, False), (False, True), (False, False)])
def test_only_the_wanted_gradients(backend: Backend, needs: tuple[bool, bool]) -> None:
    boxes = [box.requires_grad_(need) for box, need in zip(on(backend, *random_boxes(5, 640.0)), needs, strict=True)]
    loss = BOX_CASES[5](*boxes)
    assert loss.requires_grad == any(needs)
    if any(needs):
        loss.backward()
    assert tuple(box.grad is not None for box in boxes) == needs
    with torch.no_grad():
        assert not BOX_CASES[5](*boxes).requires_grad


@every_case
def test_runs_are_equal_bit_by_bit(backend: Backend, case: BoxCase) -> None:
    boxes = on(backend, *random_boxes(backend.size(20000), 640.0, torch.float32))
    first = evaluate(case, *boxes)
    for _ in range(20 if backend.compiled else 2):
        assert all(torch.equal(a, b) for a, b in zip(first, evaluate(case, *boxes), strict=True))


def test_the_number_of_threads_changes_nothing(backend: Backend) -> None:
    if backend.device != "cpu":
        pytest.skip("the CPU's threads have no part in this backend")
    boxes = random_boxes(50000, 640.0, torch.float32)
    threads = torch.get_num_threads()
    results = []
    for count in (1, 2, 3, 4):
        torch.set_num_threads(count)
        # torch's own sum, which the reference takes, does change.
        results.append(evaluate(lambda *b: BOX_CASES[5](*b, reduction="mean" if backend.compiled else "none"), *boxes))
    torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))
