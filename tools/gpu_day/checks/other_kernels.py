"""Calls for ``kernels``, through public functions: other losses of logits, losses of numbers, rows and regions."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

import iouloss
from iouloss import _ops

from .call import Call, Loss

DTYPES = (torch.float32, torch.float64, torch.float16)
ROWS, CLASSES = 259, 5  # 1295 logits: a block of 1024, and a tail that is no multiple of 4
CLASSES_OF_ROWS = (5, 80, 1601)  # several rows a warp, a warp a row, a block a row
IMAGES, PIXELS = 2, 1033  # with a softmax one block and a tail; not a multiple of 4


def by_reference(loss: Loss) -> Loss:
    """The same loss by the reference, in float64."""

    def call(*tensors: Tensor) -> Tensor:
        extension, _ops._extension = _ops._extension, None
        try:
            value = loss(*(x.double() if x.is_floating_point() else x for x in tensors))
        finally:
            _ops._extension = extension
        return value.to(torch.promote_types(tensors[0].dtype, torch.float32))

    return call


def calls_of(name: str, loss: Callable[..., Tensor], *tensors: Tensor, **options: Any) -> Iterator[Call]:
    """Calls in each dtype: the losses, and their mean, whose gradient the forward pass leaves."""
    for dtype in DTYPES:
        here = [x.to(dtype) if x.is_floating_point() else x for x in tensors]
        for reduction in ("none", "mean"):

            def ours(*given: Tensor, reduction: str = reduction) -> Tensor:
                return loss(*given, reduction=reduction, **options)

            yield Call(f"{dtype}, {reduction}, {name}", ours, by_reference(ours), here)


def element_calls(generator: torch.Generator) -> Iterator[Call]:
    x = 4 * torch.randn(ROWS, CLASSES, generator=generator, dtype=torch.float64)
    z = torch.rand(ROWS, CLASSES, generator=generator, dtype=torch.float64)
    hard, classes = z.round(), torch.randint(-1, CLASSES + 1, (ROWS,), generator=generator)
    each, scores = z[0], z[:, 0]
    yield from calls_of("smoothed focal", iouloss.sigmoid_focal_loss, x, z, gamma=1.5, label_smoothing=0.1)
    yield from calls_of("focal star", iouloss.focal_star_loss, x, z)
    yield from calls_of("poly-1 focal", iouloss.poly1_focal_loss, x, classes)
    yield from calls_of("equalized focal", iouloss.equalized_focal_loss, x, hard, each)
    yield from calls_of("quality focal", iouloss.quality_focal_loss, x, z)
    yield from calls_of("quality focal of classes", iouloss.quality_focal_loss, x, classes, scores)
    yield from calls_of("varifocal", iouloss.varifocal_loss, x, z * hard)
    yield from calls_of("Gaussian focal", iouloss.gaussian_focal_loss, x, z)
    yield from calls_of("asymmetric", iouloss.asymmetric_loss, x, hard)
    yield from calls_of("asymmetric, attached", iouloss.asymmetric_loss, x, hard, differentiable_focus=True)
    yield from calls_of("binary cross entropy", iouloss.binary_cross_entropy_loss, x, z, each + 0.5)
    yield from calls_of("binary entropy", iouloss.binary_entropy_loss, x)
    for name in ("l1", "l2", "smooth_l1", "huber", "balanced_l1", "focal_l1"):
        yield from calls_of(name, getattr(iouloss, f"{name}_loss"), x, z)


def row_calls(generator: torch.Generator) -> Iterator[Call]:
    for classes in CLASSES_OF_ROWS:
        rows = ROWS if classes < 1000 else 7
        x = 3 * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
        index = torch.randint(-1, classes + 1, (rows,), generator=generator)
        place = torch.rand(rows, generator=generator, dtype=torch.float64) * (classes + 1) - 1
        probabilities = torch.randn(rows, classes, generator=generator, dtype=torch.float64).softmax(-1)
        of = f"of {classes} classes"
        yield from calls_of(f"softmax focal {of}", iouloss.softmax_focal_loss, x, index)
        yield from calls_of(f"cross entropy {of}", iouloss.cross_entropy_loss, x, index, label_smoothing=0.1)
        yield from calls_of(f"distribution focal {of}", iouloss.distribution_focal_loss, x, place)
        yield from calls_of(f"KL {of}", iouloss.kl_div_loss, x, probabilities, temperature=2.0)
        yield from calls_of(f"entropy {of}", iouloss.entropy_loss, x)
    x = 3 * torch.randn(3, 7, 11, 13, generator=generator, dtype=torch.float64)
    index = torch.randint(7, (3, 11, 13), generator=generator)
    yield from calls_of("softmax focal of images", iouloss.softmax_focal_loss, x, index, class_dim=1)
    yield from calls_of("entropy of images", iouloss.entropy_loss, x, class_dim=1)


def region_calls(generator: torch.Generator) -> Iterator[Call]:
    x = 2 * torch.randn(IMAGES, CLASSES, PIXELS, generator=generator, dtype=torch.float64)
    z = torch.rand(IMAGES, CLASSES, PIXELS, generator=generator, dtype=torch.float64)
    index = torch.randint(-1, CLASSES + 1, (IMAGES, PIXELS), generator=generator)
    for activation in ("sigmoid", "softmax"):
        for kind, targets in {"masks": z, "classes": index}.items():
            of = f"{activation}, {kind}"
            yield from calls_of(f"Dice, {of}", iouloss.dice_loss, x, targets, activation=activation)
            yield from calls_of(f"focal Tversky, {of}", iouloss.focal_tversky_loss, x, targets, activation=activation)
    yield from calls_of("Dice of squares", iouloss.dice_loss, x, z, power=2, per="batch")
    yield from calls_of("Dice of probabilities", iouloss.dice_loss, x.sigmoid(), z, activation=None, per="class")
    yield from calls_of("generalized Dice", iouloss.generalized_dice_loss, x, index)


def calls() -> Iterator[Call]:
    generator = torch.Generator().manual_seed(2)
    yield from element_calls(generator)
    yield from row_calls(generator)
    yield from region_calls(generator)
