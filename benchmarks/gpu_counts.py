"""``python -m benchmarks.gpu_counts``: what the CUDA kernels execute and move, counted and held to budgets.

    python -m tools.emulated_cuda python -m benchmarks.gpu_counts [--json FILE]

The counts are of the PTX, as the emulated device (docs/emulated_cuda.md) executes it, forward and backward together,
for one box or logit, and for each way that a gradient can take (docs/gpu.md). They say what the kernels ask of a GPU,
not how long one takes: benchmarks.roofline makes a model of that. What ptxas alone knows, such as local memory in the
machine code, is for tools/cuda_static.py. The budgets are in gpu_budgets.py.
"""

import argparse
import json
import math
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .gpu_budgets import AGAIN, ALL_WAYS, BUDGETS, OTHER, SLACK, Budget, Ways

SECTOR = 32
BOXES, LOGITS = 2**21, 2**20  # several times what runs at a time, so that the work done once per block hardly counts
# Each of these is one operation of the unit for special functions; SLOW are those that a GPU computes by a sequence
# with a branch.
SPECIAL = re.compile(r"(rcp|rsqrt|sqrt|ex2|lg2|sin|cos|tanh)\.approx")
SLOW = re.compile(r"(div|rcp|sqrt)\.(rn|rz|rp|rm|full)|(div|rem)\.[us]\d")
FLOAT32 = re.compile(r"(add|sub|mul|fma)\.(\w+\.)*f32$")
ANY = re.compile("")
RESULTS = Path(__file__).parent / "results/gpu_counts.json"
PAGE = Path(__file__).parents[1] / "docs/gpu_tables.md"
HALF_EXTRA = 1.15  # instructions in half precision over those in float32


@dataclass(frozen=True)
class Ran:
    """What ran on the emulated device: kernels with their counts, and torch's operators, of which each is a launch."""

    kernels: list[Any]
    operators: list[str]

    def __add__(self, other: "Ran") -> "Ran":
        return Ran(self.kernels + other.kernels, self.operators + other.operators)


def run(call: Callable[[], Any]) -> tuple[Any, Ran]:
    from emulated_cuda import device  # type: ignore[import-not-found, unused-ignore]

    kernels, operators = len(device.history), len(device.operators)
    result = call()
    return result, Ran(device.history[kernels:], device.operators[operators:])


@lru_cache(maxsize=3)  # many losses take the same inputs, in three dtypes
def inputs_on_device(make_inputs: Callable[..., Any], size: int, dtype: torch.dtype) -> tuple[Tensor, Any]:
    leaf, target = make_inputs(size, dtype, "cuda")
    return leaf.detach(), target


def run_ways(budget: Budget, dtype: torch.dtype, ways: Iterable[str]) -> tuple[dict[str, Ran], int]:
    """What a call of the loss and its backward pass run, for each way of the gradient; and the number of items."""
    problem = budget.problem
    size = BOXES if problem.items == 1 else 2 ** round(math.log2(LOGITS / problem.items))
    logits, target = inputs_on_device(problem.make_inputs, size, dtype)
    found: dict[str, Ran] = {}
    value = None
    for way in sorted(ways, key=lambda way: way != AGAIN):  # AGAIN first: its graph serves the next way
        if value is None:
            leaf = logits.detach().requires_grad_()
            value, forward = run(partial(problem.ours, leaf, target))
        leaf.grad = None
        upstream = torch.full_like(value, 2.0 if way == OTHER else 1.0)
        backward = partial(torch.autograd.backward, value, upstream, retain_graph=way == AGAIN)
        if way == AGAIN:  # as a compiler would: two operators, the forward one without a gradient
            found[way] = run(partial(problem.ours, logits, target))[1] + run(backward)[1]
        else:
            found[way] = forward + run(backward)[1]
            value = None
    return found, size * problem.items


def executed(stats: Any, pattern: re.Pattern[str]) -> int:
    return sum(n for form, n in stats.forms.items() if pattern.match(form))


def one_launch(stats: Any, items: int) -> dict[str, float]:
    """What a launch takes per item.

    The sectors are those that warps request. The memory's bytes count each sector once per launch.
    """
    totals = {
        "instructions": executed(stats, ANY),
        "float32": executed(stats, FLOAT32),
        "special": executed(stats, SPECIAL),
        "slow": executed(stats, SLOW),
        "sector_bytes": SECTOR * (stats.load_sectors + stats.store_sectors),
        "memory_bytes": stats.memory_bytes(),
        "local_bytes": stats.local_bytes,
    }
    return {name: total / items for name, total in totals.items()}


def exceeded(row: dict[str, Any]) -> list[str]:
    """The counts of a row that are over their budget."""
    budget = BUDGETS[row["loss"]]
    instructions = budget.again if row["way"] == AGAIN else budget.instructions
    if row["dtype"] != "float32":
        instructions = HALF_EXTRA * row["float32_instructions"]
    most: dict[str, float] = {
        "instructions": instructions,
        "special": budget.special,
        "slow": 0.01,  # once per block is allowed
        "memory_bytes": SLACK * row["least_bytes"],
        "sector_bytes": budget.asked * row["least_bytes"],
        "local_bytes": 0,
        "launches": budget.launches,
    }
    return [name for name, limit in most.items() if row[name] > limit]


