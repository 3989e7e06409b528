"""The table of losses on rows of logits, the rows they are tested on, and the formulas by hand."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from backends import Backend
from cases import evaluate, uniform
from torch import Tensor

import iouloss
from iouloss import reference


@dataclass(frozen=True)
class RowCase:
    """A loss: how it is called, the operator's options for it, and what its targets are."""

    name: str
    function: Callable[..., Tensor]
    targets: str  # classes, places, probabilities or none
    options: dict[str, Any] = field(default_factory=dict)
    by_class: bool = False  # takes a factor for each class

    def __call__(self, logits: Tensor, targets: Tensor | None, **options: Any) -> Tensor:
        given = () if targets is None else (targets,)
        return self.function(logits, *given, **self.options, **options)

    @property
    def formula(self) -> str:
        return self.function.__name__.removesuffix("_loss")

    def inputs(self, logits: Tensor, targets: Tensor | None, **others: Any) -> reference.RowInputs:
        """The inputs that the function makes of its arguments."""
        options = {"softmax_focal": {"alpha": 0.25, "gamma": 2.0}}.get(self.formula, {}) | self.options
        if options.get("alpha", 1.0) is None:
            options["alpha"] = 1.0
        return reference.RowInputs(logits, targets, formula=self.formula, ignore_index=-100, **options, **others)

    def truth(
        self, logits: Tensor, targets: Tensor | None, class_weight: Tensor | None = None, dim: int = -1
    ) -> Tensor:
        """The losses by the reference, in the inputs' precision."""
        return reference.row_loss(
            self.inputs(logits, targets, class_weight=class_weight, class_dim=dim, reduction="none")
        )

    def make_targets(
        self, *rows: int, classes: int, seed: int = 1, dtype: torch.dtype = torch.float64
    ) -> Tensor | None:
        """Class indices, some of no class and some ignored; or places, some beyond the ends; or probabilities."""
        share = uniform(*rows, seed=seed)
        if self.targets == "none":
            return None
        if self.targets == "classes":
            index = (share * (classes + 2)).floor().long() - 1
            return torch.where(share > 0.9, -100, index)
        if self.targets == "places":
            place = share * (classes + 1) - 1
            return torch.where(share * 10 % 1 < 0.3, place.round(), place).to(dtype)
        powers = uniform(*rows, classes, seed=seed) ** 4
        powers = torch.where(powers < 0.01, 0.0, powers)
        return (powers / powers.sum(-1, keepdim=True).clamp(min=1e-3)).to(dtype)


FOCAL, CROSS = iouloss.softmax_focal_loss, iouloss.cross_entropy_loss
ROW_CASES = (
    RowCase("focal", FOCAL, "classes", by_class=True),
    RowCase("focal_half", FOCAL, "classes", {"alpha": None, "gamma": 0.5}),
    RowCase("focal_smooth", FOCAL, "classes", {"alpha": 2.0, "gamma": 1.5, "label_smoothing": 0.2}),
    RowCase("cross_entropy", CROSS, "classes", by_class=True),
    RowCase("smooth", CROSS, "classes", {"label_smoothing": 0.1}, by_class=True),
    RowCase("poly", CROSS, "classes", {"poly_epsilon": 2.0, "label_smoothing": 0.3}),
    RowCase("distribution", iouloss.distribution_focal_loss, "places"),
    RowCase("kl", iouloss.kl_div_loss, "probabilities"),
    RowCase("kl_warm", iouloss.kl_div_loss, "probabilities", {"temperature": 3.0}),
    RowCase("entropy", iouloss.entropy_loss, "none"),
)
every_row_case = pytest.mark.parametrize("case", ROW_CASES, ids=lambda case: case.name)
# One case for each kernel.
ROW_CASE = {case.name: case for case in ROW_CASES}
KERNEL_CASES = tuple(ROW_CASE[name] for name in ("focal", "smooth", "distribution", "kl", "entropy"))
every_kernel = pytest.mark.parametrize("case", KERNEL_CASES, ids=lambda case: case.name)


def moved(options: dict[str, Any], backend: Backend) -> dict[str, Any]:
    return {name: x.to(backend.device) if isinstance(x, Tensor) else x for name, x in options.items()}


def row_losses(case: RowCase, backend: Backend, logits: Tensor, targets: Tensor | None, **options: Any) -> list[Tensor]:
    """The losses on a backend, and the gradient of their sum."""
    options = moved({"reduction": "none", "targets": targets} | options, backend)
    targets = options.pop("targets")
    return evaluate(lambda x: case(x, targets, **options), logits.to(backend.device))


def row_truths(case: RowCase, logits: Tensor, targets: Tensor | None, **options: Any) -> list[Tensor]:
    """The same by the reference in float64, of the same rounded numbers."""
    if targets is not None and targets.is_floating_point():
        targets = targets.double()
    return evaluate(lambda x: case.truth(x, targets, **options), logits.double())


# ------------------------------------------------------------------------------------------------ once more, by hand


def naive_row_loss(case: RowCase, x: Sequence[float], target: Any, weights: Sequence[float]) -> float:
    """The formula as it is printed, on Python floats."""
    cold = 1 / case.options.get("temperature", 1.0)
    total = sum(math.exp(v * cold) for v in x)
    log_p = [v * cold - math.log(total) for v in x]
    p = [math.exp(v) for v in log_p]
    if case.targets == "none":
        return -sum(a * b for a, b in zip(p, log_p, strict=True))
    if case.targets == "probabilities":
        divergence = sum(q * (math.log(q) - b) for q, b in zip(target, log_p, strict=True) if q > 0)
        return divergence / cold**2
    if case.targets == "places":
        place = min(max(target, 0.0), len(x) - 1.0)
        low = min(math.floor(place), len(x) - 2) if len(x) > 1 else 0
        return -(1 - place + low) * log_p[low] - (0 if place == low else (place - low) * log_p[low + 1])
    if not 0 <= target < len(x):
        return 0.0
    inputs = case.inputs(torch.tensor(x), None)
    alpha, gamma, smoothing, poly = inputs.alpha, inputs.gamma, inputs.label_smoothing, inputs.poly_epsilon
    share = smoothing / len(x)
    entropy = -(1 - smoothing) * weights[target] * log_p[target]
    entropy -= share * sum(w * b for w, b in zip(weights, log_p, strict=True))
    return alpha * (1 - p[target]) ** gamma * (entropy + poly * weights[target] * (1 - p[target]))
