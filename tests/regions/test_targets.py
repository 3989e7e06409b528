"""What the losses of regions are held against: targets of any dtype, ignored ones, weights of pixels."""

import math
from typing import Any

import pytest
import torch
from backends import Backend, every_kind, of_the_reference
from cases import DTYPES, evaluate, uniform
from properties import given, st
from regions import (
    ACTIVATIONS,
    CASES,
    DICE,
    SHAPE,
    Case,
    close,
    every_activation,
    every_case,
    every_case_per,
    logits_for,
    losses,
    naive_probabilities,
    some_cases,
    targets_for,
    truths,
)
from torch import Tensor

import iouloss
from iouloss.checks.tensors import INTEGRAL

# ---------------------------------------------------------------------------------------------------- on Python floats

Pixel = tuple[float, float, float]  # probability, target, weight


def naive_sums(case: Case, pixels: list[Pixel], soft: bool) -> tuple[float, float, float]:
    """The overlap, and the sums of the probabilities and of the targets, as MONAI writes them."""
    power = case.power
    overlap = sum(w * ((p + g - abs(p - g)) / 2 if soft and power == 1 else p * g) for p, g, w in pixels)
    return overlap, sum(w * p**power for p, g, w in pixels), sum(w * g**power for p, g, w in pixels)


def naive_value(case: Case, classes: list[list[Pixel]], soft: bool, a: float, b: float) -> float:
    """The loss of one region, given the pixels of each of its classes."""
    sums = [naive_sums(case, pixels, soft) for pixels in classes]
    if case.formula == "generalized_dice":
        known = [1 / g**2 for _, _, g in sums if g > 0]
        weights = [1 / g**2 if g > 0 else max(known, default=0.0) for _, _, g in sums]
        sums = [(w * i, w * p, w * g) for w, (i, p, g) in zip(weights, sums, strict=True)]
    overlap, p, g = (sum(column) for column in zip(*sums, strict=True))
    if case.formula != "tversky":
        return 1 - (2 * overlap + a) / (p + g + b)
    index = (overlap + a) / (overlap + case.alpha * (p - overlap) + case.beta * (g - overlap) + b)
    return (1 - index) ** (1 / case.gamma)


def naive_values(
    case: Case, logits: Tensor, targets: Tensor, weights: Tensor, activation: str | None, per: str, soft: bool = False
) -> list[float]:
    """The values of all regions in order, of dense targets and a weight for each element."""
    images, classes = logits.shape[:2]
    x, g, w = (tensor.flatten(2).tolist() for tensor in (logits, targets, weights))
    pixels = range(len(x[0][0]))
    p = [[naive_probabilities([x[n][c][i] for c in range(classes)], activation) for i in pixels] for n in range(images)]
    cells = [[[(p[n][i][c], g[n][c][i], w[n][c][i]) for i in pixels] for c in range(classes)] for n in range(images)]
    columns = [[pixel for image in cells for pixel in image[c]] for c in range(classes)]
    regions = {
        "image_class": [[cell] for image in cells for cell in image],
        "class": [[column] for column in columns],
        "image": cells,
        "batch": [columns],
    }[per]
    return [naive_value(case, region, soft, 1e-5, 1e-5) for region in regions]


# ---------------------------------------------------------------------------------------------------------- any dtype


@some_cases
@every_activation
@pytest.mark.parametrize("dtype", INTEGRAL)
def test_dense_targets_of_any_dtype(backend: Backend, case: Case, activation: str | None, dtype: torch.dtype) -> None:
    logits, targets = logits_for(activation, *SHAPE), targets_for("hard", *SHAPE).to(dtype)
    got = losses(backend, case, logits, targets, activation=activation)
    close(got, truths(case, logits, targets.double(), activation=activation))


@some_cases
@every_activation
@pytest.mark.parametrize("dtype", INTEGRAL)
def test_class_indices_of_any_dtype(backend: Backend, case: Case, activation: str | None, dtype: torch.dtype) -> None:
    logits, classes = logits_for(activation, *SHAPE), targets_for("index", *SHAPE).to(dtype)
    got = losses(backend, case, logits, classes, activation=activation)
    close(got, truths(case, logits, classes.long(), activation=activation))


@pytest.mark.parametrize("dtype", [*INTEGRAL, *DTYPES])
def test_dtype_of_the_result(backend: Backend, dtype: torch.dtype) -> None:
    for logits_dtype in DTYPES:
        logits, targets = logits_for("sigmoid", *SHAPE, dtype=logits_dtype), torch.ones(SHAPE).to(dtype)
        value, gradient = losses(backend, DICE, logits, targets)
        assert value.dtype == (torch.float64 if torch.float64 in (logits_dtype, dtype) else torch.float32)
        assert gradient.dtype == logits_dtype


