"""Options, numbers and tensors that no loss of logits or of rows can use, and the words in which they are refused."""

import math
from fractions import Fraction
from typing import Any

import pytest
import torch
from backends import KINDS, Backend
from torch import Tensor

import iouloss

# The instruction set makes no difference: what is refused reaches no kernel.
pytestmark = pytest.mark.parametrize("backend", KINDS, indirect=True)
HUGE = 10**400
# A loss, one of its numbers, and the least that it may be.
NUMBERS = [
    ("sigmoid_focal_loss", "gamma", "a finite number >= 0"),
    ("focal_star_loss", "gamma", "a finite number > 0"),
    ("focal_star_loss", "beta", "a finite number"),
    ("poly1_focal_loss", "gamma", "a finite number >= 0"),
    ("poly1_focal_loss", "epsilon", "a finite number"),
    ("equalized_focal_loss", "gamma", "a finite number > 0"),
    ("equalized_focal_loss", "scale", "a finite number >= 0"),
    ("quality_focal_loss", "beta", "a finite number >= 0"),
    ("varifocal_loss", "alpha", "a finite number >= 0"),
    ("varifocal_loss", "gamma", "a finite number >= 0"),
    ("gaussian_focal_loss", "alpha", "a finite number >= 0"),
    ("gaussian_focal_loss", "beta", "a finite number >= 0"),
    ("asymmetric_loss", "gamma_neg", "a finite number >= 0"),
    ("asymmetric_loss", "gamma_pos", "a finite number >= 0"),
    ("binary_cross_entropy_loss", "pos_weight", "a finite number >= 0, a tensor [C] or None"),
    ("softmax_focal_loss", "alpha", "a finite number >= 0, a tensor [C] or None"),
    ("softmax_focal_loss", "gamma", "a finite number >= 0"),
    ("cross_entropy_loss", "poly_epsilon", "a finite number"),
    ("kl_div_loss", "temperature", "a finite number > 0"),
]
FRACTIONS = [
    ("sigmoid_focal_loss", "label_smoothing", "a number in [0, 1]"),
    ("sigmoid_focal_loss", "alpha", "a number in [0, 1], a tensor [C] or None"),
    ("poly1_focal_loss", "alpha", "a number in [0, 1] or None"),
    ("equalized_focal_loss", "alpha", "a number in [0, 1], a tensor [C] or None"),
    ("asymmetric_loss", "margin", "a number in [0, 1]"),
    ("binary_cross_entropy_loss", "alpha", "a number in [0, 1] or None"),
    ("softmax_focal_loss", "label_smoothing", "a number in [0, 1]"),
    ("cross_entropy_loss", "label_smoothing", "a number in [0, 1]"),
]
ROWS = {"softmax_focal_loss", "cross_entropy_loss", "distribution_focal_loss"}  # a target each
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def call(name: str, backend: Backend, dtype: torch.dtype = torch.float32, **options: Any) -> Tensor:
    x = torch.zeros(2, 3, dtype=dtype, device=backend.device)
    targets = x[:, 0].long() if name in ROWS else x
    if name == "distribution_focal_loss":
        targets = x[:, 0]
    given: dict[str, Any] = {"logits": x, "targets": targets}
    if name == "entropy_loss":
        del given["targets"]
    if name == "equalized_focal_loss":
        given["balance"] = torch.ones(3, device=backend.device)
    loss: Tensor = getattr(iouloss, name)(**{**given, **options})
    return loss


def refuses(error: type[Exception], message: str, name: str, backend: Backend, **options: Any) -> None:
    with pytest.raises(error) as caught:
        call(name, backend, **options)
    assert caught.type is error and str(caught.value) == message


