"""The registry: which losses are timed, at which sizes, and how many bytes each must move.

A loss is one line in ``PROBLEMS``; which of its sizes, types and threads are run is said in ``full`` and ``quick``.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

import iouloss

from . import inputs, peers, row_peers
from .peers import Loss

MODES = ("forward", "forward_backward")
BOX_SIZES = (8, 128, 1_000, 10_000, 100_000, 1_000_000, 10_000_000)
ROW_SIZES = (100, 1_000, 10_000, 100_000)
IMAGE_SIZES = (64 * 64, 512 * 512)  # pixels of each of 8 images with 20 classes
IMAGE_LOGITS = inputs.IMAGES * inputs.IMAGE_CLASSES  # logits of one pixel in all images
HALVES = (torch.float16, torch.bfloat16)


def _box_bytes(n: int, itemsize: int) -> dict[str, int]:
    # Forward reads 8 coordinates; backward reads them again and writes 4. With reduction "none" the loss is written
    # and its upstream gradient read, 4 bytes each: 88 bytes a box of float32, which is the floor used for every
    # reduction. What "mean" must move is 8 bytes less: see least_bytes.
    return {"forward": n * (8 * itemsize + 4), "forward_backward": n * (20 * itemsize + 8)}


def _least_box_bytes(n: int, itemsize: int) -> dict[str, int]:
    return {"forward": n * 8 * itemsize, "forward_backward": n * 20 * itemsize}


def _dense_bytes(rows: int, itemsize: int) -> dict[str, int]:
    # Forward reads logit and target; backward reads both and writes the gradient.
    count = rows * inputs.CLASSES * itemsize
    return {"forward": 2 * count, "forward_backward": 5 * count}


def _index_bytes(rows: int, itemsize: int) -> dict[str, int]:
    # Forward reads the logit, and an index of 8 bytes a row; backward reads both and writes the gradient.
    count = rows * inputs.CLASSES * itemsize
    return {"forward": count + 8 * rows, "forward_backward": 3 * count + 16 * rows}


def row_bytes(classes: int, per_row: int, dense: int = 0) -> Callable[[int, int], dict[str, int]]:
    # Forward reads the logits and the targets; backward reads both and writes the gradient.
    def count(rows: int, itemsize: int) -> dict[str, int]:
        logits, targets = rows * classes * itemsize, rows * (per_row + dense * classes * itemsize)
        return {"forward": logits + targets, "forward_backward": 3 * logits + 2 * targets}

    return count


def _mask_bytes(pixels: int, itemsize: int) -> dict[str, int]:
    # Forward reads logit and target; backward reads both again, once the sums are known, and writes the gradient.
    count = pixels * inputs.IMAGES * inputs.IMAGE_CLASSES * itemsize
    return {"forward": 2 * count, "forward_backward": 5 * count}


def _class_map_bytes(pixels: int, itemsize: int) -> dict[str, int]:
    count, indices = pixels * inputs.IMAGES * inputs.IMAGE_CLASSES * itemsize, pixels * inputs.IMAGES * 8
    return {"forward": count + indices, "forward_backward": 3 * count + 2 * indices}


@dataclass(frozen=True)
class Problem:
    """A loss: our function, its inputs, and the bytes that the fastest conceivable implementation moves."""

    ours: Loss
    make_inputs: Callable[[int, torch.dtype, str], tuple[Tensor, Tensor]]
    bytes: Callable[[int, int], dict[str, int]]
    least_bytes: Callable[[int, int], dict[str, int]]
    items: int  # items per unit of size: 1 box, 80 logits of a row, 160 logits of a pixel in all images
    reduction: str


def _boxes(ours: Callable[..., Tensor]) -> Problem:
    return Problem(ours, inputs.boxes, _box_bytes, _least_box_bytes, items=1, reduction="mean")


def _logits(ours: Callable[..., Tensor], make_inputs: Any, bytes_: Callable[[int, int], dict[str, int]]) -> Problem:
    return Problem(partial(ours, reduction="sum"), make_inputs, bytes_, bytes_, items=inputs.CLASSES, reduction="sum")


_focal = partial(iouloss.sigmoid_focal_loss, alpha=peers.ALPHA, gamma=peers.GAMMA)


def _rows(ours: Loss, make_inputs: Any, bytes_: Callable[[int, int], dict[str, int]], classes: int) -> Problem:
    return Problem(ours, make_inputs, bytes_, bytes_, items=classes, reduction="mean")


_CLASSES = (inputs.rows_and_classes, row_bytes(inputs.CLASSES, per_row=8), inputs.CLASSES)
_PLACES = (inputs.rows_and_places, row_bytes(inputs.BINS, per_row=4), inputs.BINS)
_PROBABILITIES = (inputs.rows_and_probabilities, row_bytes(inputs.CLASSES, per_row=0, dense=1), inputs.CLASSES)
_NO_TARGETS = (inputs.rows_and_classes, row_bytes(inputs.CLASSES, per_row=0), inputs.CLASSES)
ROW_PROBLEMS: dict[str, Problem] = {
    "softmax_focal": _rows(iouloss.softmax_focal_loss, *_CLASSES),
    "cross_entropy": _rows(partial(iouloss.cross_entropy_loss, label_smoothing=row_peers.SMOOTHING), *_CLASSES),
    "distribution_focal": _rows(iouloss.distribution_focal_loss, *_PLACES),
    "kl_div": _rows(iouloss.kl_div_loss, *_PROBABILITIES),
    "entropy": _rows(lambda logits, _: iouloss.entropy_loss(logits), *_NO_TARGETS),
}
# Sizes that a detector has: anchors times 4 sides, or anchors.
ROW_LOSSES = {name: 1_000_000 if name == "distribution_focal" else 100_000 for name in ROW_PROBLEMS}


def _regions(ours: Callable[..., Tensor], make_inputs: Any, bytes_: Callable[[int, int], dict[str, int]]) -> Problem:
    return Problem(ours, make_inputs, bytes_, bytes_, items=IMAGE_LOGITS, reduction="mean")


PROBLEMS: dict[str, Problem] = {
    "iou": _boxes(iouloss.iou_loss),
    "giou": _boxes(iouloss.giou_loss),
    "diou": _boxes(iouloss.diou_loss),
    "ciou": _boxes(iouloss.ciou_loss),
    "eiou": _boxes(iouloss.eiou_loss),
    "siou": _boxes(iouloss.siou_loss),
    "focal_eiou": _boxes(iouloss.focal_eiou_loss),
    "cdiou": _boxes(iouloss.cdiou_loss),
    "bounded_iou": _boxes(iouloss.bounded_iou_loss),
    "focal_dense": _logits(_focal, inputs.logits_and_dense, _dense_bytes),
    "focal_index": _logits(_focal, inputs.logits_and_classes, _index_bytes),
    "binary_cross_entropy": _logits(iouloss.binary_cross_entropy_loss, inputs.logits_and_dense, _dense_bytes),
    "quality_focal": _logits(iouloss.quality_focal_loss, inputs.logits_and_qualities, _dense_bytes),
    "varifocal": _logits(iouloss.varifocal_loss, inputs.logits_and_qualities, _dense_bytes),
    "gaussian_focal": _logits(iouloss.gaussian_focal_loss, inputs.logits_and_dense, _dense_bytes),
    "smooth_l1": _logits(iouloss.smooth_l1_loss, inputs.logits_and_dense, _dense_bytes),
    **ROW_PROBLEMS,
    "dice": _regions(iouloss.dice_loss, inputs.image_logits_and_masks, _mask_bytes),
    "focal_tversky": _regions(iouloss.focal_tversky_loss, inputs.image_logits_and_masks, _mask_bytes),
    "softmax_dice": _regions(
        partial(iouloss.dice_loss, activation="softmax"), inputs.image_logits_and_classes, _class_map_bytes
    ),
}
BOX_LOSSES = tuple(name for name, problem in PROBLEMS.items() if problem.items == 1)
LOGIT_LOSSES = ("focal_dense", "focal_index")
REGION_LOSSES = tuple(name for name, problem in PROBLEMS.items() if problem.items == IMAGE_LOGITS)
OTHER_LOSSES = tuple(name for name in PROBLEMS if name not in (*BOX_LOSSES, *LOGIT_LOSSES, *ROW_LOSSES, *REGION_LOSSES))


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    loss: str
    size: int  # number of boxes, of rows of 80 logits, or of pixels of each image
    dtype: torch.dtype = torch.float32
    device: str = "cpu"
    threads: int = 1
    with_compiled: bool = True

    @property
    def problem(self) -> Problem:
        return PROBLEMS[self.loss]

    @property
    def dtype_name(self) -> str:
        return str(self.dtype).removeprefix("torch.")

    @property
    def key(self) -> str:
        return f"{self.device}/{self.loss}/{self.dtype_name}/{self.size}/{self.threads}t"

    @property
    def items(self) -> int:
        return self.size * self.problem.items

    def without_compiled(self) -> "Case":
        return replace(self, with_compiled=False)

    def losses(self) -> dict[str, Loss]:
        """Our implementation, then every peer that is installed."""
        others = peers.libraries(self.loss, self.device)
        if self.with_compiled:
            others |= peers.compiled(self.loss)
        if self.dtype in HALVES:
            others = {name: peers.in_float32(loss) for name, loss in others.items()}
        return {"ours": self.problem.ours, **others}

    def seed(self) -> Tensor | None:
        """The upstream gradient; for means in float16 scaled up, as by AMP, or gradients would underflow."""
        if self.dtype != torch.float16 or self.problem.reduction != "mean":
            return None
        return torch.tensor(float(self.size), device=self.device)


@dataclass(frozen=True)
class Plan:
    """What a run covers, besides its devices and threads."""

    devices: Sequence[str]
    threads: Sequence[int]
    sizes: Sequence[int] | None = None

    def of(self, sizes: Sequence[int]) -> Sequence[int]:
        return sizes if self.sizes is None else self.sizes


def full(plan: Plan) -> Iterator[Case]:
    """All cases.

    Compiling takes seconds per shape: it is timed at every size for CIoU and the focal losses, at two for the rest.
    """
    threads = max(plan.threads)
    for device in plan.devices:
        new = partial(Case, device=device, threads=threads)
        for loss in BOX_LOSSES:
            for size in plan.of(BOX_SIZES):
                every = loss == "ciou" or plan.sizes is not None
                yield new(loss, size, with_compiled=size <= 10**6 and (every or size in (128, 10**6)))
        for loss in LOGIT_LOSSES:
            yield from (new(loss, size) for size in plan.of(ROW_SIZES))
        for loss in OTHER_LOSSES:
            yield from (new(loss, size) for size in plan.of(ROW_SIZES[-1:]))
        for loss, most in ROW_LOSSES.items():
            yield from (new(loss, size) for size in plan.of((most // 100, most)))
        for loss in REGION_LOSSES:
            yield from (new(loss, size) for size in plan.of(IMAGE_SIZES))
        large = [("ciou", 10**6), ("giou", 10**6), ("focal_dense", 10**5), ("focal_index", 10**5)]
        if plan.sizes is not None:
            continue
        for loss, size in large:
            # For half types torch.compile is timed for one loss of each shape only.
            yield from (new(loss, size, dtype, with_compiled=loss in ("ciou", "focal_dense")) for dtype in HALVES)
        if device == "cpu":
            for fewer in sorted(set(plan.threads) - {threads}, reverse=True):
                yield from (Case(loss, size, device=device, threads=fewer) for loss, size in large[::2])


def quick(plan: Plan) -> Iterator[Case]:
    """Enough to notice a regression: on one thread, whose times vary least, and one case on all."""
    for device in plan.devices:
        new = partial(Case, device=device, threads=min(plan.threads))
        yield from (new("ciou", size) for size in plan.of((128, 100_000)))
        yield from (new(loss, size, with_compiled=False) for loss in ("giou", "diou") for size in plan.of((100_000,)))
        yield from (new(loss, size) for loss in ("eiou", "cdiou") for size in plan.of((100_000,)))
        yield from (new(loss, size) for loss in LOGIT_LOSSES for size in plan.of((10_000,)))
        yield from (new(loss, most // 10, with_compiled=False) for loss, most in ROW_LOSSES.items() if not plan.sizes)
        yield Case("ciou", 1_000_000, device=device, threads=max(plan.threads), with_compiled=False)


def gpu(plan: Plan) -> Iterator[Case]:
    """The cases for a GPU: large batches; and small ones, where the time of the call itself dominates."""
    new = partial(Case, device="cuda", threads=1)
    yield from (new("ciou", size, with_compiled=size == 128) for size in plan.of((128, 10_000, 100_000, 1_000_000)))
    yield from (new(loss, size, with_compiled=False) for loss in LOGIT_LOSSES for size in plan.of((1_000, 100_000)))
    for loss, size in (("ciou", 10_000_000), ("focal_dense", 1_000_000), ("focal_index", 1_000_000)):
        yield from (new(loss, n, dtype, with_compiled=False) for n in plan.of((size,)) for dtype in HALVES)
    yield from (new(loss, n, with_compiled=loss == "ciou") for loss in BOX_LOSSES for n in plan.of((10_000_000,)))
    yield from (new(loss, size) for loss in LOGIT_LOSSES for size in plan.of((1_000_000,)))
    yield from (new(loss, 10 * most) for loss, most in ROW_LOSSES.items() if not plan.sizes)
    yield from (new(loss, size) for loss in REGION_LOSSES for size in plan.of((512 * 512,)))
    yield from (new(loss, size) for loss in OTHER_LOSSES for size in plan.of((1_000_000,)))


def distinct(cases: Iterable[Case]) -> list[Case]:
    return list({case.key: case for case in cases}.values())
