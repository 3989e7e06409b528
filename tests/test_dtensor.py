"""Tensors of other classes: those that implement the operators themselves, and those that do not."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from conftest import EMULATED, KINDS, Backend
from every_loss import BOXES, ELEMENTS, REGIONS, ROWS, Loss
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch._subclasses.functional_tensor import FunctionalTensor, FunctionalTensorMode
from torch.distributed.tensor import DeviceMesh, Replicate, Shard, distribute_tensor

import iouloss

every_kind = pytest.mark.parametrize("backend", KINDS, indirect=True)
SHARDED: tuple[Loss, ...] = (*BOXES[::9], *ELEMENTS[:25:3], *(loss for loss in ROWS if loss.id in ("kl", "entropy")))
SOME = (*SHARDED, *ROWS[4:6], REGIONS[0])
some_losses = pytest.mark.parametrize("loss", SOME, ids=lambda loss: loss.id)


def close(got: Any, wanted: Any) -> None:
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-11)


# --------------------------------------------------------------------------------------- DTensor, of two processes


def _compare(loss: Loss, mesh: DeviceMesh, dim: int, reduction: str) -> None:
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


def _worker(rank: int, path: str) -> None:
    store = torch.distributed.FileStore(path, 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=60))
    mesh = DeviceMesh("cpu", [0, 1])
    for loss in SHARDED:
        for dim in (0, 1):
            for reduction in ("none", "mean", "sum"):
                _compare(loss, mesh, dim, reduction)
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


@pytest.mark.skipif(EMULATED, reason="gloo moves what is in the memory of the CPU")
def test_sharded_losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(Path(__file__).parent), os.environ.get("PYTHONPATH", ""))))
    torch.multiprocessing.spawn(_worker, (str(tmp_path / "store"),), nprocs=2)


# ------------------------------------------------------------------------------------------------ the other classes


class Named(Tensor):
    """A class that only has a name, as the boxes and masks of torchvision.tv_tensors."""


@every_kind
@some_losses
def test_a_class_of_tensors_without_operators(backend: Backend, loss: Loss, monkeypatch: pytest.MonkeyPatch) -> None:
    first = loss.on(backend.device).inputs[0]
    wanted = loss.by(first)
    if backend.compiled:
        for name in ("box_loss", "logit_loss", "regression_loss", "row_loss", "region_loss"):
            monkeypatch.setattr(iouloss._ops.reference, name, None)
    close(loss.by(first.as_subclass(Named)).as_subclass(Tensor), wanted)
    close(loss.by(torch.nn.Parameter(first)), wanted)
    with torch.inference_mode():
        close(loss.by(first.clone()), wanted)


@every_kind
@some_losses
def test_fake_tensors(backend: Backend, loss: Loss) -> None:
    wanted = loss(*loss.on(backend.device).inputs, reduction="none")
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        inputs = [mode.from_tensor(x) for x in loss.inputs]
        inputs[0].requires_grad_()
        value = loss(*inputs, reduction="none")
        assert isinstance(value, FakeTensor) and value.shape == wanted.shape and value.dtype == wanted.dtype
        assert torch.autograd.grad(value.sum(), inputs[0])[0].shape == inputs[0].shape


@every_kind
@some_losses
def test_functional_tensors(backend: Backend, loss: Loss) -> None:
    first, *_ = loss.on(backend.device).inputs
    with FunctionalTensorMode():
        value = loss.by(FunctionalTensor.to_functional(first))
    close(value.from_functional(), loss.by(first))


@every_kind
def test_functional_call(backend: Backend) -> None:
    module = iouloss.CrossEntropyLoss(class_weight=torch.ones(3))
    logits, classes = backend.put(torch.linspace(-2, 2, 12, dtype=torch.float64).reshape(4, 3), torch.arange(4) % 3)
    weight = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64, device=backend.device)
    got = torch.func.functional_call(module, {"class_weight": weight}, (logits, classes))
    close(got, iouloss.cross_entropy_loss(logits, classes, class_weight=weight))