def test_integers_of_every_size_are_taken_as_they_are(backend: Backend) -> None:
    """-100 is no number of a uint8, in which it would wrap to 156; 255 is none of an int8, in which it would be -1."""
    logits = logits_for("sigmoid", 1, 3, 4)
    for numbers, dtype, ignore_index in (
        ([0, 156, 2, 255], torch.uint8, None),
        ([0, 156, 2, 255], torch.uint8, 255),
        ([0, -1, 2, -100], torch.int8, None),
        ([0, -1, 2, -100], torch.int8, 255),
    ):
        classes = torch.tensor([numbers])
        got = losses(backend, DICE, logits, classes.to(dtype), ignore_index=ignore_index)
        close(got, truths(DICE, logits, classes, ignore_index=ignore_index))
        kept = classes[0] != (-100 if ignore_index is None else ignore_index)
        close(got[:1], truths(DICE, logits[..., kept], classes[:, kept], ignore_index=ignore_index)[:1])


def test_a_mask_of_one_class(backend: Backend) -> None:
    """With the dimension of the classes it is dense; without it 0 is the index of the one class."""
    logits, mask = logits_for("sigmoid", 2, 1, 5), torch.tensor([[0, 1, 1, 0, 1], [1, 0, 0, 0, 0]])
    for dtype in INTEGRAL:
        dense = losses(backend, DICE, logits, mask[:, None].to(dtype))
        close(dense, truths(DICE, logits, mask[:, None].double()))
        index = losses(backend, DICE, logits, mask.to(dtype))
        close(index, truths(DICE, logits, 1 - mask[:, None].double()))


# ------------------------------------------------------------------------------------- ignored elements, weights, both


def elements(ignored: bool, weighted: bool) -> tuple[Tensor, dict[str, Any], Tensor]:
    """Dense targets, the options that say which of them count, and the weight of each element."""
    targets, weights = targets_for("soft", *SHAPE), torch.ones(SHAPE, dtype=torch.float64)
    options: dict[str, Any] = {}
    if ignored:
        out = uniform(*SHAPE, seed=11) < 0.3
        targets, weights = torch.where(out, 255.0, targets), torch.where(out, 0.0, weights)
        options["ignore_index"] = 255
    if weighted:
        options["pixel_weight"] = (3 * uniform(SHAPE[0], 1, *SHAPE[2:], seed=12) - 0.5).clamp(min=0)
        weights = weights * options["pixel_weight"]
    return targets, options, weights


@every_kind
@every_case_per
@every_activation
@pytest.mark.parametrize(
    "ignored, weighted, soft",
    [(True, False, False), (False, True, False), (False, False, True), (True, True, True)],
    ids=["ignored", "weighted", "soft", "all"],
)
def test_values_are_the_formulas(
    backend: Backend, case: Case, per: str, activation: str | None, ignored: bool, weighted: bool, soft: bool
) -> None:
    logits = logits_for(activation, *SHAPE)
    targets, options, weights = elements(ignored, weighted)
    value, _ = losses(backend, case, logits, targets, activation=activation, per=per, soft_labels=soft, **options)
    known = torch.where(targets == 255, 0.0, targets)
    wanted = naive_values(case, logits, known, weights, activation, per, soft)
    assert value.flatten().tolist() == pytest.approx(wanted, rel=1e-9)


@of_the_reference
@every_kind
@every_case
@every_activation
@pytest.mark.parametrize("soft", [False, True])
def test_gradcheck(backend: Backend, case: Case, activation: str | None, soft: bool) -> None:
    """By the logits and the weights, some of which are 0, and the targets, some of which are ignored."""
    logits = (logits_for(activation, *SHAPE) / 2).to(backend.device).requires_grad_()
    targets, options, _ = elements(True, True)
    targets, weights = backend.put(targets, options["pixel_weight"])
    out = targets == 255
    assert (weights == 0).any() and (weights > 0).any() and out.any()
    given = {"activation": activation, "ignore_index": 255, "soft_labels": soft, "reduction": "none"}

    def loss(x: Tensor, t: Tensor, w: Tensor) -> Tensor:
        return case(x, torch.where(out, 255.0, t), pixel_weight=w, **given)

    if case.formula != "generalized_dice":  # whose own weights are constants, and depend on both
        targets, weights = torch.where(out, 0.5, targets).requires_grad_(), weights.requires_grad_()
    assert torch.autograd.gradcheck(loss, (logits, targets, weights))


