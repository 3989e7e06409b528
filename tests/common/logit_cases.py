"""The table of losses of single numbers, the numbers they are tested on, and the formulas by hand."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from backends import Backend
from cases import GAMMAS, evaluate, random_logits, random_targets
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


def focal(x: float, z: float, gamma: float, alpha: float | None = 0.25) -> float:
    balance = 1.0 if alpha is None else alpha * z + (1 - alpha) * (1 - z)
    return balance * error(x, z) ** gamma * cross_entropy(x, z)


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
class LogitCase:
    """A loss: how it is called, and the formula as the paper prints it, on Python floats."""

    name: str
    naive: Naive
    options: dict[str, Any] = field(default_factory=dict)
    relative: float = 5e-6  # the error of float32, where the value is not small
    has_constant: bool = False  # a part that the gradient does not see
    is_difference: bool = False

    def __call__(self, x: Tensor, z: Tensor, **options: Any) -> Tensor:
        function = getattr(functional, self.name)
        return function(x, z, **{**self.options, **options})

    @property
    def takes_classes(self) -> bool:
        return "ignore_index" in getattr(functional, self.name).__annotations__

    @property
    def id(self) -> str:
        return "-".join([self.name, *(f"{value}" for value in self.options.values())])


CASES = (
    LogitCase("sigmoid_focal_loss", lambda x, z: focal(x, z, 2)),
    LogitCase("sigmoid_focal_loss", lambda x, z: focal(x, z, 1.5), {"gamma": 1.5}),
    LogitCase(
        "sigmoid_focal_loss",
        lambda x, z: 0.5 * 2 * (focal(x, z, 1.5) / max(cross_entropy(x, z), 1e-300)) * cross_entropy(x, 0.9 * z + 0.05),
        {"gamma": 1.5, "label_smoothing": 0.1},
    ),
    LogitCase(
        "sigmoid_focal_loss",
        lambda x, z: focal(x, 0.8 * z + 0.1, 1.5),
        {"gamma": 1.5, "label_smoothing": 0.2, "smooth_all": True},
    ),
    LogitCase("focal_star_loss", lambda x, z: softplus(-(2 * (2 * z - 1) * x + 1)) / 2),
    LogitCase("focal_star_loss", lambda x, z: softplus(-(2 * z - 1) * x), {"gamma": 1.0, "beta": 0.0}),
    LogitCase("poly1_focal_loss", lambda x, z: focal(x, z, 2) + error(x, z) ** 3),
    LogitCase(
        "poly1_focal_loss",
        lambda x, z: focal(x, z, 0.5, 0.5) * 2 - 0.5 * error(x, z) ** 1.5,
        {"epsilon": -0.5, "alpha": None, "gamma": 0.5},
    ),
    LogitCase("quality_focal_loss", lambda x, z: abs(z - sigmoid(x)) ** 2 * cross_entropy(x, z)),
    LogitCase("quality_focal_loss", lambda x, z: abs(z - sigmoid(x)) * cross_entropy(x, z), {"beta": 1.0}),
    LogitCase(
        "varifocal_loss", lambda x, z: z * cross_entropy(x, z) if z > 0 else 0.75 * sigmoid(x) ** 2 * softplus(x)
    ),
    LogitCase(
        "varifocal_loss",
        lambda x, z: cross_entropy(x, z) if z > 0 else 0.5 * sigmoid(x) ** 1.5 * softplus(x),
        {"alpha": 0.5, "gamma": 1.5, "iou_weighted": False},
    ),
    LogitCase(
        "gaussian_focal_loss",
        lambda x, z: sigmoid(-x) ** 2 * softplus(-x) if z == 1 else (1 - z) ** 4 * sigmoid(x) ** 2 * softplus(x),
    ),
    LogitCase("binary_cross_entropy_loss", cross_entropy),
    LogitCase(
        "binary_cross_entropy_loss",
        lambda x, z: 3 * 0.25 * z * softplus(-x) + 0.75 * (1 - z) * softplus(x),
        {"pos_weight": 3.0, "alpha": 0.25},
    ),
    # A probability near the margin loses its distance from it to rounding.
    LogitCase("asymmetric_loss", lambda x, z: asymmetric(x, z, 1, 4, 0.05), relative=1e-4, has_constant=True),
    LogitCase(
        "asymmetric_loss",
        lambda x, z: asymmetric(x, z, 0, 2, 0.1),
        {"gamma_pos": 0.0, "gamma_neg": 2.0, "margin": 0.1, "differentiable_focus": True},
        relative=1e-4,
    ),
    LogitCase(
        "asymmetric_loss",
        lambda x, z: asymmetric(x, z, 0.5, 1.5, 0),
        {"gamma_pos": 0.5, "gamma_neg": 1.5, "margin": 0.0, "differentiable_focus": True},
    ),
    LogitCase("l1_loss", lambda x, z: abs(x - z), is_difference=True),
    LogitCase("l2_loss", lambda x, z: (x - z) ** 2, is_difference=True),
    LogitCase(
        "smooth_l1_loss",
        lambda x, z: (x - z) ** 2 / 1.4 if abs(x - z) < 0.7 else abs(x - z) - 0.35,
        {"beta": 0.7},
        is_difference=True,
    ),
    LogitCase("smooth_l1_loss", lambda x, z: abs(x - z), {"beta": 0.0}, is_difference=True),
    LogitCase(
        "huber_loss",
        lambda x, z: (x - z) ** 2 / 2 if abs(x - z) < 1.5 else 1.5 * (abs(x - z) - 0.75),
        {"delta": 1.5},
        is_difference=True,
    ),
    LogitCase("balanced_l1_loss", lambda x, z: balanced_l1(x - z, 0.5, 1.5, 1), is_difference=True),
    LogitCase(
        "balanced_l1_loss",
        lambda x, z: balanced_l1(x - z, 0.3, 1.2, 0.63),
        {"alpha": 0.3, "gamma": 1.2, "beta": 0.63},
        is_difference=True,
    ),
    LogitCase("focal_l1_loss", lambda x, z: focal_l1(x - z, math.e * 0.8, 0.8), is_difference=True),
)
# The focal loss with every exponent; then each exponent with the other kinds of alpha: for tests of the formula alone.
GAMMA_CASES, ALPHA_CASES = (
    tuple(
        LogitCase(
            "sigmoid_focal_loss", lambda x, z, g=gamma, a=alpha: focal(x, z, g, a), {"gamma": gamma, "alpha": alpha}
        )
        for alpha in alphas
        for gamma in GAMMAS
    )
    for alphas in ((0.25,), (None, 0.0, 1.0))
)


def parametrized(cases: Iterable[LogitCase]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", tuple(cases), ids=lambda case: case.id)


every_case = parametrized(CASES)
every_case_and_gamma = parametrized((*CASES, *GAMMA_CASES))
by_class = parametrized(case for case in CASES if case.takes_classes)

# One loss of each operator.
FOCAL, L1 = (LogitCase(f"{name}_loss", lambda x, z: math.nan) for name in ("sigmoid_focal", "l1"))
of_each_operator = parametrized((FOCAL, L1))


def numbers(rows: int, columns: int = 5, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Logits, and targets of which some are exactly 0 or 1."""
    targets = random_targets(rows, columns, hard=False)
    targets[::3] = targets[::3].round()
    return random_logits(rows, columns).to(dtype), targets.to(dtype)


