"""What the losses on rows of logits accept; see ``checks``."""

from typing import Any

import torch
from torch import Tensor

from .checks import (
    check_avg_factor,
    check_choice,
    check_devices,
    check_floating,
    check_fraction,
    check_int,
    check_not_negative,
    check_number,
    check_positive,
    check_reduction,
    check_shape,
    check_tensors,
    shape_of,
)
from .region_checks import check_number_of_classes

FORMULAS = ("softmax_focal", "cross_entropy", "distribution_focal", "kl_div", "entropy")


def check_row_loss(
    logits: Any,
    targets: Any,
    weight: Any,
    avg_factor: Any,
    class_weight: Any,
    formula: Any,
    alpha: Any,
    gamma: Any,
    label_smoothing: Any,
    poly_epsilon: Any,
    temperature: Any,
    ignore_index: Any,
    class_dim: Any,
    reduction: Any,
) -> None:
    """Raise the ValueError or TypeError that the arguments of ``row_loss`` deserve, if any."""
    weights_name = "alpha" if formula == "softmax_focal" else "class_weight"
    check_tensors(logits=logits, weight=weight)
    if formula != "entropy":
        check_tensors(targets=targets)
    if class_weight is not None:
        check_tensors(**{weights_name: class_weight})
    check_choice("formula", formula, FORMULAS)
    check_reduction(reduction)
    check_not_negative("alpha", alpha)
    check_not_negative("gamma", gamma)
    check_fraction("label_smoothing", label_smoothing)
    check_number("poly_epsilon", poly_epsilon, "a finite number")
    check_positive("temperature", temperature)
    check_int("ignore_index", ignore_index)
    check_int("class_dim", class_dim)
    check_floating(logits=logits)
    if formula in ("distribution_focal", "kl_div"):
        check_floating(targets=targets)
    elif formula != "entropy" and targets.dtype != torch.int64:
        raise TypeError(f"targets: got dtype {targets.dtype}, wants int64 (class indices)")
    check_floating(weight=weight)
    check_floating(**{weights_name: class_weight})
    _check_row_shapes(logits, targets, weight, class_weight, formula, class_dim, weights_name)
    others = {"targets": targets, "weight": weight, weights_name: class_weight, "avg_factor": avg_factor}
    check_devices("logits", logits, **others)
    check_avg_factor(avg_factor, reduction)


def _check_row_shapes(
    logits: Tensor,
    targets: Tensor | None,
    weight: Tensor | None,
    class_weight: Tensor | None,
    formula: str,
    class_dim: int,
    weights_name: str,
) -> None:
    dims = logits.ndim
    if dims == 0:
        raise ValueError("logits: got shape [], wants [..., C]")
    if not -dims <= class_dim < dims:
        wants = f"a dimension of the logits, {-dims} to {dims - 1}"
        raise ValueError(f"class_dim: got {class_dim}, wants {wants}")
    classes = logits.shape[class_dim]
    if classes == 0:
        raise ValueError(f"logits: got shape {shape_of(logits)}, wants at least one class")
    if formula == "distribution_focal":
        check_number_of_classes(classes)
    rows = shape_of(logits)
    del rows[class_dim]
    check_shape("targets", targets, logits.shape if formula == "kl_div" else rows)
    check_shape("weight", weight, rows)
    check_shape(weights_name, class_weight, [classes])
