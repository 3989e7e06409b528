"""``python -m benchmarks.gpu_kernels``: how long each loss keeps a GPU busy, beside the time that its memory takes.

torch's profiler times the GPU alone, in float32 and float16, for each way that a gradient can take (docs/gpu.md). The
memory's time is that of the bytes that must be moved on that way, at the speed of a large copy measured here.
"""

import argparse
import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import machine
from .device_time import DeviceTime, device_time
from .gpu_budgets import AGAIN, BUDGETS, OTHER, Budget
from .gpu_counts import inputs_on_device

# Larger than any second-level cache: some 300 MiB of logits, and 256 MiB for each of two sets of boxes, in float32.
BOXES, NUMBERS = 2**24, 2**26


def step(budget: Budget, way: str, logits: Tensor, target: Any) -> Callable[[], None]:
    """A call of the loss and its backward pass, for one way of the gradient."""
    ours = budget.problem.ours
    leaf = logits.detach().requires_grad_()
    kept = ours(leaf, target)  # its graph serves all backward passes that compute the gradient again
    upstream = torch.full_like(kept, 2.0 if way == OTHER else 1.0)

    def call() -> None:
        leaf.grad = None
        value = kept if way == AGAIN else ours(leaf, target)
        if way == AGAIN:
            ours(logits, target)
        torch.autograd.backward(value, upstream, retain_graph=way == AGAIN)

    return call


def size_of(budget: Budget) -> int:
    items = budget.problem.items
    return BOXES if items == 1 else 2 ** round(math.log2(NUMBERS / items))


def measure(loss: str, dtype: torch.dtype, way: str, speed: float) -> dict[str, Any]:
    budget, size = BUDGETS[loss], size_of(BUDGETS[loss])
    logits, target = inputs_on_device(budget.problem.make_inputs, size, dtype)
    found: DeviceTime = device_time(step(budget, way, logits, target))
    items = size * budget.problem.items
    floor = budget.least_bytes(dtype, way) * items / speed
    name = str(dtype).removeprefix("torch.")
    return {"loss": loss, "dtype": name, "way": way, "items": items, "floor_seconds": floor, **asdict(found)}


def line(row: dict[str, Any]) -> str:
    kernels = ", ".join(f"{name} {seconds * 1e6:.0f}" for name, seconds in row["kernels"].items())
    time = f"{row['seconds'] * 1e6:7.0f} µs {row['seconds'] / row['floor_seconds']:6.2f}x floor"
    return f"{row['loss']:<22}{row['dtype']:<9}{row['way']:<12}{time}  {kernels}"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_kernels", description="Time on the GPU alone.")
    parser.add_argument("--only", metavar="PATTERN", default="", help="rows (loss/dtype/way) that it matches")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    options = parser.parse_args(argv)
    if not torch.cuda.is_available():
        print("torch sees no GPU", file=sys.stderr)
        return 1
    speed = machine.copy_speed("cuda", 1, 1024)
    results: dict[str, Any] = {**machine.describe(), "copy_bytes_per_second": speed, "rows": []}
    print(f"copy: {speed / 1e9:.0f} GB/s")
    for loss, budget in BUDGETS.items():
        for dtype, ways in budget.ways.items():
            for way in ways:
                if re.search(options.only, f"{loss}/{dtype}/{way}"):
                    results["rows"].append(measure(loss, dtype, way, speed))
                    print(line(results["rows"][-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