def moved(options: dict[str, Any], backend: Backend) -> dict[str, Any]:
    return {name: x.to(backend.device) if isinstance(x, Tensor) else x for name, x in options.items()}


def losses(case: LogitCase, backend: Backend, x: Tensor, z: Tensor, **options: Any) -> list[Tensor]:
    """The losses on a backend, and the gradient of their sum."""
    options = moved({"reduction": "none", "targets": z} | options, backend)
    targets = options.pop("targets")
    return evaluate(lambda x: case(x, targets, **options), x.to(backend.device))


def by_reference(case: LogitCase, x: Tensor, z: Tensor, **options: Any) -> Tensor:
    """The losses by the reference: it serves calls of losses of logits whose targets require a gradient."""
    return case(x, z.detach().requires_grad_(), **{"reduction": "none"} | options)


def truths(case: LogitCase, x: Tensor, z: Tensor, **options: Any) -> list[Tensor]:
    """The losses and the gradient of their sum by the reference in float64, of the same rounded numbers."""
    z = z.cpu().double()
    return evaluate(lambda x: by_reference(case, x, z, **options), x.cpu().double())


def close(got: list[Tensor], wanted: list[Tensor], rtol: float = 1e-11, atol: float = 1e-13) -> None:
    for g, w in zip(got, wanted, strict=True):
        torch.testing.assert_close(g.to(w.dtype), w, rtol=rtol, atol=atol)
