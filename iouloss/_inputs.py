"""The inputs of a loss as one named tuple: a class for each operator.

A function of ``iouloss.functional`` makes it; ``_ops``, the checks, the reference and the extension take it whole.

The fields are the arguments of the operator in ``torch.ops.iouloss``, in the same order: the extension reads the tuple
item by item. There is one difference: the operator has two arguments for ``avg_factor``, of which ``divisor`` is for a
number and ``avg_factor`` for a tensor. The last fields, where they have a comment, are not the operator's: no kernel
knows them. The tuple has the options of all losses of its shape. ``_tables`` names those that a loss takes; nothing
looks at the others.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from torch import Tensor


class BoxInputs(NamedTuple):
    """Of a loss of paired boxes."""

    pred: Tensor
    target: Tensor
    weight: Tensor | None = None
    mask: Tensor | None = None
    avg_factor: Tensor | float | None = None
    formula: str = "ciou"
    fmt: str = "xyxy"
    eps: float = 1e-7
    reduction: str = "mean"
    gamma: float = 0.0
    lambda_: float = 0.0
    beta: float = 0.0
    theta: float = 0.0
    eps_mode: str = "torchvision"  # only the reference knows the others


class LogitInputs(NamedTuple):
    """Of a loss of logits and their targets.

    ``alpha1`` and ``alpha0`` are the factors of the losses of targets 1 and 0. With ``alpha_per_class`` a, ``alpha1``
    is multiplied by a, and ``alpha0`` by 1 - a if ``complement``, else not at all.
    """

    logits: Tensor
    targets: Tensor
    weight: Tensor | None = None
    avg_factor: Tensor | float | None = None
    formula: str = "focal"
    ignore_index: int | None = None
    reduction: str = "mean"
    scores: Tensor | None = None
    alpha_per_class: Tensor | None = None
    balance: Tensor | None = None
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
    class_dim: int = -1  # _ops moves the classes there from any other dimension


class RegressionInputs(NamedTuple):
    """Of a loss of the difference of two tensors."""

    pred: Tensor
    target: Tensor
    weight: Tensor | None = None
    avg_factor: Tensor | float | None = None
    formula: str = "l1"
    reduction: str = "mean"
    alpha: float = 1.0
    beta: float = 1.0
    gamma: float = 1.0
    factor: float = 1.0


class RowInputs(NamedTuple):
    """Of a loss of rows of logits."""

    logits: Tensor
    targets: Tensor | None = None
    weight: Tensor | None = None
    avg_factor: Tensor | float | None = None
    formula: str = "cross_entropy"
    ignore_index: int | None = None
    reduction: str = "mean"
    class_dim: int = -1
    class_weight: Tensor | None = None
    alpha: float = 1.0
    gamma: float = 0.0
    label_smoothing: float = 0.0
    poly_epsilon: float = 0.0
    temperature: float = 1.0


class RegionInputs(NamedTuple):
    """Of a loss of regions."""

    logits: Tensor
    targets: Tensor
    weight: Tensor | None = None
    class_weight: Tensor | None = None
    avg_factor: Tensor | float | None = None
    formula: str = "dice"
    activation: str = "sigmoid"
    per: str = "image_class"
    ignore_index: int | None = None
    reduction: str = "mean"
    smooth_numerator: float = 1.0
    smooth_denominator: float = 1.0
    alpha: float = 0.5
    beta: float = 0.5
    gamma: float = 1.0
    power: int = 1
    pixel_weight: Tensor | None = None  # only the reference takes one
    soft_labels: bool = False  # only the reference knows True


SHAPES: dict[str, type] = {
    "box_loss": BoxInputs,
    "logit_loss": LogitInputs,
    "regression_loss": RegressionInputs,
    "row_loss": RowInputs,
    "region_loss": RegionInputs,
}

_Inputs = TypeVar("_Inputs")


def _maker(inputs: type[_Inputs]) -> type[_Inputs]:
    """A function that makes such inputs in half the time that a call of their class takes: 0.4 us less."""
    made: type[_Inputs] = inputs.__new__.__get__(inputs)
    return made


box_inputs = _maker(BoxInputs)
logit_inputs = _maker(LogitInputs)
regression_inputs = _maker(RegressionInputs)
row_inputs = _maker(RowInputs)
region_inputs = _maker(RegionInputs)


def of_operator(name: str, arguments: Sequence[Any], names: Sequence[str]) -> Any:
    """The inputs of a loss, from the arguments of its operator: ``name`` is the operator's, ``names`` are theirs."""
    given = dict(zip(names, arguments, strict=True))
    divisor = given.pop("divisor")
    if given["avg_factor"] is None:
        given["avg_factor"] = divisor
    return SHAPES[name](**given)
