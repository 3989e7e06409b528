"""The sigmoid focal loss on every backend."""

import math
from typing import Any

import pytest
import torch
from backends import EMULATED, Backend
from cases import (
    DTYPES,
    HALVES,
    SIZES,
    evaluate,
    every_gamma,
    focal_truth,
    layouts,
    misaligned,
    one_hot,
    random_logits,
    random_targets,
    uniform,
)
from cases import focal_losses as losses
from cases import focal_truths as truths
from operators import arguments
from torch import Tensor

from iouloss import reference, sigmoid_focal_loss

# ------------------------------------------------------------------------------------------------------ class indices


@every_gamma
@pytest.mark.parametrize("shape", [(7, 5), (2, 3, 4), (6, 1), (4,), (3, 80)], ids=str)
def test_class_indices_are_one_hot(backend: Backend, gamma: float, shape: tuple[int, ...]) -> None:
    logits = random_logits(*shape)
    classes = (uniform(*shape[:-1], seed=4) * (shape[-1] + 2) - 1).floor().long()  # -1 and C among them
    got = losses(backend, logits, classes, gamma=gamma)
    wanted = truths(logits, one_hot(classes, shape[-1]), gamma=gamma)
    for g, w in zip(got, wanted, strict=True):
        torch.testing.assert_close(g, w, rtol=1e-11, atol=1e-14)


def test_an_index_that_is_no_class_is_background(backend: Backend) -> None:
    outside = torch.tensor([-1, 3, 4, -(2**40), 2**40, 2**63 - 1, -(2**63), 2**32, 2**32 + 1])
    logits = random_logits(len(outside), 3)
    got = losses(backend, logits, outside)
    for g, wanted in zip(got, truths(logits, torch.zeros_like(logits)), strict=True):
        torch.testing.assert_close(g, wanted)


@pytest.mark.parametrize("ignore_index", [-100, -1, 2, 7])
@pytest.mark.parametrize("weighted", [False, True])
def test_ignored_rows(backend: Backend, ignore_index: int, weighted: bool) -> None:
    logits = random_logits(20, 4)
    classes = torch.arange(20) % 5
    classes[::3] = ignore_index
    kept = classes != ignore_index
    logits[~kept] = math.nan  # not even looked at
    weight = uniform(20, seed=5) if weighted else torch.ones(20, dtype=torch.float64)
    options = {"ignore_index": ignore_index} | ({"weight": weight} if weighted else {})
    value, gradient = losses(backend, logits, classes, **options)
    assert (value[~kept] == 0).all() and (gradient[~kept] == 0).all()
    by_hand = truths(logits[kept], one_hot(classes[kept], 4))
    torch.testing.assert_close(value[kept], by_hand[0] * weight[kept, None])
    torch.testing.assert_close(gradient[kept], by_hand[1] * weight[kept, None])
    moved = {name: x.to(backend.device) if isinstance(x, Tensor) else x for name, x in options.items()}
    logits, classes = logits.to(backend.device), classes.to(backend.device)
    mean, slope = evaluate(lambda x: sigmoid_focal_loss(x, classes, **moved), logits)
    torch.testing.assert_close(mean, value.sum() / (kept.sum() * 4))
    torch.testing.assert_close(slope, gradient / (kept.sum() * 4))
    given_factor = sigmoid_focal_loss(logits, classes, avg_factor=3, **moved)
    torch.testing.assert_close(given_factor.cpu(), value.sum() / 3)


def test_all_rows_ignored_give_0(backend: Backend) -> None:
    classes = torch.full((4,), -100, device=backend.device)
    for tensor in evaluate(lambda x: sigmoid_focal_loss(x, classes), random_logits(4, 3).to(backend.device)):
        assert (tensor == 0).all()


# ----------------------------------------------------------------------------------------------------- smoothed labels


