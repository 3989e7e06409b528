"""The placements of eps: each library's losses, written here once more as that library computes them."""

import math
from typing import Any

import pytest
import torch
from backends import Backend, of_the_reference
from cases import FORMATS, evaluate, kink_boxes, random_boxes, to_format
from torch import Tensor

import iouloss

pytestmark = pytest.mark.regression

EPS = 0.02  # beside boxes of about 0.1, so that its place matters


def overlap(p: Tensor, t: Tensor) -> Tensor:
    lower, upper = torch.maximum(p[:, :2], t[:, :2]), torch.minimum(p[:, 2:], t[:, 2:])
    return (upper - lower).clamp(min=0).prod(-1)


def sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    return boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]


def enclosing(p: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    return sides(torch.cat((torch.minimum(p[:, :2], t[:, :2]), torch.maximum(p[:, 2:], t[:, 2:])), -1))


def centre_ratio(p: Tensor, t: Tensor, eps: float) -> Tensor:
    cw, ch = enclosing(p, t)
    gap = (p[:, :2] + p[:, 2:] - t[:, :2] - t[:, 2:]) / 2
    return (gap**2).sum(-1) / (cw**2 + ch**2 + eps)


def aspect(w: Tensor, h: Tensor, tw: Tensor, th: Tensor) -> Tensor:
    return 4 / math.pi**2 * (torch.atan(tw / th) - torch.atan(w / h)) ** 2


def mmdet(kind: str, p: Tensor, t: Tensor, eps: float) -> Tensor:
    (w, h), (tw, th), inter = sides(p), sides(t), overlap(p, t)
    union = w * h + tw * th - inter
    if kind in ("linear", "log", "square"):
        iou = (inter / union.clamp(min=1e-6)).clamp(min=eps)
        return {"linear": 1 - iou, "log": -iou.log(), "square": 1 - iou**2}[kind]
    if kind == "giou":
        cw, ch = enclosing(p, t)
        union, hull = union.clamp(min=eps), (cw * ch).clamp(min=eps)
        return 1 - inter / union + (hull - union) / hull
    iou, distance = inter / (union + eps), centre_ratio(p, t, eps)
    if kind == "diou":
        return 1 - iou + distance
    v = aspect(w, h + eps, tw, th + eps)
    alpha = ((iou > 0.5) * v / (1 - iou + v)).detach()
    return 1 - (iou - distance - alpha * v).clamp(-1, 1)


def mmyolo(kind: str, p: Tensor, t: Tensor, eps: float) -> Tensor:
    (w, h), (tw, th), inter = sides(p), sides(t), overlap(p, t)
    cw, ch = enclosing(p, t)
    union = w * h + tw * th - inter + eps
    iou = inter / union
    if kind == "giou":
        iou = iou - (cw * ch + eps - union) / (cw * ch + eps)
    if kind == "ciou":
        v = aspect(w, h + eps, tw, th + eps)
        iou = iou - centre_ratio(p, t, eps) - (v / (v - iou + 1 + eps)).detach() * v
    return 1 - iou.clamp(-1, 1)


def ultralytics(kind: str, p: Tensor, t: Tensor, eps: float, more_height: float | None = None) -> Tensor:
    (w, h), (tw, th), inter = sides(p), sides(t), overlap(p, t)
    cw, ch = enclosing(p, t)
    h, th = (side + (eps if more_height is None else more_height) for side in (h, th))
    union = w * h + tw * th - inter + eps
    iou = inter / union
    if kind == "giou":
        return 1 - iou + (cw * ch + eps - union) / (cw * ch + eps)
    if kind == "diou":
        return 1 - iou + centre_ratio(p, t, eps)
    if kind == "ciou":
        v = aspect(w, h, tw, th)
        return 1 - iou + centre_ratio(p, t, eps) + (v / (v - iou + 1 + eps)).detach() * v
    return 1 - iou


def torchvision_exact(kind: str, p: Tensor, t: Tensor, eps: float) -> Tensor:
    losses = pytest.importorskip("torchvision").ops
    named = {"giou": losses.generalized_box_iou_loss, "diou": losses.distance_box_iou_loss}
    return named.get(kind, losses.complete_box_iou_loss)(p, t, eps=eps)


KINDS = {
    "torchvision_exact": (torchvision_exact, ("giou", "diou", "ciou")),
    "mmdet": (mmdet, ("linear", "log", "square", "giou", "diou", "ciou")),
    "mmyolo": (mmyolo, ("linear", "giou", "ciou")),
    "ultralytics": (ultralytics, ("linear", "giou", "diou", "ciou")),
}
CASES = [(mode, kind) for mode, (_, kinds) in KINDS.items() for kind in kinds]
every_mode = pytest.mark.parametrize(("mode", "kind"), CASES)


def options_of(kind: str) -> dict[str, str]:
    return {"kind": "iou", "mode": kind} if kind in ("linear", "log", "square") else {"kind": kind}


@every_mode
def test_value_and_gradient_are_the_librarys(backend: Backend, mode: str, kind: str) -> None:
    pred, target = random_boxes(200, 0.5)
    options = {**options_of(kind), "reduction": "none", "eps": EPS, "eps_mode": mode}
    got = evaluate(lambda p, t: iouloss.box_loss(p, t, **options), *backend.put(pred, target))
    expected = evaluate(lambda p, t: KINDS[mode][0](kind, p, t, EPS), pred, target)
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)


