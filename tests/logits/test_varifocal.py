"""The varifocal loss of class indices, and with a focus that is constant to the gradient, as RT-DETR has it."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from backends import KINDS, Backend, of_the_reference
from cases import evaluate, random_logits, uniform
from torch import Tensor

from iouloss import VarifocalLoss, varifocal_loss

# The instruction set makes no difference: the reference serves most of this.
pytestmark = pytest.mark.parametrize("backend", KINDS, indirect=True)
every_focus = pytest.mark.parametrize("differentiable", [False, True])


def rt_detr(x: Tensor, index: Tensor, scores: Tensor, differentiable: bool, alpha: float, gamma: float) -> Tensor:
    """The loss as it is usually written: the positive is where the class is, not where the score is positive."""
    label = (index[..., None] == torch.arange(x.shape[-1])).to(x.dtype)
    score = label * scores[..., None]
    p = torch.sigmoid(x)
    focus = alpha * (p if differentiable else p.detach()) ** gamma * (1 - label) + score
    bce = F.binary_cross_entropy_with_logits(x, score, reduction="none")
    return focus * bce


def objects() -> tuple[Tensor, Tensor, Tensor]:
    index = torch.arange(24) % 7 - 1  # -1 and 5 are background
    scores = uniform(24, seed=2)
    scores[::4] = 0.0
    return random_logits(24, 5) / 2, index, scores


@every_focus
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_class_indices_are_rt_detrs(backend: Backend, differentiable: bool, gamma: float) -> None:
    x, index, scores = objects()
    moved = backend.put(index, scores)
    options = {"alpha": 0.6, "gamma": gamma, "differentiable_focus": differentiable, "reduction": "none"}
    got = evaluate(lambda x: varifocal_loss(x, moved[0], scores=moved[1], **options), x.to(backend.device))
    want = evaluate(lambda x: rt_detr(x, index, scores, differentiable, 0.6, gamma), x)
    for g, w in zip(got, want, strict=True):
        torch.testing.assert_close(g, w, rtol=1e-10, atol=1e-12)
    nothing = torch.zeros_like(x, dtype=torch.bool)
    rows = ((index >= 0) & (index < 5) & (scores == 0)).nonzero().flatten()
    nothing[rows, index[rows]] = True
    assert nothing.any() and not got[0][nothing].any() and not got[1][nothing].any()


@every_focus
@pytest.mark.parametrize("weighted", [False, True])
def test_class_indices_are_dense_where_scores_are_positive(
    backend: Backend, differentiable: bool, weighted: bool
) -> None:
    x, index, scores = objects()
    scores = scores + 0.1
    dense = (index[:, None] == torch.arange(5)) * scores[:, None]
    x, index, scores, dense = backend.put(x, index, scores, dense)
    options: dict[str, Any] = {"iou_weighted": weighted, "differentiable_focus": differentiable}
    for reduction in ("none", "mean"):
        got = evaluate(
            lambda x, r=reduction: varifocal_loss(x, index.short(), scores=scores, reduction=r, **options), x
        )
        want = evaluate(lambda x, r=reduction: varifocal_loss(x, dense, reduction=r, **options), x)
        for g, w in zip(got, want, strict=True):
            torch.testing.assert_close(g, w)
    hot = (dense > 0).to(x.dtype)
    torch.testing.assert_close(varifocal_loss(x, index, **options), varifocal_loss(x, hot, **options))


def test_a_positive_of_score_0_is_one(backend: Backend) -> None:
    x, index, scores = backend.put(torch.tensor([[1.5]]), torch.tensor([0]), torch.tensor([0.0]))
    value = varifocal_loss(x, index, scores=scores, iou_weighted=False)
    torch.testing.assert_close(value, F.softplus(x).squeeze())  # the cross entropy of target 0, without alpha or focus
    assert varifocal_loss(x, index, scores=scores) == 0


@every_focus
def test_ignored_rows_and_dimensions(backend: Backend, differentiable: bool) -> None:
    x, index, scores = objects()
    index = torch.where(index == 2, 255, index)
    ignored = index == 255
    scores[ignored], x[ignored] = torch.nan, torch.inf
    options = {"differentiable_focus": differentiable, "ignore_index": 255}
    x, index, scores = backend.put(x, index, scores)
    got = evaluate(lambda x: varifocal_loss(x, index, scores=scores, **options), x)
    kept = ~ignored.to(backend.device)
    want = evaluate(
        lambda x: varifocal_loss(x, index[kept], scores=scores[kept], differentiable_focus=differentiable), x[kept]
    )
    torch.testing.assert_close(got[0], want[0])
    torch.testing.assert_close(got[1][~ignored], want[1])
    assert not got[1][ignored].any()
    images = (index.reshape(2, 3, 4), scores.reshape(2, 3, 4))
    there = varifocal_loss(x.reshape(2, 3, 4, 5).movedim(-1, 1), images[0], scores=images[1], class_dim=1, **options)
    torch.testing.assert_close(there.cpu(), got[0])


def test_a_constant_focus_changes_the_gradient_alone(backend: Backend) -> None:
    x, z = backend.put(random_logits(9, 4) / 3, uniform(9, 4, seed=5).round())
    options: dict[str, Any] = {"reduction": "none"}
    got = evaluate(lambda x: varifocal_loss(x, z, differentiable_focus=False, **options), x)
    want = evaluate(lambda x: varifocal_loss(x, z, **options), x)
    torch.testing.assert_close(got[0], want[0])
    x, z = x.cpu(), z.cpu()
    p = x.sigmoid()
    torch.testing.assert_close(got[1], torch.where(z > 0, z * (p - z), 0.75 * p**3))


def test_module(backend: Backend) -> None:
    x, index, scores = backend.put(*objects())
    module = VarifocalLoss(differentiable_focus=False)
    expected = varifocal_loss(x, index, differentiable_focus=False, scores=scores)
    assert torch.equal(module(x, index, scores=scores), expected)
    with pytest.raises(ValueError, match="scores: got dense targets, wants class indices"):
        varifocal_loss(x, x.sigmoid(), scores=scores)


@pytest.mark.usefixtures("fresh_compiler")
@of_the_reference
def test_compiled(backend: Backend) -> None:
    x, index, scores = backend.put(*objects())

    def loss(x: Tensor) -> Tensor:
        return varifocal_loss(x, index, differentiable_focus=False, scores=scores)

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for got, want in zip(evaluate(compiled, x), evaluate(loss, x), strict=True):
        torch.testing.assert_close(got, want)
