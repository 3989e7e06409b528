"""What a run prints and writes: lines, ``metrics.json``, ``curves.png`` and ``predictions.png``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # files only: no display is needed

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from torchvision.ops import box_iou

from .evaluate import Detections
from .losses import Comparison
from .photos import Photo
from .training import Training

FOCAL, BOX, TRUTH, RIGHT, WRONG = "#0b6e99", "#c8553d", "#ffe14d", "#2ee6ff", "#ff5a36"
SHOWN_SCORE = 0.4
SHOWN_PHOTOS = 4
SHOWN_PIXELS = 700


def describe(comparisons: Sequence[Comparison], training: Training) -> list[str]:
    """One line for each loss of the run: its cost, and its difference from the peer's."""
    lines = ["the losses, forward and backward, on batches of this run:"]
    for c in comparisons:
        note = "" if c.peer == "torchvision" else " (pure PyTorch: torchvision has none)"
        lines.append(
            f"  {c.name:10} iouloss {c.milliseconds:.3f} ms, {c.peer} {c.peer_milliseconds:.3f} ms{note}; largest "
            f"relative difference {c.loss_difference:.0e} of the loss, {c.gradient_difference:.0e} of the gradient"
        )
    timings = training_metrics(training, comparisons)["timings"]
    lines.append(
        f"  in {training.steps} steps: iouloss {timings['losses_seconds']:.2f} s, "
        f"{100 * timings['losses_share']:.1f} % of the {training.seconds:.0f} s of training; "
        f"the peers {timings['peer_losses_seconds']:.2f} s"
    )
    return lines


def training_metrics(training: Training, comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """The content of ``metrics.json``. Only ``timings`` differs from run to run."""
    ours = sum(c.milliseconds for c in comparisons)
    peers = sum(c.peer_milliseconds for c in comparisons)
    return {
        "losses": {
            c.name: {
                "peer": c.peer,
                "loss_difference": c.loss_difference,
                "gradient_difference": c.gradient_difference,
            }
            for c in comparisons
        },
        "history": {"focal": training.focal, "box": training.box},
        "timings": {
            "training_seconds": training.seconds,
            "step_ms": 1e3 * training.seconds / training.steps,
            "losses_ms": {c.name: {"iouloss": c.milliseconds, c.peer: c.peer_milliseconds} for c in comparisons},
            "losses_seconds": training.steps * ours / 1e3,
            "peer_losses_seconds": training.steps * peers / 1e3,
            "losses_share": training.steps * ours / (1e3 * training.seconds),
            "threads": torch.get_num_threads(),
        },
    }


def draw_curves(path: Path, training: Training, kind: str) -> None:
    """Both losses over the steps: each step faint, and their running mean."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for axis, name, values, colour in (
        (axes[0], "focal loss (classes)", training.focal, FOCAL),
        (axes[1], f"{kind} loss (boxes)", training.box, BOX),
    ):
        steps = np.arange(1, len(values) + 1)
        window = max(1, len(values) // 20)
        running = np.convolve(values, np.ones(window) / window, mode="valid")
        axis.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
        axis.plot(steps[window - 1 :], running, color=colour, linewidth=2, label=f"mean of {window} steps")
        axis.set(title=name, xlabel="step", xlim=(0, len(values)), ylim=(0, 1.05 * np.percentile(values, 99.5)))
        axis.grid(color="0.92")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, loc="upper right")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_predictions(path: Path, photos: Sequence[Photo], detections: Sequence[Detections]) -> None:
    """A window of each held-out part, side by side, with the true and the predicted boxes."""
    shown = [crowded_window(photo, found.above(SHOWN_SCORE)) for photo, found in zip(photos, detections, strict=True)]
    shown = shown[:SHOWN_PHOTOS]
    ratios = [photo.width / photo.height for photo, _ in shown]
    height = min(7.0, 14.0 / sum(ratios))  # inches
    size = (max(5.0, height * sum(ratios) + 0.1), height + 0.7)
    figure, axes = plt.subplots(1, len(shown), figsize=size, width_ratios=ratios, squeeze=False, layout="constrained")
    for axis, (photo, found) in zip(axes[0], shown, strict=True):
        draw_photo(axis, photo, found)
    handles = [
        Line2D([], [], color=colour, linewidth=width, label=label)
        for colour, width, label in (
            (TRUTH, 1, "true box"),
            (RIGHT, 2, "predicted, IoU ≥ 0.5 with a true box"),
            (WRONG, 2, "predicted, without such a box"),
        )
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def crowded_window(photo: Photo, found: Detections) -> tuple[Photo, Detections]:
    """The part of a photograph with most of its boxes, small enough for single pixels to be visible."""
    width, height = min(photo.width, SHOWN_PIXELS), min(photo.height, SHOWN_PIXELS)
    middle = ((photo.boxes[:, :2] + photo.boxes[:, 2:]) / 2).median(0).values if len(photo.boxes) else torch.zeros(2)
    left = min(max(0, int(middle[0]) - width // 2), photo.width - width)
    top = min(max(0, int(middle[1]) - height // 2), photo.height - height)
    centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2 - torch.tensor([left, top])
    inside = ((centres >= 0) & (centres < torch.tensor([width, height]))).all(1)
    boxes = found.boxes[inside] - torch.tensor([left, top, left, top])
    return photo.window(left, top, width, height), Detections(boxes, found.scores[inside], found.labels[inside])


def draw_photo(axis: Axes, photo: Photo, found: Detections) -> None:
    axis.imshow(photo.pixels.permute(1, 2, 0).numpy())
    axis.set_axis_off()
    axis.set_title(f"{len(photo.boxes)} true boxes, {len(found.boxes)} predicted", fontsize=10)
    for box in photo.boxes.tolist():
        draw_box(axis, box, TRUTH, 1.0)
    overlaps = box_iou(found.boxes, photo.boxes) * (found.labels[:, None] == photo.labels)
    best = overlaps.amax(1).tolist() if overlaps.numel() else [0.0] * len(found.boxes)
    for box, overlap in zip(found.boxes.tolist(), best, strict=True):
        draw_box(axis, box, RIGHT if overlap >= 0.5 else WRONG, 1.8)


def draw_box(axis: Axes, box: Sequence[float], colour: str, width: float) -> None:
    x1, y1, x2, y2 = box
    axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=width))
