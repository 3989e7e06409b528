"""Batches to train on: random crops, and the target of each point of the detector's grid."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .model import STRIDE, grid_points
from .photos import Dataset, Photo

ANYWHERE = 0.1  # the share of crops that need not contain a box
ZOOM = 1.25  # crops are enlarged or reduced by up to this factor
LIGHT, TINT = 1.15, 1.25  # crops are made lighter or darker by up to this, as a whole and for each colour
RADIUS = 1.5 * STRIDE  # how far from the centre of a box its positive points may lie, along each axis


@dataclass(frozen=True)
class Batch:
    images: Tensor  # uint8 [B, 3, H, W]
    classes: Tensor  # int64 [B * P]: the class at each point of each grid, C for background
    positives: Tensor  # int64 [K]: which of the B * P points have a box to predict
    targets: Tensor  # float32 [K, 4]: their boxes

    def to(self, device: torch.device) -> "Batch":
        images = self.images.to(device, non_blocking=True, memory_format=torch.channels_last)
        rest = (tensor.to(device, non_blocking=True) for tensor in (self.classes, self.positives, self.targets))
        return Batch(images, *rest)


class Crops:
    """Random crops by number; crop ``i`` is the same on every rank and machine.

    The ranks of a run share one sequence of crops, so that the training data does not depend on their number.
    """

    def __init__(self, dataset: Dataset, size: int, seed: int):
        self.photos = dataset.photos
        self.classes = len(dataset.classes)
        self.size = size
        self.seed = seed
        self.fill = mean_colour(dataset)
        self.boxes_in = np.array([len(photo.boxes) for photo in self.photos]) / dataset.boxes

    def batch(self, numbers: range) -> Batch:
        crops = [self.crop(number) for number in numbers]
        points = grid_points(self.size, self.size)
        # Which points are positive depends only on the boxes, not on predictions. So it is found here, on the CPU, and
        # training on a GPU does not wait for it.
        found = [assign(points, crop.boxes) for crop in crops]
        background = torch.tensor([self.classes])  # comes last, so that the index -1 finds it
        classes = [torch.cat([crop.labels, background])[index] for crop, index in zip(crops, found, strict=True)]
        targets = [crop.boxes[index[index >= 0]] for crop, index in zip(crops, found, strict=True)]
        positives = torch.cat(found) >= 0
        images = torch.stack([crop.pixels for crop in crops])
        return Batch(images, torch.cat(classes), positives.nonzero().flatten(), torch.cat(targets))

    def crop(self, number: int) -> Photo:
        random = np.random.default_rng((self.seed, number))
        photo = self.photos[random.choice(len(self.photos), p=self.boxes_in)]
        window = round(self.size / factor(ZOOM, random).item())
        left, top = self._corner(photo, window, random)
        crop = self._fill_up(photo.window(left, top, window, window), window)
        crop = recolour(resize(crop, self.size), factor(LIGHT, random) * factor(TINT, random, 3))
        return flip(crop) if random.random() < 0.5 else crop

    def _corner(self, photo: Photo, window: int, random: np.random.Generator) -> tuple[int, int]:
        """The top-left corner of a crop: so that it contains a random box's centre, or anywhere."""
        spare = np.maximum([photo.width - window, photo.height - window], 0)
        if random.random() < ANYWHERE:
            corner = random.integers(0, spare + 1)
        else:
            x1, y1, x2, y2 = photo.boxes[random.integers(len(photo.boxes))].tolist()
            centre = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
            corner = np.clip(centre - random.random(2) * window, 0, spare)
        return int(corner[0]), int(corner[1])

    def _fill_up(self, photo: Photo, window: int) -> Photo:
        """Put a photograph that is smaller than a crop on a plain ground."""
        if photo.width == photo.height == window:
            return photo
        pixels = self.fill[:, None, None].repeat(1, window, window)
        pixels[:, : photo.height, : photo.width] = photo.pixels
        return Photo(photo.name, pixels, photo.boxes, photo.labels)


def factor(largest: float, random: np.random.Generator, count: int = 1) -> np.ndarray:
    """Random factors between ``1 / largest`` and ``largest``."""
    return largest ** random.uniform(-1, 1, count)


def resize(photo: Photo, size: int) -> Photo:
    """Resize a square photograph to sides of ``size`` pixels."""
    pixels = functional.interpolate(photo.pixels[None].float(), size=(size, size), mode="bilinear")[0]
    return Photo(photo.name, pixels.round().to(torch.uint8), photo.boxes * (size / photo.width), photo.labels)


def recolour(photo: Photo, factors: np.ndarray) -> Photo:
    """Multiply each colour by its factor."""
    pixels = photo.pixels * torch.from_numpy(factors).float()[:, None, None]
    return Photo(photo.name, pixels.clamp(max=255).to(torch.uint8), photo.boxes, photo.labels)


def flip(photo: Photo) -> Photo:
    """Mirror the photograph and its boxes: left becomes right."""
    x1, y1, x2, y2 = photo.boxes.unbind(1)
    boxes = torch.stack([photo.width - x2, y1, photo.width - x1, y2], dim=1)
    return Photo(photo.name, photo.pixels.flip(2), boxes, photo.labels)


def mean_colour(dataset: Dataset) -> Tensor:
    total = torch.stack([photo.pixels.sum((1, 2)) for photo in dataset.photos]).sum(0)
    return (total // sum(photo.width * photo.height for photo in dataset.photos)).to(torch.uint8)


def assign(points: Tensor, boxes: Tensor) -> Tensor:
    """The index of the box that each point has to predict, -1 for none.

    That is the smallest of the boxes that contain the point and whose centre is near. The points next to a centre count
    even if they lie outside the box, so that no box is too small to have a point.
    """
    if len(boxes) == 0:
        return torch.full((len(points),), -1)
    centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    distances = (points[:, None] - centres).abs()  # [P, N, 2]
    inside = (distances <= torch.minimum(sizes / 2, torch.tensor(RADIUS))).all(-1)
    nearest = (distances <= STRIDE / 2).all(-1)
    area = sizes.prod(-1).expand(len(points), -1).masked_fill(~(inside | nearest), torch.inf)
    smallest, index = area.min(dim=1)
    return torch.where(smallest < torch.inf, index, -1)
