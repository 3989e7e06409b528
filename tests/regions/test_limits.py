"""The ends of the losses of regions: equal soft labels, absent classes, infinities, and what is refused."""

import itertools
import math
import re
from typing import Any

import pytest
import torch
from backends import Backend, every_kind
from regions import (
    ACTIVATIONS,
    DICE,
    REGION_CASE,
    SHAPE,
    Case,
    close,
    every_activation,
    every_case,
    logits_for,
    losses,
    targets_for,
    truths,
)
from torch import Tensor

import iouloss

GENERALIZED = REGION_CASE["generalized_dice"]
MOST_CLASSES = 2**24


# -------------------------------------------------------------------------------------------------------- soft labels


@every_kind
@every_case
@pytest.mark.parametrize("target", ["hard", "index"])
def test_soft_labels_of_hard_targets(backend: Backend, case: Case, target: str) -> None:
    for activation in ACTIVATIONS:
        logits, targets = logits_for(activation, *SHAPE), targets_for(target, *SHAPE)
        got = losses(backend, case, logits, targets, activation=activation, soft_labels=True)
        close(got, truths(case, logits, targets, activation=activation))


@every_kind
@every_case
def test_soft_labels_end_where_the_two_are_equal(backend: Backend, case: Case) -> None:
    """At the minimum; and there the gradient is what the two sides of the kink have in the mean, once and again."""
    targets = targets_for("soft", 1, 2, 4)
    options = {"activation": None, "soft_labels": True}
    value, gradient = losses(backend, case, targets, targets, **options)
    assert (value.abs() < 1e-12).all()
    if case.gamma != 1 or case.power == 2:
        assert (gradient.abs() < 1e-12).all()  # a root has the gradient 0 there; squares have no kink
        return
    for c, i in itertools.product(range(2), range(4)):
        step = torch.zeros_like(targets)
        step[0, c, i] = 1e-7
        above, below = (losses(backend, case, targets + s * step, targets, **options)[0].sum() for s in (1, -1))
        assert above > 0 and below > 0
        assert gradient[0, c, i].item() == pytest.approx((above - below).item() / 2e-7, abs=1e-6)


def test_soft_labels_change_nothing_of_squares(backend: Backend) -> None:
    logits, targets = logits_for("sigmoid", *SHAPE), targets_for("soft", *SHAPE)
    got = losses(backend, REGION_CASE["square_dice"], logits, targets, soft_labels=True)
    close(got, losses(backend, REGION_CASE["square_dice"], logits, targets))


@every_activation
def test_nan_is_not_hidden_by_soft_labels(backend: Backend, activation: str | None) -> None:
    logits, targets = logits_for(activation, 1, 2, 3), targets_for("soft", 1, 2, 3)
    for place, tensor in ((0, logits), (1, targets)):
        broken = tensor.clone()
        broken[0, 0, 1] = math.nan
        pair = (broken, targets) if place == 0 else (logits, broken)
        assert losses(backend, DICE, *pair, activation=activation, soft_labels=True)[0][0, 0].isnan()


# ------------------------------------------------------------------------------------------- absent classes, infinities


@pytest.mark.parametrize("per", ["image", "batch"])
@pytest.mark.parametrize("target", ["dense", "index"])
def test_a_class_of_weight_0_is_out_of_the_generalized_loss(backend: Backend, per: str, target: str) -> None:
    """An absent class does not take its weight: the loss is that without it."""
    logits = logits_for("sigmoid", 2, 3, 7)
    classes = torch.tensor([[0, 0, 2, 2, 2, 2, 2], [0, 3, 3, 3, 3, 3, 3]])
    targets = (classes[:, None] == torch.arange(3)[:, None]).double()
    given = targets if target == "dense" else classes
    got = losses(backend, GENERALIZED, logits, given, per=per, class_weight=torch.tensor([0.0, 1.0, 2.0]))
    value, gradient = truths(GENERALIZED, logits[:, 1:], targets[:, 1:], per=per, class_weight=torch.tensor([1.0, 2.0]))
    close(got, [value, torch.cat((torch.zeros_like(gradient[:, :1]), gradient), 1)])
    if per == "image":
        assert got[0][1] == 0


@every_case
def test_infinite_logits_of_a_sigmoid(backend: Backend, case: Case) -> None:
    logits, targets = logits_for("sigmoid", 1, 3, 6), targets_for("soft", 1, 3, 6)
    logits[0, 0, 1], logits[0, 1, 4] = math.inf, -math.inf
    bounded = logits.clamp(-1e4, 1e4)
    got = losses(backend, case, logits, targets)
    close(got, truths(case, bounded, targets))
    assert (got[1][logits.isinf()] == 0).all()


@every_case
@pytest.mark.parametrize("target", ["soft", "index"])
def test_infinite_logits_of_a_softmax(backend: Backend, case: Case, target: str) -> None:
    """-inf is a probability of 0; what torch.softmax makes NaN of is NaN here."""
    logits, targets = logits_for("softmax", 1, 3, 6), targets_for(target, 1, 3, 6)
    logits[0, 0, 1] = logits[0, 1, 4] = logits[0, 2, 4] = -math.inf
    got = losses(backend, case, logits, targets, activation="softmax")
    close(got, truths(case, logits.clamp(min=-1e4), targets, activation="softmax"))
    assert (got[1][logits.isinf()] == 0).all()


