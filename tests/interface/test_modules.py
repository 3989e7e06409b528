"""The modules: built of their functions, and what an nn.Module has to do besides."""

import copy
import importlib.util
import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from backends import KINDS, Backend, compiling, every_kind
from cases import random_boxes
from every_module import CLASSES, MODULES, every_module, inputs, option_sets, parameters
from torch import Tensor, nn

import iouloss
from iouloss.modules.base import TENSORS, Loss

ROOT = Path(__file__).parents[2]


# ---------------------------------------------------------------------------------------------------------- signatures


def test_each_module_has_a_function_of_its_own() -> None:
    """Which functions have none is told in test_every_place.py."""
    assert len({module.function for module in MODULES}) == len(MODULES) == len(iouloss.functional.__all__)


@every_module
def test_the_signatures_are_those_of_the_function(module: Any) -> None:
    of_function = parameters(module.function)
    options, tensors = parameters(module), parameters(module.forward)
    assert list(options.values()) == [p for name, p in of_function.items() if name not in TENSORS]
    del tensors["self"]
    assert tensors.keys() == of_function.keys() - options.keys()
    for name, parameter in tensors.items():
        assert parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        assert (parameter.default, parameter.annotation) == (of_function[name].default, of_function[name].annotation)
    assert inspect.signature(module.forward).return_annotation is Tensor
    assert all(f"{option}={p.default!r}" in module.__doc__ for option, p in options.items() if p.kind != p.VAR_KEYWORD)
    assert f"iouloss.functional.{module.function.__name__}" in module.__doc__


@every_kind
@every_module
def test_a_module_is_its_function(backend: Backend, module: Any) -> None:
    given = inputs(module, backend.device)
    for options in option_sets(module):
        loss, expected = module(**options), module.function(**given, **options)
        assert torch.equal(loss(**given), expected) and torch.equal(loss(*given.values()), expected)
        assert all(f"{name}={value!r}" in repr(loss) for name, value in options.items())
        for copied in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
            assert torch.equal(copied(**given), expected) and repr(copied) == repr(loss)


def test_what_a_call_takes_it_passes_on() -> None:
    pred, target = random_boxes(6, 10.0)
    weight, mask = torch.rand(6, dtype=torch.float64), torch.tensor([True, False] * 3)
    expected = iouloss.ciou_loss(pred, target, weight, mask=mask, avg_factor=2.5)
    assert torch.equal(iouloss.CIoULoss()(pred, target, weight, 2.5, mask), expected)
    with pytest.raises(TypeError, match=r"forward\(\) got an unexpected keyword argument 'scores'"):
        iouloss.CIoULoss()(pred, target, scores=weight)
    with pytest.raises(TypeError, match=r"forward\(\) missing 1 required positional argument: 'balance'"):
        iouloss.EqualizedFocalLoss()(pred, target)
    scores = torch.rand(6, dtype=torch.float64)
    expected = iouloss.quality_focal_loss(pred, torch.arange(6) % 4, scores, weight=weight)
    assert torch.equal(iouloss.QualityFocalLoss()(pred, torch.arange(6) % 4, weight, scores=scores), expected)


def test_an_argument_without_a_default_comes_first() -> None:
    def loss(logits: Tensor, avg_factor: Tensor, weight: Tensor | None = None) -> Tensor:
        return logits

    with pytest.raises(ValueError, match="follows"):
        type("Wrong", (Loss,), {}, function=loss)


# ---------------------------------------------------------------------------------------------------------- type checks


def test_the_stub_is_shipped() -> None:
    configuration = pytest.importorskip("setuptools.config.pyprojecttoml")
    declared = configuration.read_configuration(ROOT / "pyproject.toml", expand=False)["tool"]["setuptools"]
    patterns = [(ROOT / name.replace(".", "/"), each) for name, all in declared["package-data"].items() for each in all]
    shipped = {path for folder, pattern in patterns for path in folder.glob(pattern)}
    assert shipped == {ROOT / "iouloss/py.typed", *(ROOT / "iouloss").rglob("*.pyi")}


