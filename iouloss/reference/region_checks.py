"""What the losses of regions accept, and what they say otherwise; as in ``checks``."""

from typing import Any

import torch
from torch import Tensor

from .checks import (
    FLOATING,
    _check_avg_factor,
    _check_devices,
    _check_floating,
    _check_reduction,
    _check_tensors,
    _kind,
    _shape,
    check_not_negative,
    check_number,
)

PER = ("image_class", "class", "image", "batch")


def check_region_loss(
    logits: Any,
    targets: Any,
    class_weight: Any,
    avg_factor: Any,
    kind: Any,
    activation: Any,
    per: Any,
    power: Any,
    alpha: Any,
    beta: Any,
    gamma: Any,
    smooth_numerator: Any,
    smooth_denominator: Any,
    ignore_index: Any,
    reduction: Any,
) -> None:
    """Raise the ValueError or TypeError that the arguments of ``region_loss`` deserve, if any."""
    _check_tensors(logits=logits, targets=targets)
    if class_weight is not None:
        _check_tensors(class_weight=class_weight)
    _check_reduction(reduction)
    if kind not in ("dice", "generalized_dice", "tversky"):
        raise ValueError(f"kind: got {kind!r}, wants 'dice', 'generalized_dice' or 'tversky'")
    if activation not in ("sigmoid", "softmax", "none"):
        raise ValueError(f"activation: got {activation!r}, wants 'sigmoid', 'softmax' or None")
    _check_per(per, kind)
    if not isinstance(power, int):
        raise TypeError(f"power: got {_kind(power)}, wants 1 or 2")
    if power not in (1, 2):
        raise ValueError(f"power: got {power}, wants 1 or 2")
    check_not_negative("alpha", alpha)
    check_not_negative("beta", beta)
    _check_positive("gamma", gamma)
    check_not_negative("smooth_numerator", smooth_numerator)
    check_not_negative("smooth_denominator", smooth_denominator)
    if not isinstance(ignore_index, int):
        raise TypeError(f"ignore_index: got {_kind(ignore_index)}, wants an int")
    _check_floating(logits=logits)
    if targets.dtype not in (*FLOATING, torch.int64):
        raise TypeError(f"targets: got dtype {targets.dtype}, wants a floating dtype (dense) or int64 (class indices)")
    _check_floating(class_weight=class_weight)
    _check_shapes(logits, targets, class_weight)
    _check_devices("logits", logits, targets=targets, class_weight=class_weight, avg_factor=avg_factor)
    _check_avg_factor(avg_factor, reduction)


def _check_per(per: Any, kind: str) -> None:
    if kind == "generalized_dice":
        if per not in ("image", "batch"):
            raise ValueError(f"per: got {per!r}, wants 'image' or 'batch'")
    elif per not in PER:
        raise ValueError(f"per: got {per!r}, wants 'image_class', 'class', 'image' or 'batch'")


def _check_positive(name: str, value: Any) -> None:
    wants = "a finite number > 0"
    check_number(name, value, wants)
    if value <= 0:
        raise ValueError(f"{name}: got {float(value)}, wants {wants}")


def _check_shapes(logits: Tensor, targets: Tensor, class_weight: Tensor | None) -> None:
    if logits.ndim < 2:
        raise ValueError(f"logits: got shape {_shape(logits)}, wants [N, C, ...]")
    pixels = [logits.shape[0], *logits.shape[2:]]
    if targets.dtype == torch.int64:
        if list(targets.shape) != pixels:
            raise ValueError(f"targets: got shape {_shape(targets)}, wants {pixels}")
    elif targets.shape != logits.shape:
        raise ValueError(f"targets: got shape {_shape(targets)}, wants the logits' shape {_shape(logits)}")
    if class_weight is not None and class_weight.shape != logits.shape[1:2]:
        raise ValueError(f"class_weight: got shape {_shape(class_weight)}, wants {list(logits.shape[1:2])}")
