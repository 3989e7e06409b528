"""What the losses on rows of logits accept; see ``checks``."""

from numbers import Real
from typing import Any

import torch
from torch import Tensor

from .checks import (
    _check_avg_factor,
    _check_devices,
    _check_floating,
    _check_reduction,
    _check_tensors,
    _kind,
    _shape,
    check_choice,
    check_not_negative,
    check_number,
)

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
    _check_tensors(logits=logits, weight=weight)
    if formula != "entropy":
        _check_tensors(targets=targets)
    if class_weight is not None:
        _check_tensors(**{weights_name: class_weight})
    check_choice("formula", formula, FORMULAS)
    _check_reduction(reduction)
    check_not_negative("alpha", alpha)
    check_not_negative("gamma", gamma)
    _check_share("label_smoothing", label_smoothing)
    check_number("poly_epsilon", poly_epsilon, "a finite number")
    check_number("temperature", temperature, "a finite number > 0")
    if not temperature > 0:
        raise ValueError(f"temperature: got {float(temperature)}, wants a finite number > 0")
    for name, value in (("ignore_index", ignore_index), ("class_dim", class_dim)):
        if not isinstance(value, int):
            raise TypeError(f"{name}: got {_kind(value)}, wants an int")
    _check_floating(logits=logits)
    if formula in ("distribution_focal", "kl_div"):
        _check_floating(targets=targets)
    elif formula != "entropy" and targets.dtype != torch.int64:
        raise TypeError(f"targets: got dtype {targets.dtype}, wants int64 (class indices)")
    _check_floating(weight=weight)
    _check_floating(**{weights_name: class_weight})
    _check_row_shapes(logits, targets, weight, class_weight, formula, class_dim, weights_name)
    others = {"targets": targets, "weight": weight, weights_name: class_weight, "avg_factor": avg_factor}
    _check_devices("logits", logits, **others)
    _check_avg_factor(avg_factor, reduction)


def _check_share(name: str, value: Any) -> None:
    wants = "a number in [0, 1]"
    if not isinstance(value, (int, float, Real)):
        raise TypeError(f"{name}: got {_kind(value)}, wants {wants}")
    if not 0 <= float(value) <= 1:
        raise ValueError(f"{name}: got {float(value)}, wants {wants}")


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
        raise ValueError(f"logits: got shape {_shape(logits)}, wants at least one class")
    rows = _shape(logits)
    del rows[class_dim]
    wanted = {"targets": (targets, _shape(logits) if formula == "kl_div" else rows), "weight": (weight, rows)}
    for name, (tensor, shape) in wanted.items():
        if tensor is not None and _shape(tensor) != shape:
            raise ValueError(f"{name}: got shape {_shape(tensor)}, wants {shape}")
    if class_weight is not None and _shape(class_weight) != [classes]:
        raise ValueError(f"{weights_name}: got shape {_shape(class_weight)}, wants {[classes]}")
