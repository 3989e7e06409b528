"""Detections on whole photographs, and their average precision."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor, nn
from torchvision.ops import batched_nms

from .photos import Photo, clip_boxes

DETECTIONS = 1000  # per photograph; COCO's usual 100 are fewer than the trees on one


@dataclass(frozen=True)
class Limits:
    """What counts as a detection."""

    score: float = 0.02
    candidates: int = 4000  # before non-maximum suppression
    overlap: float = 0.5  # from this IoU with a better detection on, a detection is suppressed
    detections: int = DETECTIONS


@dataclass(frozen=True)
class Detections:
    boxes: Tensor  # [N, 4], sorted by falling score
    scores: Tensor  # [N]
    labels: Tensor  # int64 [N]

    def above(self, score: float) -> "Detections":
        kept = self.scores >= score
        return Detections(self.boxes[kept], self.scores[kept], self.labels[kept])


@torch.no_grad()
def detect(model: nn.Module, pixels: Tensor, device: torch.device, limits: Limits) -> Detections:
    """Detect objects on an image (uint8 ``[3, H, W]``) with a model that is on the device."""
    model.eval()
    images = pixels[None].to(device, memory_format=torch.channels_last)
    logits, boxes = (output[0] for output in model(images))
    scores, index = logits.sigmoid().flatten().topk(min(limits.candidates, logits.numel()))
    index = index[scores > limits.score]
    scores, points, labels = scores[: len(index)], index // logits.shape[1], index % logits.shape[1]
    found = clip_boxes(boxes[points], pixels.shape[2], pixels.shape[1])
    kept = batched_nms(found, scores, labels, limits.overlap)[: limits.detections]
    return Detections(found[kept].cpu(), scores[kept].cpu(), labels[kept].cpu())


def average_precision(photos: Sequence[Photo], detections: Sequence[Detections], classes: int) -> dict[str, float]:
    """AP (mean over the IoU thresholds 0.5, 0.55 ... 0.95), AP50 and AP75, each the mean over the classes."""
    rows = [_coco_rows(number, found) for number, found in enumerate(detections, start=1)]
    results = np.concatenate(rows)
    if len(results) == 0:  # COCO does not accept empty results
        return {"AP": 0.0, "AP50": 0.0, "AP75": 0.0}
    with contextlib.redirect_stdout(io.StringIO()):  # COCO prints to stdout
        truth = COCO()
        truth.dataset = _coco_dataset(photos, classes)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        # Its summary, and that of torchmetrics, count at most 100 detections, whatever maxDets says. The precisions
        # [threshold, recall, class, area, maxDets] themselves do not.
        evaluation.params.maxDets = [DETECTIONS]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, 0]
    known = precision[:, :, (precision > -1).all((0, 1))]  # the classes that occur
    by_threshold = known.mean((1, 2))
    return {"AP": float(by_threshold.mean()), "AP50": float(by_threshold[0]), "AP75": float(by_threshold[5])}


def _coco_rows(number: int, found: Detections) -> np.ndarray:
    """Rows of image, x, y, width, height, score and class."""
    image = torch.full((len(found.scores), 1), float(number))
    corner, size = found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]
    return torch.cat([image, corner, size, found.scores[:, None], found.labels[:, None].float()], dim=1).numpy()


def _coco_dataset(photos: Sequence[Photo], classes: int) -> dict[str, list[dict[str, object]]]:
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for number, photo in enumerate(photos, start=1):
        images.append({"id": number, "width": photo.width, "height": photo.height})
        for (x1, y1, x2, y2), label in zip(photo.boxes.tolist(), photo.labels.tolist(), strict=True):
            box = [x1, y1, x2 - x1, y2 - y1]
            annotations.append(
                {
                    "id": len(annotations) + 1,  # COCO takes the number 0 for "no match"
                    "image_id": number,
                    "category_id": label,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    return {"images": images, "annotations": annotations, "categories": [{"id": i} for i in range(classes)]}
