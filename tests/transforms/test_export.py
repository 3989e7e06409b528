"""torch.export, TorchScript's tracing and make_fx: what others run later is the loss, and its gradient."""

import itertools
from typing import Any

import pytest
import torch
from backends import Backend, every_kind, one_kind
from cases import evaluate
from every_loss import CALLED, Loss
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx


def close(got: Any, wanted: Any) -> None:
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-11)


class Module(torch.nn.Module):
    def __init__(self, loss: Loss, **options: Any) -> None:
        super().__init__()
        self.loss, self.options = loss, options

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.loss(*inputs, **self.options)


def operators_of(graph: torch.fx.GraphModule) -> set[str]:
    """The namespaces of what a graph calls."""
    return {node.target.namespace for node in graph.graph.nodes if isinstance(node.target, torch._ops.OpOverload)}


@one_kind
@pytest.mark.parametrize("loss", CALLED[::11], ids=lambda loss: loss.id)
def test_exported_losses_are_made_of_torchs_operators(backend: Backend, loss: Loss) -> None:
    inputs = loss.on(backend.device).inputs
    other = tuple(x.flip(0) for x in inputs)
    program = torch.export.export(Module(loss), inputs)
    close(program.module()(*other), loss(*other))
    core = program.run_decompositions()
    assert operators_of(core.graph_module) == {"aten"}
    close(core.module()(*other), loss(*other))


@one_kind
@pytest.mark.parametrize("loss", CALLED[::15], ids=lambda loss: loss.id)
@pytest.mark.parametrize("strict", [True, False])
def test_export_of_leaves(backend: Backend, loss: Loss, strict: bool) -> None:
    """Of inputs that require a gradient; by dynamo and without."""
    inputs = tuple(x.requires_grad_(i == 0) for i, x in enumerate(loss.on(backend.device).inputs))
    program = torch.export.export(Module(loss, reduction="none"), inputs, strict=strict)
    assert operators_of(program.run_decompositions().graph_module) == {"aten"}
    first, *rest = (x.detach() for x in inputs)
    graph = program.module()
    close(evaluate(lambda x: graph(x, *rest), first), evaluate(lambda x: loss(x, *rest, reduction="none"), first))


@every_kind
@pytest.mark.parametrize("loss", CALLED[::15], ids=lambda loss: loss.id)
@pytest.mark.filterwarnings("ignore")  # that it is deprecated, and that a tensor is made a constant
def test_traced_by_torchscript(backend: Backend, loss: Loss) -> None:
    inputs = loss.on(backend.device).inputs
    traced = torch.jit.trace(Module(loss), inputs)
    first, *rest = (x.flip(0) for x in inputs)
    close(evaluate(lambda x: traced(x, *rest), first), evaluate(lambda x: loss(x, *rest), first))


@one_kind
@pytest.mark.parametrize(
    "loss, mode",
    [*((loss, "real") for loss in CALLED), *itertools.product(CALLED[::5], ("fake", "symbolic"))],
    ids=lambda x: getattr(x, "id", x),
)
def test_make_fx_traces_the_upstream_gradient(backend: Backend, loss: Loss, mode: str) -> None:
    first, *rest = loss.on(backend.device).inputs

    def step(x: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
        leaf = x.detach().requires_grad_()
        value = loss(leaf, *rest)
        return value.detach(), torch.autograd.grad(value, leaf, up)[0]

    one = torch.ones((), dtype=first.dtype, device=first.device)
    graph = make_fx(step, tracing_mode=mode, _allow_non_fake_inputs=True)(first, one)
    close(graph(first.flip(0), 3 * one), step(first.flip(0), 3 * one))
