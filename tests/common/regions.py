"""The losses of regions as the tests take them: the cases, their inputs, and the formulas on Python floats."""

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from backends import Backend
from cases import evaluate, uniform
from torch import Tensor

import iouloss
from iouloss import reference


class Case(NamedTuple):
    name: str
    function: Callable[..., Tensor]
    options: dict[str, Any]
    formula: str
    power: int = 1
    alpha: float = 0.5
    beta: float = 0.5
    gamma: float = 1.0

    def __call__(self, logits: Tensor, targets: Tensor, **options: Any) -> Tensor:
        return self.function(logits, targets, **(self.options | options))

    def given(
        self,
        activation: str = "sigmoid",
        per: str = "",
        smooth: tuple[float, float] = (1e-5, 1e-5),
        ignore_index: int | None = None,
        reduction: str = "mean",
    ) -> dict[str, Any]:
        """The inputs of the operator, without the tensors."""
        return {
            "formula": self.formula,
            "activation": activation,
            "per": per or ("image" if self.formula == "generalized_dice" else "image_class"),
            "ignore_index": ignore_index,
            "reduction": reduction,
            "smooth_numerator": smooth[0],
            "smooth_denominator": smooth[1],
            "alpha": self.alpha,
            "beta": self.beta,
            "gamma": self.gamma,
            "power": self.power,
        }


TVERSKY = {"alpha": 0.3, "beta": 0.7}
CASES = (
    Case("dice", iouloss.dice_loss, {}, "dice"),
    Case("square_dice", iouloss.dice_loss, {"power": 2}, "dice", 2),
    Case("tversky", iouloss.tversky_loss, TVERSKY, "tversky", 1, 0.3, 0.7),
    Case("focal_tversky", iouloss.focal_tversky_loss, {}, "tversky", 1, 0.3, 0.7, 4 / 3),
    Case("steep_tversky", iouloss.focal_tversky_loss, {"gamma": 0.5}, "tversky", 1, 0.3, 0.7, 0.5),
    Case("generalized_dice", iouloss.generalized_dice_loss, {"activation": "sigmoid"}, "generalized_dice"),
)
REGION_CASE = {case.name: case for case in CASES}
DICE = REGION_CASE["dice"]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
some_cases = pytest.mark.parametrize(
    "case",
    [REGION_CASE[name] for name in ("square_dice", "focal_tversky", "generalized_dice")],
    ids=lambda case: case.name,
)
ACTIVATIONS = ("sigmoid", "softmax", None)
SHAPE = (2, 3, 2, 3)  # two images, three classes, 2 x 3 pixels
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)
every_target = pytest.mark.parametrize("target", ["hard", "soft", "index"])
PER = ("image_class", "class", "image", "batch")
CASES_PER = [
    (case, per) for case, per in itertools.product(CASES, PER) if case.formula != "generalized_dice" or per in PER[2:]
]
every_case_per = pytest.mark.parametrize(
    "case, per", CASES_PER, ids=[f"{case.name}-per-{per}" for case, per in CASES_PER]
)


