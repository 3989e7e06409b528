"""Bounded IoU, what no other box loss has: four numbers for a box, an eps that is a length, two boxes that differ."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from backends import Backend
from cases import DTYPES, FORMATS, KINKS, degenerate_boxes, evaluate, kink_boxes, random_boxes, to_format
from operators import arguments
from torch import Tensor

import iouloss
from iouloss import reference

pytestmark = pytest.mark.regression

KINK_NAMES = list(KINKS)


def as_mmdet(pred: Tensor, target: Tensor, beta: float = 0.2, eps: float = 1e-3) -> Tensor:
    """The four numbers of each box as mmdetection computes them, but with the gradient of the target."""

    def measured(boxes: Tensor) -> tuple[Tensor, ...]:
        x1, y1, x2, y2 = boxes.unbind(-1)
        return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1

    (x, y, w, h), (target_x, target_y, target_w, target_h) = measured(pred), measured(target)
    dx, dy, zero = (target_x - x).abs(), (target_y - y).abs(), torch.zeros_like(x)
    numbers = (
        1 - torch.maximum((target_w - 2 * dx) / (target_w + 2 * dx + eps), zero),
        1 - torch.maximum((target_h - 2 * dy) / (target_h + 2 * dy + eps), zero),
        1 - torch.minimum(target_w / (w + eps), w / (target_w + eps)),
        1 - torch.minimum(target_h / (h + eps), h / (target_h + eps)),
    )
    each = torch.stack(numbers, -1)
    return torch.where(each < beta, 0.5 * each * each / beta, each - 0.5 * beta)


def losses(*boxes: Tensor, **options) -> list[Tensor]:
    return evaluate(lambda p, t: iouloss.bounded_iou_loss(p, t, reduction="none", **options), *boxes)


def wanted(*boxes: Tensor, **options) -> list[Tensor]:
    return evaluate(lambda p, t: as_mmdet(p, t, **options).sum(-1), *(box.double() for box in boxes))


@pytest.mark.parametrize("beta", [0.01, 0.2, 1.0, 3.0])
@pytest.mark.parametrize("eps", [1e-3, 0.5, 1e-7])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("make", [random_boxes, degenerate_boxes])
def test_it_is_mmdetections(backend: Backend, beta: float, eps: float, dtype: torch.dtype, make) -> None:
    boxes = make(200, 64.0, dtype)
    tolerance = 1e-11 if dtype == torch.float64 else 2e-6
    got = losses(*backend.put(*boxes), beta=beta, eps=eps)
    for g, w in zip(got, wanted(*boxes, beta=beta, eps=eps), strict=True):
        torch.testing.assert_close(g.double(), w, rtol=tolerance, atol=tolerance * w.abs().max().item())


@pytest.mark.parametrize("eps", [1e-3, 0.5])
def test_it_is_mmdetections_at_the_kinks(backend: Backend, eps: float) -> None:
    boxes = kink_boxes(torch.float64)
    got = losses(*backend.put(*boxes), eps=eps)
    for g, w in zip(got, wanted(*boxes, eps=eps), strict=True):
        torch.testing.assert_close(g, w, rtol=1e-11, atol=1e-12)


def test_reductions_beside_mmdetections(backend: Backend) -> None:
    boxes = random_boxes(20, 64.0)
    four = as_mmdet(*boxes)
    total = four.sum()
    for options, theirs in (({}, 4 * four.mean()), ({"reduction": "sum"}, total), ({"avg_factor": 7}, total / 7)):
        got = iouloss.bounded_iou_loss(*backend.put(*boxes), **options).cpu()
        torch.testing.assert_close(got, theirs)


def test_it_is_not_symmetric(backend: Backend) -> None:
    pred, target = backend.put(*random_boxes(20, 64.0))
    there, back = (losses(*boxes)[0] for boxes in ((pred, target), (target, pred)))
    assert (there - back).abs().max() > 0.1


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_ties_count_half(backend: Backend, dtype: torch.dtype) -> None:
    """Of one axis; along the other the boxes are equal, and eps is 0."""
    target = torch.tensor([[0.0, 0.0, 8.0, 8.0]], dtype=dtype)
    shifted = target + torch.tensor([[4.0, 0.0, 4.0, 0.0]], dtype=dtype)  # W == 2 * |dx|: from 1 on the loss is flat
    value, by_pred, by_target = losses(*backend.put(shifted, target), eps=0.0)
    slope = 0.5 / 16  # half of 2 * W / (W + 2 * |dx|)**2 by 2 * |dx|, which each edge moves by as much as itself
    assert value.item() == pytest.approx(0.9)
    assert by_pred.tolist() == [pytest.approx([slope, 0, slope, 0])]
    # The target's side counts too: half of -2 * 2 * |dx| / (W + 2 * |dx|)**2, which is as much.
    assert by_target.tolist() == [pytest.approx([-slope + slope, 0, -slope - slope, 0], abs=1e-7)]
    _, by_pred, by_target = losses(*backend.put(target, target), eps=1.0)
    # Equal sides: half of -1 / (W + eps) and half of W / (W + eps)**2, times l / beta with l = eps / (W + eps).
    by_side = (1 / 9) / 0.2 * 0.5 * (8 / 81 - 1 / 9)
    assert by_pred.tolist() == [pytest.approx([-by_side, -by_side, by_side, by_side], rel=1e-5)]


def test_equal_boxes_have_a_small_loss(backend: Backend) -> None:
    (boxes,) = backend.put(random_boxes(50, 640.0)[0])
    side = (boxes[:, 2:] - boxes[:, :2]).cpu()
    value = losses(boxes, boxes)[0]
    torch.testing.assert_close(value, 2 * ((1e-3 / (side + 1e-3)) ** 2 / 0.4).sum(-1))
    assert 0 < value.max() < 1e-5
    assert not any(tensor.any() for tensor in losses(boxes, boxes, eps=0.0))


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("size", [2.0**-30, 1.0, 2.0**55, 2.0**100])
def test_eps_is_a_length(backend: Backend, fmt: str, size: float) -> None:
    """Also beside boxes that are scaled, lest their areas overflow."""
    boxes = [to_format(box, fmt).float() for box in random_boxes(40, 8.0)]
    got = losses(*backend.put(*(box * size for box in boxes)), fmt=fmt, eps=size)
    for g, w, unit in zip(got, losses(*backend.put(*boxes), fmt=fmt, eps=1.0), (1.0, size, size), strict=True):
        torch.testing.assert_close(g * unit, w, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("fmt", FORMATS)
def test_without_eps_degenerate_boxes_are_the_references(backend: Backend, dtype: torch.dtype, fmt: str) -> None:
    """A quotient by 0 is 0: every two of these boxes share a side, a centre or a 0."""
    boxes = [to_format(box, fmt) for box in kink_boxes(dtype)]
    got = losses(*backend.put(*boxes), fmt=fmt, eps=0.0)
    options = {"formula": "bounded_iou", "beta": 0.2, "fmt": fmt, "eps": 0.0, "reduction": "none"}
    true = evaluate(
        lambda p, t: reference.box_loss(reference.BoxInputs(p, t, **options)), *(box.double() for box in boxes)
    )
    for g, t in zip(got, true, strict=True):
        right = torch.isclose(g.double(), t, rtol=2e-6, atol=2e-6).reshape(len(KINKS), -1).all(1)
        assert right.all(), [name for name, ok in zip(KINK_NAMES, right, strict=True) if not ok]


def test_precision_near_the_target_is_relative(backend: Backend) -> None:
    """The loss is a square of differences that are computed as such: it keeps its digits however small it is."""
    target = random_boxes(50, 64.0, torch.float32)[1]
    pred = target * (1 + 2.0**-18)
    boxes = backend.put(pred, target)
    got = losses(*boxes, beta=0.01, eps=1e-6)
    for g, w in zip(got, wanted(pred, target, beta=0.01, eps=1e-6), strict=True):
        torch.testing.assert_close(g.double(), w, rtol=1e-4, atol=1e-5 * w.abs().max().item())


def test_the_partner_for_the_targets_gradient_is_the_loss_swapped(backend: Backend) -> None:
    if not backend.compiled:
        pytest.skip("the reference has no such operator")
    pred, target = (box.requires_grad_() for box in backend.put(*random_boxes(20, 64.0)))

    def loss(formula: str, *boxes: Tensor) -> Tensor:
        inputs = reference.BoxInputs(*boxes, formula=formula, beta=0.2, eps=1e-3, reduction="none")
        return torch.ops.iouloss.box_loss(**arguments("box_loss", inputs))

    plain, partner = loss("bounded_iou", pred, target), loss("bounded_iou_swapped", target, pred)
    torch.testing.assert_close(plain, partner, rtol=1e-12, atol=0)
    for leaf in (pred, target):  # the partner of the partner is the loss
        one, other = (torch.autograd.grad(x.sum(), leaf, retain_graph=True)[0] for x in (plain, partner))
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("reduction, count", [("none", 20), ("mean", 20), ("mean", 300)])  # 300: two blocks of a GPU
def test_the_partner_takes_every_dtype_and_layout(backend: Backend, reduction: str, count: int) -> None:
    """Its gradient is the one by the target, which the table of cases tries in fewer ways."""
    if not backend.compiled:
        pytest.skip("the reference has no such operator")
    ops = torch.ops.iouloss
    options = {"formula": "bounded_iou_swapped", "eps": 1e-3, "beta": 0.2, "reduction": reduction}
    first, second = random_boxes(count, 640.0, torch.float64)
    first[:2] *= 2.0**60
    layouts: tuple[Callable[[Tensor], Tensor], ...] = (
        torch.clone,
        lambda boxes: boxes.t().contiguous().t(),
        lambda boxes: torch.cat((boxes.flatten()[:1], boxes.flatten()))[1:].view(-1, 4),  # misaligned
    )
    wanted: dict[Any, Tensor] = {}
    for kind, other, weight_dtype, layout in itertools.product(DTYPES, DTYPES, (None, *DTYPES), range(3)):
        boxes = [layouts[layout](each.to(dtype).to(backend.device)) for each, dtype in ((first, kind), (second, other))]
        n = len(boxes[0])
        weight = None if weight_dtype is None else torch.ones(n, dtype=weight_dtype).to(backend.device)
        mask = (torch.arange(n) % 5 > 0).to(backend.device) if layout == 1 else None
        by = torch.tensor(n).to(backend.device) if reduction == "mean" else None
        given = [*arguments("box_loss", reference.BoxInputs(*boxes, weight, mask, by, **options)).values()]
        loss = ops.box_loss(*given)
        for dtype in DTYPES:
            gradient = ops.box_loss_backward(torch.ones_like(loss, dtype=dtype), *given)
        if by is not None:
            assert torch.equal(ops.box_loss_and_gradient(*given)[0].nan_to_num(), loss.nan_to_num())
            leaf = boxes[0].detach().clone().requires_grad_()
            left = ops.box_loss(leaf, *given[1:])
            left.backward(torch.full_like(left, 2.0))
        key = (kind, other, layout)
        assert gradient.dtype == kind and torch.equal(
            gradient.nan_to_num(), wanted.setdefault(key, gradient).nan_to_num()
        )
