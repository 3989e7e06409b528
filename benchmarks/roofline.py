"""``python -m benchmarks.roofline``: a model of the time that the losses take on GPUs.

A model, no measurement: it divides the counts of benchmarks.gpu_counts by the published rates of each GPU. A launch
takes as long as the resource that it needs longest, and a little for being a launch. Beside it stands the same model of
torchvision's eager operators, whose launches and bytes are counted on the CPU. If there is a GPU, its own time is
measured and stands beside the model.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from . import cases, gpu_counts, inputs, peers
from .gpu_budgets import AGAIN, ONE, OTHER
from .step import ANCHORS

RESULTS = Path(__file__).parent / "results/roofline.json"
# The sizes that are modelled: boxes, the logits of 8 images of 800x800, a million sides of 16 bins, masks of 512x512
# pixels.
SIZES = (
    dict.fromkeys(("ciou", "giou", "diou", "eiou"), 10**6)
    | dict.fromkeys(("focal_dense", "focal_index"), 8 * ANCHORS * inputs.CLASSES)
    | {"distribution_focal": 10**6 * inputs.BINS, "dice": 512 * 512 * cases.IMAGE_LOGITS}
)
LAUNCH = 2e-6  # seconds from the end of one launch to the start of the next, if both were enqueued in time
EAGER = 6e-6  # seconds that the host takes for an eager operator; the GPU waits if it is done earlier
WARP_ISSUE, SPECIAL = 128, 16  # thread instructions per clock and multiprocessor, the same on each of these GPUs


@dataclass(frozen=True)
class Gpu:
    """A GPU, from its data sheet. float32: lanes of a multiprocessor, from the throughput table of the CUDA guide."""

    multiprocessors: int
    clock: float  # Hz, boost; where the data sheet gives only FLOPS, FLOPS / (2 * float32 * multiprocessors)
    float32: int
    bandwidth: float  # bytes per second
    cache: float  # bytes, second level
    source: str

    def rates(self) -> dict[str, float]:
        """The rate per second of each resource, by the name of its count."""
        clocks = self.multiprocessors * self.clock
        return {
            "memory_bytes": self.bandwidth,
            "instructions": WARP_ISSUE * clocks,
            "float32": self.float32 * clocks,
            "special": SPECIAL * clocks,
        }


GPUS = {
    "T4": Gpu(40, 1.59e9, 64, 320e9, 4e6, "T4 data sheet; Turing architecture whitepaper"),
    "A100": Gpu(108, 1.41e9, 64, 2039e9, 40e6, "A100 80GB SXM data sheet; Ampere architecture whitepaper"),
    "H100": Gpu(132, 1.98e9, 128, 3350e9, 50e6, "H100 SXM data sheet (67 TFLOPS); Hopper architecture whitepaper"),
    "H200": Gpu(132, 1.98e9, 128, 4800e9, 50e6, "H200 SXM data sheet (67 TFLOPS)"),
    "L4": Gpu(58, 2.04e9, 128, 300e9, 48e6, "L4 data sheet (30.3 TFLOPS); Ada architecture whitepaper"),
    "RTX 4090": Gpu(128, 2.52e9, 128, 1008e9, 72e6, "Ada architecture whitepaper"),
    "RTX 5090": Gpu(170, 2.41e9, 128, 1792e9, 96e6, "RTX Blackwell architecture whitepaper"),
    "B200": Gpu(148, 1.98e9, 128, 8000e9, 126e6, "HGX B200 data sheet (75 TFLOPS, 8 TB/s); 148 as the device reports"),
}


# ------------------------------------------------------------------------------------------------------------- kernels


def floor_bytes(loss: str) -> float:
    """The bytes that must be moved for a loss and its gradient: the inputs once, the gradient once."""
    problem = cases.PROBLEMS[loss]
    least = problem.least_bytes(SIZES[loss] // problem.items, 4)
    return least["forward_backward"] - least["forward"]  # the backward pass reads all inputs again


def fused(gpu: Gpu, row: dict[str, Any]) -> dict[str, Any]:
    """The launches of a loss, and the resource that limits each."""
    items, passes = SIZES[row["loss"]], []
    for counts in row["passes"]:
        seconds = {name: counts[name] * items / rate for name, rate in gpu.rates().items()}
        binding = max(seconds, key=lambda name: seconds[name])
        passes.append({"seconds": seconds[binding] + LAUNCH, "binding": binding, "each": seconds})
    total = sum(one["seconds"] for one in passes)
    floor = floor_bytes(row["loss"]) / gpu.bandwidth
    return {"seconds": total, "floor_seconds": floor, "over_floor": total / floor, "passes": passes}


# --------------------------------------------------------------------------------------------------------------- eager


class Traffic(TorchDispatchMode):
    """Records the operators that would be launches on a GPU, with the bytes of their arguments and results."""

    def __init__(self) -> None:
        super().__init__()
        self.launches: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs = tensors((args, kwargs))
        memory = {tensor.untyped_storage().data_ptr() for tensor in inputs}
        outputs = [
            t for t in tensors(result) if func._schema.is_mutable or t.untyped_storage().data_ptr() not in memory
        ]
        allocates = func.overloadpacket in (torch.ops.aten.empty, torch.ops.aten.empty_like)
        if outputs and not allocates:  # else it made a view or allocated, without a launch
            self.launches.append(sum(map(extent, [*inputs, *outputs])))
        return result


def tensors(tree: Any) -> list[Tensor]:
    from torch.utils._pytree import tree_leaves

    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def extent(tensor: Tensor) -> int:
    """The bytes of memory that a tensor's elements occupy: a value expanded to many counts once."""
    elements = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        elements *= size if stride else 1
    return elements * tensor.element_size()


