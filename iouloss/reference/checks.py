"""What the operators accept, and what they say otherwise.

The compiled operators make the same checks in C++; these serve the pure-PyTorch path, and arguments whose type
keeps them from reaching C++. Every message reads ``<argument>: got <x>, wants <y>``.
"""

import math
from collections.abc import Iterable
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from .placement import EPS_MODES

FORMATS = ("xyxy", "xywh", "cxcywh")
REDUCTIONS = ("mean", "sum", "none")
FORMULAS = (
    "iou",
    "log_iou",
    "square_iou",
    "giou",
    "diou",
    "ciou",
    "eiou",
    "focal_eiou",
    "cdiou_iou",
    "cdiou_log_iou",
    "cdiou_giou",
    "cdiou_diou",
    "cdiou_ciou",
)
FLOATING = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def check_box_loss(
    pred: Any,
    target: Any,
    weight: Any,
    avg_factor: Any,
    formula: Any,
    parameter: Any,
    reduction: Any,
    fmt: Any,
    eps: Any,
    eps_mode: Any = "torchvision",
    mask: Any = None,
) -> None:
    """Raise the ValueError or TypeError that the arguments of ``box_loss`` deserve, if any."""
    _check_tensors(pred=pred, target=target, weight=weight)
    check_choice("formula", formula, FORMULAS)
    _check_reduction(reduction)
    if fmt not in FORMATS:
        raise ValueError(f"fmt: got {fmt!r}, wants 'xyxy', 'xywh' or 'cxcywh'")
    _check_not_negative("eps", eps)
    _check_eps_mode(eps_mode, formula)
    _check_parameter(formula, parameter)
    _check_floating(pred=pred, target=target, weight=weight)
    if pred.ndim == 0 or pred.shape[-1] != 4:
        raise ValueError(f"pred: got shape {_shape(pred)}, wants [..., 4]")
    if target.shape != pred.shape:
        raise ValueError(f"target: got shape {_shape(target)}, wants pred's shape {_shape(pred)}")
    if weight is not None and weight.shape != pred.shape[:-1]:
        raise ValueError(f"weight: got shape {_shape(weight)}, wants {list(pred.shape[:-1])}")
    _check_mask(mask, pred)
    _check_devices("pred", pred, target=target, weight=weight, mask=mask, avg_factor=avg_factor)
    _check_avg_factor(avg_factor, reduction)


def check_sigmoid_focal_loss(
    logits: Any,
    targets: Any,
    weight: Any,
    avg_factor: Any,
    alpha: Any,
    gamma: Any,
    reduction: Any,
    ignore_index: Any,
) -> None:
    """Raise the ValueError or TypeError that the arguments of ``sigmoid_focal_loss`` deserve, if any."""
    _check_tensors(logits=logits, targets=targets, weight=weight)
    _check_reduction(reduction)
    _check_alpha(alpha)
    _check_not_negative("gamma", gamma)
    if not isinstance(ignore_index, int):
        raise TypeError(f"ignore_index: got {_kind(ignore_index)}, wants an int")
    _check_floating(logits=logits)
    if targets.dtype not in (*FLOATING, torch.int64):
        raise TypeError(f"targets: got dtype {targets.dtype}, wants a floating dtype (dense) or int64 (class indices)")
    alpha_per_class = alpha if isinstance(alpha, Tensor) else None
    _check_floating(weight=weight, alpha=alpha_per_class)
    _check_focal_shapes(logits, targets, weight, alpha_per_class)
    _check_devices("logits", logits, targets=targets, weight=weight, alpha=alpha, avg_factor=avg_factor)
    _check_avg_factor(avg_factor, reduction)


def check_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Raise ValueError unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"{name}: got {value!r}, wants one of {', '.join(map(repr, choices))}")


def _check_tensors(**tensors: Any) -> None:
    for name, value in tensors.items():
        if not isinstance(value, Tensor) and not (name == "weight" and value is None):
            raise TypeError(f"{name}: got {_kind(value)}, wants a torch.Tensor")


def _check_reduction(reduction: Any) -> None:
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction: got {reduction!r}, wants 'mean', 'sum' or 'none'")


def _check_number(name: str, value: Any, wants: str) -> None:
    if not isinstance(value, (int, float, Real)):
        raise TypeError(f"{name}: got {_kind(value)}, wants {wants}")
    if not -math.inf < float(value) < math.inf:  # not math.isfinite, which a traced number does not know
        raise ValueError(f"{name}: got {float(value)}, wants {wants}")


