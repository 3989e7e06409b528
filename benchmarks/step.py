"""``python -m benchmarks.step``: the losses of a whole training step, RetinaNet's, in time and in memory.

The criterion of a batch of images of 800x800: focal loss on every anchor but the ambiguous ones, GIoU loss on the
matched ones, forward and backward. Every implementation runs in a process of its own, whose high-water mark of memory
is then its own. Beside it stands the time of the network that the losses train.
"""

import argparse
import contextlib
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import iouloss

from . import inputs, machine, peers

ANCHORS = 120_087  # per image of 800x800: 9 at each of 100^2 + 50^2 + 25^2 + 13^2 + 7^2 positions
IGNORED = -1


@dataclass(frozen=True)
class Step:
    """The output of the head, and what the matcher computes from the annotations."""

    logits: Tensor  # [images * anchors, 80]
    boxes: Tensor  # [images * anchors, 4]
    classes: Tensor  # [images * anchors]: 0 to 79, 80 for background, -1 for the ambiguous
    positive: Tensor  # indices of the matched anchors
    targets: Tensor  # their boxes


def make_step(images: int, anchors: int, device: str) -> Step:
    """A step in which two of a thousand anchors are matched and one is ambiguous.

    Nothing larger than the result is allocated on the way.
    """
    n = images * anchors
    logits, _ = inputs.logits_and_classes(n, torch.float32, device)
    generator = torch.Generator().manual_seed(1)
    draw = torch.rand(n, generator=generator)
    classes = torch.full((n,), inputs.CLASSES)
    classes[draw < 0.003] = IGNORED
    positive = (draw < 0.002).nonzero()[:, 0]
    classes[positive] = torch.randint(inputs.CLASSES, positive.shape, generator=generator)
    pred, target = inputs.boxes(len(positive), torch.float32, device)
    boxes = torch.zeros(n, 4, device=device)
    boxes[positive.to(device)] = pred.detach()
    return Step(logits, boxes.requires_grad_(), classes.to(device), positive.to(device), target)


def ours(step: Step) -> Tensor:
    count = len(step.positive)
    options: dict[str, Any] = {"avg_factor": count, "ignore_index": IGNORED}
    focal = iouloss.sigmoid_focal_loss(step.logits, step.classes, peers.ALPHA, peers.GAMMA, **options)
    return focal + iouloss.giou_loss(step.boxes[step.positive], step.targets, avg_factor=count)


def torchvision(step: Step) -> Tensor:
    from torchvision.ops import (  # type: ignore[import-untyped, unused-ignore]
        generalized_box_iou_loss,
        sigmoid_focal_loss,
    )

    kept = step.classes != IGNORED
    one_hot = inputs.one_hot(step.classes[kept], torch.float32)
    focal = sigmoid_focal_loss(step.logits[kept], one_hot, peers.ALPHA, peers.GAMMA, reduction="sum")
    boxes = generalized_box_iou_loss(step.boxes[step.positive], step.targets, reduction="sum")
    total: Tensor = (focal + boxes) / len(step.positive)
    return total


def compiled() -> Callable[[Step], Tensor]:
    def focal(logits: Tensor, classes: Tensor) -> Tensor:
        kept = (classes != IGNORED)[:, None]
        return peers.focal_index(torch.where(kept, logits, -1e4), classes)

    def boxes(pred: Tensor, target: Tensor) -> Tensor:
        columns = [box.t().contiguous().unbind(0) for box in (pred, target)]
        return peers.BOX_FORMULAS["giou"](peers.measure(*columns)).sum()

    fast_focal, fast_boxes = (torch.compile(f, fullgraph=True, dynamic=True) for f in (focal, boxes))

    def criterion(step: Step) -> Tensor:
        focal = fast_focal(step.logits, step.classes)
        total: Tensor = (focal + fast_boxes(step.boxes[step.positive], step.targets)) / len(step.positive)
        return total

    return criterion


CRITERIA: dict[str, Callable[[], Callable[[Step], Tensor]]] = {
    "iouloss": lambda: ours,
    "torchvision": lambda: torchvision,
    "compile": compiled,
}