@every_case
@pytest.mark.parametrize("content", [(math.inf, 0.0, 1.0), (math.inf, math.inf, 0.0), (-math.inf,) * 3], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_that_have_no_softmax(
    backend: Backend, case: Case, content: tuple[float, ...], dtype: torch.dtype
) -> None:
    logits = logits_for("softmax", 2, 3, 6, dtype=dtype)
    logits[0, :, 2] = torch.tensor(content)
    value, gradient = losses(backend, case, logits, targets_for("soft", 2, 3, 6, dtype=dtype), activation="softmax")
    assert value[0].isnan().all() and value[1].isfinite().all() and gradient[1].isfinite().all()
    assert gradient[0, :, 2].isnan().all()


@pytest.mark.parametrize("content", [math.inf, -math.inf, math.nan])
def test_one_class_that_has_no_softmax(backend: Backend, content: float) -> None:
    logits = torch.full((1, 1, 2), content)
    value, gradient = losses(backend, DICE, logits, torch.ones(1, 1, 2), activation="softmax")
    assert value.isnan().all() and gradient.isnan().all()


# ----------------------------------------------------------------------------------------------------- too many classes

TOO_MANY = re.escape(f"logits: got {MOST_CLASSES + 1} classes, wants at most {MOST_CLASSES}")


@pytest.mark.parametrize("place", ["meta", "here"])
def test_more_classes_than_can_be_numbered(backend: Backend, place: str) -> None:
    device = "meta" if place == "meta" else backend.device
    logits = torch.zeros(1, 1, device=device).expand(1, MOST_CLASSES + 1)
    index = torch.zeros(1, dtype=torch.int64, device=device)
    for activation in ("sigmoid", "softmax"):
        with pytest.raises(ValueError, match=TOO_MANY):
            iouloss.dice_loss(logits, index, activation=activation)
    with pytest.raises(ValueError, match=TOO_MANY):
        iouloss.generalized_dice_loss(logits, logits)
    with pytest.raises(ValueError, match=TOO_MANY):
        iouloss.distribution_focal_loss(logits, index.float())


def test_as_many_classes_as_can_be_numbered(backend: Backend) -> None:
    """On the device that computes nothing."""
    logits = torch.zeros(1, 1, device="meta").expand(1, MOST_CLASSES)
    assert iouloss.dice_loss(logits, logits, reduction="none").shape == (1, MOST_CLASSES)


# ------------------------------------------------------------------------------------------------- what else is refused

WANTS = "wants torch.bool, float64, float32, float16 or bfloat16"
# The arguments beside logits = targets = zeros [2, 3, 4], and the error.
ERRORS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"pixel_weight": 2.0}, TypeError, "pixel_weight: got float, wants a torch.Tensor"),
    ({"pixel_weight": torch.ones(2, 4).int()}, TypeError, f"pixel_weight: got dtype torch.int32, {WANTS}"),
    ({"pixel_weight": torch.ones(2, 4).byte()}, TypeError, f"pixel_weight: got dtype torch.uint8, {WANTS}"),
    ({"pixel_weight": torch.ones(2, 3, 4)}, ValueError, "pixel_weight: got shape [2, 3, 4], wants [2, 1, 4] or [2, 4]"),
    ({"pixel_weight": torch.ones(4)}, ValueError, "pixel_weight: got shape [4], wants [2, 1, 4] or [2, 4]"),
    (
        {"pixel_weight": torch.ones(2, 4, device="meta")},
        ValueError,
        "pixel_weight: got device meta, wants logits's device {device}",
    ),
    ({"soft_labels": 1}, TypeError, "soft_labels: got int, wants a bool"),
    ({"soft_labels": None}, TypeError, "soft_labels: got NoneType, wants a bool"),
    ({"targets": torch.zeros(2, 4)}, TypeError, "targets: got dtype torch.float32 and shape [2, 4], wants an integer"),
    ({"targets": torch.zeros(2, 3, 4, dtype=torch.complex64)}, TypeError, "targets: got dtype torch.complex64, wants"),
    ({"targets": torch.zeros(3, 4).int()}, ValueError, "targets: got shape [3, 4], wants [2, 3, 4] (dense) or [2, 4]"),
]


@pytest.mark.parametrize("arguments, error, message", ERRORS, ids=[message for *_, message in ERRORS])
@pytest.mark.parametrize("function", [iouloss.dice_loss, iouloss.focal_tversky_loss], ids=lambda f: f.__name__)
def test_errors(
    backend: Backend, function: Any, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    logits = torch.zeros(2, 3, 4, device=backend.device)
    given: dict[str, Any] = {"targets": logits} | {
        name: x.to(backend.device) if isinstance(x, Tensor) and not x.is_meta else x for name, x in arguments.items()
    }
    with pytest.raises(error, match=f"^{re.escape(message.format(device=logits.device))}"):
        function(logits, **given)


def test_the_shape_of_targets_of_one_class(backend: Backend) -> None:
    logits = torch.zeros(2, 1, 4, device=backend.device)
    with pytest.raises(ValueError, match=r"wants \[2, 1, 4\] \(dense\) or \[2, 4\] \(class indices, where 0 is the "):
        iouloss.dice_loss(logits, logits[0])
