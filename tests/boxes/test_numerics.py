"""Losses of paired boxes at kinks, in every precision and over the full range of numbers."""

import math

import pytest
import torch
from backends import Backend
from cases import (
    BOX_CASE,
    BOX_CASES,
    HALVES,
    KINK_GRADIENTS,
    KINK_VALUES,
    KINKS,
    BoxCase,
    degenerate_boxes,
    evaluate,
    every_case,
    every_format,
    kink_boxes,
    random_boxes,
    to_format,
)
from cases import box_losses as losses
from cases import box_truths as truths
from properties import given, st
from torch import Tensor

pytestmark = [pytest.mark.regression, pytest.mark.extension]

# -------------------------------------------------------------------------------------------------------------- kinks


@pytest.mark.parametrize("name", KINK_VALUES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_kinks_have_their_values(backend: Backend, name: str, dtype: torch.dtype) -> None:
    boxes = backend.put(*(torch.tensor([box], dtype=dtype) for box in KINKS[name]))
    by_formula = {case.formula: case for case in BOX_CASES}
    for formula, expected in zip(("giou", "diou", "ciou"), KINK_VALUES[name], strict=True):
        assert losses(by_formula[formula], *boxes)[0].item() == pytest.approx(expected, abs=2e-7)
    for formula, expected in zip(("giou", "diou"), KINK_GRADIENTS[name], strict=True):
        assert losses(by_formula[formula], *boxes)[1][0].tolist() == pytest.approx(expected, rel=1e-5, abs=1e-7)


@every_case
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, *HALVES])
def test_kinks_are_the_references(backend: Backend, case: BoxCase, dtype: torch.dtype) -> None:
    tolerance = 1e-12 if dtype == torch.float64 else 2e-6
    rounding = torch.finfo(dtype).eps / 2
    for scale in (1.0, 1 / 64, 512.0):
        # Small whole numbers times a power of two: the kinks survive the rounding to any dtype.
        boxes = backend.put(*kink_boxes(dtype, scale))
        for got, true in zip(losses(case, *boxes), truths(case, *boxes), strict=True):
            if dtype == torch.float16:  # which does not hold every gradient
                got, true = got.nan_to_num(), true.clamp(-65504, 65504)
            got, true = got.double().view(len(KINKS), -1), true.view(len(KINKS), -1)
            allowed = tolerance * true.abs().amax(1, keepdim=True).clamp(min=1) + rounding * true.abs()
            right = ((got - true).abs() <= allowed).all(1)  # NaN is not
            assert right.all(), (scale, [name for name, ok in zip(KINKS, right, strict=True) if not ok])


@every_case
def test_equal_boxes_have_no_gradient(backend: Backend, case: BoxCase) -> None:
    pred = backend.put(random_boxes(backend.size(200), 640.0, torch.float32)[0])[0]
    value, by_pred, by_target = losses(case, pred, pred, eps=case.least_eps)
    assert value.abs().max() < 1e-6
    assert by_pred.abs().max() == by_target.abs().max() == 0


@every_case
def test_both_arguments_may_be_one_tensor(backend: Backend, case: BoxCase) -> None:
    boxes = backend.put(random_boxes(8, 640.0)[0])[0].requires_grad_()
    (gradient,) = torch.autograd.grad(case(boxes, boxes, eps=case.least_eps), boxes)
    assert gradient.abs().max() < 1e-8


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_logarithm_is_flat_up_to_eps(backend: Backend, dtype: torch.dtype) -> None:
    """Here the IoU, 1 / (3.75 + eps), is eps itself."""
    boxes = backend.put(*(torch.tensor([box], dtype=dtype) for box in ((0, 0, 1, 1), (0, 0, 3.75, 1))))
    value, by_pred, by_target = losses(BOX_CASE["log_iou"], *boxes, eps=0.25)
    assert value.item() == pytest.approx(math.log(4))
    assert not by_pred.any() and not by_target.any()


# ---------------------------------------------------------------------------------------------------------- precision


