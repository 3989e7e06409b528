"""Losses of more elements than 32 bits can count, compared with the same losses of smaller parts.

A part computes each element as the whole does, so losses and gradients must be equal to the bit. Sums are folded in
another order, so they need only be close.
"""

import gc
import sys
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

import iouloss

from . import CANNOT, EMULATED, require_close, require_kernels

CLASSES = 80
ROWS = 500 if EMULATED else 2**31 // CLASSES + 1001  # rows of logits: some 80,000 elements beyond 2^31
BOXES = 5_000 if EMULATED else 2**29 + 1001  # boxes: some 4,000 coordinates beyond 2^31
PART = 173 if EMULATED else 2**18 + 1  # rows at a time; odd, so that vectors begin at other rows than in the whole
BOX_PART = 1_733 if EMULATED else 2**24 + 1
HALF = torch.float16
SPARE = 1.5  # GiB for the parts


def spans(n: int, part: int) -> Iterator[slice]:
    return (slice(start, min(start + part, n)) for start in range(0, n, part))


def filled(shape: tuple[int, ...], part: int, fill: Callable[[Tensor], object], dtype: torch.dtype = HALF) -> Tensor:
    """A tensor that is filled part by part, so that no other tensor of its size is created."""
    tensor = torch.empty(shape, dtype=dtype, device="cuda")
    for span in spans(shape[0], part):
        fill(tensor[span])
    return tensor


def require_parts(what: str, loss: Callable[..., Tensor], leaf: Tensor, target: Tensor, part: int) -> None:
    """Compare sum and gradient, then every loss, of the whole and of its parts."""
    leaf.requires_grad_()
    total = loss(leaf, target, reduction="sum")
    (gradient,) = torch.autograd.grad(total, leaf)
    expected = 0.0
    for span in spans(len(leaf), part):
        piece = leaf[span].detach().requires_grad_()
        value = loss(piece, target[span], reduction="sum")
        (wanted,) = torch.autograd.grad(value, piece)
        if not torch.equal(gradient[span], wanted):
            sys.exit(f"{what}: the gradient of rows {span.start} to {span.stop} is another than that of these alone")
        expected += value.item()
    require_close(f"{what}, sum", total.item(), expected, 1e-5, 0.0)
    del gradient, total
    with torch.no_grad():
        each = loss(leaf, target, reduction="none")
        for span in spans(len(leaf), part):
            if not torch.equal(each[span], loss(leaf[span], target[span], reduction="none")):
                sys.exit(f"{what}: the losses of rows {span.start} to {span.stop} are others than those of these alone")


def make_boxes(part: Tensor) -> None:
    part.uniform_(0, 4)
    part[:, 2:] += part[:, :2]


def focal_of_classes() -> None:
    logits = filled((ROWS, CLASSES), PART, lambda part: part.normal_(0, 3))
    classes = filled((ROWS,), PART, lambda part: part.random_(CLASSES + 1), torch.int64)
    require_parts("focal, classes", iouloss.sigmoid_focal_loss, logits, classes, PART)


def focal_of_dense_targets() -> None:
    logits = filled((ROWS, CLASSES), PART, lambda part: part.normal_(0, 3))
    targets = filled((ROWS, CLASSES), PART, lambda part: part.uniform_())
    require_parts("focal, dense", iouloss.sigmoid_focal_loss, logits, targets, PART)


def giou() -> None:
    pred, target = (filled((BOXES, 4), BOX_PART, make_boxes) for _ in range(2))
    require_parts("giou", iouloss.giou_loss, pred, target, BOX_PART)


# Each check, its number of elements, and bytes per element: halves that are read, and losses in float32 or a gradient
# in halves.
CASES = {
    "focal loss of class indices": (focal_of_classes, ROWS * CLASSES, 2 + 4 + 8 / CLASSES),
    "focal loss of dense targets": (focal_of_dense_targets, ROWS * CLASSES, 2 + 2 + 4),
    "giou loss": (giou, BOXES * 4, 2 + 2 + 2),
}


def main() -> None:
    require_kernels()
    torch.manual_seed(0)
    done, left = [], []
    for name, (check, elements, size) in CASES.items():
        free, wants = torch.cuda.mem_get_info()[0] / 2**30, elements * size / 2**30 + SPARE
        if free < wants:
            left.append(f"{name} wants {wants:.0f} GiB, {free:.0f} are free")
            continue
        check()
        gc.collect()
        torch.cuda.empty_cache()
        done.append(f"{name}, {elements:,} elements")
        print(done[-1], flush=True)
    scaled = ["scaled down: this says nothing about 2^31"] if EMULATED else []
    print("; ".join(scaled + done + left))
    sys.exit(0 if done else CANNOT)


if __name__ == "__main__":
    main()