def eager_launches(loss: str, size: int = 4096) -> list[float]:
    """The bytes per item of each launch of torchvision's loss, forward and backward."""
    problem = cases.PROBLEMS[loss]
    leaf, target = problem.make_inputs(size, torch.float32, "cpu")
    call: Callable[..., Tensor] = peers.libraries(loss, "cpu")["torchvision"]
    with Traffic() as traffic:
        torch.autograd.backward(call(leaf, target))
    return [launch / (size * problem.items) for launch in traffic.launches]


def eager(gpu: Gpu, loss: str, launches: list[float]) -> dict[str, Any]:
    """The time of eager operators, each limited by the memory or by the host that launches it."""
    items = SIZES[loss]
    seconds = sum(max(EAGER, each * items / gpu.bandwidth + LAUNCH) for each in launches)
    return {"seconds": seconds, "launches": len(launches), "bytes": sum(launches)}


# ----------------------------------------------------------------------------------------------------------- the table


def measured(loss: str, upstream: float) -> float | None:
    """Measured seconds of both passes, if there is a real GPU."""
    from torch.utils.benchmark import Timer

    if not torch.cuda.is_available() or os.environ.get("EMULATED_CUDA") == "1":
        return None
    problem = cases.PROBLEMS[loss]
    leaf, target = problem.make_inputs(SIZES[loss] // problem.items, torch.float32, "cuda")

    seed = torch.tensor(upstream, device="cuda")

    def step() -> None:
        leaf.grad = None
        torch.autograd.backward(problem.ours(leaf, target), seed)

    return float(Timer("step()", globals={"step": step}).blocked_autorange(min_run_time=0.5).median)


def model(counts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each loss and GPU."""
    rows = []
    for row in counts:
        if row["loss"] not in SIZES or row["dtype"] != "float32" or row["way"] == AGAIN:
            continue
        loss = row["loss"]
        has_peer = "torchvision" in peers.libraries(loss, "cpu")
        launches = eager_launches(loss) if has_peer else []
        upstream = 1.0 if row["way"] == ONE else 2.0
        here, name_here = measured(loss, upstream), torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
        for name, gpu in GPUS.items():
            result = {
                "loss": loss,
                "way": row["way"],
                "gpu": name,
                "items": SIZES[loss],
                "model": fused(gpu, row),
            }
            if launches:
                result["torchvision_model"] = eager(gpu, loss, launches)
            if here is not None and name.split()[-1] in name_here.split():
                result["measured_seconds"] = here
            rows.append(result)
    return rows


NAMES = {"memory_bytes": "memory", "instructions": "issue", "float32": "float32", "special": "special"}


def cell(row: dict[str, Any]) -> str:
    """The model's time, that time over the memory's floor, the limiting resource, and the measured time, if any."""
    mine = row["model"]
    working = [one for one in mine["passes"] if one["seconds"] > 1.5 * LAUNCH]  # without those that find nothing to do
    binding = "/".join(dict.fromkeys(NAMES[one["binding"]] for one in working))
    text = f"{mine['seconds'] * 1e6:.0f} µs, {mine['over_floor']:.2f}, {binding}"
    return text + (f", measured {row['measured_seconds'] * 1e6:.0f} µs" if "measured_seconds" in row else "")


def peer_cell(row: dict[str, Any]) -> str:
    """The model's time of torchvision, and that time over ours."""
    if "torchvision_model" not in row:
        return ""
    other = row["torchvision_model"]
    return f"{other['seconds'] * 1e6:.0f} µs, {other['seconds'] / row['model']['seconds']:.0f}"


def table(rows: list[dict[str, Any]], of: Callable[[dict[str, Any]], str]) -> str:
    """A table in markdown with a row for each GPU, and a column for each loss that has an entry."""
    cells = {(row["gpu"], row["loss"]): of(row) for row in rows}
    losses = [loss for loss in dict.fromkeys(row["loss"] for row in rows) if any(cells[gpu, loss] for gpu in GPUS)]
    lines = [f"| model | {' | '.join(losses)} |", "|---" * (len(losses) + 1) + "|"]
    lines += [f"| {gpu} | {' | '.join(cells[gpu, loss] for loss in losses)} |" for gpu in GPUS]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.roofline", description="A model of the GPU's time.")
    parser.add_argument("--counts", type=Path, metavar="FILE", default=gpu_counts.RESULTS, help="of gpu_counts")
    parser.add_argument("--json", type=Path, metavar="FILE", help=f"write it there, as {RESULTS.name} has it")
    parser.add_argument("--page", action="store_true", help=f"put the tables into {gpu_counts.PAGE.name}")
    options = parser.parse_args(argv)
    rows = model(json.loads(options.counts.read_text())["rows"])
    one, other = ([row for row in rows if row["way"] == way] for way in (ONE, OTHER))
    binds = "time of both passes, over the memory floor, and what binds"
    tables = {
        f"Upstream gradient 1: {binds}": table(one, cell),
        f"Upstream gradient another number: {binds}": table(other, cell),
        "The same model of torchvision's eager operators, and its time over ours with an upstream gradient of 1": table(
            one, peer_cell
        ),
    }
    print("A model, not a measurement.")
    for what, text in tables.items():
        print(f"\n{what}:\n\n{text}")
    if options.json:
        gpus = {name: vars(gpu) for name, gpu in GPUS.items()}
        assumed = {"launch_seconds": LAUNCH, "eager_operator_seconds": EAGER}
        what = "a model, not a measurement: counts of the kernels over the published rates of GPUs"
        options.json.write_text(json.dumps({"what": what, **assumed, "gpus": gpus, "rows": rows}, indent=1) + "\n")
    if options.page:
        gpu_counts.put_into_page("model", tables.values())
    return 0


if __name__ == "__main__":
    sys.exit(main())
