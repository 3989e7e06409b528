"""Dense targets of the losses on rows: probabilities of cross entropy, many classes of the softmax focal loss."""

import math
from typing import Any

import pytest
import torch
from backends import KINDS, Backend, of_the_reference
from cases import DTYPES, INTEGERS, evaluate, random_logits, same, uniform
from row_cases import ROW_CASES, RowCase
from torch import Tensor

import iouloss
from iouloss import cross_entropy_loss, softmax_focal_loss

# The instruction set makes no difference: the reference serves all of this.
pytestmark = pytest.mark.parametrize("backend", KINDS, indirect=True)
by_index = pytest.mark.parametrize(
    "case", [case for case in ROW_CASES if case.targets == "classes"], ids=lambda case: case.name
)
both = pytest.mark.parametrize("loss", [cross_entropy_loss, softmax_focal_loss])


def probabilities(*shape: int, dim: int = -1) -> Tensor:
    """Some of them 0, some certain."""
    q = uniform(*shape, seed=3) ** 4
    q = torch.where(q < 0.01, 0.0, q)
    return (q / q.sum(dim, keepdim=True)).nan_to_num(0.0)


def many_hot(*shape: int) -> Tensor:
    return (uniform(*shape, seed=4) > 0.6).double()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_cross_entropy_of_probabilities_is_torchs(
    backend: Backend, smoothing: float, weighted: bool, reduction: str
) -> None:
    x, q = random_logits(3, 6, 4), probabilities(3, 6, 4, dim=1)
    weight = uniform(6, seed=5) if weighted else None
    options: dict[str, Any] = {"label_smoothing": smoothing, "reduction": reduction}
    moved = None if weight is None else weight.to(backend.device)
    ours = evaluate(
        lambda x, q: cross_entropy_loss(x, q, class_weight=moved, class_dim=1, **options), *backend.put(x, q)
    )
    torchs = evaluate(lambda x, q: torch.nn.functional.cross_entropy(x, q, weight, **options), x, q)
    same(ours, torchs, rtol=1e-10)


@by_index
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_one_hot_targets_are_class_indices(backend: Backend, case: RowCase, dtype: torch.dtype) -> None:
    index = torch.arange(40) % 5
    x = random_logits(40, 5, dtype=dtype)
    x[torch.arange(40), index] += torch.linspace(-60, 60, 40).to(dtype)
    options: dict[str, Any] = {"weight": uniform(40, seed=6).to(backend.device)}
    if case.by_class:
        name = "alpha" if case.formula == "softmax_focal" else "class_weight"
        options[name] = (uniform(5, seed=7) + 0.5).to(backend.device)
    hot = torch.nn.functional.one_hot(index, 5)
    x, index, hot = backend.put(x, index, hot)
    for reduction in ("none", "sum"):
        got = evaluate(lambda x, r=reduction: case(x, hot, reduction=r, **options), x)
        want = evaluate(lambda x, r=reduction: case(x, index, reduction=r, **options), x)
        assert [g.dtype for g in got] == [w.dtype for w in want]
        rtol = 1e-9 if dtype == torch.float64 else 2e-5
        # Nothing but rounding in what is far below everything else, as it is where one class is sure.
        for g, w in zip(got, want, strict=True):
            torch.testing.assert_close(g, w, rtol=rtol, atol=1e-30)
    mean = case(x, hot, weight=options["weight"])  # over rows, whatever their classes weigh
    torch.testing.assert_close(mean, case(x, hot, weight=options["weight"], reduction="sum") / 40)


@both
@pytest.mark.parametrize("dtype", [*INTEGERS, *DTYPES], ids=str)
def test_dense_targets_of_any_dtype(backend: Backend, loss: Any, dtype: torch.dtype) -> None:
    x, z = random_logits(7, 4, dtype=torch.float32), many_hot(7, 4)
    x, z = backend.put(x, z)
    got, want = (evaluate(lambda x, t=t: loss(x, t, reduction="none"), x) for t in (z.to(dtype), z.float()))
    assert got[0].dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    same([g.float() for g in got], want, rtol=1e-5)


