"""The losses of single numbers under test: how each is called, and its formula by hand."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from cases import evaluate, random_logits, random_targets
from torch import Tensor

from iouloss import functional

Naive = Callable[[float, float], float]


def softplus(x: float) -> float:
    return math.log1p(math.exp(-abs(x))) + max(x, 0)


def sigmoid(x: float) -> float:
    return math.exp(-softplus(-x))


def cross_entropy(x: float, z: float) -> float:
    return z * softplus(-x) + (1 - z) * softplus(x)


def error(x: float, z: float) -> float:
    return z * sigmoid(-x) + (1 - z) * sigmoid(x)


def focal(x: float, z: float, gamma: float, alpha: float = 0.25) -> float:
    return (alpha * z + (1 - alpha) * (1 - z)) * error(x, z) ** gamma * cross_entropy(x, z)


def asymmetric(x: float, z: float, pos: float, neg: float, margin: float) -> float:
    m = max(sigmoid(x) - margin, 0)
    cost = -math.log1p(-m) if margin else softplus(x)
    return z * sigmoid(-x) ** pos * softplus(-x) + (1 - z) * m**neg * cost


def balanced_l1(d: float, alpha: float, gamma: float, beta: float) -> float:
    b, d = math.expm1(gamma / alpha), abs(d)
    if d < beta:
        return alpha / b * (b * d + 1) * math.log1p(b * d / beta) - alpha * d
    return gamma * d + gamma / b - alpha * beta


def focal_l1(d: float, alpha: float, beta: float) -> float:
    d = abs(d)
    if d == 0:
        return 0.0
    if d < 1:
        return -alpha * d * d * (2 * math.log(beta * d) - 1) / 4
    return -alpha * math.log(beta) * d + alpha * (2 * math.log(beta) + 1) / 4


@dataclass(frozen=True)
class Case:
    """A loss: how it is called, and the formula as the paper prints it, on Python floats."""

    name: str
    naive: Naive
    options: dict[str, Any] = field(default_factory=dict)
    relative: float = 5e-6  # error of float32, of what is not small
    has_constant: bool = False  # a part that the gradient does not see
    is_difference: bool = False

    def __call__(self, x: Tensor, z: Tensor, **options: Any) -> Tensor:
        function = getattr(functional, self.name)
        return function(x, z, **{**self.options, **options})

    @property
    def id(self) -> str:
        return "-".join([self.name, *(f"{value}" for value in self.options.values())])


CASES = (
    Case("sigmoid_focal_loss", lambda x, z: focal(x, z, 2)),
    Case("sigmoid_focal_loss", lambda x, z: focal(x, z, 1.5), {"gamma": 1.5}),
    Case(
        "sigmoid_focal_loss",
        lambda x, z: 0.5 * 2 * (focal(x, z, 1.5) / max(cross_entropy(x, z), 1e-300)) * cross_entropy(x, 0.9 * z + 0.05),
        {"gamma": 1.5, "label_smoothing": 0.1},
    ),
    Case(
        "sigmoid_focal_loss",
        lambda x, z: focal(x, 0.8 * z + 0.1, 1.5),
        {"gamma": 1.5, "label_smoothing": 0.2, "smooth_all": True},
    ),
    Case("focal_star_loss", lambda x, z: softplus(-(2 * (2 * z - 1) * x + 1)) / 2),
    Case("focal_star_loss", lambda x, z: softplus(-(2 * z - 1) * x), {"gamma": 1.0, "beta": 0.0}),
    Case("poly1_focal_loss", lambda x, z: focal(x, z, 2) + error(x, z) ** 3),
    Case(
        "poly1_focal_loss",
        lambda x, z: focal(x, z, 0.5, 0.5) * 2 - 0.5 * error(x, z) ** 1.5,
        {"epsilon": -0.5, "alpha": None, "gamma": 0.5},
    ),
    Case("quality_focal_loss", lambda x, z: abs(z - sigmoid(x)) ** 2 * cross_entropy(x, z)),
    Case("quality_focal_loss", lambda x, z: abs(z - sigmoid(x)) * cross_entropy(x, z), {"beta": 1.0}),
    Case("varifocal_loss", lambda x, z: z * cross_entropy(x, z) if z > 0 else 0.75 * sigmoid(x) ** 2 * softplus(x)),
    Case(
        "varifocal_loss",
        lambda x, z: cross_entropy(x, z) if z > 0 else 0.5 * sigmoid(x) ** 1.5 * softplus(x),
        {"alpha": 0.5, "gamma": 1.5, "iou_weighted": False},
    ),
    Case(
        "gaussian_focal_loss",
        lambda x, z: sigmoid(-x) ** 2 * softplus(-x) if z == 1 else (1 - z) ** 4 * sigmoid(x) ** 2 * softplus(x),
    ),
    Case("binary_cross_entropy_loss", cross_entropy),
    Case(
        "binary_cross_entropy_loss",
        lambda x, z: 3 * 0.25 * z * softplus(-x) + 0.75 * (1 - z) * softplus(x),
        {"pos_weight": 3.0, "alpha": 0.25},
    ),
    # A probability near the margin loses its distance from it to rounding.
    Case("asymmetric_loss", lambda x, z: asymmetric(x, z, 1, 4, 0.05), relative=1e-4, has_constant=True),
    Case(
        "asymmetric_loss",
        lambda x, z: asymmetric(x, z, 0, 2, 0.1),
        {"gamma_pos": 0.0, "gamma_neg": 2.0, "margin": 0.1, "differentiable_focus": True},
        relative=1e-4,
    ),
    Case(
        "asymmetric_loss",
        lambda x, z: asymmetric(x, z, 0.5, 1.5, 0),
        {"gamma_pos": 0.5, "gamma_neg": 1.5, "margin": 0.0, "differentiable_focus": True},
    ),
    Case("l1_loss", lambda x, z: abs(x - z), is_difference=True),
    Case("l2_loss", lambda x, z: (x - z) ** 2, is_difference=True),
    Case(
        "smooth_l1_loss",
        lambda x, z: (x - z) ** 2 / 1.4 if abs(x - z) < 0.7 else abs(x - z) - 0.35,
        {"beta": 0.7},
        is_difference=True,
    ),
    Case("smooth_l1_loss", lambda x, z: abs(x - z), {"beta": 0.0}, is_difference=True),
    Case(
        "huber_loss",
        lambda x, z: (x - z) ** 2 / 2 if abs(x - z) < 1.5 else 1.5 * (abs(x - z) - 0.75),
        {"delta": 1.5},
        is_difference=True,
    ),
    Case("balanced_l1_loss", lambda x, z: balanced_l1(x - z, 0.5, 1.5, 1), is_difference=True),
    Case(
        "balanced_l1_loss",
        lambda x, z: balanced_l1(x - z, 0.3, 1.2, 0.63),
        {"alpha": 0.3, "gamma": 1.2, "beta": 0.63},
        is_difference=True,
    ),
    Case("focal_l1_loss", lambda x, z: focal_l1(x - z, math.e * 0.8, 0.8), is_difference=True),
)
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
of_logits = pytest.mark.parametrize(
    "case", [case for case in CASES if not case.is_difference], ids=lambda case: case.id
)
by_class = pytest.mark.parametrize(
    "case",
    [case for case in CASES if "ignore_index" in getattr(functional, case.name).__annotations__],
    ids=lambda case: case.id,
)


def numbers(rows: int, columns: int = 5, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Logits, and targets among which there are 0 and 1."""
    targets = random_targets(rows, columns, hard=False)
    targets[::3] = targets[::3].round()
    return random_logits(rows, columns).to(dtype), targets.to(dtype)


def truth(case: Case, x: Tensor, z: Tensor, **options: Any) -> list[Tensor]:
    """By the reference in float64, of the same rounded numbers: whose gradient is asked for leaves the kernels out."""
    return evaluate(lambda x, z: case(x, z, reduction="none", **options), x.cpu().double(), z.cpu().double())
