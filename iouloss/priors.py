"""How a classification layer begins: with the probability that a focal loss wants."""

import math

import torch
from torch import nn

from .checks.numbers import check_number

__all__ = ["init_prior_bias", "prior_bias"]


def prior_bias(pi: float = 0.01) -> float:
    """The logit whose sigmoid is ``pi``, a number in (0, 1): ``-log((1 - pi) / pi)``.

    With 0.01, -4.595, as in RetinaNet (arXiv:1708.02002, section 4.1); CenterNet has 0.1, -2.197.
    """
    check_number("pi", pi, "a number in (0, 1)")
    if not 0 < pi < 1:
        raise ValueError(f"pi: got {float(pi)}, wants a number in (0, 1)")
    return math.log(pi) - math.log1p(-pi)


def init_prior_bias(layer: nn.Module, pi: float = 0.01) -> None:
    """Fill the bias of ``layer``, in place, so that it begins by predicting every class with probability ``pi``."""
    bias = getattr(layer, "bias", None)
    if not isinstance(bias, torch.Tensor):
        raise TypeError(f"layer: got {type(layer).__name__} without a bias, wants a module with one")
    with torch.no_grad():
        bias.fill_(prior_bias(pi))
