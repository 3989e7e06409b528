"""Every loss, with inputs that it can be differentiated at: for tests of what must hold of all losses."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any, get_args

import logit_cases
import pytest
import regions
import row_cases
import torch
from cases import BOX_CASES, FORMATS, kink_boxes, random_boxes, to_format, uniform
from torch import Tensor

import iouloss


@dataclass(frozen=True)
class Loss:
    """A loss as a function of the tensors that get a gradient; the first is the prediction."""

    id: str
    function: Callable[..., Tensor]
    inputs: tuple[Tensor, ...]
    kinks: tuple[Tensor, ...]  # inputs at which the loss has corners
    independent: bool = True  # whether each item has a loss of its own

    def __call__(self, *inputs: Tensor, **options: Any) -> Tensor:
        return self.function(*inputs, **options)

    def on(self, device: str) -> "Loss":
        return replace(self, inputs=tuple(x.to(device) for x in self.inputs))

    def by(self, first: Tensor, **options: Any) -> Tensor:
        """The loss as a function of the prediction alone."""
        return self.function(first, *(x.to(first.device) for x in self.inputs[1:]), **options)


def _boxes() -> Iterator[Loss]:
    weight = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    for case in BOX_CASES:
        for fmt in FORMATS:

            def loss(pred: Tensor, target: Tensor, weight: Tensor, c=case, f=fmt, **options: Any) -> Tensor:
                return c(pred, target, weight, fmt=f, **options)

            inputs, kinks = (
                tuple(to_format(box, fmt) for box in boxes)
                for boxes in (random_boxes(3, 10.0), kink_boxes(torch.float64))
            )
            kinks = (*kinks, torch.ones(len(kinks[0]), dtype=torch.float64))
            yield Loss(f"{case.formula}-{fmt}", loss, (*inputs, weight), kinks)


def _elements() -> Iterator[Loss]:
    x = 6 * uniform(3, 4) - 3
    z = uniform(3, 4, seed=1)
    hard = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    at = torch.tensor([-800.0, -1.0, 0.0, 1.0, 800.0], dtype=torch.float64)
    kinks = tuple(each.contiguous() for each in torch.meshgrid(at, hard, indexing="ij"))
    kinks = (*kinks, torch.ones_like(kinks[0]))
    weight = 0.5 + uniform(3, 4, seed=2)
    for case in logit_cases.CASES:
        yield Loss(case.id, lambda x, z, w, c=case, **options: c(x, z, weight=w, **options), (x, z, weight), kinks)
    classes = torch.tensor([2, -100, 4])
    for case in logit_cases.CASES:
        if "ignore_index" in getattr(iouloss, case.name).__annotations__:

            def loss(x: Tensor, w: Tensor, c=case, **options: Any) -> Tensor:
                return c(x, classes.to(x.device)[: len(x)], weight=w, **options)

            yield Loss(f"{case.id}-classes", loss, (x, weight), (at[:3, None].expand(3, 4).clone(), weight))
    entropy = lambda x, w, **options: iouloss.binary_entropy_loss(x, weight=w, **options)  # noqa: E731
    yield Loss("binary_entropy_loss", entropy, (x, weight), (kinks[0], kinks[2]))
    balance = uniform(4, seed=3)
    equalized = lambda x, z, w, **o: iouloss.equalized_focal_loss(x, z, balance.to(x.device), weight=w, **o)  # noqa: E731
    yield Loss(
        "equalized_focal_loss",
        equalized,
        (x, z, weight),
        (kinks[0][:, :1].expand(5, 4).clone(), *[torch.ones(5, 4).double()] * 2),
    )


def _rows() -> Iterator[Loss]:
    x, weight = 6 * uniform(3, 4) - 3, 0.5 + uniform(3, seed=2)
    even = torch.zeros(3, 4, dtype=torch.float64)
    even[1] = torch.tensor([0.0, 0.0, 1.0, -1.0])
    even[2] = torch.tensor([800.0, 0.0, -800.0, 0.0])
    of_class = 0.5 + uniform(4, seed=3)
    for case in row_cases.ROW_CASES:
        targets = case.make_targets(3, classes=4)
        if case.targets == "probabilities":
            kl = lambda x, q, w, c=case, **options: c(x, q, weight=w, **options)  # noqa: E731
            yield Loss(case.name, kl, (x, targets + 0.01, weight), (even, targets, weight))
            continue

        def loss(x: Tensor, w: Tensor, c=case, t=targets, **options: Any) -> Tensor:
            return c(x, None if t is None else t.to(x.device), weight=w, **options)

        yield Loss(case.name, loss, (x, weight), (even, weight))
        if case.by_class:
            name = "alpha" if case.formula == "softmax_focal" else "class_weight"

            def weighed(x: Tensor, w: Tensor, of_class: Tensor, f=loss, n=name, **options: Any) -> Tensor:
                return f(x, w, **{n: of_class}, **options)

            yield Loss(f"{case.name}-weighed", weighed, (x, weight, of_class), (even, weight, of_class))


def _regions() -> Iterator[Loss]:
    classes = torch.tensor([[0, 1, -100], [2, 0, 0]])
    of_class = torch.tensor([0.5, 2.0], dtype=torch.float64)
    for case in regions.CASES:
        for activation in ("sigmoid", "softmax", None):
            x = regions.logits_for(activation, 2, 2, 3)
            z = regions.targets_for("soft", 2, 2, 3)
            empty = torch.zeros_like(z)

            def loss(x: Tensor, z: Tensor, w: Tensor, c=case, a=activation, **options: Any) -> Tensor:
                return c(x, z, class_weight=w, activation=a, **options)

            def of_classes(x: Tensor, w: Tensor, c=case, a=activation, **options: Any) -> Tensor:
                return c(x, classes.to(x.device), class_weight=w, activation=a, **options)

            yield Loss(f"{case.name}-{activation}", loss, (x, z, of_class), (empty, empty, of_class), False)
            even = torch.zeros_like(x)
            yield Loss(f"{case.name}-{activation}-classes", of_classes, (x, of_class), (even, of_class), False)


BOXES, ELEMENTS, ROWS, REGIONS = (tuple(losses()) for losses in (_boxes, _elements, _rows, _regions))
LOSSES = (*BOXES, *ELEMENTS, *ROWS, *REGIONS)
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.id)
# For tests of what depends on the operator alone. A third of the calls is enough: a box loss in one format, and so on.
CALLED = (*BOXES[::3], *ELEMENTS, *ROWS, *REGIONS[::3])


# ---------------------------------------------------------------------------------------- the functions, by their names


def _arguments(name: str) -> tuple[Tensor | None, ...]:
    """What a function is called with, besides its options."""
    x, z = 6 * uniform(3, 4) - 3, uniform(3, 4, seed=1)
    rows = {case.formula: case.make_targets(3, classes=4) for case in row_cases.ROW_CASES}
    takes = signature(getattr(iouloss, name)).parameters
    pred, target = random_boxes(3, 10.0) if "fmt" in takes else (x, z)
    given = {"pred": pred, "target": target, "logits": x, "targets": rows.get(name.removesuffix("_loss"), z)}
    given["balance"] = uniform(4, seed=3)
    required = [p.name for p in takes.values() if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    return tuple(given[argument] for argument in required)


ARGUMENTS = {name: _arguments(name) for name in iouloss.functional.__all__}


def numbers_of(name: str) -> list[str]:
    """The options of a function that are numbers, or may be."""
    options = signature(getattr(iouloss, name)).parameters.values()
    numbers = [p for p in options if p.annotation is float or float in get_args(p.annotation)]
    return [p.name for p in numbers if p.kind is not p.VAR_KEYWORD]