def measure(losses: Iterable[str], ways: Ways | None = None) -> list[dict[str, Any]]:
    """A row for each loss, type and way, with the counts per item of all launches together, and of each by itself."""
    rows = []
    for loss in losses:
        budget = BUDGETS[loss]
        float32: dict[str, float] = {}  # instructions of each way
        for dtype, of_dtype in (ways or budget.ways).items():
            found, items = run_ways(budget, dtype, of_dtype)
            for way in of_dtype:
                each = [one_launch(stats, items) for stats in found[way].kernels]
                row: dict[str, Any] = {"loss": loss, "dtype": str(dtype).removeprefix("torch."), "way": way}
                row |= {"items": items, "least_bytes": budget.least_bytes(dtype, way)}
                row |= {name: sum(one[name] for one in each) for name in each[0]}
                row |= {"operators": len(found[way].operators), "passes": each}
                row["launches"] = len(each) + row["operators"]
                row["float32_instructions"] = float32.setdefault(way, row["instructions"])  # float32 comes first
                row["over_budget"] = exceeded(row)
                rows.append(row)
    return rows


def owed(rows: Iterable[dict[str, Any]]) -> dict[str, float]:
    """The counts that are over budget in any row, each with its largest value."""
    most: dict[str, float] = {}
    for row in rows:
        most |= {name: max(row[name], most.get(name, 0)) for name in row["over_budget"]}
    return most


def table(rows: Iterable[dict[str, Any]]) -> str:
    """A table in markdown with a line for each row, and each count beside its budget."""
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


def short_table(rows: Iterable[dict[str, Any]]) -> str:
    """A table in markdown with a line for each loss in float32: gradient left by the forward pass / computed again."""
    lines = [
        "| loss | thread instructions | special functions | bytes moved | bytes asked for | launches | over budget |",
        "|---|---|---|---|---|---|---|",
    ]
    by_loss: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["dtype"] == "float32" and row["way"] != OTHER:
            by_loss.setdefault(row["loss"], []).append(row)

    def kernels(row: dict[str, Any]) -> str:
        operators = f" + {row['operators']} of torch" if row["operators"] else ""
        return f"{row['launches'] - row['operators']}{operators}"

    for loss, pair in by_loss.items():
        cells = (
            " / ".join(f"{row['instructions']:.0f}" for row in pair),
            " / ".join(f"{row['special']:.1f}" for row in pair),
            " / ".join(f"{row['memory_bytes']:.1f} of {row['least_bytes']:.1f}" for row in pair),
            " / ".join(f"{row['sector_bytes']:.1f}" for row in pair),
            " / ".join(dict.fromkeys(kernels(row) for row in pair)),
            ", ".join(f"{name} {most:.3g}" for name, most in owed(pair).items()),
        )
        lines.append(f"| {loss} | {' | '.join(cells)} |")
    return "\n".join(lines)


def document(rows: Iterable[dict[str, Any]]) -> str:
    """The rows as JSON, one per line, with numbers rounded."""

    def short(value: Any) -> Any:
        return float(f"{value:.5g}") if isinstance(value, float) else value

    kept = ("instructions", "float32", "special", "memory_bytes")  # of each launch, for benchmarks.roofline
    lines = []
    for row in rows:
        line = {name: short(value) for name, value in row.items() if name not in ("float32_instructions", "passes")}
        line["passes"] = [{name: short(one[name]) for name in kept} for one in row["passes"]]
        lines.append(json.dumps(line))
    what = "counts of executed PTX on the emulated device, for one box or logit, both passes together"
    return f'{{"what": {json.dumps(what)}, "rows": [\n' + ",\n".join(lines) + "\n]}\n"


def put_into_page(corner: str, tables: Iterable[str]) -> None:
    """Put the tables into docs/gpu_tables.md, where they replace in order those whose first cell is ``corner``."""
    in_order = iter(tables)
    old = re.compile(rf"^\| {corner} \|.*\n(?:\|.*\n)+", re.MULTILINE)
    PAGE.write_text(old.sub(lambda _: next(in_order) + "\n", PAGE.read_text()))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_counts", description="Counts of the CUDA kernels.")
    parser.add_argument("--only", metavar="PATTERN", default="", help="losses whose name it matches")
    parser.add_argument("--counts", type=Path, metavar="FILE", help="take them from there, and count nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help=f"write them there, as {RESULTS.name} has them")
    parser.add_argument("--page", action="store_true", help=f"put the tables into {PAGE.name}")
    options = parser.parse_args(argv)
    if options.counts:
        text = options.counts.read_text()
    else:
        text = document(measure(loss for loss in BUDGETS if re.search(options.only, loss)))
    rows = json.loads(text)["rows"]  # so that the tables are those of the file, to the last digit
    tables = (
        table(row for row in rows if BUDGETS[row["loss"]].ways is ALL_WAYS),
        short_table(row for row in rows if BUDGETS[row["loss"]].ways is not ALL_WAYS),
    )
    print(*tables, sep="\n\n")
    if options.json:
        options.json.write_text(text)
    if options.page:
        put_into_page("loss", tables)
    return 1 if any(set(row["over_budget"]) - BUDGETS[row["loss"]].debts.keys() for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
