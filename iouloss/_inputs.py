"""The inputs of each operator, by name. The checks, the reference and the second derivatives take them whole.

The fields of one are the arguments of its operator in ``torch.ops.iouloss``, but that ``avg_factor`` is there in two:
as a tensor, or as the number ``divisor``. The last fields, if they have a comment, are those that no kernel knows.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class BoxInputs(NamedTuple):
    """Of a loss of paired boxes."""

    pred: Tensor
    target: Tensor
    weight: Tensor | None = None
    mask: Tensor | None = None
    avg_factor: Tensor | float | None = None
    formula: str = "ciou"
    parameter: float = 0.0
    fmt: str = "xyxy"
    eps: float = 1e-7
    reduction: str = "mean"
    eps_mode: str = "torchvision"  # others are the reference's


class Parameters(NamedTuple):
    """The parameters of a loss: factors of targets 1 and 0, the exponent, two more numbers, a factor for each class.

    With ``alpha_per_class`` a, ``alpha1`` is multiplied by a, and ``alpha0`` by 1 - a if ``complement``, else not at
    all.
    """

    alpha1: Tensor | float = 1.0
    alpha0: Tensor | float = 1.0
    gamma: Tensor | float = 0.0
    second: float = 0.0
    third: float = 0.0
    alpha_per_class: Tensor | None = None
    complement: bool = False

    def to(self, dtype: torch.dtype) -> "Parameters":
        """The same in ``dtype``, with ``alpha_per_class`` multiplied into ``alpha1`` and ``alpha0``."""
        gamma = self.gamma.to(dtype) if isinstance(self.gamma, Tensor) else self.gamma
        if self.alpha_per_class is None:
            return self._replace(gamma=gamma)
        alpha1 = self.alpha1 * self.alpha_per_class.to(dtype)
        # 1 - a is computed before it is rounded.
        alpha0 = self.alpha0 * (1 - self.alpha_per_class.double()).to(dtype) if self.complement else self.alpha0
        return Parameters(alpha1, alpha0, gamma, self.second, self.third)

    def alpha(self, z: Tensor) -> Tensor:
        """The factor of the loss of target ``z``."""
        return self.alpha1 * z + self.alpha0 * (1 - z)


class LogitInputs(NamedTuple):
    """Of a loss of logits and their targets. Its operator takes the parameters one by one."""

    logits: Tensor
    targets: Tensor
    scores: Tensor | None = None
    weight: Tensor | None = None
    avg_factor: Tensor | float | None = None
    formula: str = "focal"
    parameters: Parameters = Parameters()
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
    gamma: float = 0.0
    second: float = 0.0
    third: float = 0.0
    reduction: str = "mean"


class RowInputs(NamedTuple):
    """Of a loss of rows of logits. Options of other formulas are not looked at."""

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
    if inputs is LogitInputs:
        gamma_per_class = given.pop("gamma_per_class")
        parameters = Parameters(**{name: given.pop(name) for name in Parameters._fields})
        given["parameters"] = parameters if gamma_per_class is None else parameters._replace(gamma=gamma_per_class)
    return inputs(**given)
