"""What the CUDA kernels of each loss may execute and move: the table that benchmarks.gpu_counts holds them to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

import iouloss

from . import inputs
from .cases import PROBLEMS, Problem, row_bytes

# The ways in which a gradient is computed. ONE and OTHER: the forward pass leaves it, and the upstream gradient is 1,
# or another number. AGAIN: the backward pass computes it again.
ONE, OTHER, AGAIN = "left, 1", "left, other", "again"
Ways = Mapping[torch.dtype, tuple[str, ...]]
ALL_WAYS: Ways = {torch.float32: (ONE, OTHER, AGAIN), torch.float16: (ONE, AGAIN), torch.bfloat16: (ONE,)}
WAYS: Ways = {torch.float32: (ONE, AGAIN)}
WITH_HALF: Ways = {torch.float32: (ONE, AGAIN), torch.float16: (ONE,)}
SUMS: Ways = {torch.float32: (ONE,)}
SUMS_AND_HALF: Ways = {torch.float32: (ONE,), torch.float16: (ONE,)}
SLACK = 1.02  # how many times the bytes that must be moved may be moved


@dataclass(frozen=True)
class Budget:
    """A loss, and the limits for one of its items, in both passes together."""

    problem: Problem
    instructions: float  # in float32, where the forward pass leaves the gradient
    special: float
    again: float = 0  # instructions where the gradient is computed again: the number reached, as a limit
    asked: float = 1.03  # bytes of requested sectors / bytes that must be moved; caches serve the excess
    sums_first: bool = False  # the gradient depends on sums over all inputs, so these are read again for it
    counted: float = 0  # bytes of class indices per item that a mean reads to count them before everything else
    ways: Ways = field(default_factory=lambda: WAYS)
    debts: Mapping[str, float] = field(default_factory=dict)  # over budget so far, and the limit instead

    @property
    def launches(self) -> int:
        return 2 + self.sums_first + (self.counted > 0)

    def least_bytes(self, dtype: torch.dtype, way: str) -> float:
        """The bytes that must be moved for an item in this way: see benchmarks/README.md."""
        rows = 1000
        least = self.problem.least_bytes(rows, dtype.itemsize)
        read = least["forward"]
        written = least["forward_backward"] - 2 * read
        beside = {ONE: read if self.sums_first else 0, OTHER: 2 * written, AGAIN: read}[way]
        return (read + written + beside) / (rows * self.problem.items) + self.counted


def like(name: str, function: Callable[..., Tensor], **options: Any) -> Problem:
    """The problem ``name``, with another loss in its place."""
    return replace(PROBLEMS[name], ours=partial(function, **options))


def with_one_more(name: str, function: Callable[..., Tensor], option: str, make: Callable[[Tensor], Tensor]) -> Problem:
    """The same with one more tensor, which ``make`` makes of the logits and which the loss takes as ``option``."""
    problem = PROBLEMS[name]

    def make_inputs(size: int, dtype: torch.dtype, device: str) -> tuple[Tensor, Any]:
        leaf, target = problem.make_inputs(size, dtype, device)
        return leaf, (target, make(leaf.detach()).contiguous())

    def ours(leaf: Tensor, targets: Any) -> Tensor:
        return function(leaf, targets[0], **{option: targets[1]}, reduction="sum")

    return replace(problem, make_inputs=make_inputs, ours=ours)


def dense(function: Callable[..., Tensor], **options: Any) -> Problem:
    return like("focal_dense", function, reduction="sum", **options)


def long_rows(classes: int) -> Problem:
    problem, bytes_ = like("softmax_focal", iouloss.softmax_focal_loss), row_bytes(classes, per_row=8)
    make_inputs = partial(inputs.rows_and_classes, classes=classes)
    return replace(problem, make_inputs=make_inputs, bytes=bytes_, least_bytes=bytes_, items=classes)


EQUALIZED = with_one_more("focal_dense", iouloss.equalized_focal_loss, "balance", lambda x: x[0].sigmoid())
SCORED = with_one_more("focal_index", iouloss.quality_focal_loss, "scores", lambda x: x[:, 0].sigmoid())
BINARY_ENTROPY = replace(PROBLEMS["entropy"], ours=lambda x, _: iouloss.binary_entropy_loss(x, reduction="sum"))
ROWS_OF_IMAGES = like("softmax_dice", iouloss.softmax_focal_loss, class_dim=1)

REGIONS: dict[str, Any] = {"sums_first": True}
SOFTMAX_REGIONS: dict[str, Any] = {"sums_first": True, "asked": 2.3}

BUDGETS = {
    "ciou": Budget(PROBLEMS["ciou"], 340, 16, again=450, ways=ALL_WAYS),
    "giou": Budget(PROBLEMS["giou"], 260, 8, again=290, ways=ALL_WAYS),
    "diou": Budget(PROBLEMS["diou"], 260, 8, again=300, ways=ALL_WAYS),
    "eiou": Budget(PROBLEMS["eiou"], 260, 8, again=340, ways=ALL_WAYS),
    "focal_dense": Budget(PROBLEMS["focal_dense"], 80, 6, again=145, ways=ALL_WAYS),
    "focal_index": Budget(PROBLEMS["focal_index"], 80, 6, again=140, asked=1.12, ways=ALL_WAYS),
    # The others: the numbers reached, rounded up, as limits.
    "focal_index_mean": Budget(
        like("focal_index", iouloss.sigmoid_focal_loss), 75, 4.3, again=140, asked=1.08, counted=8 / 80
    ),
    "focal_gamma": Budget(dense(iouloss.sigmoid_focal_loss, gamma=1.5), 160, 7, again=300),
    "focal_smooth": Budget(dense(iouloss.sigmoid_focal_loss, label_smoothing=0.1), 165, 7, again=305),
    "focal_star": Budget(dense(iouloss.focal_star_loss), 82, 6, again=156),
    "poly1_focal": Budget(dense(iouloss.poly1_focal_loss), 170, 7, again=312),
    # The balance is loaded class by class, four loads for four logits.
    "equalized_focal": Budget(EQUALIZED, 181, 7, again=344, asked=2.1),
    "quality_focal": Budget(PROBLEMS["quality_focal"], 98, 4, again=175),
    "quality_focal_scores": Budget(SCORED, 102, 4, again=185, asked=1.06),
    "varifocal": Budget(PROBLEMS["varifocal"], 94, 4, again=174),
    "gaussian_focal": Budget(PROBLEMS["gaussian_focal"], 103, 4, again=195),
    "binary_cross_entropy": Budget(PROBLEMS["binary_cross_entropy"], 70, 4, again=130),
    "asymmetric": Budget(dense(iouloss.asymmetric_loss), 163, 7, again=310),
    "asymmetric_attached": Budget(dense(iouloss.asymmetric_loss, differentiable_focus=True), 214, 8, again=361),
    "binary_entropy": Budget(BINARY_ENTROPY, 60, 4, again=113),
    "l1": Budget(dense(iouloss.l1_loss), 57, 0, again=100),
    "l2": Budget(dense(iouloss.l2_loss), 60, 0, again=104),
    "smooth_l1": Budget(PROBLEMS["smooth_l1"], 70, 2, again=123),
    # For every number, the formula divides one of its parameters by another.
    "balanced_l1": Budget(dense(iouloss.balanced_l1_loss), 173, 7, again=326),
    "focal_l1": Budget(dense(iouloss.focal_l1_loss), 125, 0, again=233),
    # A row is read twice for a gradient. For a loss it is read once, and the logit of its class again. A thread that
    # has a row by itself asks for each half of a sector separately.
    "softmax_focal": Budget(PROBLEMS["softmax_focal"], 89, 3.9, again=141, asked=1.65, counted=8 / 80, ways=WITH_HALF),
    "softmax_focal_1000": Budget(long_rows(1000), 85, 3.5, again=136, asked=1.55, counted=8 / 1000),
    "softmax_focal_image": Budget(ROWS_OF_IMAGES, 111, 3.5, again=166, asked=1.65, counted=8 / 20),
    "cross_entropy": Budget(PROBLEMS["cross_entropy"], 113, 3.9, again=181, asked=1.6, counted=8 / 80),
    "distribution_focal": Budget(PROBLEMS["distribution_focal"], 93, 3.9, again=149, asked=3.45),
    "kl_div": Budget(PROBLEMS["kl_div"], 138, 3.4, again=237, asked=1.7),
    "entropy": Budget(PROBLEMS["entropy"], 78, 3.5, again=125, asked=1.55),
    # Regions are read twice for a gradient, with a softmax five times. There is one way for any upstream gradient,
    # since the forward pass leaves the sums.
    "dice": Budget(PROBLEMS["dice"], 112, 4, ways=SUMS_AND_HALF, **REGIONS),
    "dice_squares": Budget(like("dice", iouloss.dice_loss, power=2), 117, 4, ways=SUMS, **REGIONS),
    "tversky": Budget(like("dice", iouloss.tversky_loss), 112, 4, ways=SUMS, **REGIONS),
    "focal_tversky": Budget(PROBLEMS["focal_tversky"], 112, 4.01, ways=SUMS, **REGIONS),
    "softmax_dice": Budget(PROBLEMS["softmax_dice"], 206, 5, ways=SUMS, **SOFTMAX_REGIONS),
    "generalized_dice": Budget(
        like("softmax_dice", iouloss.generalized_dice_loss), 198, 5, ways=SUMS, **SOFTMAX_REGIONS
    ),
}
