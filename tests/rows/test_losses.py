"""The losses on rows of logits on every backend."""

import math
from typing import Any

import pytest
import torch
from backends import EMULATED, Backend
from cases import DTYPES, evaluate, layouts, misaligned, random_logits, uniform
from row_cases import (
    ROW_CASE,
    ROW_CASES,
    RowCase,
    every_kernel,
    every_row_case,
    naive_row_loss,
    row_losses,
    row_truths,
)
from torch import Tensor

import iouloss
from iouloss import cross_entropy_loss, distribution_focal_loss, entropy_loss, kl_div_loss, softmax_focal_loss

CLASSES = (1, 2, 4, 5, 16, 17, 80) if EMULATED else (1, 2, 3, 4, 5, 8, 15, 16, 17, 33, 80, 91, 255, 256, 257, 1000)


def close(got: list[Tensor], wanted: list[Tensor], rtol: float = 1e-11, atol: float = 1e-13) -> None:
    for g, w in zip(got, wanted, strict=True):
        torch.testing.assert_close(g.to(w.dtype), w, rtol=rtol, atol=atol)


# ------------------------------------------------------------------------------------------------------------ formulas


@every_row_case
def test_value_and_gradient_are_the_formulas(backend: Backend, case: RowCase) -> None:
    logits = random_logits(12, 5) / 3
    targets = case.make_targets(12, classes=5)
    weights = uniform(5, seed=3) + 0.5 if case.by_class else torch.ones(5).double()
    options: dict[str, Any] = {}
    if case.by_class:
        options["alpha" if case.formula == "softmax_focal" else "class_weight"] = weights
    plain = RowCase(case.name, case.function, case.targets, case.options | {"alpha": 1.0}) if options else case
    value, gradient = row_losses(case, backend, logits, targets, **options)
    given = [None] * 12 if targets is None else targets.tolist()

    def naive(row: int, x: list[float]) -> float:
        return naive_row_loss(plain, x, given[row], weights.tolist())

    for i, x in enumerate(logits.tolist()):
        assert value[i].item() == pytest.approx(naive(i, x), rel=1e-11, abs=1e-13)
        for c in range(5):
            step = [1e-6 * (k == c) for k in range(5)]
            above = naive(i, [a + b for a, b in zip(x, step, strict=True)])
            below = naive(i, [a - b for a, b in zip(x, step, strict=True)])
            assert gradient[i, c].item() == pytest.approx((above - below) / 2e-6, rel=1e-6, abs=1e-8)


@every_row_case
@pytest.mark.parametrize("classes", CLASSES)
def test_any_number_of_classes(backend: Backend, case: RowCase, classes: int) -> None:
    for rows in (0, 1, 3, 17, 40)[:: 2 if EMULATED else 1]:
        logits, targets = random_logits(rows, classes), case.make_targets(rows, classes=classes)
        close(row_losses(case, backend, logits, targets), row_truths(case, logits, targets))


