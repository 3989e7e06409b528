"""What iouloss is compared with: ``torch.compile`` of the same formulas, and the libraries that are installed.

The formulas are those of iouloss, written as ``torch.compile`` likes them: no boolean indexing, no branch, clamps for
masks, nothing guarded against degenerate boxes. Two ways of taking boxes ``[N, 4]`` apart are compiled:

- ``compile``: ``boxes.unbind(-1)``, which is what everybody writes;
- ``compile_columns``: a copy into columns ``[4, N]`` first, which spares Inductor's vectors the loads and stores of
  stride 4. On CPUs this is several times faster for many boxes.
"""

import importlib
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from . import row_peers
from .inputs import CLASSES, IMAGE_CLASSES, one_hot

Loss = Callable[[Tensor, Tensor], Tensor]

EPS = 1e-7
ALPHA = 0.25
GAMMA = 2.0
FOCAL_EIOU_GAMMA = 0.5
BOUNDED_BETA, BOUNDED_EPS = 0.2, 1e-3
SMOOTH = 1e-5

# ---------------------------------------------------------------------------------------------------------- formulas


class Pair(NamedTuple):
    """The geometry of paired boxes."""

    sides: tuple[Tensor, Tensor]
    target_sides: tuple[Tensor, Tensor]
    hull: tuple[Tensor, Tensor]
    offsets: tuple[Tensor, Tensor, Tensor, Tensor]
    union: Tensor
    iou: Tensor


def measure(pred: tuple[Tensor, ...], target: tuple[Tensor, ...]) -> Pair:
    """The geometry of boxes given as four columns."""
    (x1, y1, x2, y2), (tx1, ty1, tx2, ty2) = pred, target
    iw = (torch.minimum(x2, tx2) - torch.maximum(x1, tx1)).clamp(min=0)
    ih = (torch.minimum(y2, ty2) - torch.maximum(y1, ty1)).clamp(min=0)
    sides, target_sides = (x2 - x1, y2 - y1), (tx2 - tx1, ty2 - ty1)
    inter = iw * ih
    union = sides[0] * sides[1] + target_sides[0] * target_sides[1] - inter
    hull = (torch.maximum(x2, tx2) - torch.minimum(x1, tx1), torch.maximum(y2, ty2) - torch.minimum(y1, ty1))
    return Pair(sides, target_sides, hull, (x1 - tx1, y1 - ty1, x2 - tx2, y2 - ty2), union, inter / (union + EPS))


def _iou(p: Pair) -> Tensor:
    return 1 - p.iou


def _giou(p: Pair) -> Tensor:
    area = p.hull[0] * p.hull[1]
    return 1 - p.iou + (area - p.union) / (area + EPS)


def _diou(p: Pair) -> Tensor:
    left, top, right, bottom = p.offsets
    distance = ((left + right) ** 2 + (top + bottom) ** 2) / 4
    return 1 - p.iou + distance / (p.hull[0] ** 2 + p.hull[1] ** 2 + EPS)


def _ciou(p: Pair) -> Tensor:
    angle = torch.atan(p.target_sides[0] / p.target_sides[1]) - torch.atan(p.sides[0] / p.sides[1])
    v = 4 / math.pi**2 * angle**2
    alpha = (v / (1 - p.iou + v + EPS)).detach()
    return _diou(p) + alpha * v


def _eiou(p: Pair) -> Tensor:
    dw, dh = p.sides[0] - p.target_sides[0], p.sides[1] - p.target_sides[1]
    return _diou(p) + dw**2 / (p.hull[0] ** 2 + EPS) + dh**2 / (p.hull[1] ** 2 + EPS)


def _siou(p: Pair) -> Tensor:
    left, top, right, bottom = p.offsets
    dx, dy = (left + right) / 2, (top + bottom) / 2
    gamma = 2 - 2 * (dx * dy).abs() / (dx**2 + dy**2 + EPS)
    loss = 1 - p.iou
    for d, hull, side, target in zip((dx, dy), p.hull, p.sides, p.target_sides, strict=True):
        shape = (side - target).abs() / torch.maximum(side, target)
        loss = loss + (1 - torch.exp(-gamma * d**2 / (hull**2 + EPS)) + (1 - torch.exp(-shape)) ** 4) / 2
    return loss


