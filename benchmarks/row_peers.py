"""The losses on rows of logits as they are written in PyTorch: eagerly, and as ``torch.compile`` likes them."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax

Loss = Callable[[Tensor, Tensor], Tensor]

ALPHA = 0.25
GAMMA = 2.0
SMOOTHING = 0.1


def _focal(logits: Tensor, classes: Tensor) -> Tensor:
    entropy = cross_entropy(logits, classes, reduction="none")
    return (ALPHA * (1 - torch.exp(-entropy)) ** GAMMA * entropy).mean()


def _focal_of_one_gather(logits: Tensor, classes: Tensor) -> Tensor:
    log_p = log_softmax(logits, -1).gather(1, classes[:, None])[:, 0]
    return (-ALPHA * (1 - log_p.exp()) ** GAMMA * log_p).mean()


def _smooth(logits: Tensor, classes: Tensor) -> Tensor:
    return cross_entropy(logits, classes, label_smoothing=SMOOTHING)


def _distribution(logits: Tensor, places: Tensor) -> Tensor:
    """A blend of two cross entropies, as detection libraries write it."""
    left = places.long()
    right = left + 1
    left_loss = cross_entropy(logits, left, reduction="none") * (right - places)
    return (left_loss + cross_entropy(logits, right, reduction="none") * (places - left)).mean()


def _distribution_of_one_softmax(logits: Tensor, places: Tensor) -> Tensor:
    log_p = log_softmax(logits, -1)
    left = places.long()
    at_left, at_right = (log_p.gather(1, i[:, None])[:, 0] for i in (left, left + 1))
    return -((left + 1 - places) * at_left + (places - left) * at_right).mean()


def _kl(logits: Tensor, probabilities: Tensor) -> Tensor:
    return kl_div(log_softmax(logits, -1), probabilities, reduction="batchmean")


def _entropy(logits: Tensor, _: Tensor) -> Tensor:
    log_p = log_softmax(logits, -1)
    return -(log_p.exp() * log_p).sum(-1).mean()


EAGER: dict[str, Loss] = {
    "softmax_focal": _focal,
    "cross_entropy": _smooth,
    "distribution_focal": _distribution,
    "kl_div": _kl,
    "entropy": _entropy,
}
# The formulas that compile to the fastest code, where they differ from the eager ones.
TO_COMPILE: dict[str, Loss] = EAGER | {
    "softmax_focal": _focal_of_one_gather,
    "distribution_focal": _distribution_of_one_softmax,
}
