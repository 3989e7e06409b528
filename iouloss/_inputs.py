"""The inputs of each operator, by name. The checks, the reference and the second derivatives take them whole.

The fields of one are the arguments of its operator in ``torch.ops.iouloss``, except that the operator takes
``avg_factor`` as two: a tensor, or the number ``divisor``. The last fields, if they have a comment, are those that no
kernel knows. A loss takes the options that ``_tables`` names; those of other losses are not looked at.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor


class BoxInputs(NamedTuple):
    """Of a loss of paired boxes."""

    pred: Tensor
    target: Tensor
    weight: Tensor | None = None
    mask: Tensor | None = None
    avg_factor: Tensor | float | None = None
    formula: str = "ciou"
    gamma: float = 0.0
    lambda_: float = 0.0
    beta: float = 0.0
    fmt: str = "xyxy"
    eps: float = 1e-7
    reduction: str = "mean"
    eps_mode: str = "torchvision"  # others are the reference's


class LogitInputs(NamedTuple):
    """Of a loss of logits and their targets.

    ``alpha1`` and ``alpha0`` are the factors of the losses of targets 1 and 0. With ``alpha_per_class`` a, ``alpha1``
    is multiplied by a, and ``alpha0`` by 1 - a if ``complement``, else not at all.
    """

    logits: Tensor
    targets: Tensor
    scores: Tensor | None = None
    weight: Tensor | None = None
    alpha_per_class: Tensor | None = None
    balance: Tensor | None = None
    avg_factor: Tensor | float | None = None
    formula: str = "focal"
    alpha1: Tensor | float = 1.0
    alpha0: Tensor | float = 1.0
    complement: bool = False
    alpha: float = 0.0
    beta: float = 0.0
    gamma: float = 0.0
    gamma_neg: float = 0.0
    gamma_pos: float = 0.0
    margin: float = 0.0
    label_smoothing: float = 0.0
    smooth_all: bool = False
    epsilon1: float = 0.0
    epsilon0: float = 0.0
    scale: float = 0.0
    iou_weighted: bool = True
    ignore_index: int | None = None
    reduction: str = "mean"
    class_dim: int = -1  # others are moved there


class RegressionInputs(NamedTuple):
    """Of a loss of the difference of two tensors."""

    pred: Tensor
    target: Tensor
    weight: Tensor | None = None
    avg_factor: Tensor | float | None = None
    formula: str = "l1"
    alpha: float = 1.0
    beta: float = 1.0
    gamma: float = 1.0
    factor: float = 1.0
    reduction: str = "mean"


class RowInputs(NamedTuple):
    """Of a loss of rows of logits."""

    logits: Tensor
    targets: Tensor | None = None
    weight: Tensor | None = None
    avg_factor: Tensor | float | None = None
    class_weight: Tensor | None = None
    formula: str = "cross_entropy"
    alpha: float = 1.0
    gamma: float = 0.0
    label_smoothing: float = 0.0
    poly_epsilon: float = 0.0
    temperature: float = 1.0
    ignore_index: int | None = None
    class_dim: int = -1
    reduction: str = "mean"


class RegionInputs(NamedTuple):
    """Of a loss of regions."""

    logits: Tensor
    targets: Tensor
    weight: Tensor | None = None
    class_weight: Tensor | None = None
    avg_factor: Tensor | float | None = None
    kind: str = "dice"
    activation: str = "sigmoid"
    per: str = "image_class"
    power: int = 1
    alpha: float = 0.5
    beta: float = 0.5
    gamma: float = 1.0
    smooth_numerator: float = 1.0
    smooth_denominator: float = 1.0
    ignore_index: int | None = None
    reduction: str = "mean"
    pixel_weight: Tensor | None = None  # the reference's
    soft_labels: bool = False  # the reference's


def of_operator(inputs: type, arguments: Sequence[Any], names: Sequence[str]) -> Any:
    """The inputs that the ``arguments`` of an operator are, which has them under ``names``."""
    given = dict(zip(names, arguments, strict=True))
    divisor = given.pop("divisor")
    if given["avg_factor"] is None:
        given["avg_factor"] = divisor
    return inputs(**given)