@every_case
@pytest.mark.parametrize("scale", [640.0, 1.0])
@pytest.mark.parametrize("make, fmt", [(random_boxes, "xyxy"), (degenerate_boxes, "xyxy"), (random_boxes, "cxcywh")])
def test_float32_is_precise(backend: Backend, case: BoxCase, scale: float, make, fmt: str) -> None:
    boxes = [to_format(box, fmt).float() for box in make(backend.size(4000), scale)]
    got = losses(case, *backend.put(*boxes), fmt=fmt)
    true = truths(case, *boxes, fmt=fmt)
    eager = evaluate(lambda *b: case.truth(*b, fmt=fmt), *boxes)
    if fmt != "xyxy" and "log" in case.formula:
        # Edges that must be computed from centres are rounded, and with them a sliver of overlap, whose logarithm
        # then has that relative error. Corners are subtracted as they are.
        overlapping = truths(BOX_CASE["iou"], *boxes, fmt=fmt)[0] < 0.9
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
    got, true = losses(case, *backend.put(*boxes)), truths(case, *boxes)
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
        got, true = losses(case, *backend.put(first, second), fmt=fmt), truths(case, first, second, fmt=fmt)
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
        pairs = backend.put(boxes[: backend.size(64), :4], boxes[: backend.size(64), 4:])
        for case in BOX_CASES:
            for tensor in losses(case, *pairs, fmt=fmt, eps=eps):
                assert tensor.isfinite().all(), case.formula

    check()


@every_case
@pytest.mark.parametrize("exponent", [-40, 45, 60, 100])
def test_losses_do_not_depend_on_the_unit_of_length(backend: Backend, case: BoxCase, exponent: int) -> None:
    pairs = random_boxes(backend.size(100), 64.0, torch.float32)
    unit = 2.0**exponent
    value, by_pred, by_target = losses(case, *backend.put(*pairs), eps=0.0)
    for eps in (0.0, 1e-7) if exponent > 0 else (0.0,):
        got = losses(case, *backend.put(*(box * unit for box in pairs)), eps=eps)
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
    got = losses(case, *backend.put(pred, target), eps=0.01)[0]
    torch.testing.assert_close(got.double(), truths(case, pred, target, eps=0.01)[0], rtol=2e-6, atol=2e-6)


@every_case
def test_eps_beside_an_area_is_an_area(backend: Backend, case: BoxCase) -> None:
    boxes, eps = [box * 2.0**55 for box in random_boxes(20, 4.0, torch.float32)], 1e33
    got = losses(case, *backend.put(*boxes), eps=eps)[0]
    torch.testing.assert_close(got.double(), truths(case, *boxes, eps=eps)[0], rtol=2e-6, atol=2e-6)


@every_format
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_nan_and_inf_reach_the_output(backend: Backend, fmt: str, bad: float, dtype: torch.dtype) -> None:
    pred, target = (box.clone() for box in random_boxes(16, 640.0, dtype))
    for i in range(4):
        pred[i, i] = bad
        target[i + 5, i] = bad
    touched = torch.arange(16) < 9
    touched[4] = False
    for case in BOX_CASES:
        for tensor in losses(case, *backend.put(pred, target), fmt=fmt):
            is_nan = tensor.reshape(16, -1).isnan()
            assert is_nan.all(1).tolist() == is_nan.any(1).tolist() == touched.tolist(), case.formula
        assert case(*backend.put(pred, target), fmt=fmt).isnan(), case.formula


@every_case
def test_an_infinite_upstream_gradient_is_not_hidden(backend: Backend, case: BoxCase) -> None:
    """A gradient scaler must see that its scale overflowed."""
    boxes = backend.put(*random_boxes(4, 10.0, torch.float32))
    for bad in (math.inf, math.nan):
        upstream = torch.tensor(bad, device=backend.device)
        for gradient in evaluate(case, *boxes, upstream=upstream)[1:]:
            assert not gradient.isfinite().any()
