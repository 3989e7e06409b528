"""``python -m benchmarks.gpu_report``: the measurements of a GPU as the tables of docs/gpu_tables.md.

What ``make gpu`` leaves, ``benchmarks.json`` and ``kernel_times.json``, is committed as results/h100.json and
results/h100_kernels.json.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .gpu_budgets import AGAIN, ONE, OTHER
from .gpu_counts import PAGE, put_into_page

RESULTS = Path(__file__).parent / "results"
Row = dict[str, Any]

# The columns: the eager formula of PyTorch or torchvision; torch.compile at its best; libraries.
PEERS = ("torchvision", "eager"), ("compile", "compile_columns"), ("kornia",), ("monai",), ("smp",)
WAYS = (("float32", ONE), ("float32", OTHER), ("float32", AGAIN), ("float16", ONE))


def kernel_table(rows: Iterable[Row]) -> str:
    """A table of each loss and way: the time of the GPU, and that time over the time of its memory."""
    lines = [
        "| measured | float32, upstream 1 | float32, another | float32, computed again | float16, upstream 1 |",
        "|---|---|---|---|---|",
    ]
    by_loss: dict[str, dict[tuple[str, str], str]] = {}
    for row in rows:
        cell = f"{row['seconds'] * 1e6:.0f} µs, {row['seconds'] / row['floor_seconds']:.2f}"
        by_loss.setdefault(row["loss"], {})[row["dtype"], row["way"]] = cell
    for loss, cells in by_loss.items():
        lines.append(f"| {loss} | {' | '.join(cells.get(way, '') for way in WAYS)} |")
    return "\n".join(lines)


def peer_table(rows: Iterable[Row]) -> str:
    """A table of each case: our time on the GPU and our launches, and how many times as long each peer takes."""
    lines = [
        "| beside peers | ours | eager or torchvision | torch.compile | kornia | MONAI | smp |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        found = row["on_device"]["forward_backward"]
        ours = found["ours"]

        def cell(names: tuple[str, ...], found: Row = found, ours: Row = ours) -> str:
            each = [found[name] for name in names if name in found]
            best = min(each, key=lambda one: float(one["seconds"]), default=None)
            return f"{best['seconds'] / ours['seconds']:.3g} in {best['launches']:g}" if best else ""

        case = f"{row['loss']}, {row['dtype']}, {row['size']:,}"
        time = f"{ours['seconds'] * 1e6:.3g} µs in {ours['launches']:g}"
        lines.append(f"| {case} | {time} | {' | '.join(cell(names) for names in PEERS)} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_report", description="A GPU's times, for a page.")
    parser.add_argument("--kernels", type=Path, metavar="FILE", default=RESULTS / "h100_kernels.json")
    parser.add_argument("--benchmarks", type=Path, metavar="FILE", default=RESULTS / "h100.json")
    parser.add_argument("--page", action="store_true", help=f"put the tables into {PAGE.name}")
    options = parser.parse_args(argv)
    kernels, benchmarks = (json.loads(file.read_text()) for file in (options.kernels, options.benchmarks))
    tables = {"measured": kernel_table(kernels["rows"]), "beside peers": peer_table(benchmarks["cases"])}
    for corner, text in tables.items():
        print(text, end="\n\n")
        if options.page:
            put_into_page(corner, [text])
    return 0


if __name__ == "__main__":
    sys.exit(main())
