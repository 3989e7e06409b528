"""The results as a table, and how they compare with the targets."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .cases import MODES

Row = dict[str, Any]


def seconds(row: Row, name: str = "ours", mode: str = "forward_backward") -> float | None:
    """The median of an implementation. "compile" is the faster way to compile, "floor" the time of the memory."""
    if name == "floor":
        floor: float = row["floor"][mode]
        return floor
    times = row["seconds"][mode]
    names = [other for other in times if other == name or (name == "compile" and other.startswith("compile"))]
    return min((times[other]["median"] for other in names), default=None)


def ratio(row: Row, name: str, mode: str = "forward_backward") -> float | None:
    """How many times as long as ours another implementation takes."""
    ours, other = seconds(row, "ours", mode), seconds(row, name, mode)
    return None if ours is None or other is None else other / ours


# ------------------------------------------------------------------------------------------------------------- table


def _time(value: float | None) -> str:
    if value is None:
        return ""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def line(row: Row, mode: str) -> str:
    """A line: our time and its quartiles, and each peer with the factor by which it is slower."""
    ours = row["seconds"][mode]["ours"]
    spread = (ours["q3"] - ours["q1"]) / ours["median"]
    cells = [f"{row['loss']:<19}{row['dtype']:<10}{row['size']:>9,}", f"{_time(ours['median']):>8} ±{spread:4.0%}"]
    cells.append(f"{ours['median'] / row['floor'][mode]:8.2f}x floor")
    if row["empty_call"]:
        cells.append(f"empty call {_time(row['empty_call'][mode]['median'])}")
    lost = False
    for name, timing in row["seconds"][mode].items():
        if name != "ours":
            factor = timing["median"] / ours["median"]
            lost |= factor < 1
            cells.append(f"{name} {_time(timing['median'])} {factor:.3g}x")
    return "  ".join(cells) + ("  <-- slower than a peer" if lost else "")


def device_line(row: Row, mode: str) -> str:
    """The same for the GPU alone, with the number of launches."""
    each = row["on_device"][mode]
    ours = each["ours"]["seconds"]
    cells = [f"{row['loss']:<19}{row['dtype']:<10}{row['size']:>9,}"]
    for name, found in each.items():
        factor = "" if name == "ours" else f" {found['seconds'] / ours:.3g}x"
        cells.append(f"{name} {_time(found['seconds'])}{factor} in {found['launches']:g}")
    return "  ".join(cells)


def print_table(rows: Iterable[Row]) -> None:
    rows = list(rows)
    for device, threads in sorted({(row["device"], row["threads"]) for row in rows}, key=str):
        of = f"{device}, {threads} thread{'s' * (threads > 1)}" if device == "cpu" else device
        for mode in MODES:
            print(f"\n{of}, {mode.replace('_', ' + ')}: ours, interquartile range; peers by how much they are slower")
            for row in rows:
                if (row["device"], row["threads"]) == (device, threads):
                    print(line(row, mode))
            if device == "cuda":
                print(f"\n{mode.replace('_', ' + ')} on the GPU alone, and launches:")
                for row in rows:
                    if row["device"] == device:
                        print(device_line(row, mode))
    _print_losses(rows)


def _print_losses(rows: list[Row]) -> None:
    lost = [
        f"{row['key']} {mode}: {name}, {timing['median'] / row['seconds'][mode]['ours']['median']:.2f}x"
        for row in rows
        for mode in MODES
        for name, timing in row["seconds"][mode].items()
        if timing["median"] < row["seconds"][mode]["ours"]["median"]
    ]
    print("\nWhere a peer is faster: " + ("nowhere" if not lost else ""))
    for entry in lost:
        print("  " + entry)


# ----------------------------------------------------------------------------------------------------------- targets


@dataclass(frozen=True)
class Target:
    """A bound on forward + backward: how many times slower a peer is at least, or ours than something else at most."""

    loss: str
    size: int
    versus: str
    bound: float
    dtype: str = "float32"

    def value(self, rows: dict[tuple[str, str, int], Row]) -> float | None:
        row = rows.get((self.loss, self.dtype, self.size))
        if row is None:
            return None
        ours = seconds(row)
        if ours is None:
            return None
        if self.versus == "empty":
            empty = row["empty_call"].get("forward_backward")
            return None if empty is None else (ours - empty["median"]) * 1e6
        if self.versus == "float32":
            single = rows.get((self.loss, "float32", self.size))
            other = seconds(single) if single else None
            return None if other is None else ours / other
        factor = ratio(row, self.versus)
        if factor is None:
            return None
        return 1 / factor if self.versus == "floor" else factor

    @property
    def at_most(self) -> bool:
        return self.versus in ("floor", "empty", "float32")

    @property
    def text(self) -> str:
        unit = {"empty": "µs over the empty call", "float32": "x our float32", "floor": "x the floor"}
        return (
            f"{'<=' if self.at_most else '>='} {self.bound:g} {unit.get(self.versus, 'x faster than ' + self.versus)}"
        )


def _targets(loss: str, size: int, **bounds: float) -> list[Target]:
    return [Target(loss, size, versus, bound) for versus, bound in bounds.items()]


TARGETS = [
    *_targets("ciou", 10**6, torchvision=25, compile=8, floor=2.0),
    *_targets("giou", 10**6, torchvision=25, compile=4, floor=1.8),
    *_targets("diou", 10**6, torchvision=25, compile=4, floor=1.8),
    *_targets("eiou", 10**6, compile=4, floor=1.8),
    *_targets("cdiou", 10**6, compile=4, floor=1.8),
    *_targets("ciou", 128, torchvision=25, compile=6, empty=4),
    *_targets("focal_dense", 10**5, torchvision=15, compile=12, floor=2.0),
    *_targets("focal_index", 10**5, torchvision=25, compile=15, floor=2.0),
    *(
        Target(loss, size, "float32", 1.0, dtype)
        for loss, size in (("ciou", 10**6), ("giou", 10**6), ("focal_dense", 10**5), ("focal_index", 10**5))
        for dtype in ("float16", "bfloat16")
    ),
]


def judged(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The targets for which the rows have numbers, on the CPU with all threads: value, bound, met or not."""
    cpu = [row for row in rows if row["device"] == "cpu"]
    most = max((row["threads"] for row in cpu), default=0)
    table = {(row["loss"], row["dtype"], row["size"]): row for row in cpu if row["threads"] == most}
    found = []
    for target in TARGETS:
        value = target.value(table)
        if value is not None:
            met = value <= target.bound if target.at_most else value >= target.bound
            name = f"{target.loss} {target.dtype} {target.size:,}"
            found.append({"case": name, "target": target.text, "value": value, "met": met})
    return found


def print_targets(targets: list[dict[str, Any]]) -> None:
    if targets:
        print("\nTargets, CPU, forward + backward:")
    for target in targets:
        verdict = "PASS" if target["met"] else "MISS"
        print(f"  {verdict}  {target['case']:<28}{target['value']:>8.2f}   {target['target']}")


def print_scaling(rows: Iterable[Row]) -> None:
    """Print the gain from more threads, for the cases that were timed with several numbers of threads."""
    by_case: dict[tuple[str, str, str, int], dict[int, float]] = {}
    for row in rows:
        key = (row["device"], row["loss"], row["dtype"], row["size"])
        by_case.setdefault(key, {})[row["threads"]] = seconds(row) or 0.0
    for (_, loss, dtype, size), times in by_case.items():
        if len(times) > 1:
            alone = max(times.values())
            text = ", ".join(f"{n}: {_time(t)} ({alone / t:.2f}x)" for n, t in sorted(times.items()))
            print(f"\nThreads, {loss} {dtype} {size:,}: {text}")