def _focal_eiou(p: Pair) -> Tensor:
    return p.iou.detach() ** FOCAL_EIOU_GAMMA * _eiou(p)


def _cdiou(p: Pair) -> Tensor:
    left, top, right, bottom = (offset**2 for offset in p.offsets)
    corners = (left + top).sqrt() + (right + top).sqrt() + (right + bottom).sqrt() + (left + bottom).sqrt()
    return _giou(p) + corners / (4 * (p.hull[0] ** 2 + p.hull[1] ** 2).sqrt())


def _bounded_iou(p: Pair) -> Tensor:
    left, top, right, bottom = p.offsets
    loss = torch.zeros_like(left)
    for side, target, off in zip(p.sides, p.target_sides, (left + right, top + bottom), strict=True):
        by_place = 1 - ((target - off.abs()) / (target + off.abs() + BOUNDED_EPS)).clamp(min=0)
        by_side = 1 - torch.minimum(target / (side + BOUNDED_EPS), side / (target + BOUNDED_EPS))
        for x in (by_place, by_side):
            loss = loss + torch.where(x < BOUNDED_BETA, x * x / (2 * BOUNDED_BETA), x - BOUNDED_BETA / 2)
    return loss


BOX_FORMULAS: dict[str, Callable[[Pair], Tensor]] = {
    "iou": _iou,
    "giou": _giou,
    "diou": _diou,
    "ciou": _ciou,
    "eiou": _eiou,
    "siou": _siou,
    "focal_eiou": _focal_eiou,
    "cdiou": _cdiou,
    "bounded_iou": _bounded_iou,
}


def _columns(boxes: Tensor) -> tuple[Tensor, ...]:
    return boxes.t().contiguous().unbind(0)


def _unbound(boxes: Tensor) -> tuple[Tensor, ...]:
    return boxes.unbind(-1)


def focal_dense(logits: Tensor, targets: Tensor) -> Tensor:
    """The focal loss of dense targets with one exponential: of the versions tried, the fastest once compiled."""
    e = torch.exp(-logits.abs())
    cross_entropy = logits.clamp(min=0) - logits * targets + torch.log1p(e)
    larger = 1 / (1 + e)
    p = torch.where(logits >= 0, larger, e * larger)
    q = p + targets - 2 * p * targets
    alpha = ALPHA * targets + (1 - ALPHA) * (1 - targets)
    return (alpha * q * q * cross_entropy).sum()


def focal_index(logits: Tensor, classes: Tensor) -> Tensor:
    """The focal loss of class indices. One-hot rows are computed by a comparison, and never stored."""
    is_class = classes[:, None] == torch.arange(CLASSES, device=classes.device)
    return focal_dense(logits, is_class.to(logits.dtype))


def quality_focal(logits: Tensor, targets: Tensor) -> Tensor:
    p = logits.sigmoid()
    return ((targets - p).abs() ** 2 * F.binary_cross_entropy_with_logits(logits, targets, reduction="none")).sum()


def varifocal(logits: Tensor, targets: Tensor) -> Tensor:
    weight = targets * (targets > 0) + 0.75 * logits.sigmoid() ** 2 * (targets <= 0)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (weight * cross_entropy).sum()


def gaussian_focal(logits: Tensor, targets: Tensor) -> Tensor:
    p, peak = logits.sigmoid(), targets == 1
    at_peak = (1 - p) ** 2 * F.softplus(-logits)
    return torch.where(peak, at_peak, (1 - targets) ** 4 * p**2 * F.softplus(logits)).sum()


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")


def smooth_l1(logits: Tensor, targets: Tensor) -> Tensor:
    return F.smooth_l1_loss(logits, targets, reduction="sum")


# The formulas of detection libraries, as written there, in eager PyTorch.
EAGER: dict[str, Loss] = {
    "quality_focal": quality_focal,
    "varifocal": varifocal,
    "gaussian_focal": gaussian_focal,
    "binary_cross_entropy": binary_cross_entropy,
    "smooth_l1": smooth_l1,
}


def _dice(overlap: Tensor, p: Tensor, g: Tensor) -> Tensor:
    return (1 - (2 * overlap + SMOOTH) / (p + g + SMOOTH)).mean()


def dice(logits: Tensor, masks: Tensor) -> Tensor:
    """The Dice loss as it is usually written."""
    p = torch.sigmoid(logits)
    return _dice((p * masks).sum(2), p.sum(2), masks.sum(2))


