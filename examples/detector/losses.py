"""The losses of the detector, by iouloss, torchvision or iouloss's pure PyTorch reference, and their comparison."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision import ops

import iouloss
from iouloss import reference

KINDS = ("ciou", "iou", "giou", "diou", "eiou", "focal_eiou", "cdiou")
BACKENDS = ("iouloss", "torchvision")
TORCHVISION_KINDS: dict[str, Callable[..., Tensor]] = {
    "giou": ops.generalized_box_iou_loss,
    "diou": ops.distance_box_iou_loss,
    "ciou": ops.complete_box_iou_loss,
}
# The formula in the reference of each kind that torchvision lacks, and its parameter.
REFERENCE_FORMULAS: dict[str, dict[str, Any]] = {
    "iou": {"formula": "iou"},
    "eiou": {"formula": "eiou"},
    "focal_eiou": {"formula": "focal_eiou", "gamma": 0.5},
    "cdiou": {"formula": "cdiou_giou", "lambda_": 1.0},
}

REPETITIONS = 9

Arguments = tuple[Tensor, Tensor, Tensor]  # predictions, targets and avg_factor
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class HeadOutput:
    """What the losses of one batch are computed from: B images with P points each, K of them positive."""

    logits: Tensor  # [B * P, C]
    classes: Tensor  # int64 [B * P], C for background
    boxes: Tensor  # [K, 4]
    targets: Tensor  # [K, 4]
    avg_factor: Tensor  # the number of positives; in a run of several processes, its mean over them

    def detach(self) -> "HeadOutput":
        return HeadOutput(self.logits.detach(), self.classes, self.boxes.detach(), self.targets, self.avg_factor)

    def to(self, device: torch.device) -> "HeadOutput":
        tensors = (self.logits, self.classes, self.boxes, self.targets, self.avg_factor)
        return HeadOutput(*(tensor.to(device) for tensor in tensors))


def focal_loss(backend: str) -> Loss:
    """Focal loss of logits ``[N, C]`` and ``class_targets``."""
    if backend == "iouloss":
        return lambda logits, classes, n: iouloss.sigmoid_focal_loss(logits, classes, avg_factor=n)
    return lambda logits, dense, n: ops.sigmoid_focal_loss(logits, dense, reduction="sum") / n


def class_targets(backend: str, classes: Tensor, count: int) -> Tensor:
    """Class targets as the backend takes them: indices for iouloss, ones and zeros ``[N, count]`` for torchvision."""
    if backend == "iouloss":
        return classes
    return torch.nn.functional.one_hot(classes, count + 1)[:, :count].float()


def box_loss(backend: str, kind: str) -> Loss:
    """Loss of paired boxes ``[K, 4]``."""
    if backend == "iouloss":
        return lambda boxes, targets, n: iouloss.box_loss(boxes, targets, kind=kind, avg_factor=n)
    if backend == "torchvision":
        function = TORCHVISION_KINDS[kind]
        return lambda boxes, targets, n: function(boxes, targets, reduction="sum") / n
    options = REFERENCE_FORMULAS[kind]
    return lambda boxes, targets, n: reference.box_loss(reference.BoxInputs(boxes, targets, avg_factor=n, **options))


@dataclass(frozen=True)
class Comparison:
    """The comparison of one loss of iouloss with a peer's, on the same batches."""

    name: str
    peer: str
    milliseconds: float  # median of a batch, forward and backward
    peer_milliseconds: float
    loss_difference: float  # the largest, relative to the loss
    gradient_difference: float  # the largest, relative to the largest component of the batch


def compare(recorded: Sequence[HeadOutput], kind: str) -> list[Comparison]:
    """The focal and the box loss against torchvision's; where it lacks the box loss, against iouloss's reference."""
    count = recorded[0].logits.shape[1]
    ours, theirs = (
        [(head.logits, class_targets(backend, head.classes, count), head.avg_factor) for head in recorded]
        for backend in ("iouloss", "torchvision")
    )
    focal = compare_loss("focal", "torchvision", focal_loss("iouloss"), focal_loss("torchvision"), ours, theirs)
    peer = "torchvision" if kind in TORCHVISION_KINDS else "reference"
    boxes = [(head.boxes, head.targets, head.avg_factor) for head in recorded]
    return [focal, compare_loss(kind, peer, box_loss("iouloss", kind), box_loss(peer, kind), boxes, boxes)]


def compare_loss(
    name: str, peer: str, loss: Loss, peer_loss: Loss, batches: list[Arguments], peer_batches: list[Arguments]
) -> Comparison:
    """Run both losses in alternation, so that the state of the machine affects both alike."""
    times: list[tuple[float, float]] = []
    differences: list[tuple[float, float]] = []
    for repetition in range(REPETITIONS + 1):
        for batch, peer_batch in zip(batches, peer_batches, strict=True):
            value, gradient, milliseconds = timed(loss, *batch)
            peer_value, peer_gradient, peer_milliseconds = timed(peer_loss, *peer_batch)
            if repetition == 0:  # the first repetition warms up
                differences.append((difference(value, peer_value), difference(gradient, peer_gradient)))
            else:
                times.append((milliseconds, peer_milliseconds))
    medians = map(statistics.median, zip(*times, strict=True))
    return Comparison(name, peer, *medians, *map(max, zip(*differences, strict=True)))


def timed(loss: Loss, pred: Tensor, target: Tensor, avg_factor: Tensor) -> tuple[Tensor, Tensor, float]:
    """The loss, its gradient, and the milliseconds they took."""
    leaf = pred.clone().requires_grad_()
    wait_for(leaf.device)
    start = time.perf_counter()
    value = loss(leaf, target, avg_factor)
    (gradient,) = torch.autograd.grad(value, leaf)
    wait_for(leaf.device)
    return value.detach(), gradient, 1e3 * (time.perf_counter() - start)


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def difference(a: Tensor, b: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    if a.numel() == 0:
        return 0.0
    return float((a - b).abs().max() / b.abs().max().clamp(min=torch.finfo(b.dtype).tiny))
