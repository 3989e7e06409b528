"""``python -m benchmarks.gpu_counts``: what the CUDA kernels execute and move, counted and held to budgets.

    PYTHONPATH=tests/emulated_cuda python -m emulated_cuda python -m benchmarks.gpu_counts [--json FILE]

The counts are of the PTX, as the emulated device (docs/emulated_cuda.md) executes it, forward and backward together,
for one box or logit, and for each way that a gradient can take (docs/gpu.md). They
say what the kernels ask of a GPU, not how long one takes: benchmarks.roofline makes a model of that. Division, square
root and the other special functions are counted there, too; what ptxas alone knows is read from the machine code in
the extension: local memory, and calls to the slow paths of such functions.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from iouloss import _backend

from .cases import PROBLEMS

SECTOR = 32
BOXES, ROWS = 2**20, 2**14  # many times what runs at a time, so that the sum of a block is no part of it
# One operation each of the unit for special functions, and those that a GPU computes by a sequence with a branch.
SPECIAL = re.compile(r"(rcp|rsqrt|sqrt|ex2|lg2|sin|cos|tanh)\.approx")
SLOW = re.compile(r"(div|rcp|sqrt)\.(rn|rz|rp|rm|full)|(div|rem)\.[us]\d")
FLOAT32 = re.compile(r"(add|sub|mul|fma)\.(\w+\.)*f32$")
ANY = re.compile("")
RESULTS = Path(__file__).parent / "results/gpu_counts.json"


# The ways of a gradient: the forward pass leaves it, and the upstream gradient is 1, or another; or the backward pass
# computes it.
ONE, OTHER, AGAIN = "left, 1", "left, other", "again"
WAYS = (
    (torch.float32, ONE),
    (torch.float32, OTHER),
    (torch.float32, AGAIN),
    (torch.float16, ONE),
    (torch.float16, AGAIN),
    (torch.bfloat16, ONE),
)


@dataclass(frozen=True)
class Budget:
    """What one item is to take at most, in both passes together."""

    instructions: float
    special: float
    again: float  # instructions of computing it again in float32: what was reached, and nothing may make worse


BUDGETS = {
    "ciou": Budget(340, 16, again=450),
    "giou": Budget(260, 8, again=290),
    "diou": Budget(260, 8, again=300),
    "eiou": Budget(260, 8, again=340),
    "focal_dense": Budget(80, 6, again=145),
    "focal_index": Budget(80, 6, again=140),
}
HALF_EXTRA = 1.15  # instructions in half precision over those in float32
SLACK = 1.02  # bytes moved over those that must be


def launch(loss: str, dtype: torch.dtype, way: str) -> tuple[list[Any], int]:
    """The launches of one call on the emulated device, and its number of boxes or logits."""
    from emulated_cuda import device  # type: ignore[import-not-found, unused-ignore]

    problem = PROBLEMS[loss]
    size = BOXES if problem.items == 1 else ROWS
    leaf, target = problem.make_inputs(size, dtype, "cuda")
    before = len(device.history)
    value = problem.ours(leaf.detach().requires_grad_(way != AGAIN), target)
    if way == AGAIN:  # the two operators that a compiler sees; as a backward pass where the graph is kept has no others
        forward = device.history[before:]
        value = problem.ours(leaf.detach().requires_grad_(), target)
        before = len(device.history)
        torch.autograd.backward(value, retain_graph=True)
        return forward + device.history[before:], size * problem.items
    torch.autograd.backward(value, torch.full_like(value, 1.0 if way == ONE else 2.0))
    return device.history[before:], size * problem.items


def executed(stats: Any, pattern: re.Pattern[str]) -> int:
    return sum(n for form, n in stats.forms.items() if pattern.match(form))


def one_pass(stats: Any, items: int) -> dict[str, float]:
    """What one launch takes for an item. Asked: by each thread for itself; sector: by warps; memory: once a launch."""
    totals = {
        "instructions": executed(stats, ANY),
        "float32": executed(stats, FLOAT32),
        "special": executed(stats, SPECIAL),
        "slow": executed(stats, SLOW),
        "asked_bytes": stats.load_bytes + stats.store_bytes,
        "sector_bytes": SECTOR * (stats.load_sectors + stats.store_sectors),
        "memory_bytes": stats.memory_bytes(),
        "local_bytes": stats.local_bytes,
    }
    return {name: total / items for name, total in totals.items()}


def machine_code() -> dict[str, dict[str, int]]:
    """Of each kernel in the extension, by its name in the binary: what its machine code has, executed or not."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    import cuda_static  # type: ignore[import-not-found, unused-ignore]

    cuobjdump = cuda_static.find_cuobjdump(cuda_static.find_nvcc() or "nvcc")
    if cuobjdump is None:
        return {}
    assert _backend.extension is not None and _backend.extension.__file__
    command = [cuobjdump, "-sass", _backend.extension.__file__]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    patterns = {"special": r"\bMUFU\.", "local": r"\b(?:LDL|STL)\b", "calls": r"\bCALL\.", "all": r"^\s+/\*[0-9a-f]{4}"}
    parts = cuda_static.split(text, r"Function : (\w+)").items()
    return {
        name: {key: len(re.findall(pattern, part, re.MULTILINE)) for key, pattern in patterns.items()}
        for name, part in parts
    }


