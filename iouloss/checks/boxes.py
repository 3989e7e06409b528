"""What the losses of boxes accept."""

from typing import Any

import torch
from torch import Tensor

from .._inputs import BoxInputs
from .._tables import BOXES
from .numbers import check_choice, check_not_negative, check_options, check_reduction, kind_of
from .tensors import (
    check_avg_factor,
    check_devices,
    check_floating,
    check_shape,
    check_strided,
    check_tensors,
    shape_of,
)

FORMATS = ("xyxy", "xywh", "cxcywh")

# The losses that each library has. None means all of them: torchvision's placement of eps is defined for every loss of
# areas.
EPS_MODES: dict[str, tuple[str, ...] | None] = {
    "torchvision": None,
    "torchvision_exact": None,
    "mmdet": ("iou", "log_iou", "square_iou", "giou", "diou", "ciou"),
    "mmyolo": ("iou", "giou", "ciou"),
    "ultralytics": ("iou", "giou", "diou", "ciou"),
}

# The losses without areas. There is one place for their eps, so they have the default mode alone.
ONE_PLACE = ("bounded_iou", "bounded_iou_swapped")


def check_box_loss(inputs: BoxInputs) -> None:
    """Raise the ValueError or TypeError that the inputs of ``box_loss`` deserve, if any."""
    pred, target, weight, mask, avg_factor, formula, fmt, eps, reduction, *_ = inputs
    eps_mode = inputs.eps_mode
    check_tensors(pred=pred, target=target, weight=weight)
    check_choice("formula", formula, BOXES)
    check_reduction(reduction)
    if not isinstance(fmt, str) or fmt not in FORMATS:
        raise ValueError(f"fmt: got {fmt!r}, wants 'xyxy', 'xywh' or 'cxcywh'")
    check_not_negative("eps", eps)
    check_eps_mode(eps_mode, formula)
    check_options(BOXES[formula], inputs)
    check_floating(pred=pred, target=target, weight=weight)
    if pred.ndim == 0 or pred.shape[-1] != 4:
        raise ValueError(f"pred: got shape {shape_of(pred)}, wants [..., 4]")
    check_shape("target", target, pred.shape, "pred's shape ")
    check_shape("weight", weight, pred.shape[:-1])
    _check_mask(mask, pred)
    check_devices("pred", pred, target=target, weight=weight, mask=mask, avg_factor=avg_factor)
    check_avg_factor(avg_factor, reduction)


def check_eps_mode(eps_mode: Any, formula: str) -> None:
    """Raise unless ``eps_mode`` is known, and defined for this loss."""
    check_choice("eps_mode", eps_mode, EPS_MODES)
    if formula in ONE_PLACE and eps_mode != "torchvision":
        raise ValueError(f"eps_mode: got {eps_mode!r} for {formula!r}, wants 'torchvision'")
    formulas = EPS_MODES[eps_mode]
    if formulas is not None and formula not in formulas:
        raise ValueError(f"eps_mode: got {eps_mode!r} for {formula!r}, wants {', '.join(map(repr, formulas))}")


def _check_mask(mask: Any, pred: Tensor) -> None:
    if mask is None:
        return
    if not isinstance(mask, Tensor):
        raise TypeError(f"mask: got {kind_of(mask)}, wants a torch.Tensor")
    check_strided("mask", mask)
    if mask.dtype not in (torch.bool, torch.int64):
        raise TypeError(f"mask: got dtype {mask.dtype}, wants torch.bool (a mask) or torch.int64 (indices)")
    if mask.dtype == torch.bool:
        check_shape("mask", mask, pred.shape[:-1])
    if mask.dtype == torch.int64 and mask.ndim != 1:
        raise ValueError(f"mask: got indices of shape {shape_of(mask)}, wants [K]")