# -------------------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("focal_star_loss", {"gamma": 0.0}, ValueError, "gamma: got 0.0, wants a finite number > 0"),
        ("poly1_focal_loss", {"alpha": 2.0}, ValueError, r"alpha: got 2.0, wants a number in \[0, 1\] or None"),
        ("quality_focal_loss", {"beta": -1.0}, ValueError, "beta: got -1.0, wants a finite number >= 0"),
        ("quality_focal_loss", {"scores": torch.ones(2)}, ValueError, "scores: got dense targets, wants class indices"),
        ("varifocal_loss", {"gamma": "2"}, TypeError, "gamma: got str, wants a finite number >= 0"),
        ("gaussian_focal_loss", {"alpha": math.nan}, ValueError, "alpha: got nan, wants a finite number >= 0"),
        (
            "binary_cross_entropy_loss",
            {"pos_weight": torch.ones(2)},
            ValueError,
            r"pos_weight: got shape \[2\], wants \[3\]",
        ),
        ("asymmetric_loss", {"margin": 1.5}, ValueError, r"margin: got 1.5, wants a number in \[0, 1\]"),
        ("sigmoid_focal_loss", {"label_smoothing": 2.0}, ValueError, "label_smoothing: got 2.0, wants a number in"),
        ("sigmoid_focal_loss", {"smooth_all": 1}, TypeError, "smooth_all: got int, wants a bool"),
        ("equalized_focal_loss", {"balance": 1.0}, TypeError, "balance: got float, wants a torch.Tensor"),
        ("equalized_focal_loss", {"balance": torch.ones(2)}, ValueError, r"balance: got shape \[2\], wants \[3\]"),
        (
            "equalized_focal_loss",
            {"balance": torch.ones(3, dtype=torch.int64)},
            TypeError,
            "balance: got dtype torch.int64, wants float64, float32, float16 or bfloat16",
        ),
        ("smooth_l1_loss", {"beta": -1.0}, ValueError, "beta: got -1.0, wants a finite number >= 0"),
        ("huber_loss", {"delta": 0.0}, ValueError, "delta: got 0.0, wants a finite number > 0"),
        ("balanced_l1_loss", {"alpha": 0.01}, ValueError, "gamma: got 1.5, wants at most 80 \\* alpha, 0.8"),
        ("focal_l1_loss", {"beta": 2.0}, ValueError, r"beta: got 2.0, wants a number in \[1 / e, 1\]"),
        ("l1_loss", {"reduction": "avg"}, ValueError, "reduction: got 'avg', wants 'mean', 'sum' or 'none'"),
        ("l1_loss", {"weight": torch.ones(3)}, ValueError, r"weight: got shape \[3\], wants \[2, 3\] or \[2\]"),
        (
            "l2_loss",
            {"avg_factor": 2.0, "reduction": "sum"},
            ValueError,
            "avg_factor: got reduction 'sum', wants 'mean'",
        ),
    ],
)
def test_options(backend: Backend, name: str, options: dict[str, Any], error: type[Exception], message: str) -> None:
    moved = {key: value.to(backend.device) if isinstance(value, Tensor) else value for key, value in options.items()}
    with pytest.raises(error, match=message):
        getattr(iouloss, name)(*torch.zeros(2, 2, 3, device=backend.device).unbind(), **moved)


def test_differences(backend: Backend) -> None:
    x = torch.zeros(2, 3, device=backend.device)
    with pytest.raises(ValueError, match=r"target: got shape \[3\], wants pred's shape \[2, 3\]"):
        iouloss.l1_loss(x, x[0])
    with pytest.raises(TypeError, match=r"target: got dtype torch.int64, wants float64, float32, float16 or bfloat16"):
        iouloss.l1_loss(x, x.long())
    with pytest.raises(TypeError, match=r"pred: got list, wants a torch.Tensor"):
        iouloss.l1_loss([0.0], x)
    with pytest.raises(TypeError, match=r"target: got NoneType, wants a torch.Tensor"):
        iouloss.l1_loss(x, None)


# ------------------------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(("name", "option", "wants"), NUMBERS)
@every_dtype
def test_numbers_beyond_float32(backend: Backend, name: str, option: str, wants: str, dtype: torch.dtype) -> None:
    beyond = "a number beyond float64's range"
    for value, shown in ((1e39, "1e+39"), (10**39, "1e+39"), (HUGE, beyond), (Fraction(HUGE), "inf"), (-HUGE, beyond)):
        message = f"{option}: got {beyond if shown == 'inf' else shown}, wants {wants}"
        with pytest.raises(ValueError) as caught:
            call(name, backend, dtype, **{option: value})
        assert str(caught.value).removesuffix(" in float32's range") == message
    for value in (torch.tensor(2.0), None) if "None" not in wants else ("2", [2.0], (2.0,)):
        refuses(TypeError, f"{option}: got {type(value).__name__}, wants {wants}", name, backend, **{option: value})
    if "> 0" in wants:
        message = f"{option}: got 1e-40, wants {wants} in float32's range"
        refuses(ValueError, message, name, backend, dtype=dtype, **{option: 1e-40})
    elif ">= 0" in wants:
        assert call(name, backend, dtype, **{option: 1e-40}).isfinite()


@pytest.mark.parametrize(("name", "option", "wants"), FRACTIONS)
def test_fractions(backend: Backend, name: str, option: str, wants: str) -> None:
    message = f"{option}: got a number beyond float64's range, wants {wants}"
    refuses(ValueError, message, name, backend, **{option: HUGE})
    refuses(ValueError, f"{option}: got 1e+39, wants {wants}", name, backend, **{option: 1e39})
    refuses(TypeError, f"{option}: got list, wants {wants}", name, backend, **{option: [0.5]})
    if "tensor" not in wants:
        refuses(TypeError, f"{option}: got Tensor, wants {wants}", name, backend, **{option: torch.tensor(0.0)})