@pytest.mark.parametrize("target", ["hard", "soft", "index"])
@pytest.mark.parametrize("gamma", [0.0, 1.5, 2.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_smooth_all_is_the_loss_of_smoothed_targets(
    backend: Backend, target: str, gamma: float, dtype: torch.dtype
) -> None:
    logits, classes, smoothing = random_logits(40, 7, dtype=dtype), torch.arange(40) % 9 - 1, 0.3
    dense = one_hot(classes, 7) if target == "index" else random_targets(40, 7, hard=target == "hard")
    given = classes if target == "index" else dense.to(dtype)
    alpha = uniform(7, seed=8)
    options = {"gamma": gamma, "alpha": alpha, "label_smoothing": smoothing, "smooth_all": True}
    got = losses(backend, logits, given, **options)
    exact = dtype == torch.float64
    dense = dense if exact else dense.float().double()
    true = truths(logits, dense * (1 - smoothing) + smoothing / 2, alpha=alpha, gamma=gamma)
    for g, w in zip(got, true, strict=True):
        torch.testing.assert_close(g.double(), w, rtol=1e-11 if exact else 1e-5, atol=1e-13 if exact else 1e-6)


def test_smooth_all_needs_something_to_smooth(backend: Backend) -> None:
    logits, targets = random_logits(20, 5), random_targets(20, 5, hard=False)
    assert all(map(torch.equal, losses(backend, logits, targets, smooth_all=True), losses(backend, logits, targets)))
    alone, with_all = (
        losses(backend, logits, targets, label_smoothing=0.2, smooth_all=everywhere) for everywhere in (False, True)
    )
    assert (alone[0] - with_all[0]).abs().max() > 1e-2


# ------------------------------------------------------------------------------------------- alpha, weights, reduction


@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("alpha_dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_alpha_per_class(backend: Backend, hard: bool, alpha_dtype: torch.dtype) -> None:
    logits, targets = random_logits(9, 5), random_targets(9, 5, hard=hard)
    alpha = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=alpha_dtype)
    got = losses(backend, logits, targets, alpha=alpha, gamma=1.5)
    for column in range(5):
        wanted = truths(logits[:, column], targets[:, column], alpha=alpha[column].item(), gamma=1.5)
        for g, w in zip(got, wanted, strict=True):
            torch.testing.assert_close(g[:, column], w)
    classes = torch.arange(9) % 6
    got = losses(backend, logits, classes, alpha=alpha)
    for g, w in zip(got, truths(logits, one_hot(classes, 5), alpha=alpha.double()), strict=True):
        torch.testing.assert_close(g, w)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("weighting", ["none", "per row", "per logit"])
@pytest.mark.parametrize("target", ["hard", "soft", "index"])
def test_reductions_are_compositions(backend: Backend, reduction: str, weighting: str, target: str) -> None:
    rows, columns = backend.size(300), 7
    logits = random_logits(rows, columns)
    classes = torch.arange(rows) % (columns + 1)
    dense = one_hot(classes, columns) if target == "index" else random_targets(rows, columns, hard=target == "hard")
    given_targets = (classes if target == "index" else dense).to(backend.device)
    weight = {"none": None, "per row": uniform(rows, seed=6), "per logit": uniform(rows, columns, seed=6)}[weighting]
    upstream = uniform(rows, columns, seed=7) - 0.5 if reduction == "none" else torch.tensor(1.7).double()

    def composed(x: Tensor) -> Tensor:
        each = focal_truth(x, dense) * {"none": 1, "per row": weight[:, None] if weight is not None else 1}.get(
            weighting, weight
        )
        return each if reduction == "none" else each.sum() / (each.numel() if reduction == "mean" else 1)

    def fused(x: Tensor) -> Tensor:
        w = None if weight is None else weight.to(backend.device)
        return sigmoid_focal_loss(x, given_targets, weight=w, reduction=reduction)

    got = evaluate(fused, logits.to(backend.device), upstream=upstream.to(backend.device))
    for g, wanted in zip(got, evaluate(composed, logits, upstream=upstream), strict=True):
        torch.testing.assert_close(g, wanted, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("factor", [7, 7.0, "int64", "float32", "float16", "shaped"])
def test_avg_factor(backend: Backend, factor: float | str) -> None:
    logits, targets = random_logits(11, 3), random_targets(11, 3, hard=True)
    given_factor: Any = factor
    if isinstance(factor, str):
        shape, dtype = ((1, 1), torch.float64) if factor == "shaped" else ((), getattr(torch, factor))
        given_factor = torch.full(shape, 7, dtype=dtype, device=backend.device)
    moved = targets.to(backend.device)
    got = evaluate(lambda x: sigmoid_focal_loss(x, moved, avg_factor=given_factor), logits.to(backend.device))
    for g, wanted in zip(got, evaluate(lambda x: focal_truth(x, targets).sum() / 7, logits), strict=True):
        torch.testing.assert_close(g, wanted)


@every_gamma
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows", [341, 342, 1000])
def test_many_blocks(backend: Backend, gamma: float, dtype: torch.dtype, rows: int) -> None:
    logits, classes = random_logits(rows, 3, dtype=dtype), torch.arange(rows) % 4
    moved_logits, moved_classes, factor = backend.put(logits, classes, torch.tensor(17.0))
    got = evaluate(lambda x: sigmoid_focal_loss(x, moved_classes, gamma=gamma, avg_factor=factor), moved_logits)
    dense = one_hot(classes, 3)
    wanted = evaluate(lambda x: focal_truth(x, dense, gamma=gamma).sum() / 17, logits.double())
    tolerance = 1e-11 if dtype == torch.float64 else 1e-5
    for g, w in zip(got, wanted, strict=True):
        torch.testing.assert_close(g.double(), w, rtol=0, atol=tolerance * w.abs().max().item())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_more_logits_than_threads_on_the_device(backend: Backend, dtype: torch.dtype) -> None:
    rows = 93_000 if EMULATED else 1_000_000
    logits, classes = random_logits(rows, 3, dtype=dtype), torch.arange(rows) % 4
    got = sigmoid_focal_loss(*backend.put(logits, classes), reduction="sum").cpu().double()
    wanted = focal_truth(logits.double(), one_hot(classes, 3)).sum()
    torch.testing.assert_close(got, wanted, rtol=1e-11 if dtype == torch.float64 else 1e-6, atol=0)


@pytest.mark.parametrize("zero", [0, 0.0, "tensor"])
def test_avg_factor_0_gives_0(backend: Backend, zero: float | str) -> None:
    factor = torch.zeros(1, dtype=torch.int64, device=backend.device) if zero == "tensor" else zero
    for targets in (random_targets(4, 3, hard=True), torch.arange(4)):
        moved = targets.to(backend.device)
        logits = random_logits(4, 3).to(backend.device)
        for tensor in evaluate(lambda x, t=moved: sigmoid_focal_loss(x, t, avg_factor=factor), logits):
            assert (tensor == 0).all()


@pytest.mark.parametrize("gamma", [1.0, 2.0, 2.5])
def test_what_requires_a_gradient_gets_one(backend: Backend, gamma: float) -> None:
    def mean(x: Tensor, z: Tensor, w: Tensor, a: Tensor, f: Tensor) -> Tensor:
        return sigmoid_focal_loss(x, z, a, gamma, weight=w, avg_factor=f)

    inputs = (random_logits(4, 3) / 3, random_targets(4, 3, hard=False), uniform(4, seed=8), uniform(3, seed=9))
    inputs = (*inputs, torch.tensor(5.0).double())
    assert torch.autograd.gradcheck(mean, [x.to(backend.device).requires_grad_() for x in inputs])


# ----------------------------------------------------------------------------------------- shapes, layouts and dtypes


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("columns", [1, 3, 4])
def test_every_size(backend: Backend, n: int, columns: int) -> None:
    logits, targets = random_logits(n, columns), random_targets(n, columns, hard=False)
    classes = torch.arange(n) % (columns + 1)
    for given_targets, dense in ((targets, targets), (classes, one_hot(classes, columns))):
        for got, true in zip(losses(backend, logits, given_targets), truths(logits, dense), strict=True):
            torch.testing.assert_close(got, true, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4), (0, 5), (5, 0)])
@pytest.mark.parametrize("indices", [False, True])
def test_shapes(backend: Backend, shape: tuple[int, ...], indices: bool) -> None:
    if indices and not shape:
        return  # no row of classes
    logits = random_logits(*shape).to(backend.device)
    targets = torch.zeros(shape[:-1], dtype=torch.int64) if indices else random_targets(*shape, hard=False)
    targets = targets.to(backend.device)
    assert losses(backend, logits, targets)[0].shape == shape
    for reduction in ("mean", "sum"):
        leaf = logits.detach().requires_grad_()
        loss = sigmoid_focal_loss(leaf, targets, reduction=reduction)
        loss.backward()
        assert loss.shape == () and loss.isfinite() and leaf.grad.shape == shape
        assert loss != 0 or 0 in shape


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_any_layout(backend: Backend, dtype: torch.dtype, gamma: float) -> None:
    logits = random_logits(37, 5, dtype=dtype).to(backend.device)
    targets = random_targets(37, 5, hard=False, dtype=dtype).to(backend.device)
    classes = (torch.arange(37) % 6).to(backend.device)
    dense, index = losses(backend, logits, targets, gamma=gamma), losses(backend, logits, classes, gamma=gamma)
    other_classes = torch.stack((classes, classes + 1), 1)[:, 0]
    for name, view in layouts(logits).items():
        other = layouts(targets)[name]
        for got, wanted in (
            (losses(backend, view, targets, gamma=gamma), dense),
            (losses(backend, logits, other, gamma=gamma), dense),
            (losses(backend, view, other, gamma=gamma), dense),
            (losses(backend, view, other_classes, gamma=gamma), index),
        ):
            for g, w in zip(got, wanted, strict=True):
                torch.testing.assert_close(g, w, rtol=1e-6, atol=1e-7, msg=lambda text, name=name: name + text)
    row = targets[:1].expand(37, 5)
    weight = targets[:, :1].expand(37, 5)
    for g, w in zip(
        losses(backend, logits, row, weight=weight),
        losses(backend, logits, row.contiguous(), weight=weight.contiguous()),
        strict=True,
    ):
        torch.testing.assert_close(g, w)


@pytest.mark.parametrize("logits_dtype", DTYPES)
@pytest.mark.parametrize("targets_dtype", [*DTYPES, torch.int64])
@pytest.mark.parametrize("gamma", [1.5, 2.0])
def test_mixed_dtypes(backend: Backend, logits_dtype: torch.dtype, targets_dtype: torch.dtype, gamma: float) -> None:
    logits = random_logits(13, 3, dtype=logits_dtype)
    indices = targets_dtype == torch.int64
    targets = torch.arange(13) % 4 if indices else random_targets(13, 3, hard=False, dtype=targets_dtype)
    dense = one_hot(targets, 3) if indices else targets
    compute = torch.float64 if torch.float64 in (logits_dtype, targets_dtype) else torch.float32
    for weight_dtype in DTYPES:
        weight, alpha = uniform(13, seed=10, dtype=weight_dtype), uniform(3, seed=11, dtype=weight_dtype)
        options = {"weight": weight, "alpha": alpha, "gamma": gamma}
        got = losses(backend, logits, targets, **options)
        assert [tensor.dtype for tensor in got] == [compute, logits_dtype]
        true = truths(logits, dense, alpha=alpha.double(), gamma=gamma)[0] * weight.double()[:, None]
        torch.testing.assert_close(got[0].double(), true, rtol=1e-5 if compute == torch.float32 else 1e-10, atol=1e-30)
        aside = (misaligned(x) for x in backend.put(logits, targets))
        for g, other in zip(got, losses(backend, *aside, **options), strict=True):
            torch.testing.assert_close(g, other, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gamma", [1.5, 2.0])
def test_an_upstream_gradient_of_any_dtype(backend: Backend, dtype: torch.dtype, gamma: float) -> None:
    """Autograd gives it the dtype of the loss; the operator takes what it is given."""
    if not backend.compiled:
        pytest.skip("the reference has no such operator")
    logits, targets = backend.put(random_logits(5, 3, dtype=dtype), random_targets(5, 3, hard=False, dtype=dtype))
    upstream = uniform(5, 3, seed=12, dtype=torch.bfloat16).to(backend.device)
    formula = "square_focal" if gamma == 2 else "focal"
    options = {"formula": formula, "alpha1": 0.25, "alpha0": 0.75, "gamma": gamma, "reduction": "none"}
    given = arguments("logit_loss", reference.LogitInputs(logits, targets, **options))
    backward = torch.ops.iouloss.logit_loss_backward
    expected = backward(upstream.to(dtype), **given)
    for other in DTYPES:
        got = backward(upstream.to(other), **given)
        torch.testing.assert_close(got, expected, rtol=1e-2 if other == torch.float16 else 1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", HALVES)
def test_autocast_changes_nothing(backend: Backend, dtype: torch.dtype) -> None:
    for inputs_dtype in (torch.float32, dtype):
        logits = random_logits(20, 3, dtype=inputs_dtype).to(backend.device)
        classes = (torch.arange(20) % 4).to(backend.device)
        expected = evaluate(lambda x, c=classes: sigmoid_focal_loss(x, c), logits)
        with torch.autocast(backend.device, dtype):
            got = evaluate(lambda x, c=classes: sigmoid_focal_loss(x, c), logits)
        assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(got, expected, strict=True))


# ---------------------------------------------------------------------------------------------------------- repetition


@every_gamma
def test_a_second_backward_is_the_same(backend: Backend, gamma: float) -> None:
    logits = random_logits(20, 6, dtype=torch.float32).to(backend.device).requires_grad_()
    before = logits.detach().clone()
    loss = sigmoid_focal_loss(logits, (torch.arange(20) % 7).to(backend.device), gamma=gamma)
    first = torch.autograd.grad(loss, logits, retain_graph=True)[0]
    second = torch.autograd.grad(loss, logits)[0]
    assert torch.equal(first, second) and torch.equal(logits.detach(), before)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_runs_are_equal_bit_by_bit(backend: Backend, gamma: float) -> None:
    rows = backend.size(3000 if backend.compiled else 100)
    logits = random_logits(rows, 20, dtype=torch.float32).to(backend.device)
    classes = (torch.arange(len(logits)) % 21).to(backend.device)

    def mean(x: Tensor) -> Tensor:
        return sigmoid_focal_loss(x, classes, gamma=gamma)

    first = evaluate(mean, logits)
    for _ in range(20):
        assert all(torch.equal(a, b) for a, b in zip(first, evaluate(mean, logits), strict=True))


def test_the_number_of_threads_changes_nothing(backend: Backend) -> None:
    if backend.device != "cpu":
        pytest.skip("the CPU's threads have no part in this backend")
    logits = random_logits(20000, 8, dtype=torch.float32)
    classes = torch.arange(20000) % 9
    reduction = "mean" if backend.compiled else "none"  # torch's own sum, which the reference takes, does change
    threads = torch.get_num_threads()
    results = []
    for count in (1, 2, 4):
        torch.set_num_threads(count)
        results.append(evaluate(lambda x: sigmoid_focal_loss(x, classes, reduction=reduction), logits))
    torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_ignored_rows_count_for_nothing_whatever_is_in_them(backend: Backend) -> None:
    logits, weight = torch.zeros(2, 3), torch.ones(2, 3)
    logits[0], weight[0] = math.inf, math.nan
    targets = torch.tensor([-100, 1])
    logits, weight, targets = backend.put(logits, weight, targets)
    logits.requires_grad_()
    upstream = torch.ones_like(weight)
    upstream[0] = math.inf
    loss = sigmoid_focal_loss(logits, targets, weight=weight, reduction="none")
    (grad,) = torch.autograd.grad(loss, logits, upstream)
    assert not loss[0].any() and loss[1].all()
    assert not grad[0].any() and grad[1].all()