def logits_for(activation: str | None, *shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    """Logits within +-6, or probabilities."""
    logits = 12 * uniform(*shape, seed=seed) - 6
    return (torch.sigmoid(logits) if activation is None else logits).to(dtype)


def targets_for(target: str, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Dense ones, hard or soft, of the logits' shape; or class indices, some of them of no class."""
    if target == "index":
        pixels = (shape[0], *shape[2:])
        return (uniform(*pixels, seed=4) * (shape[1] + 2) - 1).floor().long()
    dense = uniform(*shape, seed=1)
    return (dense > 0.7).to(dtype) if target == "hard" else dense.to(dtype)


def dense(targets: Tensor, classes: int) -> Tensor:
    """The one-hot columns of class indices, in dimension 1."""
    return (targets[:, None] == torch.arange(classes).reshape(-1, *[1] * (targets.ndim - 1))).double()


def losses(backend: Backend, case: Case, logits: Tensor, targets: Tensor, upstream: Any = None, **options: Any):
    """The values (unless a reduction is among the options) and the gradient, on a backend."""
    moved = {name: x.to(backend.device) if isinstance(x, Tensor) else x for name, x in options.items()}
    targets = targets.to(backend.device)
    up = None if upstream is None else upstream.to(backend.device)
    given = {"reduction": "none"} | moved
    return evaluate(lambda x: case(x, targets, **given), logits.to(backend.device), upstream=up)


def truths(
    case: Case,
    logits: Tensor,
    targets: Tensor,
    upstream: Tensor | None = None,
    weight: Tensor | None = None,
    class_weight: Tensor | None = None,
    activation: str | None = "sigmoid",
    reduction: str = "none",
    **options: Any,
) -> list[Tensor]:
    """The same by the reference in float64, of the same rounded numbers."""
    targets = targets if targets.dtype == torch.int64 else targets.double()
    weights = [None if tensor is None else tensor.double() for tensor in (weight, class_weight)]
    given = case.given(activation or "none", reduction=reduction, **options)
    up = None if upstream is None else upstream.double()
    return evaluate(
        lambda x: reference.region_loss(reference.RegionInputs(x, targets, *weights, **given)),
        logits.double(),
        upstream=up,
    )


# ---------------------------------------------------------------------------------------------------- on Python floats


def naive_probabilities(logits: list[float], activation: str | None) -> list[float]:
    """Of the classes of one pixel."""
    if activation == "sigmoid":
        return [1 / (1 + math.exp(-x)) for x in logits]
    if activation == "softmax":
        total = sum(math.exp(x) for x in logits)
        return [math.exp(x) / total for x in logits]
    return logits


def naive_value(case: Case, groups: list[list[tuple[float, float]]], a: float, b: float) -> float:
    """The loss of one region, given the probabilities and targets of each of its classes."""
    if case.formula == "generalized_dice":
        sizes = [sum(g for _, g in group) for group in groups]
        known = [1 / size**2 for size in sizes if size > 0]
        weights = [1 / size**2 if size > 0 else max(known, default=0.0) for size in sizes]
        inter = sum(w * sum(p * g for p, g in group) for w, group in zip(weights, groups, strict=True))
        sums = sum(w * sum(p + g for p, g in group) for w, group in zip(weights, groups, strict=True))
        return 1 - (2 * inter + a) / (sums + b)
    pairs = [pair for group in groups for pair in group]
    inter = sum(p * g for p, g in pairs)
    if case.formula == "dice":
        return 1 - (2 * inter + a) / (sum(p**case.power + g**case.power for p, g in pairs) + b)
    extra, missed = sum(p * (1 - g) for p, g in pairs), sum((1 - p) * g for p, g in pairs)
    index = (inter + a) / (inter + case.alpha * extra + case.beta * missed + b)
    return (1 - index) ** (1 / case.gamma)


def naive_values(
    case: Case, logits: Tensor, targets: Tensor, activation: str | None, per: str, smooth: tuple[float, float]
) -> list[float]:
    """The values of all regions in order, of dense targets."""
    images, classes = logits.shape[:2]
    x, g = logits.flatten(2).tolist(), targets.flatten(2).tolist()
    p = [[[0.0] * len(x[0][0]) for _ in range(classes)] for _ in range(images)]
    for n, i in itertools.product(range(images), range(len(x[0][0]))):
        for c, probability in enumerate(naive_probabilities([x[n][k][i] for k in range(classes)], activation)):
            p[n][c][i] = probability
    cells = [[list(zip(p[n][c], g[n][c], strict=True)) for c in range(classes)] for n in range(images)]
    columns = [[pair for n in range(images) for pair in cells[n][c]] for c in range(classes)]
    regions = {
        "image_class": [[cell] for row in cells for cell in row],
        "class": [[column] for column in columns],
        "image": cells,
        "batch": [columns],
    }[per]
    return [naive_value(case, groups, *smooth) for groups in regions]


def close(got: list[Tensor], wanted: list[Tensor], tolerance: float = 1e-11) -> None:
    for g, w in zip(got, wanted, strict=True):
        largest = w.abs().max().item() if w.numel() else 0.0
        torch.testing.assert_close(g.double(), w.double(), rtol=0, atol=tolerance * max(largest, 1e-6))