def least_bytes(loss: str, dtype: torch.dtype) -> float:
    """What one item must move: benchmarks/README.md."""
    problem = PROBLEMS[loss]
    size: int = 80
    return problem.bytes(size, dtype.itemsize)["forward_backward"] / (size * problem.items)


def exceeded(row: dict[str, Any]) -> list[str]:
    """The counts of a row that are over their budget."""
    budget = BUDGETS[row["loss"]]
    instructions = budget.again if row["way"] == AGAIN else budget.instructions
    if row["dtype"] != "float32":
        instructions = HALF_EXTRA * row["float32_instructions"]
    most: dict[str, float] = {
        "instructions": instructions,
        "special": budget.special,
        "slow": 0.01,  # once a block is no matter
        "memory_bytes": SLACK * row["least_bytes"],
        "sector_bytes": max(row["asked_bytes"], SLACK * row["least_bytes"]),  # no sector is moved for a part of it
        "local_bytes": 0,
        "launches": 2,
    }
    if row["loss"] == "focal_index" and row["way"] == OTHER:
        del most["memory_bytes"]  # the gradient is read and written once more: docs/gpu.md
    return [name for name, limit in most.items() if row[name] > limit]


def measure(losses: Iterable[str], ways: Iterable[tuple[torch.dtype, str]] = WAYS) -> list[dict[str, Any]]:
    """A row for each loss, type and way: what both passes take together for an item, and each by itself."""
    code = machine_code()
    rows = []
    for loss in losses:
        float32: dict[str, float] = {}  # instructions of each way
        for dtype, way in ways:
            launches, items = launch(loss, dtype, way)
            passes = [one_pass(stats, items) for stats in launches]
            row: dict[str, Any] = {"loss": loss, "dtype": str(dtype).removeprefix("torch."), "way": way, "items": items}
            row |= {name: sum(each[name] for each in passes) for name in passes[0]}
            row |= {"launches": len(launches), "least_bytes": least_bytes(loss, dtype), "passes": passes}
            row["machine_code"] = [code.get(stats.kernel) for stats in launches]
            row["float32_instructions"] = float32.setdefault(way, row["instructions"])  # if float32 comes first
            row["over_budget"] = exceeded(row)
            rows.append(row)
    return rows


def table(rows: Iterable[dict[str, Any]]) -> str:
    """In markdown, each count beside its budget."""
    lines = [
        "| loss | type | gradient | thread instructions | special functions | bytes moved | over budget |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        budget = BUDGETS[row["loss"]]
        instructions = f"{row['instructions']:.0f}"
        if row["dtype"] == "float32" and row["way"] != AGAIN:
            instructions += f" of {budget.instructions:.0f}"
        special = f"{row['special']:.1f} of {budget.special:.0f}"
        moved = f"{row['memory_bytes']:.1f} of {SLACK * row['least_bytes']:.1f}"
        cells = (row["loss"], row["dtype"], row["way"], instructions, special, moved, ", ".join(row["over_budget"]))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_counts", description="Counts of the CUDA kernels.")
    parser.add_argument("--only", metavar="PATTERN", default="", help="losses whose name it matches")
    parser.add_argument("--json", type=Path, metavar="FILE", help=f"write them there, as {RESULTS.name} has them")
    options = parser.parse_args(argv)
    rows = measure(loss for loss in BUDGETS if re.search(options.only, loss))
    print(table(rows))
    if options.json:
        what = "counts of executed PTX on the emulated device, for one box or logit, both passes together"
        options.json.write_text(json.dumps({"what": what, "rows": rows}, indent=1) + "\n")
    return 1 if any(row["over_budget"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
