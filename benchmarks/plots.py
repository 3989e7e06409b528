"""``python -m benchmarks.plots FILE``: the results of a run as pictures in docs/plots/."""

import argparse
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .cases import BOX_LOSSES, LOGIT_LOSSES, OTHER_LOSSES, PROBLEMS
from .report import Row, seconds

ROOT = Path(__file__).parent.parent
TITLES = {  # of the losses whose names do not say it
    "focal_eiou": "Focal-EIoU",
    "focal_dense": "sigmoid focal, dense",
    "focal_index": "sigmoid focal, class index",
    "gaussian_focal": "Gaussian focal",
    "smooth_l1": "smooth L1",
    "kl_div": "KL divergence",
    "dice": "Dice",
    "focal_tversky": "focal Tversky",
    "softmax_dice": "softmax Dice",
}
# Colours that differ in print and for the colour-blind; ours is the strongest.
COLOURS = {"iouloss": "#c0392b", "torch.compile": "#2e86c1", "torchvision": "#7f8c8d"}
FLOOR = "#1e1e1e"
OTHERS = ("#af7ac5", "#d4ac0d", "#17a589", "#a04000")

STYLE: dict[Any, Any] = {  # Any: matplotlib types the keys as literals
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999999",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "savefig.dpi": 150,
    "savefig.bbox": "tight",
}


def title(loss: str) -> str:
    words = re.sub(r"\b(\w*)iou\b", lambda word: f"{word[1].upper()}IoU", loss.replace("_", " "))
    return TITLES.get(loss, words)


def per_item(row: Row) -> dict[str, float]:
    """Nanoseconds per box or logit, forward and backward, for us and each peer; torch.compile counts at its best."""
    times = row["seconds"]["forward_backward"]
    found: dict[str, float] = {}
    for name in times:
        shown = {"ours": "iouloss"}.get(name, "torch.compile" if name.startswith("compile") else name)
        found[shown] = min(times[name]["median"] / row["items"] * 1e9, found.get(shown, float("inf")))
    return found


def machine_name(results: dict[str, Any], device: str, threads: int) -> str:
    machine = results["machine"]
    if device == "cuda":
        return str(machine["gpu"])
    # A caption shows the name only; family and model belong in the table.
    return f"{machine['cpu'].split(' (family')[0]}, {threads} thread{'s' * (threads > 1)}"


def time_per_box(rows: list[Row], machine: str, loss: str = "ciou") -> Figure:
    """Time for a box against the number of boxes."""
    rows = sorted((row for row in rows if row["loss"] == loss), key=lambda row: row["size"])
    lines: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        for name, time in per_item(row).items():
            lines.setdefault(name, []).append((row["size"], time))
    figure, axes = plt.subplots(figsize=(8, 4.6))
    others = iter(OTHERS)
    ends: list[tuple[str, str, float]] = []
    for name, points in lines.items():
        colour = COLOURS.get(name) or next(others, "#bbbbbb")
        ours = name == "iouloss"
        axes.plot(*zip(*points, strict=True), "o-", color=colour, lw=2.6 if ours else 1.8, ms=5, zorder=2 + ours)
        ends.append((name, colour, points[-1][1]))
    floor = [(row["size"], row["floor"]["forward_backward"] / row["items"] * 1e9) for row in rows]
    axes.plot(*zip(*floor, strict=True), "--", color=FLOOR, lw=1.2)
    axes.annotate(
        "time to move the bytes", floor[0], xytext=(0, -13), textcoords="offset points", color=FLOOR, fontsize=10
    )
    axes.set(xscale="log", yscale="log", xlabel="boxes", ylabel="nanoseconds for a box")
    axes.minorticks_off()
    axes.set_ylim(bottom=axes.get_ylim()[0] / 1.6)
    _label_ends(axes, rows[-1]["size"], ends)
    _caption(axes, f"{title(loss)} loss, forward + backward", f"float32 · {machine}")
    return figure


def all_losses(rows: list[Row], machine: str) -> Figure:
    """Every loss at a large size: time per item beside that of the peers, and our time over the memory's floor."""
    shown = [row for loss in (*BOX_LOSSES, *LOGIT_LOSSES, *OTHER_LOSSES) if (row := _largest_compared(rows, loss))]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 0.52 * len(shown) + 1.2), width_ratios=(3, 2), sharey=True)
    names = ("iouloss", "torch.compile", "torchvision")
    height = 0.8 / len(names)
    for i, row in enumerate(shown):
        times = per_item(row)
        for k, name in enumerate(names):
            if name in times:
                y = i + (k - 1) * height
                left.barh(y, times[name], height, color=COLOURS[name], label=name if i == _first(shown, name) else None)
                left.annotate(
                    f"{times[name]:.3g}", (times[name], y), xytext=(3, 0), textcoords="offset points", va="center",
                    fontsize=8, color="#444444",
                )  # fmt: skip
        floor = row["floor"]["forward_backward"] / row["items"] * 1e9
        left.plot(
            [floor, floor], [i - 0.44, i + 0.44], color=FLOOR, lw=1.6, label=None if i else "time to move the bytes"
        )
        factor = (seconds(row) or 0.0) / row["floor"]["forward_backward"]
        right.barh(i, factor, 0.55, color=COLOURS["iouloss"])
        right.annotate(
            f"{factor:.1f}", (factor, i), xytext=(4, 0), textcoords="offset points", va="center", fontsize=10
        )
    left.set(xscale="log", xlabel="nanoseconds for a box or a logit")
    left.set_yticks(range(len(shown)), [title(row["loss"]) for row in shown])
    left.invert_yaxis()
    left.grid(axis="y", visible=False)
    left.minorticks_off()
    left.margins(x=0.12)
    left.legend(loc="upper center", bbox_to_anchor=(0.7, -0.06 - 0.5 / len(shown)), ncols=4)
    right.axvline(1, color=FLOOR, ls="--", lw=1.2)
    right.set(xlabel="iouloss, in units of the time to move the bytes", xlim=(0, None))
    right.grid(axis="y", visible=False)
    right.margins(x=0.12)
    sizes = sorted({(row["items"] == row["size"], row["size"]) for row in shown}, reverse=True)
    text = ", ".join(f"{size:,} {'boxes' if boxes else 'rows of 80 logits'}" for boxes, size in sizes)
    _caption(left, f"Forward + backward of {text}", f"float32 · {machine}")
    return figure


