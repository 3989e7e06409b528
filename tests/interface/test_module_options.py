"""The options of the modules: which are refused, where a module may be made, and tensors among them."""

import copy
import pickle
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import torch
from backends import Backend, every_kind
from every_module import CLASSES, MODULES, every_module, inputs, parameters, with_tensor_options
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

import iouloss

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
