"""Checks of values, where they are asked for: what each loss refuses, and in which words."""

import contextlib
import math
from collections.abc import Callable
from inspect import signature
from typing import Any

import pytest
import torch
from backends import Backend, every_kind
from torch import Tensor

import iouloss

NAN, INF = math.nan, math.inf
BOXES = torch.tensor([[0.0, 0.0, 2.0, 1.0], [1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 2.0, 3.0]])
LOGITS = torch.linspace(-2.0, 2.0, 15).reshape(3, 5)
DENSE = torch.linspace(0.0, 1.0, 15).reshape(3, 5)
INDEX = torch.tensor([0, 4, 2])
MASKS = torch.linspace(-2.0, 2.0, 24).reshape(2, 3, 4)
SOFT = torch.linspace(0.0, 1.0, 24).reshape(2, 3, 4)
CLASSES = torch.tensor([[0, 1, 2, 0], [2, 1, 3, -1]])


def put(tensor: Tensor, *changes: tuple[Any, float]) -> Tensor:
    """A copy with numbers at places."""
    tensor = tensor.clone()
    for place, number in changes:
        tensor[place] = number
    return tensor


def taking(option: str) -> list[str]:
    """The losses with an option that tells their kind."""
    return [name for name in iouloss.functional.__all__ if option in signature(getattr(iouloss, name)).parameters]


# What each loss takes.
GIVEN: dict[str, dict[str, Any]] = {
    **{name: {"pred": LOGITS, "target": 9 * DENSE} for name in taking("pred")},
    **{name: {"pred": BOXES, "target": BOXES} for name in taking("fmt")},
    **{name: {"logits": MASKS, "targets": SOFT} for name in taking("activation")},
    **{
        f"{name}_loss": {"logits": LOGITS, "targets": DENSE}
        for name in ("sigmoid_focal", "focal_star", "poly1_focal", "quality_focal", "varifocal", "gaussian_focal")
    },
    "equalized_focal_loss": {"logits": LOGITS, "targets": DENSE, "balance": torch.ones(5)},
    "asymmetric_loss": {"logits": LOGITS, "targets": DENSE},
    "binary_cross_entropy_loss": {"logits": LOGITS, "targets": DENSE},
    "binary_entropy_loss": {"logits": 10 * LOGITS},
    "softmax_focal_loss": {"logits": LOGITS, "targets": INDEX},
    "cross_entropy_loss": {"logits": LOGITS, "targets": INDEX},
    "distribution_focal_loss": {"logits": LOGITS, "targets": torch.tensor([0.0, 3.5, 4.0])},
    "kl_div_loss": {"logits": LOGITS, "targets": 3 * DENSE},
    "entropy_loss": {"logits": LOGITS},
}
UNIT, FINITE = "wants numbers in [0, 1]", "wants finite numbers"
OF_LOGITS = "wants a class in [0, 5), -1 or 5 (background) or {} (ignored)"
OF_MASKS = "wants a class in [0, 3), -1 or 3 (background) or -100 (ignored)"
CORNERS, SIZES = "wants x1 <= x2 and y1 <= y2", "wants w >= 0 and h >= 0"
DIVISOR = "wants a finite number other than 0"

