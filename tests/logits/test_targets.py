"""What the losses of logits take for targets: of any dtype, dense or class indices, some of them ignored."""

import math
from typing import Any

import pytest
import torch
from backends import KINDS, Backend, compiling
from cases import DTYPES, INTEGERS, evaluate, random_logits, same, uniform
from logit_cases import LogitCase, by_class, focal, numbers
from row_cases import ROW_CASES, RowCase
from torch import Tensor

import iouloss

row_of_class = pytest.mark.parametrize(
    "case", [case for case in ROW_CASES if case.targets == "classes"], ids=lambda case: case.name
)
every_integer = pytest.mark.parametrize("dtype", INTEGERS, ids=str)


def results(case: LogitCase | RowCase, x: Tensor, targets: Tensor, **options: Any) -> list[Tensor]:
    """The losses one by one and their mean, and the gradients of both."""
    each = evaluate(lambda x: case(x, targets, reduction="none", **options), x)
    return each + evaluate(lambda x: case(x, targets, **options), x)


# -------------------------------------------------------------------------------------------------------------- dtypes


@by_class
@every_integer
def test_dense_targets_of_integers(backend: Backend, case: LogitCase, dtype: torch.dtype) -> None:
    x = random_logits(33, 5, dtype=DTYPES[INTEGERS.index(dtype) % 4]).to(backend.device)
    z = (uniform(33, 5, seed=1) > 0.6).to(backend.device)
    got, want = results(case, x, z.to(dtype)), results(case, x, z.to(x.dtype))
    assert [g.dtype for g in got] == [w.dtype for w in want]
    same(got, want)


def indices(dtype: torch.dtype) -> Tensor:
    """Classes of 3, and indices that are none: among those of a uint8 is 156, whose bits are -100's."""
    numbers = {torch.bool: [0, 1], torch.uint8: [0, 1, 2, 3, 156, 255]}.get(dtype, [0, 1, 2, 3, -1, -100, 127])
    return torch.tensor(numbers * 3)


@by_class
@every_integer
def test_class_indices_of_any_integer_dtype(backend: Backend, case: LogitCase, dtype: torch.dtype) -> None:
    index = indices(dtype).to(backend.device)
    x = random_logits(len(index), 3).to(backend.device)
    for ignore_index in (None, 1, 255):
        got = results(case, x, index.to(dtype), ignore_index=ignore_index)
        same(got, results(case, x, index, ignore_index=ignore_index))


@row_of_class
@every_integer
def test_rows_take_class_indices_of_any_integer_dtype(backend: Backend, case: RowCase, dtype: torch.dtype) -> None:
    index = indices(dtype).to(backend.device)
    x = random_logits(len(index), 3).to(backend.device)
    for ignore_index in (None, 1, 300):
        got = results(case, x, index.to(dtype), ignore_index=ignore_index)
        same(got, results(case, x, index, ignore_index=ignore_index))


def test_the_one_class_is_target_1(backend: Backend) -> None:
    x = random_logits(4, 1).to(backend.device)
    index = torch.tensor([0, 1, -1, -100], device=backend.device)
    got = iouloss.sigmoid_focal_loss(x, index, reduction="none")
    want = iouloss.sigmoid_focal_loss(x, torch.tensor([[1.0], [0.0], [0.0], [0.0]]).to(x), reduction="none")
    want[3] = 0
    same([got], [want])


# ------------------------------------------------------------------------------------------------------------- ignored


