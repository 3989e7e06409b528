"""The modules: built of their functions, and what an nn.Module has to do besides."""

import copy
import importlib.util
import inspect
import pickle
import subprocess
import sys
import typing
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from backends import KINDS, Backend
from cases import random_boxes
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

import iouloss
from iouloss.modules.base import TENSORS, Loss
from tools import module_stub

ROOT = Path(__file__).parents[2]
MODULES: list[Any] = [getattr(iouloss, name) for name in iouloss.modules.__all__]
CLASSES = 5

every_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
every_kind = pytest.mark.parametrize("backend", KINDS, indirect=True)


def parameters(function: Any) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(function).parameters)


def takes_tensors(module: Any) -> list[str]:
    """The options that may be tensors."""
    return [name for name, p in parameters(module).items() if Tensor in typing.get_args(p.annotation)]


with_tensor_options = pytest.mark.parametrize(
    ("module", "option"),
    [(module, option) for module in MODULES for option in takes_tensors(module)],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)


def inputs(module: Any, device: str = "cpu") -> dict[str, Tensor]:
    """What ``forward`` has to be given."""
    generator = torch.Generator().manual_seed(0)
    pred, target = random_boxes(6, 10.0)
    logits, dense = torch.randn(6, CLASSES, generator=generator), torch.rand(6, CLASSES, generator=generator)
    of_rows = {
        iouloss.SoftmaxFocalLoss: torch.arange(6) % CLASSES,
        iouloss.CrossEntropyLoss: torch.arange(6) % CLASSES,
        iouloss.DistributionFocalLoss: torch.arange(6) / 2,
    }
    targets, balance = of_rows.get(module, dense), torch.rand(CLASSES, generator=generator)
    given = {"pred": pred, "target": target, "logits": logits, "targets": targets, "balance": balance}
    required = [name for name, p in parameters(module.forward).items() if p.default is p.empty and name != "self"]
    return {name: given[name].to(device) for name in required}


# Another value of an option than its default, which is right for every loss that has it; or else for one.
OTHER_VALUES: dict[str, Any] = {
    **{"reduction": "sum", "fmt": "cxcywh", "eps": 1e-3, "eps_mode": "torchvision_exact", "kind": "iou"},
    **{"mode": "log", "base": "diou", "activation": "softmax", "per": "batch", "power": 2, "ignore_index": 1},
    **{"alpha": 0.4, "beta": 0.6, "gamma": 1.75, "gamma_neg": 2.0, "gamma_pos": 0.5, "margin": 0.1, "lambda_": 0.5},
    **{"label_smoothing": 0.1, "poly_epsilon": 2.0, "epsilon": 2.0, "temperature": 2.0, "scale": 4.0, "delta": 0.5},
    **{"smooth_numerator": 0.5, "smooth_denominator": 0.5, "smooth_all": True, "balance_epsilon": True},
    **{"differentiable_focus": True, "iou_weighted": False, "pos_weight": 2.0},
}
OTHER_VALUES_OF: dict[tuple[Any, str], Any] = {
    (iouloss.GeneralizedDiceLoss, "activation"): "sigmoid",
}


def option_sets(module: Any) -> list[dict[str, Any]]:
    """The defaults, another reduction, and another value of every option."""
    others = {name: OTHER_VALUES_OF.get((module, name), OTHER_VALUES.get(name)) for name in parameters(module)}
    return [{}, {"reduction": "none"}, {name: value for name, value in others.items() if value is not None}]


# ---------------------------------------------------------------------------------------------------------- signatures


def test_every_function_has_a_module() -> None:
    functions = [getattr(iouloss, name) for name in iouloss.functional.__all__]
    assert sorted(module.function.__name__ for module in MODULES) == sorted(f.__name__ for f in functions)
    assert {module.function for module in MODULES} == set(functions)


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


def test_the_stub_is_up_to_date() -> None:
    advice = f"{module_stub.STUB.name} does not say what the functions take: run `python -m tools.module_stub`"
    assert module_stub.STUB.read_text() == module_stub.stub(), advice


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


# ------------------------------------------------------------------------------------------------------- wrong options