def factors_on_gpu(rows: list[Row], machine: str) -> Figure:
    """How many times as long as ours each peer's kernels run on the GPU, at the largest size of each loss."""
    largest = {row["loss"]: row for row in sorted(rows, key=lambda row: row["size"])}
    ordered = [largest[loss] for loss in PROBLEMS if loss in largest]
    shown = [row for row in ordered if len(row["on_device"]["forward_backward"]) > 1]
    names = {"PyTorch or torchvision": ("eager", "torchvision"), "torch.compile": ("compile", "compile_columns")}
    names |= {"kornia": ("kornia",), "MONAI": ("monai",), "segmentation_models": ("smp",)}
    colours = dict(zip(names, (COLOURS["torchvision"], COLOURS["torch.compile"], *OTHERS), strict=False))
    figure, axes = plt.subplots(figsize=(8, 0.36 * len(shown) + 1.2))
    for i, row in enumerate(shown):
        times = {name: found["seconds"] for name, found in row["on_device"]["forward_backward"].items()}
        for name, keys in names.items():
            if factor := min((times[key] / times["ours"] for key in keys if key in times), default=0.0):
                axes.plot(factor, i, "o", color=colours[name], ms=7, zorder=3)
                axes.hlines(i, 1, factor, color="#dddddd", lw=1.5, zorder=1)
    for name, colour in colours.items():
        axes.plot([], [], "o", color=colour, label=name)
    axes.axvline(1, color=COLOURS["iouloss"], lw=2.6)
    axes.annotate("iouloss", (1, -0.6), ha="center", color=COLOURS["iouloss"], fontweight="bold", annotation_clip=False)
    axes.set(xscale="log", xlabel="time on the GPU, in units of ours")
    axes.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    axes.minorticks_off()
    axes.set_yticks(range(len(shown)), [title(row["loss"]) for row in shown])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.11), ncols=5, fontsize=9, handletextpad=0.2)
    _caption(axes, "Forward + backward of 10,000,000 boxes or 1,000,000 rows of logits", f"float32 · {machine}")
    return figure


def _label_ends(axes: Axes, x: float, ends: list[tuple[str, str, float]]) -> None:
    """Write the name of each line beside its end, moved up where names would touch."""
    low, high = axes.get_ylim()
    points = axes.get_window_extent().height * 72 / axes.figure.dpi / math.log(high / low)
    lowest = -math.inf
    for name, colour, y in sorted(ends, key=lambda end: end[2]):
        at = points * math.log(y / low)
        lowest = max(at, lowest + 15)
        axes.annotate(
            name, (x, y), xytext=(10, lowest - at), textcoords="offset points", color=colour, va="center",
            fontweight="bold",
        )  # fmt: skip


def _first(rows: list[Row], name: str) -> int:
    return next(i for i, row in enumerate(rows) if name in per_item(row))


def _largest_compared(rows: list[Row], loss: str) -> Row | None:
    """The largest size for which torch.compile was timed, or else the largest of all."""
    own = [row for row in rows if row["loss"] == loss]
    return max(own, key=lambda row: ("torch.compile" in per_item(row), row["size"]), default=None)


def _caption(axes: Axes, title: str, subtitle: str) -> None:
    axes.set_title(title, loc="left", fontweight="bold", pad=24)
    axes.annotate(
        subtitle, (0, 1), xytext=(0, 9), xycoords="axes fraction", textcoords="offset points", fontsize=9.5,
        color="#666666",
    )  # fmt: skip


def draw(results: dict[str, Any], folder: Path) -> list[Path]:
    """Draw the pictures of every device in the results."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for device in sorted({row["device"] for row in results["cases"]}):
        own = [row for row in results["cases"] if row["device"] == device and row["dtype"] == "float32"]
        threads = max(row["threads"] for row in own)
        own = [row for row in own if row["threads"] == threads]
        machine = machine_name(results, device, threads)
        with plt.rc_context(STYLE):
            pictures = {"time_per_box": time_per_box, "losses": all_losses}
            for name, plot in ({"losses": factors_on_gpu} if device == "cuda" else pictures).items():
                figure = plot(own, machine)
                written.append(folder / f"{name}_{device}.png")
                figure.savefig(written[-1])
                plt.close(figure)
    return written


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plots", description="Draw the results of a run.")
    parser.add_argument("results", type=Path, nargs="?", default=ROOT / "benchmarks" / "results" / "full.json")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "plots")
    options = parser.parse_args(argv)
    for path in draw(json.loads(options.results.read_text()), options.folder):
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
