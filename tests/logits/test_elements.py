"""The arguments of the losses of single numbers: weights, reductions, layouts, class indices, modules, errors."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from backends import Backend, compiling
from cases import DTYPES, HALVES, evaluate, layouts, random_logits, uniform
from element_cases import Case, by_class, every_case, numbers
from torch import Tensor, nn

import iouloss
from iouloss import functional, reference

pytestmark = pytest.mark.regression

# ----------------------------------------------------------------------------------------------------------- arguments


@every_case
@pytest.mark.parametrize("per_row", [False, True])
def test_weights_and_reductions(backend: Backend, case: Case, per_row: bool) -> None:
    x, z = backend.put(*numbers(300))  # more than a block has
    weight = torch.linspace(0, 2, 300 * (1 if per_row else 5), dtype=torch.float64, device=backend.device)
    weight = weight if per_row else weight.view(300, 5)
    each = case(x, z, reduction="none") * (weight[:, None] if per_row else weight)
    torch.testing.assert_close(case(x, z, weight=weight, reduction="none"), each)
    torch.testing.assert_close(case(x, z, weight=weight, reduction="sum"), each.sum())
    torch.testing.assert_close(case(x, z, weight=weight), each.mean())
    for factor in (7.0, torch.tensor(7.0, device=backend.device)):
        torch.testing.assert_close(case(x, z, weight=weight, avg_factor=factor), each.sum() / 7)
    assert case(x, z, avg_factor=torch.tensor(0, device=backend.device)) == 0


@every_case
@pytest.mark.parametrize("dtype", [*DTYPES, "mixed"])
@pytest.mark.parametrize("upstream", [1.0, 3.0, math.inf])
def test_every_loss_leaves_its_gradient(
    backend: Backend, case: Case, dtype: torch.dtype | str, upstream: float
) -> None:
    """Of more than a block has, and not a multiple of what a thread takes; in any layout, with any factors."""
    kinds = (torch.float32, torch.float64) if dtype == "mixed" else (dtype, dtype)
    x, z = (values.to(kind) for values, kind in zip(numbers(251), kinds, strict=True))
    z, weight, by = backend.put(z, torch.linspace(0.5, 2, 251, dtype=torch.float64), torch.tensor(3.0))
    for view in (x, layouts(x)["every other column"]):
        leaf = view.to(backend.device).requires_grad_()
        losses = case(leaf, z, weight=weight, reduction="none")
        (want,) = torch.autograd.grad(losses, leaf, torch.full_like(losses, upstream))
        loss = case(leaf, z, weight=weight, reduction="sum")
        (got,) = torch.autograd.grad(loss, leaf, torch.full_like(loss, upstream))
        torch.testing.assert_close(loss, losses.sum(), rtol=1e-5, atol=1e-4)
        last = {torch.float16: 2.0**-10, torch.bfloat16: 2.0**-7}.get(kinds[0], 1e-6)
        torch.testing.assert_close(got, want, rtol=last, atol=1e-6, equal_nan=True)
        value, slope = evaluate(lambda x: case(x, z, weight=weight, avg_factor=by), leaf)
        torch.testing.assert_close(value, loss.cpu() / 3)
        if upstream == 1:
            torch.testing.assert_close(slope.double(), want.cpu().double() / 3, rtol=2 * last, atol=1e-6)


@every_case
def test_layouts(backend: Backend, case: Case) -> None:
    x, z = numbers(9)
    want = evaluate(lambda x: case(x, z.to(x.device)), x.to(backend.device))
    for view in layouts(x).values():
        got = evaluate(lambda x: case(x, z.to(x.device)), view.to(backend.device) if backend.device != "cpu" else view)
        for a, b in zip(got, want, strict=True):
            torch.testing.assert_close(a, b)
    transposed = z.t().contiguous().t()
    torch.testing.assert_close(case(*backend.put(x, transposed)).cpu(), want[0])


@every_case
@pytest.mark.parametrize("shape", [(0,), (0, 5), (3, 0), (1,), (2, 3, 4)])
def test_shapes(backend: Backend, case: Case, shape: tuple[int, ...]) -> None:
    x, z = backend.put(uniform(*shape), uniform(*shape, seed=1))
    for reduction in ("none", "sum", "mean"):
        loss, gradient = evaluate(lambda x, r=reduction: case(x, z, reduction=r), x)
        assert loss.shape == (shape if reduction == "none" else ()) and gradient.shape == shape
        assert x.numel() or (loss == 0).all()


@by_class
@pytest.mark.parametrize("columns", [1, 3, 5, 80])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_class_indices_are_one_hot(backend: Backend, case: Case, columns: int, dtype: torch.dtype) -> None:
    rows = backend.size(200)
    x = random_logits(rows, columns).to(dtype)
    classes = torch.arange(rows) % (columns + 3) - 1  # some are no class
    classes[5] = 2**40
    hot = (classes[:, None] == torch.arange(columns)).to(dtype)
    ignored = classes == columns
    x[ignored] = math.nan
    got = evaluate(
        lambda x: case(x, classes.to(x.device), reduction="none", ignore_index=columns), x.to(backend.device)
    )
    want = evaluate(lambda x: case(x, hot.to(x.device), reduction="none"), x.to(backend.device))
    for g, w in zip(got, want, strict=True):
        assert (g[ignored] == 0).all()
        torch.testing.assert_close(g[~ignored], w[~ignored], rtol=1e-5, atol=1e-12)
    mean = case(*backend.put(x, classes), ignore_index=columns)
    torch.testing.assert_close(mean.cpu(), got[0].sum() / max(int((~ignored).sum()) * columns, 1))


def test_scores_are_the_targets_of_the_classes(backend: Backend) -> None:
    x, classes, scores = random_logits(40, 7), torch.arange(40) % 9 - 1, uniform(40, seed=3)
    scores[classes == 4] = math.nan
    dense = (classes[:, None] == torch.arange(7)) * scores.nan_to_num()[:, None]
    kept = classes != 4
    moved = backend.put(classes, scores)
    for layout in (x, x.t().contiguous().t()):
        got = evaluate(
            lambda x: iouloss.quality_focal_loss(x, *moved, reduction="none", ignore_index=4), layout.to(backend.device)
        )
        want = evaluate(
            lambda x: iouloss.quality_focal_loss(x, dense.to(x.device), reduction="none"), x.to(backend.device)
        )
        for g, w in zip(got, want, strict=True):
            torch.testing.assert_close(g[kept], w[kept])
            assert (g[~kept] == 0).all()


def test_parameters_by_class(backend: Backend) -> None:
    x, z = backend.put(*numbers(30, 6))
    pos_weight = torch.linspace(0.5, 3, 6, dtype=torch.float64, device=backend.device)
    got = evaluate(lambda x: iouloss.binary_cross_entropy_loss(x, z, pos_weight), x)
    want = evaluate(lambda x: F.binary_cross_entropy_with_logits(x, z, pos_weight=pos_weight), x)
    for g, w in zip(got, want, strict=True):
        torch.testing.assert_close(g, w)
    for kind in HALVES:
        alpha = pos_weight.div(4).to(kind)
        got = evaluate(lambda x, a=alpha: iouloss.sigmoid_focal_loss(x, z, a, reduction="none"), x)
        for column in range(6):
            want = evaluate(
                lambda x, a=alpha, j=column: iouloss.sigmoid_focal_loss(x, z[:, j], float(a[j]), reduction="none"),
                x[:, column],
            )
            for g, w in zip(got, want, strict=True):
                torch.testing.assert_close(g[:, column], w, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_equalized_focal_loss_is_a_focal_loss_for_each_class(backend: Backend, dense: bool, dtype: torch.dtype) -> None:
    x, z = backend.put(*numbers(31, 6, dtype))
    balance = torch.linspace(0, 1, 6, dtype=dtype, device=backend.device)
    classes = (torch.arange(31) % 7).to(backend.device)
    targets = z if dense else classes
    got = evaluate(lambda x: iouloss.equalized_focal_loss(x, targets, balance, reduction="none"), x)
    for column in range(6):
        gamma = 2 + 8 * (1 - float(balance[column]))
        target = z[:, column] if dense else (classes == column).to(dtype)
        want = evaluate(
            lambda x, t=target, g=gamma: g / 2 * iouloss.sigmoid_focal_loss(x, t, gamma=g, reduction="none"),
            x[:, column],
        )
        for g, w in zip(got, want, strict=True):
            torch.testing.assert_close(g[:, column], w, rtol=1e-5, atol=1e-12)


# ---------------------------------------------------------------------------------------------------------- transforms


@compiling
@pytest.mark.usefixtures("fresh_compiler")
@every_case
def test_compiled(backend: Backend, case: Case) -> None:
    x, z = backend.put(*numbers(6))
    compiled = torch.compile(lambda x: case(x, z), fullgraph=True, backend="aot_eager")
    for got, want in zip(evaluate(compiled, x), evaluate(lambda x: case(x, z), x), strict=True):
        torch.testing.assert_close(got, want)


@every_case
def test_targets_that_require_a_gradient_get_one(backend: Backend, case: Case) -> None:
    x, z = backend.put(*numbers(5))
    _, slope, by_target = evaluate(lambda x, z: case(x, z, reduction="sum"), x, z)
    torch.testing.assert_close(slope, evaluate(lambda x: case(x, z, reduction="sum"), x)[1])
    assert by_target.isfinite().all()
    if case.is_difference:
        torch.testing.assert_close(by_target, -slope)


@every_case
def test_modules(backend: Backend, case: Case) -> None:
    name = "".join(
        {"l1": "L1", "l2": "L2", "poly1": "Poly1"}.get(part, part.capitalize()) for part in case.name.split("_")
    )
    module: nn.Module = getattr(iouloss, name)(**case.options)
    x, z = backend.put(*numbers(5))
    weight = torch.rand(5, device=backend.device)
    torch.testing.assert_close(module(x, z, weight, 3.0), case(x, z, weight=weight, avg_factor=3.0))
    assert all(f"{option}={value!r}" in repr(module) for option, value in case.options.items())


def test_modules_take_the_options_of_their_functions(backend: Backend) -> None:
    x, z = backend.put(*numbers(5, 3))
    alpha = torch.tensor([0.1, 0.5, 0.9], device=backend.device)
    module = iouloss.SigmoidFocalLoss(alpha, 1.5, reduction="sum")
    assert "alpha" in module.state_dict()
    torch.testing.assert_close(module(x, z), iouloss.sigmoid_focal_loss(x, z, alpha, 1.5, reduction="sum"))
    torch.testing.assert_close(iouloss.BinaryEntropyLoss()(x), iouloss.binary_entropy_loss(x))
    balance = torch.ones(3, device=backend.device)
    equalized = iouloss.EqualizedFocalLoss()(x, z, balance=balance)
    torch.testing.assert_close(equalized, iouloss.sigmoid_focal_loss(x, z))


# -------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("focal_star_loss", {"gamma": 0.0}, ValueError, "gamma: got 0.0, wants a finite number > 0"),
        ("poly1_focal_loss", {"alpha": 2.0}, ValueError, r"alpha: got 2.0, wants a number in \[0, 1\] or None"),
        ("quality_focal_loss", {"beta": -1.0}, ValueError, "beta: got -1.0, wants a finite number >= 0"),
        ("quality_focal_loss", {"scores": torch.ones(2)}, ValueError, "scores: got dense targets, wants class indices"),
        ("varifocal_loss", {"gamma": "2"}, TypeError, "gamma: got str, wants a finite number >= 0"),
        ("gaussian_focal_loss", {"alpha": math.nan}, ValueError, "alpha: got nan, wants a finite number >= 0"),
        (
            "binary_cross_entropy_loss",
            {"pos_weight": torch.ones(2)},
            ValueError,
            r"pos_weight: got shape \[2\], wants \[3\]",
        ),
        ("asymmetric_loss", {"margin": 1.5}, ValueError, r"margin: got 1.5, wants a number in \[0, 1\]"),
        ("sigmoid_focal_loss", {"label_smoothing": 2.0}, ValueError, "label_smoothing: got 2.0, wants a number in"),
        ("sigmoid_focal_loss", {"smooth_all": 1}, TypeError, "smooth_all: got int, wants a bool"),
        ("equalized_focal_loss", {"balance": 1.0}, TypeError, "balance: got float, wants a torch.Tensor"),
        ("equalized_focal_loss", {"balance": torch.ones(2)}, ValueError, r"balance: got shape \[2\], wants \[3\]"),
        (
            "equalized_focal_loss",
            {"balance": torch.ones(3, dtype=torch.int64)},
            TypeError,
            "balance: got dtype torch.int64, wants float64, float32, float16 or bfloat16",
        ),
        ("smooth_l1_loss", {"beta": -1.0}, ValueError, "beta: got -1.0, wants a finite number >= 0"),
        ("huber_loss", {"delta": 0.0}, ValueError, "delta: got 0.0, wants a finite number > 0"),
        ("balanced_l1_loss", {"alpha": 0.01}, ValueError, "gamma: got 1.5, wants at most 80 \\* alpha, 0.8"),
        ("focal_l1_loss", {"beta": 2.0}, ValueError, r"beta: got 2.0, wants a number in \[1 / e, 1\]"),
        ("l1_loss", {"reduction": "avg"}, ValueError, "reduction: got 'avg', wants 'mean', 'sum' or 'none'"),
        ("l1_loss", {"weight": torch.ones(3)}, ValueError, r"weight: got shape \[3\], wants \[2, 3\] or \[2\]"),
        (
            "l2_loss",
            {"avg_factor": 2.0, "reduction": "sum"},
            ValueError,
            "avg_factor: got reduction 'sum', wants 'mean'",
        ),
    ],
)
def test_errors(backend: Backend, name: str, options: dict[str, Any], error: type[Exception], message: str) -> None:
    moved = {key: value.to(backend.device) if isinstance(value, Tensor) else value for key, value in options.items()}
    with pytest.raises(error, match=message):
        getattr(functional, name)(*torch.zeros(2, 2, 3, device=backend.device).unbind(), **moved)


def test_other_errors(backend: Backend) -> None:
    x = torch.zeros(2, 3, device=backend.device)
    with pytest.raises(ValueError, match=r"target: got shape \[3\], wants pred's shape \[2, 3\]"):
        iouloss.l1_loss(x, x[0])
    with pytest.raises(TypeError, match=r"target: got dtype torch.int64, wants float64, float32, float16 or bfloat16"):
        iouloss.l1_loss(x, x.long())
    with pytest.raises(TypeError, match=r"pred: got list, wants a torch.Tensor"):
        iouloss.l1_loss([0.0], x)
    with pytest.raises(TypeError, match=r"target: got NoneType, wants a torch.Tensor"):
        iouloss.l1_loss(x, None)


def test_prior_bias() -> None:
    assert iouloss.prior_bias() == pytest.approx(-4.59512, abs=1e-5)
    assert iouloss.prior_bias(0.1) == pytest.approx(-2.19722, abs=1e-5)
    layer = nn.Conv2d(3, 4, 1)
    iouloss.init_prior_bias(layer, 0.02)
    torch.testing.assert_close(torch.sigmoid(layer.bias), torch.full((4,), 0.02))
    with pytest.raises(ValueError, match=r"pi: got 1.0, wants a number in \(0, 1\)"):
        iouloss.prior_bias(1.0)
    with pytest.raises(TypeError, match="layer: got Conv2d without a bias, wants a module with one"):
        iouloss.init_prior_bias(nn.Conv2d(3, 4, 1, bias=False))


def test_the_reference_is_what_the_kernels_are_held_against() -> None:
    x, z = numbers(4)
    value = reference.logit_loss(reference.LogitInputs(x, z, formula="binary_cross_entropy", ignore_index=-100))
    torch.testing.assert_close(value, F.binary_cross_entropy_with_logits(x, z))