@by_class
@pytest.mark.parametrize(
    ("dtype", "weighted"),
    [
        (torch.float64, "each"),
        (torch.float32, "row"),
        (torch.float16, None),
        (torch.bfloat16, "each"),
        (torch.uint8, "each"),
        (torch.int64, "row"),
    ],
    ids=str,
)
def test_ignored_dense_targets(backend: Backend, case: LogitCase, dtype: torch.dtype, weighted: str | None) -> None:
    x, z = numbers(40, 5)
    z = z.round() if dtype in INTEGERS else z
    ignored = uniform(40, 5, seed=7) < 0.3
    weight = None if weighted is None else uniform(40, 5, seed=8) if weighted == "each" else uniform(40, seed=8)
    options = {"weight": None if weight is None else weight.to(backend.device)}
    x, z, ignored = backend.put(x, z.to(dtype), ignored)
    want = evaluate(lambda x: case(x, z, reduction="none", **options), x)
    z = torch.where(ignored, 255, z).to(dtype)
    x = torch.where(ignored, torch.tensor([math.nan, math.inf, -math.inf, 1e30, 0.0]).to(x), x)
    if weighted == "each":
        options["weight"] = torch.where(ignored, math.nan, options["weight"])
    got = evaluate(lambda x: case(x, z, reduction="none", ignore_index=255, **options), x)
    ignored = ignored.cpu()
    for g, w in zip(got, want, strict=True):
        assert (g[ignored] == 0).all()
        torch.testing.assert_close(g[~ignored], w[~ignored], rtol=1e-9, atol=1e-12)
    count = int((~ignored).sum())
    for reduction, divisor in (("sum", 1), ("mean", count)):
        total = evaluate(lambda x, r=reduction: case(x, z, reduction=r, ignore_index=255, **options), x)
        same(total, [got[0].sum() / divisor, got[1] / divisor], rtol=1e-9)
    by = evaluate(lambda x: case(x, z, avg_factor=3, ignore_index=255, **options), x)
    same(by, [got[0].sum() / 3, got[1] / 3], rtol=1e-9)


@by_class
def test_dense_targets_are_ignored_by_name_alone(backend: Backend, case: LogitCase) -> None:
    x = random_logits(3, 2).to(backend.device)
    nothing = torch.full_like(x, -100.0)
    assert case(x, nothing, reduction="none").any()
    for tensor in evaluate(lambda x: case(x, nothing, ignore_index=-100), x):
        assert not tensor.any()


def test_a_mean_leaves_out_what_is_ignored(backend: Backend) -> None:
    x, z = backend.put(torch.tensor([[2.0, -1.0, math.nan]]), torch.tensor([[1.0, 0.0, 255.0]]))
    mean = iouloss.sigmoid_focal_loss(x, z, ignore_index=255)
    torch.testing.assert_close(mean, iouloss.sigmoid_focal_loss(x[:, :2], z[:, :2]))
    by_hand = [focal(*pair, 2) for pair in ((2.0, 1.0), (-1.0, 0.0))]
    assert mean.item() == pytest.approx(sum(by_hand) / 2)


def test_targets_that_are_ignored_get_no_gradient(backend: Backend) -> None:
    x, z = random_logits(3, 2).to(backend.device), torch.tensor([[0.2, 7.0], [7.0, 1.0], [0.0, 0.5]]).double()
    x[0, 1] = math.nan
    z = z.to(backend.device).requires_grad_()
    iouloss.sigmoid_focal_loss(x, z, ignore_index=7).backward()
    assert z.grad.isfinite().all() and torch.equal(z.grad == 0, z == 7)


# ------------------------------------------------------------------------------------- classes in another dimension


def moved(value: Any, to: int) -> Any:
    """What has four dimensions, with its last one, the classes, brought to another place."""
    return value.movedim(-1, to) if isinstance(value, Tensor) and value.ndim == 4 else value