@every_kernel
@pytest.mark.parametrize("classes", [130, 1540] if EMULATED else [130, 1540, 4000, 100_000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_many_classes(backend: Backend, case: RowCase, classes: int, dtype: torch.dtype) -> None:
    logits, targets = random_logits(3, classes, dtype=dtype), case.make_targets(3, classes=classes)
    if case.targets == "classes":
        targets = torch.tensor([0, classes // 2, classes - 1])
    wanted = row_truths(case, logits, targets)
    tolerance = 1e-11 if dtype == torch.float64 else 1e-5 if backend.compiled else 1e-3  # autograd cancels
    for got, w in zip(row_losses(case, backend, logits, targets), wanted, strict=True):
        torch.testing.assert_close(got.double(), w, rtol=tolerance, atol=tolerance * w.abs().max().item())


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_cross_entropy_is_torchs(backend: Backend, smoothing: float, weighted: bool, reduction: str) -> None:
    logits, classes = random_logits(3, 6, 4), (uniform(3, 4, seed=2) * 6).long()
    classes[0] = -100
    weight = uniform(6, seed=3) if weighted else None
    options = {"label_smoothing": smoothing, "reduction": reduction}
    ours = options | {"class_weight": None if weight is None else weight.to(backend.device), "class_dim": 1}
    given = classes.to(backend.device)
    got = evaluate(lambda x: cross_entropy_loss(x, given, **ours), logits.to(backend.device))
    close(got, evaluate(lambda x: torch.nn.functional.cross_entropy(x, classes, weight, **options), logits))


def test_kl_divergence_is_torchs(backend: Backend) -> None:
    logits, targets = random_logits(7, 5), ROW_CASE["kl"].make_targets(7, classes=5)
    moved = targets.to(backend.device)
    for reduction in ("batchmean", "sum"):
        got = evaluate(lambda x, r=reduction: kl_div_loss(x, moved, reduction=r), logits.to(backend.device))
        wanted = evaluate(
            lambda x, r=reduction: torch.nn.functional.kl_div(x.log_softmax(-1), targets, reduction=r), logits
        )
        close(got, wanted)
    three = random_logits(2, 3, 5).to(backend.device)
    q = torch.full_like(three, 0.2)
    torch.testing.assert_close(kl_div_loss(three, q, reduction="batchmean"), kl_div_loss(three, q, reduction="sum") / 2)


def test_distribution_is_two_cross_entropies(backend: Backend) -> None:
    logits, places = random_logits(30, 16), 15 * uniform(30, seed=2)
    low = places.long()

    def both(x: Tensor) -> Tensor:
        left, right = (torch.nn.functional.cross_entropy(x, i, reduction="none") for i in (low, low + 1))
        return left * (low + 1 - places) + right * (places - low)

    before = places.clone()
    got = evaluate(
        lambda x: distribution_focal_loss(x, places.to(backend.device), reduction="none"), logits.to(backend.device)
    )
    close(got, evaluate(both, logits))
    assert torch.equal(places, before)


def test_places_beyond_the_ends_are_at_the_ends(backend: Backend) -> None:
    places = torch.tensor([-1e30, -1.0, -0.0, 0.0, 3.0, 3.0001, 15.0, 1e30, math.inf, -math.inf])
    held = places.clamp(0, 3)
    logits = random_logits(len(places), 4).to(backend.device)
    got, wanted = (
        evaluate(lambda x, p=p: distribution_focal_loss(x, p.to(backend.device), reduction="none"), logits)
        for p in (places, held)
    )
    close(got, wanted)
    assert not places.equal(held)
    nan = evaluate(lambda x: distribution_focal_loss(x, torch.full_like(x[:, 0], math.nan), reduction="none"), logits)
    assert nan[0].isnan().all()


# ------------------------------------------------------------------------------------------- rows that do not count


@pytest.mark.parametrize("case", [case for case in ROW_CASES if case.targets == "classes"], ids=lambda case: case.name)
def test_rows_that_do_not_count(backend: Backend, case: RowCase) -> None:
    outside = torch.tensor([-1, 3, 4, -(2**40), 2**40, 2**63 - 1, -(2**63), 2**32, 2**32 + 1, -100, 1])
    logits = random_logits(len(outside), 3)
    logits[:9] = math.nan
    logits[9] = math.inf  # ignored
    weight = torch.full((len(outside),), math.nan)
    weight[-1] = 2.0
    upstream = torch.full((len(outside),), math.inf)
    upstream[-1] = 1.0
    classes, weight, upstream = backend.put(outside, weight, upstream.double())
    for reduction, up in (("none", upstream), ("sum", None), ("mean", None)):
        loss, gradient = evaluate(
            lambda x, r=reduction: case(x, classes, weight=weight, reduction=r), logits.to(backend.device), upstream=up
        )
        assert (gradient[:10] == 0).all() and gradient[10].isfinite().all() and gradient[10].any()
        assert loss.isfinite().all()
        if reduction == "none":
            assert (loss[:10] == 0).all() and loss[10] > 0
            only = loss[10]
        else:
            torch.testing.assert_close(loss, only)  # one row counts
    # An ignored class is one like the others.
    ignored = evaluate(
        lambda x: case(x, classes, weight=weight, reduction="sum", ignore_index=1), logits.to(backend.device)
    )
    assert not any(tensor.any() for tensor in ignored)


@pytest.mark.parametrize("function", [softmax_focal_loss, cross_entropy_loss])
def test_no_row_that_counts_gives_0(backend: Backend, function: Any) -> None:
    classes = torch.tensor([-100, 7, -1], device=backend.device)
    for tensor in evaluate(lambda x: function(x, classes), random_logits(3, 3).to(backend.device)):
        assert (tensor == 0).all()


def test_a_mean_divides_by_the_weights_of_the_classes(backend: Backend) -> None:
    logits, classes, weight = (
        random_logits(5, 3),
        torch.tensor([0, 1, 2, -100, 1]),
        torch.tensor([0.5, 2.0, 0.0]).double(),
    )
    logits, classes, weight = backend.put(logits, classes, weight)
    each = cross_entropy_loss(logits, classes, class_weight=weight, reduction="none")
    torch.testing.assert_close(cross_entropy_loss(logits, classes, class_weight=weight), each.sum() / 4.5)
    each = softmax_focal_loss(logits, classes, weight, reduction="none")
    torch.testing.assert_close(softmax_focal_loss(logits, classes, weight), each.sum() / 4)
    only = classes.where(classes == 2, -100)
    assert cross_entropy_loss(logits, only, class_weight=weight) == 0


# -------------------------------------------------------------------------------------------- weights and reductions


@every_row_case
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("weighted", [False, True])
def test_reductions_are_compositions(backend: Backend, case: RowCase, reduction: str, weighted: bool) -> None:
    rows = backend.size(300)
    logits, targets = random_logits(rows, 7), case.make_targets(rows, classes=7)
    weight = uniform(rows, seed=6) if weighted else None
    upstream = uniform(rows, seed=7) - 0.5 if reduction == "none" else torch.tensor(1.7).double()
    counted = rows if case.targets != "classes" else int(((targets >= 0) & (targets < 7)).sum())

    def composed(x: Tensor) -> Tensor:
        each = case.truth(x, targets) * (1 if weight is None else weight)
        return each if reduction == "none" else each.sum() / (counted if reduction == "mean" else 1)

    given = [None if x is None else x.to(backend.device) for x in (targets, weight)]
    got = evaluate(
        lambda x: case(x, given[0], weight=given[1], reduction=reduction),
        logits.to(backend.device),
        upstream=upstream.to(backend.device),
    )
    close(got, evaluate(composed, logits, upstream=upstream), rtol=1e-10)


@every_kernel
@pytest.mark.parametrize("factor", [7, 7.0, "int64", "float32", "shaped"])
def test_avg_factor(backend: Backend, case: RowCase, factor: float | str) -> None:
    logits, targets = random_logits(11, 3), case.make_targets(11, classes=3)
    given: Any = factor
    if isinstance(factor, str):
        shape, dtype = ((1, 1), torch.float64) if factor == "shaped" else ((), getattr(torch, factor))
        given = torch.full(shape, 7, dtype=dtype, device=backend.device)
    got = row_losses(case, backend, logits, targets, avg_factor=given, reduction="mean")
    close(got, evaluate(lambda x: case.truth(x, targets).sum() / 7, logits))
    nothing = row_losses(case, backend, logits, targets, avg_factor=given * 0, reduction="mean")
    assert not any(tensor.any() for tensor in nothing)


@every_kernel
@pytest.mark.parametrize("upstream", [1.0, 2.0, 0.0, 65536.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_upstream_gradient_counts(backend: Backend, case: RowCase, dtype: torch.dtype, upstream: float) -> None:
    logits, targets = random_logits(20, 6, dtype=dtype) / 8, case.make_targets(20, classes=6)
    up = torch.tensor(upstream, device=backend.device)
    _, got = row_losses(case, backend, logits, targets, reduction="sum")
    moved = None if targets is None else targets.to(backend.device)
    leaf = logits.to(backend.device).requires_grad_()
    value = case(leaf, moved, reduction="sum")
    (scaled,) = torch.autograd.grad(value, leaf, up.to(value.dtype), retain_graph=True)
    (again,) = torch.autograd.grad(value, leaf, up.to(value.dtype))
    assert torch.equal(scaled, again) and scaled.dtype == dtype
    wanted = row_truths(case, logits, targets)[1] * upstream
    last = {torch.float16: 2.0**-10, torch.bfloat16: 2.0**-7}.get(dtype, 2e-6)
    torch.testing.assert_close(scaled.cpu().double(), wanted, rtol=last, atol=2e-7 * upstream)
    assert got.shape == logits.shape


@every_kernel
def test_more_rows_than_threads_on_the_device(backend: Backend, case: RowCase) -> None:
    rows = 68_000 if EMULATED else 300_000
    for classes in (4, 3) if not EMULATED or case.name == "entropy" else (4,):
        logits, targets = random_logits(rows, classes, dtype=torch.float32), case.make_targets(rows, classes=classes)
        targets = targets.float() if case.targets in ("places", "probabilities") else targets
        moved = [None if x is None else x.to(backend.device) for x in (logits, targets)]
        got = case(moved[0], moved[1], reduction="sum").cpu().double()
        wanted = case.truth(logits.double(), targets).sum()
        torch.testing.assert_close(got, wanted, rtol=2e-6, atol=0)


# ----------------------------------------------------------------------------------------- shapes, layouts and dtypes


@every_kernel
@pytest.mark.parametrize("shape", [(5,), (2, 3, 5), (0, 5), (2, 0, 5), (3, 1)], ids=str)
def test_shapes(backend: Backend, case: RowCase, shape: tuple[int, ...]) -> None:
    logits, targets = random_logits(*shape), case.make_targets(*shape[:-1], classes=shape[-1])
    if case.targets == "classes":
        targets = targets.clamp(0, shape[-1] - 1)
    got = row_losses(case, backend, logits, targets)
    assert got[0].shape == shape[:-1] and got[1].shape == shape
    for reduction in ("mean", "sum"):
        loss, gradient = row_losses(case, backend, logits, targets, reduction=reduction)
        assert loss.shape == () and loss.isfinite() and gradient.shape == shape
        assert loss != 0 or 0 in shape or shape[-1] == 1


@every_kernel
@pytest.mark.parametrize("shape", [(2, 5, 3, 4), (3, 8, 21), (2, 300, 2), (20, 3, 1)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_classes_in_another_dimension(
    backend: Backend, case: RowCase, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    """Where the classes come is a matter of strides: no loss is another, bit by bit or nearly so."""
    logits = random_logits(*shape, dtype=dtype)
    rows = (shape[0], *shape[2:])
    targets = case.make_targets(*rows, classes=shape[1])
    last = logits.movedim(1, -1).contiguous()
    wanted = row_losses(case, backend, last, targets)
    wanted[1] = wanted[1].movedim(-1, 1)
    if case.targets == "probabilities":
        targets = targets.movedim(-1, 1)
    spread = torch.stack((logits, logits), -1)[..., 0]
    permuted = logits.transpose(0, -1).contiguous().transpose(0, -1)
    for view in (logits, spread, permuted, last.movedim(-1, 1)):
        got = row_losses(case, backend, view, targets, class_dim=1)
        close(got, wanted, rtol=1e-6 if dtype != torch.bfloat16 else 1e-2, atol=1e-7)


@every_kernel
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_any_layout(backend: Backend, case: RowCase, dtype: torch.dtype) -> None:
    logits = random_logits(37, 8, dtype=dtype).to(backend.device)
    targets = case.make_targets(37, classes=8)
    wanted = row_losses(case, backend, logits, targets)
    for view in layouts(logits).values():
        close(row_losses(case, backend, view, targets), wanted, rtol=1e-6, atol=1e-7)
    if targets is None:
        return
    others = layouts(targets.to(backend.device)).values() if targets.ndim == 2 else [targets.repeat_interleave(2)[::2]]
    for view in others:
        close(row_losses(case, backend, logits, view), wanted, rtol=1e-6, atol=1e-7)


@every_kernel
@pytest.mark.parametrize("logits_dtype", DTYPES)
@pytest.mark.parametrize("targets_dtype", DTYPES)
def test_mixed_dtypes(backend: Backend, case: RowCase, logits_dtype: torch.dtype, targets_dtype: torch.dtype) -> None:
    logits = random_logits(13, 4, dtype=logits_dtype)
    targets = case.make_targets(13, classes=4, dtype=targets_dtype)
    floating = targets is not None and targets.is_floating_point()
    compute = torch.float64 if torch.float64 in (logits_dtype, targets_dtype if floating else None) else torch.float32
    for weight_dtype in DTYPES:
        weight, per_class = uniform(13, seed=10, dtype=weight_dtype), uniform(4, seed=11, dtype=weight_dtype)
        options: dict[str, Any] = {"weight": weight}
        given = None
        if case.by_class:
            options["alpha" if case.formula == "softmax_focal" else "class_weight"] = per_class
            given = per_class.double()
        # alpha as a tensor stands in for the number.
        truth_case = (
            RowCase("", case.function, case.targets, case.options | {"alpha": None}) if given is not None else case
        )
        got = row_losses(case, backend, logits, targets, **options)
        assert [tensor.dtype for tensor in got] == [compute, logits_dtype]
        true = row_truths(truth_case, logits, targets, class_weight=given)
        tolerance = 1e-5 if compute == torch.float32 else 1e-10
        torch.testing.assert_close(got[0].double(), true[0] * weight.double(), rtol=tolerance, atol=1e-6 * tolerance)
        aside = [None if x is None else misaligned(x.to(backend.device)) for x in (logits, targets)]
        close(row_losses(case, backend, aside[0], aside[1], **options), got, rtol=1e-6, atol=1e-7)


# --------------------------------------------------------------------------------------------------------- repetition


@every_kernel
@pytest.mark.parametrize("classes", [3, 80])
def test_runs_are_equal_bit_by_bit(backend: Backend, case: RowCase, classes: int) -> None:
    rows = backend.size(3000 if backend.compiled else 100)
    logits, targets = random_logits(rows, classes, dtype=torch.float32), case.make_targets(rows, classes=classes)
    first = row_losses(case, backend, logits, targets, reduction="mean")
    for _ in range(3 if EMULATED else 10):
        again = row_losses(case, backend, logits, targets, reduction="mean")
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@every_kernel
def test_the_number_of_threads_changes_nothing(backend: Backend, case: RowCase) -> None:
    if backend.device != "cpu" or not backend.compiled:
        pytest.skip("the CPU's threads have no part in this backend")
    logits, targets = random_logits(20000, 8, dtype=torch.float32), case.make_targets(20000, classes=8)
    threads = torch.get_num_threads()
    results = []
    for count in (1, 2, 4):
        torch.set_num_threads(count)
        results.append(row_losses(case, backend, logits, targets, reduction="mean"))
    torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_modules(backend: Backend) -> None:
    logits, classes = backend.put(random_logits(4, 3), torch.tensor([0, 2, 1, 1]))
    per_class = torch.tensor([0.5, 1.0, 2.0]).to(backend.device)
    q = logits.softmax(-1)
    for module, wanted in (
        (iouloss.SoftmaxFocalLoss(per_class, 1.5), softmax_focal_loss(logits, classes, per_class, 1.5)),
        (iouloss.SoftmaxFocalLoss(), softmax_focal_loss(logits, classes)),
        (
            iouloss.CrossEntropyLoss(class_weight=per_class, label_smoothing=0.1),
            cross_entropy_loss(logits, classes, class_weight=per_class, label_smoothing=0.1),
        ),
        (iouloss.CrossEntropyLoss(poly_epsilon=1.0), cross_entropy_loss(logits, classes, poly_epsilon=1.0)),
    ):
        assert torch.equal(module.to(backend.device)(logits, classes), wanted)
        assert "reduction='mean'" in repr(module) and "class_dim=-1" in repr(module)
    assert torch.equal(iouloss.EntropyLoss()(logits), entropy_loss(logits))
    assert torch.equal(iouloss.KLDivLoss(temperature=2.0)(logits, q), kl_div_loss(logits, q, temperature=2.0))
    places = classes.double() / 2
    assert torch.equal(iouloss.DistributionFocalLoss()(logits, places), distribution_focal_loss(logits, places))
    assert "class_weight" in dict(iouloss.CrossEntropyLoss(class_weight=per_class).named_buffers())
