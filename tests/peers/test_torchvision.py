"""Equal to torchvision, where torchvision has the loss and gives a number."""

import pytest
import torch
from backends import Backend
from cases import KINKS, degenerate_boxes, evaluate, random_boxes

import iouloss

ops = pytest.importorskip("torchvision.ops")

BOX_LOSSES = [
    (iouloss.giou_loss, ops.generalized_box_iou_loss),
    (iouloss.diou_loss, ops.distance_box_iou_loss),
    (iouloss.ciou_loss, ops.complete_box_iou_loss),
]
every_loss = pytest.mark.parametrize("ours, theirs", BOX_LOSSES, ids=lambda loss: loss.__name__)


@every_loss
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [640.0, 1.0])
def test_box_losses(backend: Backend, ours, theirs, reduction: str, dtype: torch.dtype, scale: float) -> None:
    n = backend.size(500)
    boxes = random_boxes(n, scale, dtype)
    got = evaluate(lambda *b: ours(*b, reduction=reduction), *(box.to(backend.device) for box in boxes))
    wanted = evaluate(lambda *b: theirs(*b, reduction=reduction), *boxes)
    exact = dtype == torch.float64
    many = n if reduction == "sum" else 1
    assert got[0].dtype == wanted[0].dtype
    torch.testing.assert_close(got[0], wanted[0], rtol=0, atol=many * (1e-13 if exact else 2e-6))
    for g, w in zip(got[1:], wanted[1:], strict=True):
        known = w.isfinite()  # CIoU's is not, where rounding to a half made a line of a box
        assert known.float().mean() > 0.95 and g.isfinite().all()
        atol = (1e-13 if exact else 2e-6) * w[known].abs().max().item()
        torch.testing.assert_close(g[known], w[known], rtol=0 if exact else torch.finfo(dtype).eps, atol=atol)


@every_loss
def test_degenerate_boxes(backend: Backend, ours, theirs) -> None:
    kinks = torch.tensor(list(KINKS.values()), dtype=torch.float64)
    pairs = zip(degenerate_boxes(backend.size(500), 640.0), (kinks[:, 0], kinks[:, 1]), strict=True)
    boxes = [torch.cat(parts) for parts in pairs]
    got = evaluate(lambda *b: ours(*b, reduction="none"), *(box.to(backend.device) for box in boxes))
    wanted = evaluate(lambda *b: theirs(*b, reduction="none"), *boxes)
    known = torch.stack([tensor.reshape(len(tensor), -1).isfinite().all(1) for tensor in wanted]).all(0)
    assert known.all() or ours is iouloss.ciou_loss  # whose aspect ratio is NaN there for lines and points
    assert known.sum() >= len(known) / 3
    for g, w in zip(got, wanted, strict=True):
        torch.testing.assert_close(g[known], w[known], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("alpha, gamma", [(0.25, 2.0), (0.5, 1.0), (-1.0, 0.0), (0.75, 5.0), (0.0, 1.5)])
@pytest.mark.parametrize("hard", [True, False])
def test_sigmoid_focal_loss(backend: Backend, reduction: str, alpha: float, gamma: float, hard: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(backend.size(40), 7, generator=generator, dtype=torch.float64) * 3
    targets = torch.rand(logits.shape, generator=generator, dtype=torch.float64)
    targets = (targets > 0.8).double() if hard else targets
    ours = None if alpha < 0 else alpha  # torchvision switches alpha off by a negative number
    got = evaluate(
        lambda x: iouloss.sigmoid_focal_loss(x, targets.to(backend.device), ours, gamma, reduction=reduction),
        logits.to(backend.device),
    )
    wanted = evaluate(lambda x: ops.sigmoid_focal_loss(x, targets, alpha, gamma, reduction), logits)
    for g, w in zip(got, wanted, strict=True):
        torch.testing.assert_close(g, w, rtol=1e-10, atol=1e-13)
