"""How a case is run: first all implementations must agree, then they are timed in turns.

``torch.utils.benchmark.Timer`` does the timing: it sets the threads, warms up, and waits for the GPU. The turns go
A B C A B C ..., so that whatever slows the machine for a while slows all alike. Medians and quartiles are recorded.
"""

import contextlib
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.benchmark import Timer

from .cases import MODES, Case
from .device_time import device_time
from .peers import Loss

# Tolerances: of losses, relative; of gradients, relative to the largest of the batch. In float32 the eager and compiled
# formulas are off by some 1e-6 per box and sum in float32. Gradients of half inputs are rounded to halves.
TOLERANCE = {
    torch.float32: (1e-4, 1e-4),
    torch.float16: (1e-4, 2e-3),
    torch.bfloat16: (1e-4, 1.6e-2),
}

SMALL = 128  # at this size the same call without boxes is timed as well: the cost of the call itself

_STATEMENTS = {
    "forward": "loss(leaf, target)",
    "forward_backward": "leaf.grad = None; loss(leaf, target).backward(seed)",
}


class DisagreementError(AssertionError):
    """An implementation computes something else, so its time means nothing."""


@dataclass(frozen=True)
class Timing:
    """Seconds per call."""

    median: float
    q1: float
    q3: float
    blocks: int
    calls_per_block: int


@dataclass(frozen=True)
class Effort:
    """How long to measure, in seconds for each implementation and mode; and how much to copy for the memory's floor."""

    seconds: float
    least_blocks: int = 5
    most_blocks: int = 15
    copy_mebibytes: int = 512


def evaluate(loss: Loss, leaf: Tensor, target: Tensor, seed: Tensor | None) -> tuple[float, Tensor]:
    """The loss and its gradient."""
    leaf.grad = None
    value = loss(leaf, target)
    torch.autograd.backward(value, seed)
    gradient = leaf.grad
    leaf.grad = None
    if gradient is None:
        raise DisagreementError("there is no gradient")
    return value.item(), gradient


def check(case: Case, losses: dict[str, Loss], leaf: Tensor, target: Tensor) -> dict[str, dict[str, float]]:
    """The differences of every peer from our results; raise if they exceed the tolerance."""
    seed = case.seed()
    value, gradient = evaluate(losses["ours"], leaf, target, seed)
    largest = float(gradient.abs().max())
    if not largest > 0:
        raise DisagreementError(f"{case.key}: our gradient is zero")
    differences: dict[str, dict[str, float]] = {}
    for name, loss in losses.items():
        if name == "ours":
            continue
        peer_value, peer_gradient = evaluate(loss, leaf, target, seed)
        differences[name] = {
            "loss": abs(peer_value - value) / abs(value),
            "gradient": float((peer_gradient.float() - gradient.float()).abs().max()) / largest,
        }
    loss_tolerance, gradient_tolerance = TOLERANCE[case.dtype]
    for name, found in differences.items():
        # Written so that NaN fails.
        if not (found["loss"] <= loss_tolerance and found["gradient"] <= gradient_tolerance):
            raise DisagreementError(
                f"{case.key}: {name} differs from ours by {found['loss']:.1e} in the loss and {found['gradient']:.1e} "
                f"in the gradient; tolerated: {loss_tolerance:.1e} and {gradient_tolerance:.1e}"
            )
    return differences


def measure(timers: dict[str, Timer], effort: Effort) -> dict[str, Timing]:
    """The times of all implementations, measured in turns. A call that takes longer than its share is timed once."""
    estimates = {name: timer.blocked_autorange(min_run_time=0.01).median for name, timer in timers.items()}
    slow = {name for name, seconds in estimates.items() if seconds > 2 * effort.seconds}
    calls, blocks = {}, {}
    for name, seconds in estimates.items():
        calls[name] = max(1, round(effort.seconds / effort.most_blocks / seconds))
        affordable = int(effort.seconds / (calls[name] * seconds))
        blocks[name] = min(effort.most_blocks, max(effort.least_blocks, affordable))
    times: dict[str, list[float]] = {name: [estimates[name]] if name in slow else [] for name in timers}
    rounds = max((blocks[name] for name in timers if name not in slow), default=0)
    for i in range(rounds):
        for name, timer in timers.items():
            # Implementations with fewer blocks than rounds have them spread over all rounds.
            due = (i + 1) * blocks[name] // rounds > i * blocks[name] // rounds
            if due and name not in slow:
                times[name].append(timer.timeit(calls[name]).median)
    return {name: _summary(times[name], calls[name]) for name in timers}


def _summary(times: list[float], calls: int) -> Timing:
    q1, median, q3 = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else times * 3
    return Timing(median, q1, q3, len(times), calls)


@contextlib.contextmanager
def threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _timer(case: Case, mode: str, loss: Loss, leaf: Tensor, target: Tensor) -> Timer:
    names = {"loss": loss, "leaf": leaf, "target": target, "seed": case.seed()}
    return Timer(_STATEMENTS[mode], globals=names, num_threads=case.threads)


def _on_device(case: Case, mode: str, loss: Loss, leaf: Tensor, target: Tensor) -> dict[str, float]:
    """Seconds and launches of a call, on the GPU alone."""
    seed = case.seed()

    def call() -> None:
        leaf.grad = None
        value = loss(leaf, target)
        if mode == "forward_backward":
            torch.autograd.backward(value, seed)

    found = device_time(call)
    return {"seconds": found.seconds, "launches": found.launches}


def run(case: Case, effort: Effort, speed: float) -> dict[str, Any]:
    """One row of the results. ``speed`` is that of a large copy on the device, with the threads, of the case."""
    torch._dynamo.reset()  # else torch.compile would see a changed shape, and compile for dynamic shapes
    with threads(case.threads):
        leaf, target = case.problem.make_inputs(case.size, case.dtype, case.device)
        losses = case.losses()
        differences = check(case, losses, leaf, target)
        times, empty, on_device = {}, {}, {}
        for mode in MODES:
            timers = {name: _timer(case, mode, loss, leaf, target) for name, loss in losses.items()}
            if case.size == SMALL:
                # Timed in turns with the others, since the difference is only a few microseconds.
                nothing = case.problem.make_inputs(0, case.dtype, case.device)
                timers["empty"] = _timer(case, mode, case.problem.ours, *nothing)
            times[mode] = {name: asdict(timing) for name, timing in measure(timers, effort).items()}
            if "empty" in timers:
                empty[mode] = times[mode].pop("empty")
            if case.device == "cuda":
                on_device[mode] = {name: _on_device(case, mode, loss, leaf, target) for name, loss in losses.items()}
    moved = case.problem.bytes(case.size, leaf.element_size())
    return {
        "key": case.key,
        "loss": case.loss,
        "device": case.device,
        "dtype": case.dtype_name,
        "size": case.size,
        "items": case.items,
        "threads": case.threads,
        "reduction": case.problem.reduction,
        "bytes": moved,
        "least_bytes": case.problem.least_bytes(case.size, leaf.element_size()),
        "floor": {mode: count / speed for mode, count in moved.items()},
        "differences": differences,
        "seconds": times,
        "empty_call": empty,
        "on_device": on_device,
    }