def _peak_bytes(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _forget_peak(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    # Writing to clear_refs makes Linux reset the high-water mark to the memory in use. Otherwise the mark of compiling
    # would hide that of the step.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def measure_criterion(name: str, images: int, anchors: int, device: str) -> dict[str, Any]:
    """The time of a step, and the memory that it takes beyond its inputs: gradients and intermediate results."""
    criterion = CRITERIA[name]()
    for n in (1000, 1500):  # warms up: loads, compiles and starts threads
        torch.autograd.backward(criterion(make_step(1, n, device)))
    step = make_step(images, anchors, device)
    machine.synchronize(device)
    _forget_peak(device)
    before, seconds = _peak_bytes(device), list[float]()
    deadline = time.perf_counter() + 10
    while len(seconds) < 3 or (len(seconds) < 21 and time.perf_counter() < deadline):
        step.logits.grad = step.boxes.grad = None
        started = time.perf_counter()
        loss = criterion(step)
        torch.autograd.backward(loss)
        machine.synchronize(device)
        seconds.append(time.perf_counter() - started)
        value = loss.item()
        del loss
    return {"seconds": statistics.median(seconds), "peak_bytes": _peak_bytes(device) - before, "loss": value}


def measure_network(images: int, device: str) -> dict[str, Any]:
    """Forward and backward pass of RetinaNet with ResNet-50, without its losses."""
    from torchvision.models.detection import (  # type: ignore[import-untyped, unused-ignore]
        retinanet_resnet50_fpn,
    )

    # On a CPU one image at a time: a batch would gain nothing and take its memory.
    batch = images if device == "cuda" else 1
    model = retinanet_resnet50_fpn(weights=None, weights_backbone=None, num_classes=inputs.CLASSES).to(device).train()
    pixels = torch.rand(batch, 3, 800, 800, device=device)
    seconds = []
    for _ in range(3):
        model.zero_grad()
        machine.synchronize(device)
        started = time.perf_counter()
        outputs = list(model.head(list(model.backbone(pixels).values())).values())
        torch.autograd.backward(outputs, [torch.ones_like(output) for output in outputs])
        machine.synchronize(device)
        seconds.append(time.perf_counter() - started)
    assert outputs[0].shape[1] == ANCHORS
    return {"seconds": min(seconds[1:]) * images / batch}


def in_process(worker: str, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.step", "--worker", worker, "--device", options.device]
    command += ["--images", str(options.images), "--anchors", str(options.anchors)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{worker} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def report(criteria: dict[str, dict[str, Any]], network: dict[str, Any] | None) -> None:
    print(f"{'criterion':<14}{'time':>10}{'memory':>12}{'share of the step':>20}")
    for name, found in criteria.items():
        share = f"{found['seconds'] / (found['seconds'] + network['seconds']):.1%}" if network else ""
        print(f"{name:<14}{found['seconds'] * 1e3:>7.0f} ms{found['peak_bytes'] / 2**20:>8.0f} MiB{share:>20}")
    if network:
        print(f"{'network':<14}{network['seconds'] * 1e3:>7.0f} ms")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step", description="The losses of a training step.")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--anchors", type=int, default=ANCHORS, help="of an image")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--no-network", action="store_true", help="the criterion alone")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--worker", choices=(*CRITERIA, "network"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.worker == "network":
        print(json.dumps(measure_network(options.images, options.device)))
        return 0
    if options.worker:
        print(json.dumps(measure_criterion(options.worker, options.images, options.anchors, options.device)))
        return 0
    criteria = {name: in_process(name, options) for name in CRITERIA}
    values = [found["loss"] for found in criteria.values()]
    if max(values) - min(values) > 1e-3 * abs(values[0]):
        raise AssertionError(f"the criteria disagree: {criteria}")
    network = None if options.no_network else in_process("network", options)
    report(criteria, network)
    if options.json:
        sizes = {"images": options.images, "anchors": options.anchors, "device": options.device}
        result = {**machine.describe(), **sizes, "threads": torch.get_num_threads(), "criteria": criteria}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({**result, "network": network}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    machine.keep_memory()
    sys.exit(main())