UNFIT = object()
WRONG_VALUES: dict[str, list[Any]] = {
    "alpha": [-0.5, float("nan"), torch.ones(3, CLASSES), torch.ones(CLASSES, dtype=torch.int64)],
    "gamma": [-1.0, float("inf"), torch.tensor(2.0)],
    "class_weight": [torch.ones(3, CLASSES), torch.ones(CLASSES, dtype=torch.int64), 2.0],
    "pos_weight": [-1.0, torch.ones(3, CLASSES)],
    "label_smoothing": [2, -0.1],
    "class_dim": [0.5, "1"],
    "ignore_index": [1.5],
    "power": [3],
    "eps": [-1.0],
    **{name: ["avg", None, 3] for name in ("reduction", "fmt", "kind", "mode", "base", "eps_mode", "per")},
    "activation": ["relu"],
}
# Options that stand for a truth value, which the functions take of anything.
ANYTHING = {"iou_weighted", "balance_epsilon", "differentiable_focus"}


def outcome(call: Callable[..., Any], **arguments: Any) -> tuple[type, str] | None:
    """The error of a call, if it raises one."""
    try:
        call(**arguments)
    except Exception as error:
        return type(error), str(error)
    return None


@every_kind
@every_module
def test_a_wrong_option_is_refused_by_the_constructor_as_by_the_function(backend: Backend, module: Any) -> None:
    given = inputs(module, backend.device)
    for name, parameter in parameters(module).items():
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        refused = []
        for value in [UNFIT, *WRONG_VALUES.get(name, [])]:
            moved = value.to(backend.device) if isinstance(value, Tensor) else value
            error = outcome(module.function, **given, **{name: moved})
            assert outcome(module, **{name: moved}) == error, (name, value)
            refused += [error] if error else []
        assert refused or name in ANYTHING, name
        assert all(error in (TypeError, ValueError) for error, _ in refused) or name in ANYTHING


@every_kind
def test_options_are_tried_out_together(backend: Backend) -> None:
    for options, message in (
        ({"kind": "iou", "gamma": 2.0}, r"box_loss\(kind='iou'\): got an unexpected parameter 'gamma'"),
        ({"kind": "cdiou", "base": "x"}, "base: got 'x', wants one of"),
        ({"kind": "giou", "eps_mode": "mmyolo", "eps": -1.0}, "eps: got -1.0"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            iouloss.BoxLoss(**options)
    with pytest.raises(ValueError, match=r"gamma: got 1\.5, wants at most 80"):
        iouloss.BalancedL1Loss(alpha=0.01)
    with pytest.raises(ValueError, match=r"class_dim: got 64, wants a dimension of the logits, -2 to 1"):
        iouloss.EntropyLoss(class_dim=64)


@every_kind
def test_any_right_option_is_taken(backend: Backend) -> None:
    for class_dim in (-64, -5, -2, 0, 1, 2, 63):
        weight = torch.ones(3, device=backend.device)
        for module in (iouloss.SoftmaxFocalLoss, iouloss.KLDivLoss, iouloss.DistributionFocalLoss, iouloss.EntropyLoss):
            assert module(class_dim=class_dim).class_dim == class_dim
        assert iouloss.CrossEntropyLoss(class_dim=class_dim, class_weight=weight).class_weight is weight
    x = torch.randn(4, 3, dtype=torch.float64, device=backend.device)
    q = x.softmax(-1)
    expected = iouloss.kl_div_loss(x, q, reduction="batchmean")
    assert torch.equal(iouloss.KLDivLoss(reduction="batchmean")(x, q), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delta": 1.0}, r"got an unexpected keyword argument 'delta', wants \(\*, reduction: str = 'mean'\)"),
        ({"weight": torch.ones(3)}, "got an unexpected keyword argument 'weight'"),
        ({"pred": torch.ones(3)}, "got an unexpected keyword argument 'pred'"),
    ],
)
def test_an_unknown_option_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=f"L1Loss: {message}"):
        iouloss.L1Loss(**options)


def test_options_by_position_are_those_of_the_function() -> None:
    loss = iouloss.SigmoidFocalLoss(0.5, 1.5)
    assert (loss.alpha, loss.gamma) == (0.5, 1.5)
    with pytest.raises(TypeError, match="SigmoidFocalLoss: too many positional arguments"):
        iouloss.SigmoidFocalLoss(0.5, 1.5, 0.1)
    with pytest.raises(TypeError, match="SigmoidFocalLoss: multiple values for argument 'alpha'"):
        iouloss.SigmoidFocalLoss(0.5, alpha=0.5)


