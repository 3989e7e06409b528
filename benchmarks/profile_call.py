"""``python -m benchmarks.profile_call``: where the microseconds of a call of 128 boxes go.

Each layer of a call is timed by itself, in turns with the others. What a layer costs is its time less that of the layer
that it calls. What the kernel costs is the time of a call less that of a call without boxes.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.utils.benchmark import Timer

import iouloss
from iouloss import _backend, _ops
from iouloss._inputs import BoxInputs

from . import inputs, machine
from .harness import Effort, Timing, measure, threads


def _arguments() -> str:
    """The text of the operator's arguments: the boxes ``p`` and ``t``, and the defaults of the inputs."""
    if _backend.extension is None:
        return ""
    values = {name: repr(value) for name, value in BoxInputs._field_defaults.items()}
    values |= {"pred": "p", "target": "t", "divisor": "None"}
    schema = torch.ops.iouloss.box_loss.default._schema
    return ", ".join(values[argument.name] for argument in schema.arguments)


_OPERATOR = f"torch.ops.iouloss.box_loss({_arguments()})"
_BACKWARD = "p.grad = None; iouloss.ciou_loss(p, t).backward()"

# Each entry is name: (statement, number of boxes, whether a gradient is wanted).
CALLS: dict[str, tuple[str, int, bool]] = {
    "forward + backward": (_BACKWARD, 128, True),
    "forward + backward, no boxes": (_BACKWARD, 0, True),
    "iouloss.ciou_loss": ("iouloss.ciou_loss(p, t)", 128, True),
    "_ops.box_loss": ("_ops.box_loss(i)", 128, True),
    "_C.box_loss": ("_C.box_loss(i)", 128, True),
    "_C.box_loss, no boxes": ("_C.box_loss(i)", 0, True),
    "_C.box_loss, no gradient": ("_C.box_loss(i)", 128, False),
    "_C.box_loss, no gradient, no boxes": ("_C.box_loss(i)", 0, False),
    "torch.ops.iouloss.box_loss, no gradient": (_OPERATOR, 128, False),
    "torch.ops.iouloss.box_loss": (_OPERATOR, 128, True),
    "backward of a leaf: autograd's engine alone": ("s.grad = None; s.backward()", 0, True),
}


def names_for(n: int, wants_gradient: bool) -> dict[str, Any]:
    """What a statement finds: ``n`` pairs of boxes, a leaf, and the layers."""
    pred, target = inputs.boxes(n, torch.float32, "cpu")
    pred = pred.requires_grad_() if wants_gradient else pred.detach()
    return {
        "p": pred,
        "t": target,
        "i": BoxInputs(pred, target),
        "s": torch.zeros((), requires_grad=True),
        "torch": torch,
        "iouloss": iouloss,
        "_ops": _ops,
        "_C": _backend.extension,
    }


def time_calls(boxes: int, effort: Effort) -> dict[str, Timing]:
    timers = {
        name: Timer(statement, globals=names_for(boxes if n else 0, wants_gradient))
        for name, (statement, n, wants_gradient) in CALLS.items()
    }
    return measure(timers, effort)


def layers(times: dict[str, float]) -> dict[str, float]:
    """The cost of each layer by itself. Together they give ``forward + backward``."""
    of = times.__getitem__
    engine = of("backward of a leaf: autograd's engine alone")
    return {
        "iouloss.functional": of("iouloss.ciou_loss") - of("_ops.box_loss"),
        "iouloss._ops: choice of the backend": of("_ops.box_loss") - of("_C.box_loss"),
        "iouloss._C: arguments, dispatcher, checks, allocation": of("_C.box_loss, no gradient, no boxes"),
        "autograd: recording the call": of("_C.box_loss, no boxes") - of("_C.box_loss, no gradient, no boxes"),
        "kernel, of loss and gradient": of("_C.box_loss") - of("_C.box_loss, no boxes"),
        "Tensor.backward and autograd's engine": engine,
        "handing over the gradient": of("forward + backward") - of("iouloss.ciou_loss") - engine,
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile_call", description="Where a call's time goes.")
    parser.add_argument("--boxes", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each of the calls")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    if _backend.extension is None:
        print("the extension is not built: there are no layers to tell apart", file=sys.stderr)
        return 1
    with threads(1):
        timings = time_calls(options.boxes, Effort(options.seconds, most_blocks=51))
    own = layers({name: timing.median for name, timing in timings.items()})
    print(f"{'call':<56}{'µs':>8}  interquartile range")
    for name, timing in timings.items():
        print(f"{name:<56}{timing.median * 1e6:8.2f}  {(timing.q3 - timing.q1) * 1e6:.2f}")
    total = timings["forward + backward"].median
    print(f"\n{'layer':<56}{'µs':>8}  share")
    for name, seconds in own.items():
        print(f"{name:<56}{seconds * 1e6:8.2f}  {seconds / total:5.0%}")
    print(f"{'forward + backward':<56}{total * 1e6:8.2f}")
    if options.json:
        result: dict[str, Any] = {**machine.describe(), "boxes": options.boxes}
        result |= {"calls": {name: asdict(timing) for name, timing in timings.items()}, "layers": own}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