def test_numbers_made_of_two(backend: Backend) -> None:
    message = "gamma + scale: got 6e+38, wants a finite number >= 0 in float32's range"
    refuses(ValueError, message, "equalized_focal_loss", backend, gamma=3e38, scale=3e38)
    message = "epsilon / alpha: got 1.361129467683754e+39, wants a finite number in float32's range"
    refuses(ValueError, message, "poly1_focal_loss", backend, alpha=0.5**100, epsilon=2.0**30)


@pytest.mark.parametrize("name", ["sigmoid_focal_loss", "varifocal_loss", "cross_entropy_loss", "entropy_loss"])
@every_dtype
def test_avg_factors_beyond_float32(backend: Backend, name: str, dtype: torch.dtype) -> None:
    wants = "wants 0 or a finite number in float32's range"
    for value, shown in (
        *((1e39, "1e+39"), (-1e39, "-1e+39"), (1e-39, "1e-39"), (float("inf"), "inf"), (float("nan"), "nan")),
        *((HUGE, "a number beyond float64's range"),),
    ):
        refuses(ValueError, f"avg_factor: got {shown}, {wants}", name, backend, dtype=dtype, avg_factor=value)
    for value in (0, 0.0):
        assert call(name, backend, dtype, avg_factor=value) == 0
    assert call(name, backend, dtype, avg_factor=10**30).isfinite()


@pytest.mark.parametrize("option", ["iou_weighted", "balance_epsilon", "differentiable_focus"])
def test_bools(backend: Backend, option: str) -> None:
    name = {"iou_weighted": "varifocal_loss", "balance_epsilon": "poly1_focal_loss"}.get(option, "asymmetric_loss")
    refuses(TypeError, f"{option}: got int, wants a bool", name, backend, **{option: 1})


def test_names_that_are_no_strings(backend: Backend) -> None:
    wants = "wants 'mean', 'sum' or 'none'"
    for value in ([], {}, torch.ones(2)):
        for name in ("sigmoid_focal_loss", "cross_entropy_loss"):
            refuses(ValueError, f"reduction: got {value!r}, {wants}", name, backend, reduction=value)


# ------------------------------------------------------------------------------------------------------------- tensors


def odd(kind: str, shape: tuple[int, ...]) -> Tensor:
    dense = torch.ones(shape)
    if kind == "sparse":
        return dense.to_sparse()
    if kind == "mkldnn":
        return dense.to_mkldnn()
    if kind == "nested":
        return torch.nested.nested_tensor([torch.ones(shape[1:] or (1,))] * shape[0])
    return torch.quantize_per_tensor(dense, 0.1, 0, torch.quint8)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("sparse", "torch.sparse_coo"),
        ("mkldnn", "torch._mkldnn"),
        ("nested", "torch.strided"),
        ("quantised", "torch.quint8"),
    ],
)
@pytest.mark.parametrize(
    ("name", "option", "shape"),
    [
        ("sigmoid_focal_loss", "logits", (2, 3)),
        ("sigmoid_focal_loss", "targets", (2, 3)),
        ("sigmoid_focal_loss", "weight", (2, 3)),
        ("sigmoid_focal_loss", "alpha", (3,)),
        ("sigmoid_focal_loss", "avg_factor", (1,)),
        ("binary_cross_entropy_loss", "pos_weight", (3,)),
        ("equalized_focal_loss", "balance", (3,)),
        ("quality_focal_loss", "scores", (2,)),
        ("cross_entropy_loss", "logits", (2, 3)),
        ("cross_entropy_loss", "class_weight", (3,)),
        ("softmax_focal_loss", "alpha", (3,)),
        ("kl_div_loss", "targets", (2, 3)),
        ("entropy_loss", "weight", (2,)),
    ],
)
def test_tensors_that_are_no_numbers_with_strides(
    backend: Backend, name: str, option: str, shape: tuple[int, ...], kind: str, what: str
) -> None:
    message = f"{option}: got a {kind} tensor ({what}), wants a dense (strided) one"
    refuses(TypeError, message, name, backend, **{option: odd(kind, shape)})


def test_tensors_that_are_none(backend: Backend) -> None:
    index = torch.zeros(2, dtype=torch.int64, device=backend.device)
    message = "scores: got float, wants a torch.Tensor"
    refuses(TypeError, message, "quality_focal_loss", backend, targets=index, scores=1.0)
    message = "class_weight: got tuple, wants a tensor [C] or None"
    refuses(TypeError, message, "cross_entropy_loss", backend, class_weight=(1.0, 1.0, 1.0))