# -------------------------------------------------------------------------------------- the constructor and its context


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    yield
    torch.set_default_dtype(before)


@every_kind
@pytest.mark.parametrize(
    "context",
    [
        lambda: torch.device("meta"),
        lambda: torch.device("cuda"),  # there need not be one: nothing is put on it
        lambda: default_dtype(torch.float64),
        lambda: default_dtype(torch.float16),
        lambda: torch.autocast("cpu", torch.bfloat16),
        torch.inference_mode,
        FakeTensorMode,
    ],
    ids=["meta", "cuda", "float64", "float16", "autocast", "inference", "fake"],
)
def test_modules_are_made_in_any_context(backend: Backend, context: Callable[[], AbstractContextManager[Any]]) -> None:
    state = torch.get_rng_state()
    with warnings.catch_warnings(), context():
        warnings.simplefilter("error")
        for module in MODULES:
            module()
            with pytest.raises(ValueError, match="reduction: got 'avg'"):
                module(reduction="avg")
    assert torch.equal(torch.get_rng_state(), state)


@with_tensor_options
def test_a_tensor_option_may_be_anywhere(module: Any, option: str) -> None:
    with torch.device("meta"):
        loss = module(**{option: torch.ones(3)})
    assert getattr(loss, option).device.type == "meta"
    with pytest.raises(ValueError, match=rf"{option}: got shape \[2, 3\], wants \[3\]"):
        module(**{option: torch.ones(2, 3, device="meta")})


# -------------------------------------------------------------------------------------------- tensors among the options


@every_kind
@with_tensor_options
def test_a_parameter_stays_one_and_learns(backend: Backend, module: Any, option: str) -> None:
    given = {n: x.double() if x.is_floating_point() else x for n, x in inputs(module, backend.device).items()}
    start = torch.linspace(0.2, 0.8, CLASSES, dtype=torch.float64, device=backend.device)
    loss = module(**{option: nn.Parameter(start)}, reduction="sum")
    assert [name for name, _ in loss.named_parameters()] == [option] == list(loss.state_dict())
    loss(**given).backward()
    slope = getattr(loss, option).grad
    assert slope is not None and slope.abs().min() > 0

    def value(x: Tensor) -> Tensor:
        return torch.func.functional_call(loss, {option: x}, kwargs=given)

    assert torch.autograd.gradcheck(value, (start.clone().requires_grad_(),))
    assert isinstance(getattr(copy.deepcopy(loss), option), nn.Parameter)


@every_kind
@with_tensor_options
def test_a_tensor_becomes_a_buffer(backend: Backend, module: Any, option: str) -> None:
    given, values = inputs(module, backend.device), torch.linspace(0.2, 0.8, CLASSES)
    loss = module(**{option: values}).to(backend.device)
    expected = module.function(**given, **{option: values.to(backend.device)})
    assert [name for name, _ in loss.named_buffers()] == [option] and not list(loss.parameters())
    assert torch.equal(loss(**given), expected)
    other = module(**{option: torch.ones(CLASSES)}).to(backend.device)
    assert not torch.equal(other(**given), expected)
    other.load_state_dict(loss.state_dict())
    assert torch.equal(other(**given), expected)
    copied = pickle.loads(pickle.dumps(loss))
    assert torch.equal(copied(**given), expected)
    getattr(copied, option).zero_()
    assert torch.equal(loss(**given), expected)
    assert getattr(loss.double(), option).dtype == torch.float64


def test_modules_share_nothing() -> None:
    first, second = iouloss.SigmoidFocalLoss(), iouloss.SigmoidFocalLoss(gamma=1.5)
    x, z = inputs(iouloss.SigmoidFocalLoss).values()
    first.gamma = 3.0
    assert torch.equal(first(x, z), iouloss.sigmoid_focal_loss(x, z, gamma=3.0))
    assert torch.equal(second(x, z), iouloss.sigmoid_focal_loss(x, z, gamma=1.5))
    assert torch.equal(iouloss.SigmoidFocalLoss()(x, z), iouloss.sigmoid_focal_loss(x, z))
    assert not first.state_dict()


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


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


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


@every_kind
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
