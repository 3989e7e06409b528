"""``mask=``: which boxes count, without a gather."""

import math

import pytest
import torch
from backends import Backend, compiling
from cases import DTYPES, HALVES, BoxCase, evaluate, every_case, layouts, random_boxes
from hypothesis import given, settings
from hypothesis import strategies as st
from operators import arguments
from torch import Tensor

import iouloss
from iouloss.reference import BoxInputs

pytestmark = pytest.mark.regression

N = 700  # more than two tiles and two blocks


def masked(n: int = N) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, of which those that are left out are NaN, and the mask. Some stretches are left out as a whole."""
    pred, target = random_boxes(n, 64.0)
    mask = (torch.arange(n) % 3 == 1) & (torch.arange(n) // 128 % 2 == 0)
    pred[~mask] = math.nan
    target[~mask] = math.inf
    return pred, target, mask


@every_case
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("dtypes", [(kind, kind) for kind in DTYPES] + [(kind, torch.float64) for kind in DTYPES[1:]])
def test_the_losses_are_those_of_the_boxes_it_keeps(
    backend: Backend, case: BoxCase, reduction: str, dtypes: tuple[torch.dtype, torch.dtype]
) -> None:
    pred, target, mask = masked(backend.size(N))
    pred, target = pred.to(dtypes[0]), target.to(dtypes[1])
    weight = torch.where(mask, torch.linspace(0.5, 2, len(pred), dtype=torch.float64), math.nan)
    moved = backend.put(pred, target, weight, mask)
    got = evaluate(lambda p, t: case(p, t, moved[2], mask=moved[3], reduction=reduction), *moved[:2])
    kept = backend.put(pred[mask], target[mask])
    want = evaluate(lambda p, t: case(p, t, moved[2][moved[3]], reduction=reduction), *kept)
    if reduction == "none":
        assert (got[0][~mask] == 0).all()
        got[0] = got[0][mask]
    torch.testing.assert_close(got[0], want[0])
    for g, w in zip(got[1:], want[1:], strict=True):
        assert (g[~mask] == 0).all()
        torch.testing.assert_close(g[mask], w)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_a_list_of_indices_is_a_mask(backend: Backend, reduction: str) -> None:
    pred, target, mask = masked(backend.size(N))
    boxes, index = backend.put(pred, target), mask.nonzero()[:, 0].flip(0).to(backend.device)
    by_mask, by_index = (
        evaluate(lambda *b, kept=kept: iouloss.ciou_loss(*b, mask=kept, reduction=reduction), *boxes)
        for kept in (mask.to(backend.device), index)
    )
    assert all(torch.equal(a, b) for a, b in zip(by_mask, by_index, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("upstream", [1.0, 3.0, math.inf])
def test_what_is_left_out_gets_no_gradient_whatever_is_upstream(
    backend: Backend, dtype: torch.dtype, upstream: float
) -> None:
    pred, target, mask = backend.put(*masked(backend.size(N)))
    leaf = pred.to(dtype).requires_grad_()
    loss = iouloss.ciou_loss(leaf, target.to(dtype), mask=mask)
    (gradient,) = torch.autograd.grad(loss, leaf, torch.full_like(loss, upstream))
    assert (gradient[~mask] == 0).all()
    assert dtype in HALVES or gradient[mask].isfinite().all() == math.isfinite(upstream)


def test_nothing_is_kept(backend: Backend) -> None:
    pred, target = backend.put(*random_boxes(5, 64.0))
    for mask in (torch.zeros(5, dtype=torch.bool), torch.zeros(0, dtype=torch.int64), torch.tensor([5, -1, 2**40])):
        loss, gradient = evaluate(lambda p, mask=mask: iouloss.giou_loss(p, target, mask=mask.to(p.device)), pred)
        assert loss == 0 and (gradient == 0).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-3, 12), max_size=12))
def test_indices_count_once_and_only_those_of_boxes(index: list[int]) -> None:
    pred, target = random_boxes(9, 64.0)
    kept = torch.tensor([i in index for i in range(9)])
    got, want = (
        iouloss.diou_loss(pred.view(3, 3, 4), target.view(3, 3, 4), mask=mask, reduction="none")
        for mask in (torch.tensor(index, dtype=torch.int64), kept.view(3, 3))
    )
    assert torch.equal(got, want) and ((got != 0) == kept.view(3, 3)).all()


@pytest.mark.parametrize("layout", list(layouts(torch.empty(9, 2))))
def test_layouts_of_the_mask(backend: Backend, layout: str) -> None:
    boxes = backend.put(*(box.view(9, 2, 4) for box in random_boxes(18, 64.0)))
    mask = torch.arange(18).view(9, 2) % 4 == 1
    strided = layouts(mask.double())[layout].bool() if layout == "misaligned" else layouts(mask.double())[layout] == 1
    want = iouloss.eiou_loss(*boxes, mask=mask.to(backend.device), reduction="none")
    assert torch.equal(iouloss.eiou_loss(*boxes, mask=strided.to(backend.device), reduction="none"), want)
    assert torch.equal(iouloss.eiou_loss(*boxes, mask=mask.t().to(backend.device).t(), reduction="none"), want)


def test_other_placements_of_eps_and_avg_factor(backend: Backend) -> None:
    pred, target, mask = backend.put(*masked(64))
    for mode in ("torchvision", "mmdet"):
        got = iouloss.ciou_loss(pred, target, mask=mask, eps_mode=mode, avg_factor=7.0)
        want = iouloss.ciou_loss(pred[mask], target[mask], eps_mode=mode, avg_factor=7.0)
        torch.testing.assert_close(got, want)


@compiling
@pytest.mark.usefixtures("fresh_compiler")
def test_compiled(backend: Backend) -> None:
    boxes = backend.put(*random_boxes(6, 64.0))
    mask = torch.arange(6) % 2 == 0
    for given_mask in backend.put(mask, mask.nonzero()[:, 0]):

        def loss(pred: Tensor, target: Tensor, kept: Tensor = given_mask) -> Tensor:
            return iouloss.ciou_loss(pred, target, mask=kept)

        compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(evaluate(compiled, *boxes), evaluate(loss, *boxes))


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        ([True] * 3, TypeError, "mask: got list, wants a torch.Tensor"),
        (torch.ones(3), TypeError, "mask: got dtype torch.float32, wants torch.bool"),
        (torch.ones(4, dtype=torch.bool), ValueError, r"mask: got shape \[4\], wants \[3\]"),
        (torch.ones(1, 1, dtype=torch.int64), ValueError, r"mask: got indices of shape \[1, 1\], wants \[K\]"),
        (torch.ones(3, dtype=torch.bool, device="meta"), ValueError, "mask: got device meta, wants pred's device cpu"),
    ],
)
def test_errors(mask: object, error: type[Exception], message: str) -> None:
    boxes = random_boxes(3, 64.0)
    with pytest.raises(error, match=message):
        iouloss.ciou_loss(*boxes, mask=mask)
    if (
        iouloss.backend_info()["backend"]["cpu"] == "compiled"
        and isinstance(mask, Tensor)
        and mask.dtype != torch.int64
    ):
        with pytest.raises(error, match=message):
            torch.ops.iouloss.box_loss(**arguments("box_loss", BoxInputs(*boxes, mask=mask)))
