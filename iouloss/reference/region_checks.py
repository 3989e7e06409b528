"""What the losses of regions accept, and what they say otherwise; as in ``checks``."""

from typing import Any

from torch import Tensor

from .checks import (
    are_dense,
    check_avg_factor,
    check_devices,
    check_floating,
    check_int,
    check_not_negative,
    check_positive,
    check_reduction,
    check_shape,
    check_tensors,
    kind_of,
    shape_of,
)

KINDS = ("dice", "generalized_dice", "tversky")
PER = ("image_class", "class", "image", "batch")


def check_region_loss(
    logits: Any,
    targets: Any,
    weight: Any,
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
    check_tensors(logits=logits, targets=targets, weight=weight)
    if class_weight is not None:
        check_tensors(class_weight=class_weight)
    check_reduction(reduction)
    if kind not in KINDS:
        raise ValueError(f"kind: got {kind!r}, wants 'dice', 'generalized_dice' or 'tversky'")
    if activation not in ("sigmoid", "softmax", "none"):
        raise ValueError(f"activation: got {activation!r}, wants 'sigmoid', 'softmax' or None")
    _check_per(per, kind)
    if not isinstance(power, int):
        raise TypeError(f"power: got {kind_of(power)}, wants 1 or 2")
    if power not in (1, 2):
        raise ValueError(f"power: got {power}, wants 1 or 2")
    check_not_negative("alpha", alpha)
    check_not_negative("beta", beta)
    check_positive("gamma", gamma)
    check_not_negative("smooth_numerator", smooth_numerator)
    check_not_negative("smooth_denominator", smooth_denominator)
    check_int("ignore_index", ignore_index)
    check_floating(logits=logits)
    check_floating(weight=weight, class_weight=class_weight)
    _check_shapes(logits, targets, class_weight)
    check_shape("weight", weight, _shape_of_values(logits, per))
    others = {"targets": targets, "weight": weight, "class_weight": class_weight, "avg_factor": avg_factor}
    check_devices("logits", logits, **others)
    check_avg_factor(avg_factor, reduction)


def _check_per(per: Any, kind: str) -> None:
    if kind == "generalized_dice":
        if per not in ("image", "batch"):
            raise ValueError(f"per: got {per!r}, wants 'image' or 'batch'")
    elif per not in PER:
        raise ValueError(f"per: got {per!r}, wants 'image_class', 'class', 'image' or 'batch'")


def _shape_of_values(logits: Tensor, per: str) -> tuple[int, ...]:
    images, classes = logits.shape[:2]
    return {"image_class": (images, classes), "class": (classes,), "image": (images,), "batch": ()}[per]


def _check_shapes(logits: Tensor, targets: Tensor, class_weight: Tensor | None) -> None:
    if logits.ndim < 2:
        raise ValueError(f"logits: got shape {shape_of(logits)}, wants [N, C, ...]")
    are_dense(targets, logits, 1)
    check_shape("class_weight", class_weight, logits.shape[1:2])
