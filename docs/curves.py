"""What the pictures of the losses share: curves of values above curves of gradients, and how they look."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from benchmarks.plots import STYLE as BENCHMARK_STYLE

# The colours of Okabe and Ito, which the colour-blind can tell apart, each with a line of its own. The first are the
# widest, so that they show beneath the others.
LOOKS: tuple[tuple[str, Any, float], ...] = (
    ("#000000", "-", 2.5),
    ("#0072b2", "-", 2.0),
    ("#d55e00", (0, (7, 2)), 1.8),
    ("#009e73", (0, (3.5, 1.5)), 1.8),
    ("#cc79a7", (0, (5, 1, 1, 1)), 1.8),
    ("#e69f00", (0, (2, 1)), 1.8),
    ("#56b4e9", (0, (1, 1)), 1.8),
)
STYLE: dict[Any, Any] = BENCHMARK_STYLE | {
    "font.size": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlesize": 10.5,
    "legend.fontsize": 9,
    "legend.frameon": True,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "savefig.dpi": 100,
}
COLOURS_KEPT = 96  # of a picture: lines, text and what lies between them and white
GUIDE: dict[str, Any] = {"color": "#999999", "lw": 0.9, "zorder": 0}

Loss = Callable[..., Tensor]
Evaluate = Callable[[Loss, Tensor], tuple[Tensor, Tensor]]


class Line(NamedTuple):
    label: str
    loss: Loss
    look: int | None = None  # in LOOKS; None: its place among the lines


class Column(NamedTuple):
    """Two panels, one above the other: losses against ``x``, and their gradients."""

    title: str
    xlabel: str
    x: Tensor
    lines: Sequence[Line]
    value_limits: tuple[float, float]
    gradient_limits: tuple[float, float]
    legend: str | None = "upper right"  # where in the upper panel; None: there is one for the whole figure
    guides: tuple[float, ...] = ()  # places worth a vertical line
    logarithmic: bool = False


def span(low: float, high: float, points: int = 401) -> Tensor:
    return torch.linspace(low, high, points, dtype=torch.float64)


def derivative(loss: Loss, x: Tensor) -> tuple[Tensor, Tensor]:
    """The losses of the numbers ``x``, and their derivatives."""
    x = x.clone().requires_grad_()
    value = loss(x)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), gradient


def draw_lines(upper: Axes, lower: Axes, column: Column, evaluate: Evaluate = derivative) -> None:
    for k, line in enumerate(column.lines):
        colour, style, width = LOOKS[k if line.look is None else line.look]
        value, gradient = evaluate(line.loss, column.x)
        upper.plot(column.x, value, color=colour, ls=style, lw=width, label=line.label)
        lower.plot(column.x, gradient, color=colour, ls=style, lw=width)
    for axes in (upper, lower):
        axes.set_xlim(round(float(column.x[0]), 2), float(column.x[-1]))
        for place in column.guides:
            axes.axvline(place, ls=":", **GUIDE)
    upper.set_ylim(column.value_limits)
    lower.set_ylim(column.gradient_limits)
    if column.gradient_limits[0] < 0 < column.gradient_limits[1]:
        lower.axhline(0, **GUIDE)


def draw_columns(
    columns: Sequence[Column],
    gradient_label: str,
    evaluate: Sequence[Evaluate] | None = None,
    width: float = 4.2,
) -> Figure:
    """A figure of columns; ``evaluate`` says for each what its gradient is."""
    size = (width * len(columns), 6.0)
    figure, panels = plt.subplots(2, len(columns), figsize=size, sharex="col", squeeze=False, layout="constrained")
    for i, column in enumerate(columns):
        upper, lower = panels[0, i], panels[1, i]
        draw_lines(upper, lower, column, derivative if evaluate is None else evaluate[i])
        upper.set(title=column.title, ylabel=None if i else "loss")
        lower.set(xlabel=column.xlabel, ylabel=None if i else gradient_label)
        if column.logarithmic:
            lower.set_xscale("log", base=2)
            lower.xaxis.set_major_formatter(lambda tick, _: f"{tick:g}" if tick >= 1 else f"1/{1 / tick:g}")
        if column.legend is not None:
            upper.legend(loc=column.legend)
    if columns[0].legend is None:
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 7))
    return figure


def save(make: Callable[[], Figure], file: Path) -> None:
    """The figure as a picture, of as few colours as it needs."""
    with plt.rc_context(STYLE):
        figure = make()
        figure.savefig(file)
        plt.close(figure)
    with Image.open(file) as picture:
        few = picture.convert("RGB").quantize(COLOURS_KEPT)
    few.save(file, optimize=True)