@every_mode
def test_it_is_not_torchvisions(mode: str, kind: str) -> None:
    same = {("torchvision_exact", "giou"), ("torchvision_exact", "diou"), ("mmdet", "diou")}
    same |= {("mmyolo", "linear"), ("mmyolo", "giou")}
    boxes = random_boxes(200, 0.5)
    loss, plain = (
        iouloss.box_loss(*boxes, **options_of(kind), eps=EPS, eps_mode=m).item() for m in (mode, "torchvision")
    )
    assert (abs(loss - plain) < 1e-9) == ((mode, kind) in same)


@pytest.mark.parametrize("kind", ["giou", "ciou"])
@pytest.mark.parametrize("fmt", FORMATS[1:])
def test_ultralytics_pads_the_heights_of_corner_boxes_only(backend: Backend, fmt: str, kind: str) -> None:
    pred, target = random_boxes(50, 0.5)
    boxes = [to_format(box, fmt) for box in backend.put(pred, target)]
    loss = iouloss.box_loss(*boxes, kind=kind, reduction="none", fmt=fmt, eps=EPS, eps_mode="ultralytics")
    torch.testing.assert_close(loss.cpu(), ultralytics(kind, pred, target, EPS, more_height=0.0), rtol=0, atol=1e-12)


@of_the_reference
@every_mode
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e3])
def test_finite_at_the_kinks(backend: Backend, mode: str, kind: str, dtype: torch.dtype, scale: float) -> None:
    boxes = backend.put(*kink_boxes(dtype, scale))
    for eps in (1e-7, 0.0):
        for fmt in FORMATS:
            options = {**options_of(kind), "reduction": "none", "eps": eps, "fmt": fmt, "eps_mode": mode}
            for tensor in evaluate(lambda p, t, o=options: iouloss.box_loss(p, t, **o), *boxes):
                assert tensor.isfinite().all()


def test_huge_boxes_have_the_loss_of_small_ones(backend: Backend) -> None:
    boxes = [box.float() for box in backend.put(*random_boxes(50, 64.0))]
    for mode, kind in CASES:
        options = {**options_of(kind), "reduction": "none", "eps_mode": mode}
        small, huge = (iouloss.box_loss(*(box * unit for box in boxes), **options) for unit in (1.0, 2.0**70))
        torch.testing.assert_close(small, huge, rtol=1e-5, atol=1e-5)


def test_equal_boxes_have_no_ciou_in_mmdets_form(backend: Backend) -> None:
    (boxes,) = (box.float() for box in backend.put(random_boxes(20, 640.0)[0]))
    for tensor in evaluate(lambda p, t: iouloss.ciou_loss(p, t, reduction="none", eps_mode="mmdet"), boxes, boxes):
        assert tensor.abs().max() < 1e-6


def test_modules_weights_and_second_derivatives_know_it(backend: Backend) -> None:
    pred, target = backend.put(*random_boxes(6, 0.5))
    weight = torch.rand(6, dtype=torch.float64, device=backend.device)
    loss = iouloss.CIoULoss(eps=EPS, eps_mode="mmdet")
    torch.testing.assert_close(loss(pred, target, weight, 3), mmdet("ciou", pred, target, EPS) @ weight / 3)
    leaf = pred.detach().requires_grad_()
    assert torch.autograd.gradgradcheck(
        lambda p: iouloss.giou_loss(p, target, weight, eps=EPS, eps_mode="mmdet"), (leaf,)
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"eps_mode": "mmcv"}, "eps_mode: got 'mmcv', wants one of 'torchvision', 'torchvision_exact', 'mmdet'"),
        ({"eps_mode": None}, "eps_mode: got None, wants one of 'torchvision'"),
        ({"kind": "eiou", "eps_mode": "mmdet"}, "eps_mode: got 'mmdet' for 'eiou', wants 'iou', 'log_iou'"),
        ({"kind": "bounded_iou", "eps_mode": "mmdet"}, "eps_mode: got 'mmdet' for 'bounded_iou', wants 'torchvision'"),
        (
            {"kind": "bounded_iou", "eps_mode": "torchvision_exact"},
            "eps_mode: got 'torchvision_exact' for 'bounded_iou', wants 'torchvision'",
        ),
        ({"kind": "bounded_iou", "eps_mode": "mmcv"}, "eps_mode: got 'mmcv', wants one of 'torchvision'"),
        ({"kind": "iou", "mode": "log", "eps_mode": "mmyolo"}, "eps_mode: got 'mmyolo' for 'log_iou', wants 'iou'"),
    ],
)
def test_unknown_placements_are_refused(backend: Backend, options: dict[str, Any], says: str) -> None:
    boxes = backend.put(*random_boxes(2, 1.0))
    with pytest.raises(ValueError) as raised:
        iouloss.box_loss(*boxes, **options)
    assert str(raised.value).startswith(says)
