"""Every module, the tensors that its ``forward`` requires, and values for its options."""

import inspect
import typing
from typing import Any

import pytest
import torch
from cases import random_boxes
from torch import Tensor

import iouloss

MODULES: list[Any] = [getattr(iouloss, name) for name in iouloss.modules.__all__]
CLASSES = 5

every_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)


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
    """The tensors that ``forward`` requires."""
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


# For each option a value that is not the default, valid for every loss that has it. Exceptions are in OTHER_VALUES_OF.
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