# A loss, the arguments that are not those above, and the error; None where there is nothing wrong.
CALLS: list[tuple[str, dict[str, Any], str | None]] = [
    # boxes
    ("ciou", {"pred": put(BOXES, ((2, 1), INF))}, f"pred: got inf at [2, 1], the first of 1, {FINITE}"),
    (
        "ciou",
        {"target": put(BOXES, ((0, 3), NAN), ((2, 0), NAN))},
        f"target: got nan at [0, 3], the first of 2, {FINITE}",
    ),
    (
        "iou",
        {"pred": put(BOXES, ((0, 2), -1.0), ((2, 3), 0.5))},
        f"pred: got [0.0, 0.0, -1.0, 1.0] at [0], the first of 2, {CORNERS}",
    ),
    (
        "bounded_iou",
        {"target": put(BOXES, ((2, 3), 0.5))},
        f"target: got [0.0, 1.0, 2.0, 0.5] at [2], the first of 1, {CORNERS}",
    ),
    ("focal_eiou", {"target": put(BOXES, ((1, 0), 0.0)), "fmt": "xywh"}, None),
    (
        "ciou",
        {"pred": put(BOXES, ((0, 3), -1.0)), "fmt": "cxcywh"},
        f"pred: got [0.0, 0.0, 2.0, -1.0] at [0], the first of 1, {SIZES}",
    ),
    ("ciou", {"weight": torch.tensor([1.0, NAN, 1.0])}, f"weight: got nan at [1], the first of 1, {FINITE}"),
    (
        "ciou",
        {
            "pred": put(BOXES, (1, NAN)),
            "target": put(BOXES, ((1, 0), 5.0)),
            "weight": torch.tensor([1.0, NAN, 0.0]),
            "mask": torch.tensor([True, False, True]),
        },
        None,
    ),
    ("ciou", {"pred": put(BOXES, (1, NAN)), "mask": torch.tensor([0, 2, 9])}, None),
    (
        "ciou",
        {"pred": put(BOXES, (1, NAN)), "mask": torch.tensor([0, 1])},
        f"pred: got nan at [1, 0], the first of 4, {FINITE}",
    ),
    ("iou", {"avg_factor": 0}, f"avg_factor: got 0.0, {DIVISOR}"),
    ("iou", {"avg_factor": torch.tensor([0.0])}, f"avg_factor: got 0.0, {DIVISOR}"),
    ("iou", {"avg_factor": torch.tensor(NAN)}, f"avg_factor: got nan, {DIVISOR}"),
    ("iou", {"avg_factor": torch.tensor(INF)}, f"avg_factor: got inf, {DIVISOR}"),
    ("iou", {"avg_factor": torch.tensor(3)}, None),
    ("iou", {"pred": BOXES[:0], "target": BOXES[:0], "avg_factor": 0}, None),
    # logits and dense targets
    (
        "sigmoid_focal",
        {"logits": put(LOGITS, ((2, 4), NAN))},
        "logits: got nan at [2, 4], the first of 1, wants no NaN",
    ),
    ("sigmoid_focal", {"logits": put(LOGITS, ((2, 4), INF))}, None),
    (
        "varifocal",
        {"targets": put(DENSE, ((0, 1), 1.5), ((2, 0), -1.0))},
        f"targets: got 1.5 at [0, 1], the first of 2, {UNIT}",
    ),
    ("gaussian_focal", {"targets": put(DENSE, ((1, 3), NAN))}, f"targets: got nan at [1, 3], the first of 1, {UNIT}"),
    ("asymmetric", {"weight": put(DENSE, ((1, 3), -INF))}, f"weight: got -inf at [1, 3], the first of 1, {FINITE}"),
    ("asymmetric", {"weight": torch.tensor([0.0, 1.0, NAN])}, f"weight: got nan at [2], the first of 1, {FINITE}"),
    (
        "binary_entropy",
        {"logits": put(LOGITS, ((0, 0), NAN))},
        "logits: got nan at [0, 0], the first of 1, wants no NaN",
    ),
    ("quality_focal", {"avg_factor": 0.0}, f"avg_factor: got 0.0, {DIVISOR}"),
    # class indices of logits
    ("sigmoid_focal", {"targets": torch.tensor([-1, 5, -100])}, None),
    (
        "sigmoid_focal",
        {"targets": torch.tensor([4, 6, -2])},
        f"targets: got 6 at [1], the first of 2, {OF_LOGITS.format(-100)}",
    ),
    (
        "focal_star",
        {"targets": torch.tensor([4, 255, -100]), "ignore_index": 255},
        f"targets: got -100 at [2], the first of 1, {OF_LOGITS.format(255)}",
    ),
    (
        "poly1_focal",
        {
            "targets": put(INDEX, (1, 7)),
            "logits": put(LOGITS, (1, NAN)),
            "ignore_index": 7,
            "weight": put(DENSE, (1, NAN)),
        },
        None,
    ),
    (
        "quality_focal",
        {"targets": torch.tensor([0, 5, 1]), "scores": torch.tensor([0.5, 7.0, 1.5])},
        f"scores: got 1.5 at [2], the first of 1, {UNIT}",
    ),
    # one number for each class
    (
        "sigmoid_focal",
        {"alpha": torch.tensor([0.0, 1.0, 0.5, 1.5, 0.2])},
        f"alpha: got 1.5 at [3], the first of 1, {UNIT}",
    ),
    (
        "focal_star",
        {"alpha": torch.tensor([0.0, NAN, 0.5, 0.5, 0.2])},
        f"alpha: got nan at [1], the first of 1, {UNIT}",
    ),
    (
        "equalized_focal",
        {"balance": torch.tensor([0.0, 1.0, -0.5, 2.0, 0.2])},
        f"balance: got -0.5 at [2], the first of 2, {UNIT}",
    ),
    (
        "binary_cross_entropy",
        {"pos_weight": torch.tensor([0.0, 1.0, -0.5, 20.0, 0.2])},
        f"pos_weight: got -0.5 at [2], the first of 1, {FINITE} >= 0",
    ),
    (
        "softmax_focal",
        {"alpha": torch.tensor([0.0, INF, 0.5, 20.0, 0.2])},
        f"alpha: got inf at [1], the first of 1, {FINITE} >= 0",
    ),
    (
        "cross_entropy",
        {"class_weight": torch.tensor([0.0, -1.0, 0.5, NAN, 0.2])},
        f"class_weight: got nan at [3], the first of 1, {FINITE}",
    ),
    # differences
    ("l1", {"pred": put(LOGITS, ((1, 1), INF))}, f"pred: got inf at [1, 1], the first of 1, {FINITE}"),
    ("focal_l1", {"target": put(LOGITS, ((0, 4), NAN))}, f"target: got nan at [0, 4], the first of 1, {FINITE}"),
    ("huber", {"weight": put(LOGITS, ((0, 4), NAN))}, f"weight: got nan at [0, 4], the first of 1, {FINITE}"),
    # rows
    ("cross_entropy", {"targets": torch.tensor([0, -100, 4]), "logits": put(LOGITS, (1, NAN))}, None),
    (
        "cross_entropy",
        {"targets": torch.tensor([5, -100, -1])},
        "targets: got 5 at [0], the first of 2, wants a class in [0, 5) or -100 (ignored)",
    ),
    (
        "softmax_focal",
        {"logits": put(LOGITS.T, ((3, 1), NAN)), "class_dim": 0},
        "logits: got nan at [3, 1], the first of 1, wants no NaN",
    ),
    ("softmax_focal", {"weight": torch.tensor([1.0, NAN, 1.0]), "targets": put(INDEX, (1, -100))}, None),
    (
        "distribution_focal",
        {"targets": torch.tensor([0.0, 4.5, -1.0])},
        "targets: got 4.5 at [1], the first of 2, wants places in [0, 4]",
    ),
    (
        "distribution_focal",
        {"weight": torch.tensor([1.0, NAN, 1.0])},
        f"weight: got nan at [1], the first of 1, {FINITE}",
    ),
    (
        "kl_div",
        {"targets": put(DENSE, ((1, 2), -0.25))},
        f"targets: got -0.25 at [1, 2], the first of 1, {FINITE} >= 0",
    ),
    ("kl_div", {"logits": LOGITS[:0], "targets": DENSE[:0], "reduction": "batchmean"}, None),
    ("entropy", {"logits": put(LOGITS, ((1, 2), NAN))}, "logits: got nan at [1, 2], the first of 1, wants no NaN"),
    # regions
    ("dice", {"targets": put(SOFT, ((1, 2, 3), 255.0))}, f"targets: got 255.0 at [1, 2, 3], the first of 1, {UNIT}"),
    ("dice", {"targets": put(SOFT, ((1, 2, 3), 255.0)), "ignore_index": 255}, None),
    (
        "dice",
        {"targets": put(SOFT, ((1, 2, 3), 255.0), ((0, 0, 0), 2.0)), "ignore_index": 255},
        "targets: got 2.0 at [0, 0, 0], the first of 1, wants 255 (ignored) or numbers in [0, 1]",
    ),
    ("tversky", {"logits": put(MASKS, ((0, 1, 2), NAN))}, "logits: got nan at [0, 1, 2], the first of 1, wants no NaN"),
    (
        "tversky",
        {"logits": MASKS, "activation": None},
        "logits: got -2.0 at [0, 0, 0], the first of 18, wants probabilities in [0, 1]",
    ),
    (
        "generalized_dice",
        {"class_weight": torch.tensor([1.0, NAN, 1.0])},
        f"class_weight: got nan at [1], the first of 1, {FINITE}",
    ),
    ("dice", {"weight": put(SOFT[..., 0], ((1, 1), INF))}, f"weight: got inf at [1, 1], the first of 1, {FINITE}"),
    (
        "dice",
        {"pixel_weight": put(SOFT[:, :1], ((1, 0, 1), NAN))},
        f"pixel_weight: got nan at [1, 0, 1], the first of 1, {FINITE}",
    ),
    (
        "focal_tversky",
        {
            "logits": put(MASKS, ((0, slice(None), 2), NAN)),
            "targets": put(SOFT, ((0, 1, 2), NAN)),
            "pixel_weight": put(torch.ones(2, 4), ((0, 2), 0.0)).bool(),
        },
        None,
    ),
    ("focal_tversky", {"avg_factor": torch.tensor(0)}, f"avg_factor: got 0.0, {DIVISOR}"),
]
INDEXED: list[tuple[str, dict[str, Any], str | None]] = [
    ("dice", {"targets": CLASSES}, None),
    ("dice", {"targets": put(CLASSES, ((0, 3), 4))}, f"targets: got 4 at [0, 3], the first of 1, {OF_MASKS}"),
    (
        "generalized_dice",
        {"targets": put(CLASSES, ((1, 1), -100)), "logits": put(MASKS, ((1, slice(None), 1), NAN))},
        None,
    ),
]


