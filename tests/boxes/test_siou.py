"""SIoU as YOLOv6 computes it: by the angle itself, with 1e-7 added to the offsets of the centres."""

import math

import pytest
import torch
from backends import Backend
from cases import evaluate, random_boxes
from torch import Tensor

import iouloss

THETA, EPS = 4.0, 1e-7


def by_the_angle(pred: Tensor, target: Tensor) -> Tensor:
    (x1, y1, x2, y2), (tx1, ty1, tx2, ty2) = pred.unbind(-1), target.unbind(-1)
    w, h, tw, th = x2 - x1, y2 - y1, tx2 - tx1, ty2 - ty1
    overlap = (x2.minimum(tx2) - x1.maximum(tx1)).clamp(0) * (y2.minimum(ty2) - y1.maximum(ty1)).clamp(0)
    cw, ch = x2.maximum(tx2) - x1.minimum(tx1), y2.maximum(ty2) - y1.minimum(ty1)
    dx, dy = (tx1 + tx2 - x1 - x2) / 2 + EPS, (ty1 + ty2 - y1 - y2) / 2 + EPS
    sine = dx.abs().minimum(dy.abs()) / torch.hypot(dx, dy)
    gamma = torch.cos(2 * torch.arcsin(sine) - math.pi / 2) - 2
    distance = 2 - torch.exp(gamma * (dx / cw) ** 2) - torch.exp(gamma * (dy / ch) ** 2)
    shares = (w - tw).abs() / w.maximum(tw), (h - th).abs() / h.maximum(th)
    shape = sum((1 - torch.exp(-share)) ** THETA for share in shares)
    return 1 - overlap / (w * h + tw * th - overlap + EPS) + (distance + shape) / 2


@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_values_and_gradients_are_yolov6s(backend: Backend, shift: float) -> None:
    pred, target = random_boxes(200, 64.0)
    target = target + shift
    wanted = evaluate(by_the_angle, pred, target)
    got = evaluate(lambda p, t: iouloss.siou_loss(p, t, reduction="none"), *backend.put(pred, target))
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=1e-6, atol=1e-6)