@of_the_reference
@every_kind
@some_cases
@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_second_derivatives(backend: Backend, case: Case, activation: str) -> None:
    """Those by logits and weights too, where the weights are 0: a method that learns the weights begins there."""
    logits = (logits_for(activation, 1, 3, 4) / 2).to(backend.device).requires_grad_()
    targets = targets_for("soft", 1, 3, 4).to(backend.device)
    weights = torch.tensor([[1.0, 0.0, 2.0, 0.0]], dtype=torch.float64, device=backend.device).requires_grad_()
    if case.formula == "generalized_dice":
        weights.requires_grad_(False)
    assert torch.autograd.gradgradcheck(
        lambda x, w: case(x, targets, activation=activation, pixel_weight=w, reduction="none"), (logits, weights)
    )


@of_the_reference
@every_case
@every_activation
@pytest.mark.parametrize("target", ["dense", "index"])
@pytest.mark.parametrize("form", ["bool", "float", "ignored"])
def test_what_is_in_a_pixel_that_is_out(
    backend: Backend, case: Case, activation: str | None, target: str, form: str
) -> None:
    """Not a number of it reaches the loss, NaN and infinities included, nor has it a gradient."""
    shape = (2, 3, 12)
    logits = logits_for(activation, *shape)
    targets = targets_for("soft" if target == "dense" else "index", *shape)
    out = torch.arange(12) % 3 == 1
    wanted = truths(case, logits[..., ~out], targets[..., ~out], activation=activation)
    options: dict[str, Any] = {"activation": activation}
    if form == "ignored":
        options["ignore_index"] = 7
        targets[..., out] = 7
    else:
        options["pixel_weight"] = (~out).expand(2, 12).to(torch.bool if form == "bool" else torch.float32)
        if target == "dense":
            targets[..., out] = math.nan
    for content in (math.nan, math.inf, -math.inf, 1e308):
        logits[..., out] = content
        value, gradient = losses(backend, case, logits, targets, **options)
        close([value, gradient[..., ~out]], wanted)
        assert (gradient[..., out] == 0).all()


@every_kind
@every_case
@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_an_ignored_element_does_not_matter(backend: Backend, case: Case, activation: str | None) -> None:
    """Without a softmax its logit is nobody else's."""
    logits, targets = logits_for(activation, *SHAPE), targets_for("soft", *SHAPE)
    targets[0, 1, 0, 2] = targets[1, 0, 1, 1] = -1
    options = {"activation": activation, "ignore_index": -1}
    wanted = losses(backend, case, logits, targets, **options)
    logits[targets == -1] = math.nan
    got = losses(backend, case, logits, targets, **options)
    close(got, wanted)
    assert (got[1][targets == -1] == 0).all()


def test_an_ignored_class_of_a_softmax_is_among_the_others(backend: Backend) -> None:
    """Its own term has no gradient, but the probabilities of the other classes depend on its logit."""
    logits, targets = logits_for("softmax", 1, 3, 2), targets_for("soft", 1, 3, 2)
    targets[0, 1, 0] = 255
    value, gradient = losses(backend, DICE, logits, targets, activation="softmax", ignore_index=255)
    p = torch.softmax(logits, 1)
    assert gradient[0, 1, 0] != 0
    kept = targets != 255
    inter, both = (p * targets * kept).sum(-1), ((p + targets) * kept).sum(-1)
    torch.testing.assert_close(value, 1 - (2 * inter + 1e-5) / (both + 1e-5))


@pytest.mark.parametrize("dtype", [*INTEGRAL[1:], *DTYPES])
def test_an_index_is_ignored_in_any_dtype(backend: Backend, dtype: torch.dtype) -> None:
    logits, targets = logits_for("sigmoid", *SHAPE), targets_for("hard", *SHAPE)
    targets[0, 1, 0, 2] = targets[1, 0, 1, 1] = 100
    weights = (targets != 100).double()
    value, _ = losses(backend, DICE, logits, targets.to(dtype), ignore_index=100)
    wanted = naive_values(DICE, logits, targets * weights, weights, "sigmoid", "image_class")
    assert value.flatten().tolist() == pytest.approx(wanted, rel=1e-6)


def test_only_what_is_equal_is_ignored(backend: Backend) -> None:
    """2048 is what a float16 makes of 2049."""
    logits, targets = logits_for("sigmoid", 1, 1, 2), torch.tensor([[[1.0, 2048.0]]], dtype=torch.float16)
    assert torch.equal(*(losses(backend, DICE, logits, targets, ignore_index=i)[0] for i in (2049, 3)))
    ignored = losses(backend, DICE, logits, targets, ignore_index=2048)[0]
    close([ignored], truths(DICE, logits[..., :1], targets[..., :1])[:1])


