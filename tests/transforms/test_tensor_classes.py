"""Tensors of other classes: those that implement the operators themselves, and those that do not."""

import os
from pathlib import Path

import pytest
import sharded
import torch
import torch.multiprocessing
from backends import EMULATED, Backend, every_kind
from every_loss import REGIONS, ROWS, Loss
from sharded import close
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch._subclasses.functional_tensor import FunctionalTensor, FunctionalTensorMode

import iouloss

SOME = (*sharded.LOSSES, *ROWS[4:6], REGIONS[0])
some_losses = pytest.mark.parametrize("loss", SOME, ids=lambda loss: loss.id)


# --------------------------------------------------------------------------------------- DTensor, of two processes


@pytest.mark.skipif(EMULATED, reason="gloo moves what is in the memory of the CPU")
def test_sharded_losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join((str(Path(sharded.__file__).parent), os.environ.get("PYTHONPATH", "")))
    )
    torch.multiprocessing.spawn(sharded.worker, (str(tmp_path / "store"),), nprocs=2)


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
