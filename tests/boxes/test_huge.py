"""Boxes so large that the products of their lengths overflow, beside ordinary ones: the losses stay right."""

import math
from fractions import Fraction

import pytest
import torch
from backends import Backend
from cases import BOX_CASES, BoxCase, box_losses, box_truths, to_format
from torch import Tensor

pytestmark = pytest.mark.regression

every_case = pytest.mark.parametrize("case", BOX_CASES, ids=lambda case: case.formula)
# Two boxes around the origin, ordinary in size, in shape and in place.
PAIRS = torch.tensor(
    [
        [[0.0, 0, 40, 60], [5, -10, 30, 70]],
        [[0.0, 0, 3, 300], [1, 2, 120, 5]],
        [[-8.0, 2, 9, 25], [-6, 1, 14, 19]],
        [[0.0, 0, 2, 1], [0, 0, 1, 2]],
    ],
    dtype=torch.float64,
)


def huge(exponent: int) -> tuple[Tensor, Tensor]:
    """The pairs with one box far away, one box long, both long or far, in one direction or in both."""
    far = 2.0**exponent
    shifts = torch.tensor(
        [[1.0, 0, 1, 0], [0, 1, 0, 1], [1, 1, 1, 1], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 1, 1]]
    ).double()
    pred, target = [], []
    for shift in shifts * far:
        pred += [PAIRS[:, 0] + shift, PAIRS[:, 0], PAIRS[:, 0] + shift]
        target += [PAIRS[:, 1], PAIRS[:, 1] + shift, PAIRS[:, 1] + shift * 0.75]
    return torch.cat(pred), torch.cat(target)


@every_case
@pytest.mark.parametrize("fmt", ["xyxy", "cxcywh"])
@pytest.mark.parametrize("exponent", [48, 52, 64, 88, 92, 100, 108, 112, 117])
def test_float32(backend: Backend, case: BoxCase, fmt: str, exponent: int) -> None:
    # As corners, an ordinary side far away is lost to rounding before the loss sees it. As sizes it is there.
    pred, target = (to_format(boxes, fmt) for boxes in huge(exponent))
    pred, target = (boxes.float() for boxes in (pred, target))
    if fmt == "cxcywh":
        ordinary = (
            torch.cat([PAIRS[:, 0, 2:] - PAIRS[:, 0, :2]] * 9),
            torch.cat([PAIRS[:, 1, 2:] - PAIRS[:, 1, :2]] * 9),
        )
        pred[:36, 2:], target[:36, 2:] = (sides.float() for sides in ordinary)
    got = box_losses(case, *backend.put(pred, target), fmt=fmt)
    want = box_truths(case, pred, target, fmt=fmt)
    torch.testing.assert_close(got[0].double(), want[0], rtol=2e-6, atol=4e-6)
    for gradient, truth in zip(got[1:], want[1:], strict=True):
        assert (gradient.double() - truth).abs().max() <= 1e-5 * truth.abs().max()


def exact_losses(pred: list[float], target: list[float]) -> dict[str, float]:
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = ([Fraction(x) for x in box] for box in (pred, target))
    inter = max(min(ax2, bx2) - max(ax1, bx1), 0) * max(min(ay2, by2) - max(ay1, by1), 0)
    union = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - inter
    cw, ch = max(ax2, bx2) - min(ax1, bx1), max(ay2, by2) - min(ay1, by1)
    dx, dy = (ax1 + ax2 - bx1 - bx2) / 2, (ay1 + ay2 - by1 - by2) / 2
    dw, dh = (ax2 - ax1) - (bx2 - bx1), (ay2 - ay1) - (by2 - by1)
    overlap = 1 - inter / union
    diou = overlap + (dx**2 + dy**2) / (cw**2 + ch**2)
    return {
        "iou": float(overlap),
        "giou": float(overlap + (cw * ch - union) / (cw * ch)),
        "diou": float(diou),
        "eiou": float(diou + dw**2 / cw**2 + dh**2 / ch**2),
    }


@pytest.mark.parametrize("formula", ["iou", "giou", "diou", "eiou"])
@pytest.mark.parametrize("exponent", [440, 460, 600, 690, 710, 890, 910, 1000])
def test_float64(backend: Backend, formula: str, exponent: int) -> None:
    case = next(case for case in BOX_CASES if case.formula == formula)
    pred, target = huge(exponent)
    keep = torch.tensor([i for i in range(len(pred)) if 0 not in sides(pred[i]) + sides(target[i])])
    pred, target = pred[keep], target[keep]
    loss, *gradients = box_losses(case, *backend.put(pred, target), eps=0.0)
    want = [exact_losses(p, t)[formula] for p, t in zip(pred.tolist(), target.tolist(), strict=True)]
    torch.testing.assert_close(loss, torch.tensor(want, dtype=torch.float64), rtol=1e-12, atol=1e-12)
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("eps", [None, 0.0])
@pytest.mark.parametrize("exponent", [60, 70, 90, 120])
def test_a_quotient_beyond_float32(backend: Backend, eps: float | None, exponent: int) -> None:
    """A huge side beside a tiny one: bounded IoU divides one by the other both ways, and keeps the smaller quotient."""
    large, small = 2.0**exponent, 2.0**-exponent
    boxes = torch.tensor([[0, 0, large, large], [0, 0, large, 1], [0, 0, small, small], [0, 0, small, 1]])
    pred, target = boxes[[0, 1, 2, 3, 0, 1]], boxes[[2, 3, 0, 1, 3, 2]]
    case = next(case for case in BOX_CASES if case.formula == "bounded_iou")
    options = {} if eps is None else {"eps": eps}
    got = box_losses(case, *backend.put(pred, target), **options)
    want = box_truths(case, pred, target, **options)
    torch.testing.assert_close(got[0].double(), want[0], rtol=2e-6, atol=4e-6)
    for gradient, truth in zip(got[1:], want[1:], strict=True):
        # Without eps, float32 may miss which quotient is the larger; its gradient is then one of half or none.
        error = (gradient.double() - truth).abs()
        assert (error <= (1e-6 if eps is None else truth.abs() + 1e-6)).all()


def sides(box: Tensor) -> list[float]:
    return (box[2:] - box[:2]).tolist()


def test_nothing_is_lost_in_between(backend: Backend) -> None:
    """The loss of two boxes that grow together is one, wherever they pass from one scale to the next."""
    case = next(case for case in BOX_CASES if case.formula == "ciou")
    pred, target = torch.tensor([[0.0, 0, 2, 3]]), torch.tensor([[1.0, 1, 4, 3]])
    scales = 2.0 ** torch.arange(0, 125, dtype=torch.float64)[:, None]
    loss, *_ = box_losses(case, *backend.put((pred * scales).float(), (target * scales).float()), eps=0.0)
    torch.testing.assert_close(loss, loss[:1].expand_as(loss), rtol=1e-6, atol=0)
    assert math.isclose(float(loss[0]), float(box_truths(case, pred, target, eps=0.0)[0][0]), rel_tol=1e-6)