def softmax_dice(logits: Tensor, classes: Tensor) -> Tensor:
    """The same for a softmax and a class for each pixel."""
    p = torch.softmax(logits, 1)
    is_class = classes[:, None] == torch.arange(IMAGE_CLASSES, device=classes.device)[:, None]
    masks = is_class.to(logits.dtype)
    return _dice((p * masks).sum(2), p.sum(2), masks.sum(2))


def focal_tversky(logits: Tensor, masks: Tensor) -> Tensor:
    """The focal Tversky loss as it is usually written, with the paper's weights."""
    p = torch.sigmoid(logits)
    overlap, extra, missed = (p * masks).sum(2), (p * (1 - masks)).sum(2), ((1 - p) * masks).sum(2)
    index = (overlap + SMOOTH) / (overlap + 0.3 * extra + 0.7 * missed + SMOOTH)
    return ((1 - index) ** 0.75).mean()


REGION_FORMULAS: dict[str, Loss] = {"dice": dice, "softmax_dice": softmax_dice, "focal_tversky": focal_tversky}


def compiled(loss: str) -> dict[str, Loss]:
    """``torch.compile`` of the loss for one shape, in each of the ways that may be fastest."""

    def compile_(function: Loss) -> Loss:
        result: Loss = torch.compile(function, fullgraph=True, dynamic=False)
        return result

    if loss in BOX_FORMULAS:
        formula = BOX_FORMULAS[loss]

        def taken_apart_by(split: Callable[[Tensor], tuple[Tensor, ...]]) -> Loss:
            return compile_(lambda pred, target: formula(measure(split(pred), split(target))).mean())

        return {"compile": taken_apart_by(_unbound), "compile_columns": taken_apart_by(_columns)}
    focal = {"focal_dense": focal_dense, "focal_index": focal_index}
    return {"compile": compile_((focal | EAGER | REGION_FORMULAS | row_peers.TO_COMPILE)[loss])}


# --------------------------------------------------------------------------------------------------------- libraries


def libraries(loss: str, device: str) -> dict[str, Loss]:
    """The loss in each library that is installed and gives the same values."""
    makers = (_eager, _torchvision, _mmdet, _mmcv, _ultralytics, _kornia, _monai, _segmentation_models)
    found: dict[str, Loss] = {}
    for maker in makers:
        found.update(maker(loss, device))
    return found


def _module(name: str) -> Any:
    """The module, or None if it is not installed or does not load."""
    try:
        return importlib.import_module(name)
    except Exception:  # some libraries fail to load if others have the wrong version
        return None


def _eager(loss: str, device: str) -> dict[str, Loss]:
    """The formulas that torchvision lacks."""
    table = EAGER | REGION_FORMULAS | row_peers.EAGER
    return {"eager": table[loss]} if loss in table else {}


def _torchvision(loss: str, device: str) -> dict[str, Loss]:
    ops = _module("torchvision.ops")
    if ops is None:
        return {}

    def focal(logits: Tensor, targets: Tensor) -> Tensor:
        value: Tensor = ops.sigmoid_focal_loss(logits, targets, alpha=ALPHA, gamma=GAMMA, reduction="sum")
        return value

    table: dict[str, Loss] = {
        "giou": lambda p, t: ops.generalized_box_iou_loss(p, t, reduction="mean"),
        "diou": lambda p, t: ops.distance_box_iou_loss(p, t, reduction="mean"),
        "ciou": lambda p, t: ops.complete_box_iou_loss(p, t, reduction="mean"),
        "focal_dense": focal,
        "focal_index": lambda x, classes: focal(x, one_hot(classes, x.dtype)),
    }
    return {"torchvision": table[loss]} if loss in table else {}


def _mmdet(loss: str, device: str) -> dict[str, Loss]:
    # Its CIoU sets alpha to 0 up to IoU = 0.5, which is another loss.
    module = _module("mmdet.models.losses.iou_loss")
    if module is None or loss not in ("iou", "giou", "diou", "bounded_iou"):
        return {}
    if loss == "bounded_iou":  # it gives four numbers per box; their sum is our loss
        return {"mmdet": lambda p, t: module.bounded_iou_loss(p, t, reduction="sum") / len(p)}
    if loss == "iou":
        return {"mmdet": lambda p, t: module.iou_loss(p, t, mode="linear", eps=EPS, reduction="mean")}
    function = getattr(module, loss + "_loss")
    return {"mmdet": lambda p, t: function(p, t, eps=EPS, reduction="mean")}