def naive_focal(x: list[float], z: list[float], alpha: list[float], gamma: float, smoothing: float) -> float:
    total = sum(math.exp(v) for v in x)
    p = [math.exp(v) / total for v in x]
    shared = smoothing / len(x) * sum(-a * math.log(v) for a, v in zip(alpha, p, strict=True))
    each = [(1 - v) ** gamma * ((1 - smoothing) * a * -math.log(v) + shared) for a, v in zip(alpha, p, strict=True)]
    return sum(weight * loss for weight, loss in zip(z, each, strict=True))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("kind", ["many hot", "soft", "none"])
def test_softmax_focal_of_many_classes(backend: Backend, gamma: float, smoothing: float, kind: str) -> None:
    x, alpha = random_logits(6, 5) / 4, uniform(5, seed=8) + 0.5
    z = {"many hot": many_hot(6, 5), "soft": uniform(6, 5, seed=9), "none": torch.zeros(6, 5).double()}[kind]
    arguments = backend.put(x, z, alpha)
    got = softmax_focal_loss(*arguments, gamma, label_smoothing=smoothing, reduction="none").cpu()
    for row in range(6):
        want = naive_focal(x[row].tolist(), z[row].tolist(), alpha.tolist(), gamma, smoothing)
        assert got[row].item() == pytest.approx(want, rel=1e-12, abs=1e-300)


def test_poly_of_probabilities(backend: Backend) -> None:
    x, q, weight = backend.put(random_logits(6, 5) / 4, probabilities(6, 5), uniform(5, seed=10))
    options = {"class_weight": weight, "label_smoothing": 0.1, "reduction": "none"}
    added = cross_entropy_loss(x, q, poly_epsilon=2.0, **options) - cross_entropy_loss(x, q, **options)
    torch.testing.assert_close(added, 2 * (weight * q * (1 - x.softmax(-1))).sum(-1))


@of_the_reference
@both
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.2}], ids=str)
def test_gradcheck(backend: Backend, loss: Any, options: dict[str, Any]) -> None:
    inputs = backend.put(random_logits(3, 4) / 3, probabilities(3, 4) + 0.1, uniform(4, seed=11) + 0.5)
    name = "alpha" if loss is softmax_focal_loss else "class_weight"
    more = {"poly_epsilon": 1.5} if loss is cross_entropy_loss else {"gamma": 1.5}

    def each(x: Tensor, q: Tensor, w: Tensor) -> Tensor:
        return loss(x, q, **{name: w}, reduction="none", **options, **more)

    inputs = [tensor.requires_grad_() for tensor in inputs]
    assert torch.autograd.gradcheck(each, inputs)
    assert torch.autograd.gradgradcheck(each, inputs)


@both
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_precision(backend: Backend, loss: Any, dtype: torch.dtype) -> None:
    """Where all that is wanted leads, what is lost is relative to what is left."""
    rows, classes = 200, 7
    x = random_logits(rows, classes) / 10
    lead = torch.arange(rows) % classes
    x[torch.arange(rows), lead] += torch.linspace(-60, 60, rows).double()
    x, z = x.to(dtype), torch.nn.functional.one_hot(lead, classes).to(dtype)
    x, z = backend.put(x, z)
    got = evaluate(lambda x: loss(x, z, reduction="none"), x)
    want = evaluate(lambda x: loss(x, z, reduction="none"), x.double())
    assert [g.dtype for g in got] == [torch.float32, dtype]
    info = torch.finfo(dtype)
    for kind, g, w in zip(("loss", "gradient"), got, want, strict=True):
        rounding = 0 if kind == "loss" or dtype == torch.float32 else w.abs() * info.eps + info.smallest_normal
        error = ((g.double() - w).abs() - rounding).clamp(min=0) / w.abs()
        assert error[w.abs() > 1e-25].max() <= 1e-5, kind


