"""What the losses of regions accept."""

from typing import Any

import torch
from torch import Tensor

from .._inputs import RegionInputs
from .._tables import REGIONS
from .._tracing import check_whole
from .numbers import (
    check_bool,
    check_choice,
    check_ignore_index,
    check_options,
    check_reduction,
    kind_of,
)
from .tensors import (
    FLOATING,
    are_dense,
    check_avg_factor,
    check_devices,
    check_floating,
    check_number_of_classes,
    check_shape,
    check_tensors,
    shape_of,
)

PER = ("image_class", "class", "image", "batch")


def check_region_loss(inputs: RegionInputs) -> None:
    """Raise the ValueError or TypeError that the inputs of ``region_loss`` deserve, if any."""
    logits, targets, weight, class_weight, avg_factor, formula, activation, per, ignore_index, reduction, *_ = inputs
    pixel_weight, power = inputs.pixel_weight, inputs.power
    check_whole("logits", logits)
    check_tensors(logits=logits, targets=targets, weight=weight)
    for name, optional in (("class_weight", class_weight), ("pixel_weight", pixel_weight)):
        if optional is not None:
            check_tensors(**{name: optional})
    check_reduction(reduction)
    check_choice("formula", formula, REGIONS)
    if not isinstance(activation, str) or activation not in ("sigmoid", "softmax", "none"):
        raise ValueError(f"activation: got {activation!r}, wants 'sigmoid', 'softmax' or None")
    _check_per(per, formula)
    if not isinstance(power, int):
        raise TypeError(f"power: got {kind_of(power)}, wants 1 or 2")
    if power not in (1, 2):
        raise ValueError(f"power: got {power}, wants 1 or 2")
    check_options(REGIONS[formula], inputs)
    check_ignore_index(ignore_index)
    check_bool("soft_labels", inputs.soft_labels)
    check_floating(logits=logits)
    check_floating(weight=weight, class_weight=class_weight)
    _check_shapes(logits, targets, class_weight)
    check_shape("weight", weight, _shape_of_values(logits, per))
    _check_pixel_weight(pixel_weight, logits)
    others = {"targets": targets, "weight": weight, "class_weight": class_weight, "avg_factor": avg_factor}
    check_devices("logits", logits, **others, pixel_weight=pixel_weight)
    check_avg_factor(avg_factor, reduction)


def _check_per(per: Any, formula: str) -> None:
    if formula == "generalized_dice":
        if not isinstance(per, str) or per not in ("image", "batch"):
            raise ValueError(f"per: got {per!r}, wants 'image' or 'batch'")
    elif not isinstance(per, str) or per not in PER:
        raise ValueError(f"per: got {per!r}, wants 'image_class', 'class', 'image' or 'batch'")


def _shape_of_values(logits: Tensor, per: str) -> tuple[int, ...]:
    images, classes = logits.shape[:2]
    return {"image_class": (images, classes), "class": (classes,), "image": (images,), "batch": ()}[per]


def _check_shapes(logits: Tensor, targets: Tensor, class_weight: Tensor | None) -> None:
    if logits.ndim < 2:
        raise ValueError(f"logits: got shape {shape_of(logits)}, wants [N, C, ...]")
    check_number_of_classes(logits.shape[1])
    are_dense(targets, logits, 1)
    check_shape("class_weight", class_weight, logits.shape[1:2])


def _check_pixel_weight(pixel_weight: Tensor | None, logits: Tensor) -> None:
    if pixel_weight is None:
        return
    if pixel_weight.dtype not in (torch.bool, *FLOATING):
        wants = "torch.bool, float64, float32, float16 or bfloat16"
        raise TypeError(f"pixel_weight: got dtype {pixel_weight.dtype}, wants {wants}")
    images, _, *pixels = logits.shape
    shapes = [images, 1, *pixels], [images, *pixels]
    if shape_of(pixel_weight) not in shapes:
        raise ValueError(f"pixel_weight: got shape {shape_of(pixel_weight)}, wants {shapes[0]} or {shapes[1]}")
