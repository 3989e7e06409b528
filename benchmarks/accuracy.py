"""``python -m benchmarks.accuracy``: the errors of every backend against float64, and how far they lie apart.

Inputs are rounded to their type first, so that an error is one of computing. The results are the tables in
docs/accuracy.md. ``make accuracy`` runs it with the CUDA kernels, without a GPU on the emulated device.
"""

import argparse
import contextlib
import inspect
import itertools
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import iouloss
from iouloss import _backend, _ops, reference
from iouloss._tables import BOXES as BOX_FORMULAS
from iouloss.reference import BoxInputs, LogitInputs

from . import accuracy_report, machine

ROOT = Path(__file__).parent.parent
DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
SCALES = {"pixels": 640.0, "[0, 1]": 1.0}
GAMMAS = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0)
BOX_LOSSES = [name for name in BOX_FORMULAS if not name.endswith("_swapped")]  # without those that only serve gradients
# The options of the losses, by the defaults of the functions that take them.
NUMBERS = {
    name: parameter.default
    for function in iouloss.functional.boxes.__all__
    for name, parameter in inspect.signature(getattr(iouloss, function)).parameters.items()
    if any(name in taken for taken in BOX_FORMULAS.values())
}
EPS = {"bounded_iou": 1e-3}  # the other losses have 1e-7
CUDA = "cuda, emulated" if os.environ.get("EMULATED_CUDA") == "1" else "cuda"
TABLES = ("boxes", "focal")

Evaluate = Callable[..., Tensor]

# ------------------------------------------------------------------------------------------------------------ inputs


def random_boxes(n: int) -> tuple[Tensor, Tensor]:
    """Pairs of every degree of overlap, from 1/100 of the image up."""
    generator = torch.Generator().manual_seed(3)

    def uniform(columns: int) -> Tensor:
        return torch.rand(n, columns, generator=generator, dtype=torch.float64)

    centre, size = uniform(2), 0.01 + 0.4 * uniform(2) ** 2
    shift, grow = (uniform(2) - 0.5) * size * 3 * uniform(1), torch.exp(2 * uniform(2) - 1)
    pred = torch.cat((centre - size / 2, centre + size / 2), -1)
    return pred, torch.cat((centre + shift - size * grow / 2, centre + shift + size * grow / 2), -1)


def degenerate_boxes(n: int) -> tuple[Tensor, Tensor]:
    """Lines, points, slivers of 1/10000, equal boxes, shared edges, boxes that touch, inverted boxes."""
    pred, target = random_boxes(n)
    kind = torch.arange(n) % 8
    pred[kind == 0, 3] = pred[kind == 0, 1]
    pred[kind == 1, 2:] = pred[kind == 1, :2]
    target[kind == 2, 2:] = target[kind == 2, :2]
    pred[kind == 3, 2] = pred[kind == 3, 0] + 1e-4
    target[kind == 4] = pred[kind == 4]
    pred[kind == 5, :3] = target[kind == 5, :3]
    target[kind == 6] += pred[kind == 6, 2:3] - target[kind == 6, 0:1]
    pred[kind == 7] = pred[kind == 7][:, [2, 1, 0, 3]]
    return pred, target


BOXES = {"random": random_boxes, "degenerate": degenerate_boxes}