@both
@pytest.mark.parametrize("classes", [1, 2, 5])
def test_finite_logits_have_finite_losses(backend: Backend, loss: Any, classes: int) -> None:
    for dtype, largest in ((torch.float32, 3.4028234e38), (torch.float64, 1.7976931348623157e308)):
        sizes = torch.tensor([0.0, 17, 88, 150, 745, 1e4, 1e20, largest], dtype=dtype)
        sizes = torch.cat((sizes, -sizes))
        x = torch.cartesian_prod(sizes, sizes)[:, torch.arange(classes) % 2]
        for z in (probabilities(len(x), classes), many_hot(len(x), classes)):
            x, z = backend.put(x, z.to(dtype))
            for smoothing in (0.0, 0.1):
                for tensor in evaluate(lambda x, s=smoothing, z=z: loss(x, z, label_smoothing=s, reduction="none"), x):
                    assert tensor.isfinite().all()


@both
def test_nan_reaches_its_row(backend: Backend, loss: Any) -> None:
    x = random_logits(5, 4)
    x[2, 1] = math.nan
    x, z = backend.put(x, many_hot(5, 4) + 0.1)
    value, gradient = evaluate(lambda x: loss(x, z, reduction="none"), x)
    assert value.isnan().nonzero().flatten().tolist() == [2]
    assert gradient.isnan().all(-1).nonzero().flatten().tolist() == [2]


@both
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_masked_classes(backend: Backend, loss: Any, smoothing: float) -> None:
    """Whose logits are -inf: without a target they cost nothing, with one they cost all; smoothing gives them one."""
    x, z = random_logits(6, 5) / 4, probabilities(6, 5) + 0.1
    x[:, 4], z[:, 4] = -math.inf, torch.tensor([0.0, 0.1]).repeat(3)
    x, z = backend.put(x, z)
    weight = torch.tensor([1.0, 0.5, 2.0, 1.0, 0.0], device=backend.device)
    name = "alpha" if loss is softmax_focal_loss else "class_weight"
    for options in ({}, {name: weight}):
        given = {"label_smoothing": smoothing, "reduction": "none"} | options
        got = evaluate(lambda x, o=given: loss(x, z, **o), x)
        near = evaluate(lambda x, o=given: loss(x, z, **o), x.clamp(min=-1e30))
        infinite = (z[:, 4] > 0).cpu() | (smoothing > 0)
        assert torch.equal(got[0] == math.inf, infinite & (not options))
        finite = got[0].isfinite()
        same([got[0][finite]], [near[0][finite]], rtol=1e-12)
        assert not got[1].isnan().any()
        if loss is cross_entropy_loss or not smoothing:
            same([got[1]], [near[1]], rtol=1e-9)


@both
def test_classes_in_another_dimension(backend: Backend, loss: Any) -> None:
    x, z, weight = random_logits(2, 5, 3, 4), many_hot(2, 5, 3, 4), uniform(2, 3, 4, seed=12)
    x, z, weight = backend.put(x, z, weight)
    got = evaluate(lambda x: loss(x, z, weight=weight, class_dim=1, reduction="none"), x)
    last = z.movedim(1, -1)
    want = evaluate(lambda x: loss(x, last, weight=weight, reduction="none"), x.movedim(1, -1))
    same(got, [want[0], want[1].movedim(-1, 1)])


@pytest.mark.usefixtures("fresh_compiler")
@of_the_reference
@both
def test_compiled(backend: Backend, loss: Any) -> None:
    x, z = backend.put(random_logits(6, 4), probabilities(6, 4))
    compiled = torch.compile(lambda x: loss(x, z, label_smoothing=0.1), fullgraph=True, backend="aot_eager")
    same(evaluate(compiled, x), evaluate(lambda x: loss(x, z, label_smoothing=0.1), x))


def test_places_that_require_a_gradient_get_one(backend: Backend) -> None:
    x, places = backend.put(random_logits(6, 5) / 3, torch.tensor([0.3, 1.6, 2.2, 3.7, -0.5, 4.5]).double())
    inputs = (x.requires_grad_(), places.requires_grad_())
    assert torch.autograd.gradcheck(lambda x, y: iouloss.distribution_focal_loss(x, y, reduction="none"), inputs)
