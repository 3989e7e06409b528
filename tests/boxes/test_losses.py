"""Losses of paired boxes, every formula on every backend."""

import math
from collections.abc import Sequence

import pytest
import torch
from backends import EMULATED, Backend, by_differences
from cases import (
    BOX_CASE,
    BOX_CASES,
    DTYPES,
    HALVES,
    SIZES,
    BoxCase,
    evaluate,
    every_case,
    every_format,
    layouts,
    naive_box_loss,
    random_boxes,
    to_corners,
    to_format,
)
from cases import box_losses as losses
from cases import box_truths as truths
from operators import arguments
from torch import Tensor

pytestmark = pytest.mark.regression

# ----------------------------------------------------------------------------------------------------------- formulas


@every_case
@pytest.mark.parametrize("eps", [1e-7, 0.25])
def test_value_and_gradient_are_the_papers(backend: Backend, case: BoxCase, eps: float) -> None:
    pred, target = random_boxes(24, 10.0)
    value, by_pred, by_target = losses(case, *backend.put(pred, target), eps=eps)
    step = 1e-6

    def naive(p: Sequence[float], t: Sequence[float], at: Sequence[float]) -> float:
        return naive_box_loss(case, p, t, eps, at=at)

    for i, (p, t) in enumerate(zip(pred.tolist(), target.tolist(), strict=True)):
        assert value[i].item() == pytest.approx(naive(p, t, p), abs=1e-10)
        for k in range(4):
            above, below = ([*p[:k], p[k] + sign * step, *p[k + 1 :]] for sign in (1, -1))
            slope = (naive(above, t, p) - naive(below, t, p)) / (2 * step)
            assert by_pred[i, k].item() == pytest.approx(slope, rel=1e-6, abs=1e-7)
            if not case.is_symmetric:
                above, below = ([*t[:k], t[k] + sign * step, *t[k + 1 :]] for sign in (1, -1))
                slope = (naive(p, above, p) - naive(p, below, p)) / (2 * step)
                assert by_target[i, k].item() == pytest.approx(slope, rel=1e-6, abs=1e-7)
    if not case.is_symmetric:
        return
    _, swapped_by_target, swapped_by_pred = losses(case, *backend.put(target, pred), eps=eps)
    torch.testing.assert_close(by_pred, swapped_by_pred, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(by_target, swapped_by_target, rtol=1e-10, atol=1e-12)


@by_differences
@pytest.mark.parametrize("case", [case for case in BOX_CASES if not case.has_constant], ids=lambda case: case.formula)
@every_format
def test_gradcheck(backend: Backend, case: BoxCase, fmt: str) -> None:
    boxes = [to_format(box, fmt).requires_grad_() for box in backend.put(*random_boxes(6, 10.0))]
    weight = torch.rand(6, dtype=torch.float64, device=backend.device)
    for reduction in ("none", "mean"):
        assert torch.autograd.gradcheck(lambda p, t, r=reduction: case(p, t, weight, reduction=r, fmt=fmt), boxes)


# ----------------------------------------------------------------------------------------- shapes, layouts and dtypes


@pytest.mark.parametrize("n", SIZES)
def test_every_size(backend: Backend, n: int) -> None:
    boxes = random_boxes(n, 640.0)
    for case in BOX_CASES:
        for got, true in zip(losses(case, *backend.put(*boxes)), truths(case, *boxes), strict=True):
            torch.testing.assert_close(got, true, rtol=1e-11, atol=1e-12)
        total = case(*backend.put(*boxes), reduction="sum").cpu()
        torch.testing.assert_close(total, case.truth(*boxes).sum(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("shape", [(4,), (1, 4), (2, 3, 4), (2, 0, 4), (1, 2, 1, 4)])
def test_leading_dimensions(backend: Backend, shape: tuple[int, ...]) -> None:
    case = BOX_CASE["ciou"]
    boxes = [box.view(shape) for box in random_boxes(math.prod(shape) // 4, 640.0)]
    weight = torch.rand(shape[:-1], dtype=torch.float64)
    value, by_pred, _ = losses(case, *backend.put(*boxes), weight=weight.to(backend.device))
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
    pred, target = backend.put(*random_boxes(37, 640.0, dtype))
    expected = losses(case, pred, target)
    for name, view in layouts(pred).items():
        other = layouts(target)[name]
        assert torch.equal(view, pred)
        for boxes in ((view, target), (pred, other), (view, other)):
            for got, wanted in zip(losses(case, *boxes), expected, strict=True):
                torch.testing.assert_close(got, wanted, rtol=1e-6, atol=1e-6, msg=lambda text, name=name: name + text)


def test_expanded_boxes_and_weights(backend: Backend) -> None:
    case = BOX_CASE["giou"]
    pred, target = backend.put(*random_boxes(9, 640.0))
    one = target[:1].expand(9, 4)
    torch.testing.assert_close(losses(case, pred, one), losses(case, pred, one.contiguous()))
    weight = torch.tensor([0.5], dtype=torch.float64, device=backend.device).expand(9)
    torch.testing.assert_close(
        losses(case, pred, target, weight=weight), losses(case, pred, target, weight=weight.contiguous())
    )
    leaf = target[0].clone().requires_grad_()
    case(pred, leaf.expand(9, 4), reduction="sum").backward()
    torch.testing.assert_close(leaf.grad.cpu(), losses(case, pred, one)[2].sum(0))


@pytest.mark.parametrize("pred_dtype", DTYPES)
@pytest.mark.parametrize("target_dtype", DTYPES)
def test_mixed_dtypes(backend: Backend, pred_dtype: torch.dtype, target_dtype: torch.dtype) -> None:
    pred, target = random_boxes(33, 64.0)
    boxes = [pred.to(pred_dtype), target.to(target_dtype)]
    compute = torch.float64 if torch.float64 in (pred_dtype, target_dtype) else torch.float32
    weight_dtype = DTYPES[(DTYPES.index(pred_dtype) + DTYPES.index(target_dtype)) % len(DTYPES)]
    weight = torch.linspace(0, 1, 33, dtype=weight_dtype)
    strided = [layouts(box)["every other column"] for box in backend.put(*boxes)]
    for case in BOX_CASES:
        got = losses(case, *backend.put(*boxes), weight=weight.to(backend.device))
        assert [tensor.dtype for tensor in got] == [compute, pred_dtype, target_dtype]
        true = case.truth(*(box.double() for box in boxes)) * weight.double()
        torch.testing.assert_close(got[0].double(), true, rtol=0, atol=1e-10 if compute == torch.float64 else 2e-6)
        for g, other in zip(got, losses(case, *strided, weight=weight.to(backend.device)), strict=True):
            torch.testing.assert_close(g, other, rtol=1e-6, atol=1e-6)


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_upstream_gradient_of_any_dtype(backend: Backend, case: BoxCase, dtype: torch.dtype) -> None:
    """Autograd gives it the dtype of the loss; the operator takes what it is given."""
    if not backend.compiled:
        pytest.skip("the reference has no such operator")
    boxes = backend.put(*random_boxes(7, 64.0, dtype))
    upstream = torch.linspace(-2, 4, 7, dtype=dtype, device=backend.device)
    given = arguments("box_loss", case.inputs(*boxes, reduction="none"))
    expected = torch.ops.iouloss.box_loss_backward(upstream, **given)
    for other in DTYPES:
        got = torch.ops.iouloss.box_loss_backward(upstream.to(other), **given)
        assert torch.equal(got, expected)


@pytest.mark.parametrize("dtype", HALVES)
def test_autocast_changes_nothing(backend: Backend, dtype: torch.dtype) -> None:
    for inputs_dtype in (torch.float32, dtype):
        boxes = backend.put(*random_boxes(20, 64.0, inputs_dtype))
        expected = evaluate(BOX_CASE["ciou"], *boxes)
        with torch.autocast(backend.device, dtype):
            got = evaluate(BOX_CASE["ciou"], *boxes)
        assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(got, expected, strict=True))


@every_case
@pytest.mark.parametrize("fmt", ["xywh", "cxcywh"])
def test_formats_are_conversions(backend: Backend, case: BoxCase, fmt: str) -> None:
    boxes = [to_format(box, fmt) for box in random_boxes(50, 640.0)]
    got = losses(case, *backend.put(*boxes), fmt=fmt)
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

    got = evaluate(fused, *backend.put(*boxes), upstream=upstream.to(backend.device))
    for g, wanted in zip(got, evaluate(composed, *boxes, upstream=upstream), strict=True):
        torch.testing.assert_close(g, wanted, rtol=1e-10, atol=1e-13)


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [255, 256, 257, 1000])
def test_many_blocks(backend: Backend, case: BoxCase, dtype: torch.dtype, n: int) -> None:
    boxes = random_boxes(n, 640.0, dtype)
    factor = torch.tensor(17.0, device=backend.device)
    got = evaluate(lambda *b: case(*b, avg_factor=factor), *backend.put(*boxes))
    wanted = evaluate(lambda *b: case.truth(*b).sum() / 17, *(box.double() for box in boxes))
    tolerance = 1e-11 if dtype == torch.float64 else 2e-6
    for g, w in zip(got, wanted, strict=True):
        torch.testing.assert_close(g.double(), w, rtol=0, atol=tolerance * w.abs().max().item())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_more_boxes_than_threads_on_the_device(backend: Backend, dtype: torch.dtype) -> None:
    case, n = BOX_CASE["giou"], 70_000 if EMULATED else 1_000_000
    boxes = random_boxes(n, 640.0, dtype)
    got = case(*backend.put(*boxes), reduction="sum").cpu().double()
    wanted = case.truth(*(box.double() for box in boxes)).sum()
    torch.testing.assert_close(got, wanted, rtol=1e-11 if dtype == torch.float64 else 1e-6, atol=0)


@pytest.mark.parametrize("shape", [None, (), (1,), (1, 1)])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.float64, torch.float32, torch.float16])
def test_avg_factor(backend: Backend, shape: tuple[int, ...] | None, dtype: torch.dtype) -> None:
    boxes = random_boxes(20, 640.0)
    number = 7 if shape is None and not dtype.is_floating_point else 7.0
    factor = number if shape is None else torch.full(shape, 7, dtype=dtype, device=backend.device)
    for case in (BOX_CASE["giou"], BOX_CASE["diou"], BOX_CASE["ciou"]):
        got = evaluate(lambda *b, case=case: case(*b, avg_factor=factor), *backend.put(*boxes))
        for g, wanted in zip(got, evaluate(lambda *b, case=case: case.truth(*b).sum() / 7, *boxes), strict=True):
            torch.testing.assert_close(g, wanted, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("dtype", [None, torch.int64, torch.float32])
def test_avg_factor_0_gives_0(backend: Backend, dtype: torch.dtype | None) -> None:
    zero = 0 if dtype is None else torch.zeros((), dtype=dtype, device=backend.device)
    for case in BOX_CASES:
        for tensor in evaluate(lambda *b, c=case: c(*b, avg_factor=zero), *backend.put(*random_boxes(5, 640.0))):
            assert (tensor == 0).all()


def test_weight_and_avg_factor_may_require_a_gradient(backend: Backend) -> None:
    boxes = backend.put(*random_boxes(6, 640.0))
    each = BOX_CASE["ciou"](*boxes, reduction="none")
    weight = torch.rand(6, dtype=torch.float64, device=backend.device)
    factor = torch.tensor(3.0, dtype=torch.float64, device=backend.device)
    _, by_weight, by_factor = evaluate(lambda w, f: BOX_CASE["ciou"](*boxes, w, avg_factor=f), weight, factor)
    torch.testing.assert_close(by_weight, (each / 3).cpu())
    torch.testing.assert_close(by_factor, (-(each * weight).sum() / 9).cpu())


# -------------------------------------------------------------------------------------------- autograd and repetition


@every_case
def test_a_second_backward_is_the_same(backend: Backend, case: BoxCase) -> None:
    pred, target = backend.put(*random_boxes(40, 640.0, torch.float32))
    before = pred.clone()
    pred.requires_grad_()
    loss = case(pred, target)
    first = torch.autograd.grad(loss, pred, retain_graph=True)[0]
    second = torch.autograd.grad(loss, pred)[0]
    assert torch.equal(first, second) and torch.equal(pred.detach(), before)


@pytest.mark.parametrize("needs", [(True, False), (False, True), (False, False)])
def test_only_the_wanted_gradients(backend: Backend, needs: tuple[bool, bool]) -> None:
    boxes = [box.requires_grad_(need) for box, need in zip(backend.put(*random_boxes(5, 640.0)), needs, strict=True)]
    loss = BOX_CASE["ciou"](*boxes)
    assert loss.requires_grad == any(needs)
    if any(needs):
        loss.backward()
    assert tuple(box.grad is not None for box in boxes) == needs
    with torch.no_grad():
        assert not BOX_CASE["ciou"](*boxes).requires_grad


@every_case
def test_runs_are_equal_bit_by_bit(backend: Backend, case: BoxCase) -> None:
    boxes = backend.put(*random_boxes(backend.size(10000 if backend.compiled else 100), 640.0, torch.float32))
    first = evaluate(case, *boxes)
    for _ in range(20):
        assert all(torch.equal(a, b) for a, b in zip(first, evaluate(case, *boxes), strict=True))


def test_the_number_of_threads_changes_nothing(backend: Backend) -> None:
    if backend.device != "cpu":
        pytest.skip("the CPU's threads have no part in this backend")
    boxes = random_boxes(20000, 640.0, torch.float32)
    threads = torch.get_num_threads()
    results = []
    for count in (1, 2, 4):
        torch.set_num_threads(count)
        # torch's own sum, which the reference takes, does change.
        results.append(
            evaluate(lambda *b: BOX_CASE["ciou"](*b, reduction="mean" if backend.compiled else "none"), *boxes)
        )
    torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))