def _check_not_negative(name: str, value: Any) -> None:
    wants = "a finite number >= 0"
    _check_number(name, value, wants)
    if value < 0:
        raise ValueError(f"{name}: got {float(value)}, wants {wants}")


def _check_eps_mode(eps_mode: Any, formula: str) -> None:
    check_choice("eps_mode", eps_mode, EPS_MODES)
    formulas = EPS_MODES[eps_mode]
    if formulas is not None and formula not in formulas:
        raise ValueError(f"eps_mode: got {eps_mode!r} for {formula!r}, wants {', '.join(map(repr, formulas))}")


def _check_parameter(formula: str, parameter: Any) -> None:
    if formula == "focal_eiou":
        _check_not_negative("gamma", parameter)
    elif formula.startswith("cdiou"):
        _check_number("lambda_", parameter, "a finite number")


def _check_alpha(alpha: Any) -> None:
    wants = "a number in [0, 1], a tensor [C] or None"
    if alpha is None or isinstance(alpha, Tensor):
        return
    if not isinstance(alpha, (int, float, Real)):
        raise TypeError(f"alpha: got {_kind(alpha)}, wants {wants}")
    if not 0 <= float(alpha) <= 1:
        raise ValueError(f"alpha: got {float(alpha)}, wants {wants}")


def _check_mask(mask: Any, pred: Tensor) -> None:
    boxes = list(pred.shape[:-1])
    if mask is None:
        return
    if not isinstance(mask, Tensor):
        raise TypeError(f"mask: got {_kind(mask)}, wants a torch.Tensor")
    if mask.dtype not in (torch.bool, torch.int64):
        raise TypeError(f"mask: got dtype {mask.dtype}, wants torch.bool (a mask) or torch.int64 (indices)")
    if mask.dtype == torch.bool and list(mask.shape) != boxes:
        raise ValueError(f"mask: got shape {_shape(mask)}, wants {boxes}")
    if mask.dtype == torch.int64 and mask.ndim != 1:
        raise ValueError(f"mask: got indices of shape {_shape(mask)}, wants [K]")


def _check_floating(**tensors: Tensor | None) -> None:
    for name, tensor in tensors.items():
        if tensor is not None and tensor.dtype not in FLOATING:
            raise TypeError(f"{name}: got dtype {tensor.dtype}, wants float64, float32, float16 or bfloat16")


def _check_focal_shapes(logits: Tensor, targets: Tensor, weight: Tensor | None, alpha: Tensor | None) -> None:
    dense = targets.dtype != torch.int64
    if logits.ndim == 0 and not (dense and alpha is None):
        raise ValueError("logits: got shape [], wants [..., C]")
    rows = logits.shape[:-1]
    if dense and targets.shape != logits.shape:
        raise ValueError(f"targets: got shape {_shape(targets)}, wants the logits' shape {_shape(logits)}")
    if not dense and targets.shape != rows:
        raise ValueError(f"targets: got shape {_shape(targets)}, wants {list(rows)}")
    if weight is not None and weight.shape not in (logits.shape, rows):
        raise ValueError(f"weight: got shape {_shape(weight)}, wants {_shape(logits)} or {list(rows)}")
    if alpha is not None and alpha.shape != logits.shape[-1:]:
        raise ValueError(f"alpha: got shape {_shape(alpha)}, wants {list(logits.shape[-1:])}")


def _check_devices(first: str, tensor: Tensor, **others: Any) -> None:
    for name, other in others.items():
        if isinstance(other, Tensor) and other.device != tensor.device:
            raise ValueError(f"{name}: got device {other.device}, wants {first}'s device {tensor.device}")


def _check_avg_factor(avg_factor: Any, reduction: str) -> None:
    if avg_factor is None:
        return
    if reduction != "mean":
        raise ValueError(f"avg_factor: got reduction {reduction!r}, wants 'mean'")
    if not isinstance(avg_factor, Tensor):
        if not isinstance(avg_factor, (int, float, Real)):
            raise TypeError(f"avg_factor: got {_kind(avg_factor)}, wants a number or a tensor of one element")
        return
    if avg_factor.numel() != 1:
        raise ValueError(f"avg_factor: got shape {_shape(avg_factor)}, wants a tensor of one element")
    if avg_factor.dtype == torch.bool or avg_factor.is_complex():
        raise TypeError(f"avg_factor: got dtype {avg_factor.dtype}, wants an integer or floating dtype")


def _shape(tensor: Tensor) -> list[int]:
    return list(tensor.shape)


def _kind(value: Any) -> str:
    return type(value).__name__
