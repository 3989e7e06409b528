"""``python -m benchmarks.profile_call``: where the microseconds of a call of 128 boxes go.

The nested layers are timed in turns, each called directly; a layer's own cost is the difference to the next. What the
kernel costs is the difference to a call without boxes.
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

from . import inputs, machine
from .harness import Effort, Timing, measure, threads

_OPS = "(p, t, None, None, None, 'ciou', 0.0, 'xyxy', 1e-7, 'mean')"
_C = "(p, t, None, None, None, None, 'ciou', 0.0, 'xyxy', 1e-7, 'mean')"
_BACKWARD = "p.grad = None; iouloss.ciou_loss(p, t).backward()"

# Each entry is name: (statement, number of boxes, whether a gradient is wanted).
CALLS: dict[str, tuple[str, int, bool]] = {
    "forward + backward": (_BACKWARD, 128, True),
    "forward + backward, no boxes": (_BACKWARD, 0, True),
    "iouloss.ciou_loss": ("iouloss.ciou_loss(p, t)", 128, True),
    "_ops.box_loss": (f"_ops.box_loss{_OPS}", 128, True),
    "_C.box_loss": (f"_C.box_loss{_C}", 128, True),
    "_C.box_loss, no boxes": (f"_C.box_loss{_C}", 0, True),
    "_C.box_loss, no gradient": (f"_C.box_loss{_C}", 128, False),
    "_C.box_loss, no gradient, no boxes": (f"_C.box_loss{_C}", 0, False),
    "_C.has_cuda, a binding without arguments": ("_C.has_cuda()", 0, False),
    "torch.ops.iouloss.box_loss, no gradient": (f"torch.ops.iouloss.box_loss{_C}", 128, False),
    "torch.ops.iouloss.box_loss": (f"torch.ops.iouloss.box_loss{_C}", 128, True),
    "backward of a leaf: autograd's engine alone": ("s.grad = None; s.backward()", 0, True),
}


def time_calls(boxes: int, effort: Effort) -> dict[str, Timing]:
    timers = {}
    for name, (statement, n, wants_gradient) in CALLS.items():
        pred, target = inputs.boxes(boxes if n else 0, torch.float32, "cpu")
        names = {
            "p": pred.requires_grad_() if wants_gradient else pred.detach(),
            "t": target,
            "s": torch.zeros((), requires_grad=True),
            "iouloss": iouloss,
            "_ops": _ops,
            "_C": _backend.extension,
        }
        timers[name] = Timer(statement, globals=names)
    return measure(timers, effort)


def layers(times: dict[str, float]) -> dict[str, float]:
    """The cost of each layer by itself. Together they give ``forward + backward``."""
    of = times.__getitem__
    engine = of("backward of a leaf: autograd's engine alone")
    binding = of("_C.has_cuda, a binding without arguments")
    return {
        "iouloss.functional": of("iouloss.ciou_loss") - of("_ops.box_loss"),
        "iouloss._ops: choice of the backend": of("_ops.box_loss") - of("_C.box_loss"),
        "binding: entering and leaving C++": binding,
        "arguments, dispatcher, checks, allocation": of("_C.box_loss, no gradient, no boxes") - binding,
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
    print(f"{'call':<48}{'µs':>8}  interquartile range")
    for name, timing in timings.items():
        print(f"{name:<48}{timing.median * 1e6:8.2f}  {(timing.q3 - timing.q1) * 1e6:.2f}")
    total = timings["forward + backward"].median
    print(f"\n{'layer':<48}{'µs':>8}  share")
    for name, seconds in own.items():
        print(f"{name:<48}{seconds * 1e6:8.2f}  {seconds / total:5.0%}")
    print(f"{'forward + backward':<48}{total * 1e6:8.2f}")
    if options.json:
        result: dict[str, Any] = {**machine.describe(), "boxes": options.boxes}
        result |= {"calls": {name: asdict(timing) for name, timing in timings.items()}, "layers": own}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