@by_class
@pytest.mark.parametrize("backend", KINDS, indirect=True)
@pytest.mark.parametrize("dim", [1, -4])
@pytest.mark.parametrize("kind", ["dense", "dense, row weights", "dense, weights", "indices", "indices, row weights"])
def test_classes_in_another_dimension(backend: Backend, case: LogitCase, dim: int, kind: str) -> None:
    x, z, each = (uniform(2, 3, 4, 5, seed=seed).to(backend.device) for seed in range(3))
    x = 8 * x - 4
    index = (torch.arange(24).reshape(2, 3, 4) % 7 - 1).int().to(backend.device)
    options: dict[str, Any] = {"ignore_index": 4} if "indices" in kind else {}
    if "weights" in kind:
        options["weight"] = each[..., 0] if "row" in kind else each
    if kind == "indices" and case.name == "quality_focal_loss":
        options["scores"] = each[..., 1]
    if case.name == "sigmoid_focal_loss":
        options["alpha"] = torch.linspace(0.1, 0.9, 5, dtype=torch.float64, device=backend.device)
    if case.name == "binary_cross_entropy_loss" and "pos_weight" not in case.options:
        options["pos_weight"] = torch.linspace(0.5, 3, 5, dtype=torch.float64, device=backend.device)
    targets = index if "indices" in kind else z
    want = results(case, x, targets, **options)
    there = {name: moved(value, dim) for name, value in options.items()}
    for layout in (moved(x, dim), moved(x, dim).contiguous()):
        got = results(case, layout, moved(targets, dim), class_dim=dim, **there)
        assert got[0].shape == got[1].shape == layout.shape
        same(got, [moved(w, dim) for w in want], rtol=1e-9)


def test_parameters_of_classes_in_another_dimension(backend: Backend) -> None:
    x, z = (uniform(2, 3, 4, seed=seed).to(backend.device) for seed in (0, 1))
    weight = z[:, 0]
    for loss, option in (
        (iouloss.equalized_focal_loss, {"balance": torch.tensor([0.0, 0.5, 1.0], device=backend.device)}),
        (iouloss.binary_entropy_loss, {"weight": weight}),
    ):
        targets = () if loss is iouloss.binary_entropy_loss else (z,)
        last = [tensor.movedim(1, -1) for tensor in targets]
        got = evaluate(lambda x, f=loss, t=targets, o=option: f(x, *t, class_dim=1, reduction="none", **o), x)
        want = evaluate(lambda x, f=loss, t=last, o=option: f(x, *t, reduction="none", **o), x.movedim(1, -1))
        same(got, [w.movedim(-1, 1) for w in want])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"class_dim": 4}, ValueError, "class_dim: got 4, wants a dimension of the logits, -4 to 3"),
        ({"class_dim": 1.0}, TypeError, "class_dim: got float, wants an int"),
        (
            {"targets": torch.zeros(2, 3, dtype=torch.int64)},
            ValueError,
            "targets: got shape [2, 3], wants [2, 5, 3, 4] (dense) or [2, 3, 4] (class indices, where 0 is the first "
            "class)",
        ),
        ({"weight": torch.ones(2, 5, 3)}, ValueError, "weight: got shape [2, 5, 3], wants [2, 5, 3, 4] or [2, 3, 4]"),
        ({"alpha": torch.ones(4)}, ValueError, "alpha: got shape [4], wants [5]"),
    ],
    ids=str,
)
def test_errors_name_the_callers_shapes(
    backend: Backend, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    given = {"logits": torch.zeros(2, 5, 3, 4), "targets": torch.zeros(2, 5, 3, 4), "class_dim": 1} | options
    given = {name: x.to(backend.device) if isinstance(x, Tensor) else x for name, x in given.items()}
    with pytest.raises(error) as caught:
        iouloss.sigmoid_focal_loss(**given)
    assert str(caught.value) == message


@compiling
@pytest.mark.usefixtures("fresh_compiler")
def test_compiled_losses_are_the_eager_ones(backend: Backend) -> None:
    x, z = numbers(6, 3)
    z[::2] = 255
    x, z = backend.put(x, z)
    index = torch.tensor([0, 2, 7, 1, 7, 3], dtype=torch.int32, device=backend.device)

    def loss(x: Tensor) -> Tensor:
        dense = iouloss.quality_focal_loss(x, z, ignore_index=255)
        first = iouloss.sigmoid_focal_loss(x, index[:3], class_dim=0, reduction="none").sum()
        return dense + first + iouloss.cross_entropy_loss(x, index, ignore_index=7)

    same(evaluate(torch.compile(loss, fullgraph=True, backend="aot_eager"), x), evaluate(loss, x))
