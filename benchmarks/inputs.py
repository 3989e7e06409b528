"""The boxes and logits that are timed: like those of a detector in training, and away from every kink."""

import torch
from torch import Tensor

CLASSES = 80
BINS = 16
IMAGES, IMAGE_CLASSES = 8, 20
_SEED = 7


def boxes(n: int, dtype: torch.dtype, device: str) -> tuple[Tensor, Tensor]:
    """Predictions and targets of 16 to 256 pixels: seven in eight overlap, the eighth is far off, none only touch."""
    generator = torch.Generator().manual_seed(_SEED)

    def uniform(low: float, high: float, columns: int) -> Tensor:
        return torch.rand(n, columns, generator=generator) * (high - low) + low

    centre, size = uniform(0, 640, 2), 16 * 16 ** uniform(0, 1, 2)
    shift = uniform(-0.3, 0.3, 2)
    shift[::8] = 3
    target_centre, target_size = centre + shift * size, size * uniform(0.7, 1.4, 2)
    pred = torch.cat((centre - size / 2, centre + size / 2), -1)
    target = torch.cat((target_centre - target_size / 2, target_centre + target_size / 2), -1)
    return pred.to(device, dtype).requires_grad_(), target.to(device, dtype)


def logits_and_classes(rows: int, dtype: torch.dtype, device: str) -> tuple[Tensor, Tensor]:
    """Logits of an early detector, and a class for one row in a hundred; class 80 is background."""
    generator = torch.Generator().manual_seed(_SEED)
    logits = torch.randn(rows, CLASSES, generator=generator).mul_(2).sub_(4)
    logits[logits == 0] = 0.01  # one of millions may be 0; there autograd gives |x| in a peer's formula a slope of 0
    classes = torch.randint(CLASSES, (rows,), generator=generator)
    positive = torch.rand(rows, generator=generator) < 0.01
    classes = torch.where(positive, classes, CLASSES)
    return logits.to(device, dtype).requires_grad_(), classes.to(device)


def logits_and_dense(rows: int, dtype: torch.dtype, device: str) -> tuple[Tensor, Tensor]:
    """The same with a one-hot row for each class."""
    logits, classes = logits_and_classes(rows, dtype, device)
    return logits, one_hot(classes, dtype)


def logits_and_qualities(rows: int, dtype: torch.dtype, device: str) -> tuple[Tensor, Tensor]:
    """The same with a quality instead of each 1."""
    logits, targets = logits_and_dense(rows, dtype, device)
    qualities = torch.rand(rows, 1, generator=torch.Generator().manual_seed(_SEED)).to(device)
    return logits, (targets * qualities).to(dtype)


def image_logits_and_classes(pixels: int, dtype: torch.dtype, device: str) -> tuple[Tensor, Tensor]:
    """Logits of 8 images and 20 classes, and the class of each pixel."""
    generator = torch.Generator().manual_seed(_SEED)
    logits = torch.randn(IMAGES, IMAGE_CLASSES, pixels, generator=generator).mul_(2)
    classes = torch.randint(IMAGE_CLASSES, (IMAGES, pixels), generator=generator)
    return logits.to(device, dtype).requires_grad_(), classes.to(device)


def image_logits_and_masks(pixels: int, dtype: torch.dtype, device: str) -> tuple[Tensor, Tensor]:
    """The same with a mask for each class."""
    logits, classes = image_logits_and_classes(pixels, dtype, device)
    return logits, image_masks(classes, dtype)


def image_masks(classes: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.nn.functional.one_hot(classes, IMAGE_CLASSES).movedim(-1, 1).to(dtype).contiguous()


def one_hot(classes: Tensor, dtype: torch.dtype) -> Tensor:
    """[N, 80] of 0 and 1; background has no 1. Few rows have one: far faster than ``torch.nn.functional.one_hot``."""
    targets = torch.zeros(len(classes), CLASSES, dtype=dtype, device=classes.device)
    rows = ((classes >= 0) & (classes < CLASSES)).nonzero()[:, 0]
    targets[rows, classes[rows]] = 1
    return targets


def _rows(rows: int, classes: int, dtype: torch.dtype, device: str) -> tuple[Tensor, torch.Generator]:
    generator = torch.Generator().manual_seed(_SEED)
    logits = torch.randn(rows, classes, generator=generator).mul_(2)
    return logits.to(device, dtype).requires_grad_(), generator


def rows_and_classes(rows: int, dtype: torch.dtype, device: str, classes: int = CLASSES) -> tuple[Tensor, Tensor]:
    """80 logits a row, and a class for each."""
    logits, generator = _rows(rows, classes, dtype, device)
    return logits, torch.randint(classes, (rows,), generator=generator).to(device)


def rows_and_places(rows: int, dtype: torch.dtype, device: str) -> tuple[Tensor, Tensor]:
    """16 bins a row, and a place for each; none at the last bin, where the peers fail."""
    logits, generator = _rows(rows, BINS, dtype, device)
    return logits, (torch.rand(rows, generator=generator) * (BINS - 1.01)).to(device)


def rows_and_probabilities(rows: int, dtype: torch.dtype, device: str) -> tuple[Tensor, Tensor]:
    """80 logits a row, and a probability for each."""
    logits, generator = _rows(rows, CLASSES, dtype, device)
    return logits, torch.randn(rows, CLASSES, generator=generator).softmax(-1).to(device, dtype)
