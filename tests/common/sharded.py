"""What each of two processes does with losses of sharded tensors. It is a module, so that both can import it."""

from datetime import timedelta
from typing import Any

import pytest
import torch
import torch.distributed
from every_loss import BOXES, ELEMENTS, ROWS, Loss
from torch.distributed.tensor import DeviceMesh, Replicate, Shard, distribute_tensor

import iouloss

LOSSES: tuple[Loss, ...] = (*BOXES[::9], *ELEMENTS[:25:3], *(loss for loss in ROWS if loss.id in ("kl", "entropy")))


def close(got: Any, wanted: Any) -> None:
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-11)


def compare(loss: Loss, mesh: DeviceMesh, dim: int, reduction: str) -> None:
    """Value, placement and gradient of a loss whose tensors are sharded along ``dim``, where they have it."""
    inputs = [torch.cat((x, x.flip(0))) for x in loss.inputs]
    given = [distribute_tensor(x, mesh, [Shard(dim) if x.ndim > dim else Replicate()]) for x in inputs]
    leaves = [x.detach().requires_grad_() for x in (inputs[0], given[0])]
    values = [loss(leaf, *rest[1:], reduction=reduction) for leaf, rest in zip(leaves, (inputs, given), strict=True)]
    gradients = [torch.autograd.grad(value.sum(), leaf)[0] for value, leaf in zip(values, leaves, strict=True)]
    for wanted, got in (values, gradients):
        close(got.full_tensor(), wanted)
    if reduction == "none" and dim == 0:
        assert values[1].placements == (Shard(0),)


def worker(rank: int, path: str) -> None:
    store = torch.distributed.FileStore(path, 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=60))
    mesh = DeviceMesh("cpu", [0, 1])
    for loss in LOSSES:
        for dim in (0, 1):
            for reduction in ("none", "mean", "sum"):
                compare(loss, mesh, dim, reduction)
    classes = distribute_tensor(torch.tensor([0, 3, 1, 2]), mesh, [Shard(0)])
    logits = distribute_tensor(torch.linspace(-2, 2, 16).reshape(4, 4), mesh, [Shard(0)])
    whole = logits.full_tensor(), classes.full_tensor()
    for function in (iouloss.cross_entropy_loss, iouloss.sigmoid_focal_loss, iouloss.softmax_focal_loss):
        for reduction in ("none", "mean"):
            got = function(logits, classes, reduction=reduction)
            torch.testing.assert_close(got.full_tensor(), function(*whole, reduction=reduction))
    places = distribute_tensor(torch.tensor([0.3, 2.5, 1.0, 3.0]), mesh, [Shard(0)])
    got, wanted = (
        iouloss.distribution_focal_loss(*pair) for pair in ((logits, places), (whole[0], places.full_tensor()))
    )
    torch.testing.assert_close(got.full_tensor(), wanted)
    with pytest.raises(TypeError, match=r"^logits: got a DTensor, wants "):
        iouloss.dice_loss(logits, logits)
    with pytest.raises(RuntimeError, match=r"mixed torch\.Tensor and DTensor"):
        iouloss.l1_loss(logits, whole[0])
    torch.distributed.destroy_process_group()