USER = """
import torch
from iouloss import BoxLoss, CIoULoss, EqualizedFocalLoss, L1Loss, SigmoidFocalLoss
from iouloss.modules import DiceLoss

x = torch.zeros(2, 4)
loss: torch.Tensor = CIoULoss(reduction="sum")(x, x, avg_factor=2)
focal = SigmoidFocalLoss(x[0], 1.5, label_smoothing=0.1)
focal.gamma = 2.5
BoxLoss(kind="cdiou", base="log_iou", lambda_=2.0)(x, x, mask=x[:, 0] > 0)
EqualizedFocalLoss()(x, x, x[0])
DiceLoss(activation=None)(x, x)


class Mine(CIoULoss):
    def __init__(self) -> None:
        super().__init__(reduction="none")


CIoULoss(redction="sum")  # error
CIoULoss(reduction=3)  # error
CIoULoss("sum")  # error
CIoULoss()(x, targt=x)  # error
CIoULoss().forward(x)  # error
SigmoidFocalLoss("0.25")  # error
EqualizedFocalLoss()(x, x)  # error
L1Loss(eps=1.0)  # error
DiceLoss(power="2")  # error
"""


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_mypy_knows_the_signatures(tmp_path: Path) -> None:
    file = tmp_path / "user.py"
    file.write_text(USER)
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context", str(file)]
    lines = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False).stdout.splitlines()
    found = {int(line.split(":")[1]) for line in lines if ": error:" in line}
    wrong = {number for number, line in enumerate(USER.splitlines(), 1) if line.endswith("# error")}
    assert found == wrong, "\n".join(lines)


# ---------------------------------------------------------------------------------------------------------- subclasses


class Halved(iouloss.CIoULoss):
    """Half of the loss, summed."""

    def __init__(self, factor: float = 0.5) -> None:
        super().__init__(reduction="sum")
        self.factor = factor

    def forward(self, pred: Tensor, target: Tensor, **tensors: Any) -> Tensor:
        return self.factor * super().forward(pred, target, **tensors)


class Named(iouloss.CIoULoss):
    """The same under another name."""


def test_subclasses() -> None:
    given = inputs(iouloss.CIoULoss)
    expected = 0.5 * iouloss.ciou_loss(**given, reduction="sum")
    for loss in (Halved(), copy.deepcopy(Halved()), pickle.loads(pickle.dumps(Halved()))):
        assert torch.equal(loss(**given), expected) and isinstance(loss, iouloss.CIoULoss)
    assert list(parameters(Halved)) == ["factor"] and Halved.__doc__ == "Half of the loss, summed."
    assert inspect.signature(Named) == inspect.signature(iouloss.CIoULoss)
    assert repr(Named(reduction="sum")) == "Named(reduction='sum', fmt='xyxy', eps=1e-07, eps_mode='torchvision')"


# -------------------------------------------------------------------------------------------------------------- compile


def of_fixed_sizes(graph: torch.fx.GraphModule, tensors: list[Any]) -> Callable[..., Any]:
    """A compiler that leaves the graph as it is."""
    assert all(isinstance(size, int) for tensor in tensors for size in tensor.shape)
    return graph.forward


@pytest.mark.parametrize("backend", KINDS[-1:], indirect=True)
@pytest.mark.usefixtures("fresh_compiler")
def test_all_modules_compile_in_one_process(backend: Backend) -> None:
    """Each for itself: none makes another compile anew, nor takes a size that differs between them for one that varies.

    Only other options make a class compile again.
    """
    given = {
        module: {n: x if n == "balance" else x[: 2 + i % 5] for n, x in inputs(module, backend.device).items()}
        for i, module in enumerate(MODULES)
    }
    compiled = {module: torch.compile(module(), fullgraph=True, backend=of_fixed_sizes) for module in MODULES}
    with torch._dynamo.config.patch(error_on_recompile=True):
        for module in MODULES * 2:
            assert torch.equal(compiled[module](**given[module]), module()(**given[module]))
    with torch._dynamo.config.patch(recompile_limit=2):
        for module in MODULES:
            other = module(**option_sets(module)[-1])
            again = torch.compile(other, fullgraph=True, backend=of_fixed_sizes)
            assert torch.equal(again(**given[module]), other(**given[module]))


@compiling
@pytest.mark.usefixtures("fresh_compiler")
def test_a_module_that_learns_compiles(backend: Backend) -> None:
    given = inputs(iouloss.SigmoidFocalLoss, backend.device)
    alpha = torch.linspace(0.2, 0.8, CLASSES, device=backend.device)
    slopes = []
    for compiled in (False, True):
        loss = iouloss.SigmoidFocalLoss(nn.Parameter(alpha.clone()))
        (torch.compile(loss, fullgraph=True, backend="aot_eager") if compiled else loss)(**given).backward()
        slopes.append(loss.alpha.grad)
    torch.testing.assert_close(*slopes)