def _mmcv(loss: str, device: str) -> dict[str, Loss]:
    # Its focal loss has a CUDA kernel and no CPU one.
    ops = _module("mmcv.ops") if loss == "focal_index" and device == "cuda" else None
    return {} if ops is None else {"mmcv": lambda x, t: ops.sigmoid_focal_loss(x, t, GAMMA, ALPHA, None, "sum")}


def _ultralytics(loss: str, device: str) -> dict[str, Loss]:
    flags = {"iou": {}, "giou": {"GIoU": True}, "diou": {"DIoU": True}, "ciou": {"CIoU": True}}
    metrics = _module("ultralytics.utils.metrics") if loss in flags else None
    if metrics is None:
        return {}
    return {"ultralytics": lambda p, t: (1 - metrics.bbox_iou(p, t, xywh=False, **flags[loss])).mean()}


def _kornia(loss: str, device: str) -> dict[str, Loss]:
    losses = _module("kornia.losses") if loss in ("focal_dense", "softmax_focal", "softmax_dice") else None
    if losses is None:
        return {}
    table: dict[str, Loss] = {
        "focal_dense": lambda x, t: losses.binary_focal_loss_with_logits(x, t, ALPHA, GAMMA, "sum"),
        # Its alpha weights the first class by 1 - alpha; its mean is over all logits.
        "softmax_focal": lambda x, t: ALPHA * CLASSES * losses.focal_loss(x, t, None, GAMMA, "mean"),
        # "macro" leaves out the classes that an image lacks; here each image has all. It takes [N, C, H, W] only.
        "softmax_dice": lambda x, t: losses.dice_loss(x[..., None], t[..., None], "macro", SMOOTH),
    }
    return {"kornia": table[loss]}


def _monai(loss: str, device: str) -> dict[str, Loss]:
    names = ("focal_dense", "softmax_focal", "dice", "softmax_dice")
    losses = _module("monai.losses") if loss in names else None
    if losses is None:
        return {}
    # Its "sum" is a mean over all dimensions but the batch and the classes.
    focal = losses.FocalLoss(gamma=GAMMA, alpha=ALPHA, reduction="none")
    softmax_focal = losses.FocalLoss(gamma=GAMMA, use_softmax=True, to_onehot_y=True)
    softmax_dice = losses.DiceLoss(softmax=True, to_onehot_y=True)
    table: dict[str, Loss] = {
        "focal_dense": lambda x, t: focal(x, t).sum(),
        "softmax_focal": lambda x, t: ALPHA * CLASSES * softmax_focal(x, t[:, None]),  # as in kornia
        "dice": losses.DiceLoss(sigmoid=True),
        "softmax_dice": lambda x, t: softmax_dice(x, t[:, None]),
    }
    return {"monai": table[loss]}


def _segmentation_models(loss: str, device: str) -> dict[str, Loss]:
    names = ("focal_dense", "cross_entropy", "dice")
    losses = _module("segmentation_models_pytorch.losses") if loss in names else None
    if losses is None:
        return {}
    # Its smoothing counts double. Its sums run over the images, so every class of every image becomes a class of one
    # image.
    dice = losses.DiceLoss("multilabel", smooth=SMOOTH / 2)
    table: dict[str, Loss] = {
        # "binary" takes each logit by itself; "multilabel" would take the mean over the classes.
        "focal_dense": losses.FocalLoss("binary", alpha=ALPHA, gamma=GAMMA, reduction="sum"),
        "cross_entropy": losses.SoftCrossEntropyLoss(smooth_factor=row_peers.SMOOTHING),
        "dice": lambda x, t: dice(x.flatten(0, 1)[None], t.flatten(0, 1)[None]),
    }
    return {"smp": table[loss]}


def in_float32(loss: Loss) -> Loss:
    """``loss`` of half inputs, converted to float32 first: as iouloss computes it, and as a trainer would call it."""

    def converted(leaf: Tensor, target: Tensor) -> Tensor:
        return loss(leaf.float(), target.float() if target.is_floating_point() else target)

    return converted


__all__ = ["BOX_FORMULAS", "Loss", "compiled", "in_float32", "libraries", "measure"]