def function_of(name: str) -> Callable[..., Tensor]:
    function: Callable[..., Tensor] = getattr(iouloss, f"{name}_loss")
    return function


def arguments_of(name: str, changed: dict[str, Any], backend: Backend) -> dict[str, Any]:
    arguments = GIVEN[f"{name}_loss"] | changed
    return {key: x.to(backend.device) if isinstance(x, Tensor) else x for key, x in arguments.items()}


@every_kind
@pytest.mark.parametrize(
    "name, changed, message", [*CALLS, *INDEXED], ids=[f"{n} {m}" for n, _, m in [*CALLS, *INDEXED]]
)
def test_values(backend: Backend, name: str, changed: dict[str, Any], message: str | None) -> None:
    """Refused where checks are asked for; taken as they are elsewhere."""
    function, arguments = function_of(name), arguments_of(name, changed, backend)
    with iouloss.checking():
        if message is None:
            function(**arguments)
        else:
            with pytest.raises(ValueError) as caught:
                function(**arguments)
            assert str(caught.value) == message
    function(**arguments)


@every_kind
def test_every_loss_is_checked(backend: Backend) -> None:
    """With good values each gives what it gives unchecked, with its gradient; of a NaN it is told."""
    for name in iouloss.functional.__all__:
        assert name in GIVEN, f"GIVEN has no {name}"
        given = arguments_of(name.removesuffix("_loss"), {}, backend)
        function, first = getattr(iouloss, name), next(iter(given))
        results = []
        for context in (contextlib.nullcontext, iouloss.checking):
            given[first] = given[first].detach().clone().requires_grad_()
            with context():
                loss = function(**given)
            loss.backward()
            results.append((loss.detach(), given[first].grad))
        assert all(torch.equal(plain, checked) for plain, checked in zip(*results, strict=True))
        given[first] = given[first].detach().index_fill(0, torch.tensor(1, device=backend.device), NAN)
        with pytest.raises(ValueError, match=rf"^{first}: got nan at \[1, "), iouloss.checking():
            function(**given)


@every_kind
def test_shapes_come_first(backend: Backend) -> None:
    logits = torch.full((2, 3), NAN, device=backend.device)
    with pytest.raises(ValueError, match=r"targets: got shape \[3\]"), iouloss.checking():
        iouloss.sigmoid_focal_loss(logits, logits[0])