def test_dense_targets_ignore_nothing_by_default(backend: Backend) -> None:
    logits, targets = logits_for("sigmoid", 1, 1, 2), torch.tensor([[[1.0, -100.0]]])
    close(losses(backend, DICE, logits, targets), truths(DICE, logits, targets))
    wanted = naive_values(DICE, logits, targets, torch.ones(1, 1, 2), "sigmoid", "image_class")
    assert losses(backend, DICE, logits, targets)[0].flatten().tolist() == pytest.approx(wanted, rel=1e-9)


def test_minus_100_is_ignored_by_default(backend: Backend) -> None:
    logits, classes = logits_for("softmax", 1, 3, 3), torch.tensor([[0, -100, 2]])
    for named in ({}, {"ignore_index": None}, {"ignore_index": -100}):
        value, _ = losses(backend, DICE, logits, classes, activation="softmax", **named)
        wanted = truths(DICE, logits[..., ::2], classes[..., ::2], activation="softmax")[0]
        close([value], [wanted])


# ------------------------------------------------------------------------------------------------------ pixel weights


@given(
    counts=st.lists(st.integers(0, 3), min_size=5, max_size=5),
    case=st.sampled_from(CASES),
    activation=st.sampled_from(ACTIVATIONS),
    index=st.booleans(),
    soft=st.booleans(),
)
def check_counts(
    backend: Backend, counts: list[int], case: Case, activation: str | None, index: bool, soft: bool
) -> None:
    logits, targets = logits_for(activation, 1, 3, 5), targets_for("index" if index else "soft", 1, 3, 5)
    places = torch.tensor([place for place, count in enumerate(counts) for _ in range(count)], dtype=torch.int64)
    options = {"activation": activation, "soft_labels": soft}
    repeated = losses(backend, case, logits[..., places], targets[..., places], **options)
    gradient = torch.zeros_like(logits).index_add(2, places, repeated[1])
    for dtype, shape in ((torch.float64, (1, 5)), (torch.float16, (1, 1, 5))):
        weights = torch.tensor(counts, dtype=dtype).reshape(shape)
        close(losses(backend, case, logits, targets, pixel_weight=weights, **options), [repeated[0], gradient], 1e-9)


@every_kind
def test_a_weight_counts_a_pixel_several_times(backend: Backend) -> None:
    check_counts(backend)


@every_kind
@some_cases
@pytest.mark.parametrize("shape", [(2, 3), (2, 1, 3), (2, 0, 4), (0, 3, 4)], ids=str)
def test_shapes_of_pixel_weights(backend: Backend, case: Case, shape: tuple[int, ...]) -> None:
    """[N, 1, ...] and [N, ...] are the same; of a mask all of which is True nothing is left."""
    logits, targets = logits_for("softmax", *shape), targets_for("soft", *shape)
    mask = torch.ones(shape[0], 1, *shape[2:], dtype=torch.bool)
    wanted = truths(case, logits, targets, activation="softmax")
    for weight in (mask, mask[:, 0], mask.float(), mask[:, 0].bfloat16()):
        close(losses(backend, case, logits, targets, activation="softmax", pixel_weight=weight), wanted)


# -------------------------------------------------------------------------------------------- compilers and transforms


@pytest.mark.usefixtures("fresh_compiler")
@of_the_reference
@every_kind
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_compiled(backend: Backend, reduction: str) -> None:
    logits = logits_for("softmax", *SHAPE).to(backend.device)
    targets, options, _ = elements(True, True)
    targets, weights = backend.put(targets, options["pixel_weight"])

    def loss(x: Tensor) -> Tensor:
        given = {"ignore_index": 255, "pixel_weight": weights, "soft_labels": True, "reduction": reduction}
        return iouloss.tversky_loss(x, targets, activation="softmax", **given)

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    close(evaluate(compiled, logits), evaluate(loss, logits))


@every_kind
def test_func(backend: Backend) -> None:
    targets, options, _ = elements(True, True)
    logits, targets, weights = backend.put(logits_for("softmax", *SHAPE), targets, options["pixel_weight"])

    def total(x: Tensor, t: Tensor, w: Tensor) -> Tensor:
        return iouloss.dice_loss(x, t, activation="softmax", ignore_index=255, pixel_weight=w, reduction="sum")

    _, gradient = evaluate(lambda x: total(x, targets, weights), logits)
    close([torch.func.grad(total)(logits, targets, weights).cpu()], [gradient])
    each = torch.func.vmap(lambda x, t, w: total(x[None], t[None], w[None]))(logits, targets, weights)
    close([each.sum()], [total(logits, targets, weights)])