def logits(n: int, hard: bool) -> tuple[Tensor, Tensor]:
    """Logits of both signs from 1e-4 to 1e4, and targets of 0 and 1, or between."""
    magnitude = torch.logspace(-4, 4, n // 4, dtype=torch.float64)
    x = torch.cat((magnitude, -magnitude)).repeat(2)
    z = torch.cat((torch.zeros(len(x) // 2), torch.ones(len(x) // 2))).double()
    return x, z if hard else 0.1 + 0.8 * torch.rand(len(x), generator=torch.Generator().manual_seed(5)).double()


# ---------------------------------------------------------------------------------------------------------- backends


@contextlib.contextmanager
def backend(name: str) -> Iterator[str]:
    """Make iouloss use one backend, and give the device to call it on."""
    extension: Any = _backend.extension
    if name == "reference":
        _ops._extension = None
        try:
            yield "cpu"
        finally:
            _ops._extension = extension
    elif name == CUDA:
        yield "cuda"
    else:
        active = extension.cpu_isa()
        extension.set_cpu_isa(name.removeprefix("cpu "))
        try:
            yield "cpu"
        finally:
            extension.set_cpu_isa(active)


def available() -> list[str]:
    cuda = [CUDA] if _backend.has_cuda and torch.cuda.is_available() else []
    sets = _backend.extension.cpu_isas() if _backend.extension else []
    return ["reference", *(f"cpu {name}" for name in sets), *cuda]


def torchvision_box(formula: str) -> Evaluate | None:
    try:
        from torchvision import ops  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        return None
    names = {"giou": "generalized_box_iou_loss", "diou": "distance_box_iou_loss", "ciou": "complete_box_iou_loss"}
    return getattr(ops, names[formula]) if formula in names else None


def torchvision_focal(gamma: float) -> Evaluate | None:
    try:
        from torchvision import ops
    except ImportError:
        return None
    return partial(ops.sigmoid_focal_loss, alpha=0.25, gamma=gamma)


# ------------------------------------------------------------------------------------------------------------ errors


def evaluate(function: Evaluate, leaf: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Each loss, and the gradient of each, on the CPU in float64."""
    leaf = leaf.detach().requires_grad_()
    losses = function(leaf, target)
    (gradient,) = torch.autograd.grad(losses.sum(), leaf)
    return losses.detach().cpu().double(), gradient.cpu().double()


Pair = tuple[Tensor, Tensor]
Difference = Callable[[Pair, Pair], dict[str, float | str]]


def box_difference(a: Pair, b: Pair, truth: Pair) -> dict[str, float | str]:
    """The errors of losses, absolute, and of gradients, relative to the largest of all.

    Those of losses above 1, which logarithms reach, are relative.
    """
    value = (a[0] - b[0]).abs() / truth[0].abs().clamp(min=1)
    return {"value": _largest(value), "gradient": _largest((a[1] - b[1]).abs() / truth[1].abs().max())}


def focal_difference(a: Pair, b: Pair, truth: Pair, hard: bool, smallest: float) -> dict[str, float | str]:
    """Relative errors, where the truth exceeds 1e-25 and is a normal number of its type.

    Gradients of soft targets pass through 0: their errors are relative to the largest of all.
    """
    value = ((a[0] - b[0]) / truth[0])[truth[0].abs() > 1e-25]
    if not hard:
        return {"value": _largest(value), "gradient": _largest((a[1] - b[1]) / truth[1].abs().max())}
    counted = truth[1].abs() > max(1e-25, smallest)
    return {"value": _largest(value), "gradient": _largest(((a[1] - b[1]) / truth[1])[counted])}


def _largest(errors: Tensor) -> float | str:
    """The largest magnitude, to three digits; "nan" if there is a NaN, which JSON lacks."""
    largest = float(errors.abs().max()) if len(errors) else 0.0
    return "nan" if math.isnan(largest) else float(f"{largest:.3g}")


def compare(found: dict[str, Pair], truth: Pair, difference: Difference) -> dict[str, Any]:
    """The error of every backend, and the largest difference between any two of reference, cpu and cuda."""
    kinds: dict[str, list[Pair]] = {}
    for name, pair in found.items():
        if name != "torchvision":
            kinds.setdefault("cpu" if name.startswith("cpu") else name, []).append(pair)
    differences = {}
    for first, second in itertools.combinations(kinds, 2):
        each = [difference(a, b) for a in kinds[first] for b in kinds[second]]
        differences[f"{first} and {second}"] = accuracy_report.worst(each)
    errors = {name: difference(pair, truth) for name, pair in found.items()}
    return {"errors": errors, "differences": differences}


def measure_boxes(n: int) -> list[dict[str, Any]]:
    rows = []
    for formula in BOX_LOSSES:
        options = {"formula": formula, "eps": EPS.get(formula, 1e-7), "fmt": "xyxy", "reduction": "none", **NUMBERS}
        ours = lambda p, t, options=options: _ops.box_loss(BoxInputs(p, t, **options))  # noqa: E731
        theirs = torchvision_box(formula)
        for dtype in DTYPES:
            for scale, factor in SCALES.items():
                for kind, make in BOXES.items():
                    pred, target = ((box * factor).to(dtype) for box in make(n))
                    truth = evaluate(
                        lambda p, t, options=options: reference.box_loss(BoxInputs(p, t, **options)),
                        pred.double(),
                        target.double(),
                    )
                    found = dict(_everywhere(ours, theirs, pred, target))
                    row = {"loss": formula, "dtype": _name(dtype), "scale": scale, "inputs": kind}
                    rows.append(row | compare(found, truth, partial(box_difference, truth=truth)))
    return rows


def measure_focal(n: int) -> list[dict[str, Any]]:
    rows = []
    for gamma in GAMMAS:
        formula = "square_focal" if gamma == 2 else "focal"
        options = {"formula": formula, "alpha1": 0.25, "alpha0": 0.75, "gamma": gamma, "reduction": "none"}
        ours = lambda x, z, options=options: _ops.logit_loss(LogitInputs(x, z, **options))  # noqa: E731
        for dtype in DTYPES:
            for hard in (True, False):
                x, z = (values.to(dtype) for values in logits(n, hard))
                truth = evaluate(
                    lambda x, z, options=options: reference.logit_loss(LogitInputs(x, z, **options)),
                    x.double(),
                    z.double(),
                )
                found = dict(_everywhere(ours, torchvision_focal(gamma), x, z))
                difference = partial(focal_difference, truth=truth, hard=hard, smallest=torch.finfo(dtype).tiny)
                row = {"loss": "sigmoid_focal", "gamma": gamma, "dtype": _name(dtype)}
                rows.append(row | {"inputs": "hard" if hard else "soft"} | compare(found, truth, difference))
    return rows


def _everywhere(ours: Evaluate, theirs: Evaluate | None, leaf: Tensor, target: Tensor) -> Iterator[tuple[str, Pair]]:
    """The results of each backend, and of torchvision on the CPU."""
    for name in available():
        with backend(name) as device:
            yield name, evaluate(ours, leaf.to(device), target.to(device))
    if theirs:
        yield "torchvision", evaluate(theirs, leaf, target)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


# -------------------------------------------------------------------------------------------------------------- main


def to_text(result: dict[str, Any]) -> str:
    """The results as JSON, one row of a table per line."""

    def entry(key: str, value: Any) -> str:
        rows = ",\n".join(f"  {json.dumps(row)}" for row in value) if key in TABLES else ""
        return f" {json.dumps(key)}: " + (f"[\n{rows}\n ]" if rows else json.dumps(value))

    return "{\n" + ",\n".join(entry(key, value) for key, value in result.items()) + "\n}\n"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description="Errors against float64.")
    parser.add_argument("--count", type=int, default=4000, help="boxes, and logits")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "accuracy.json")
    parser.add_argument("--document", type=Path, default=ROOT / "docs" / "accuracy.md")
    options = parser.parse_args(argv)
    torch.manual_seed(0)
    tables = {"boxes": measure_boxes(options.count), "focal": measure_focal(options.count)}
    result: dict[str, Any] = {**machine.describe(), "count": options.count, **tables}
    for path, text in (
        (options.json, to_text(result)),
        (options.document, accuracy_report.document(result)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(f"wrote {path}")
    print(accuracy_report.summary(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
