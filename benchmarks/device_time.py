"""The time that a GPU itself spends on a call, kernel by kernel, without the time of the host."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from .machine import synchronize

# How often a call is run before it is measured: the first calls allocate, choose algorithms and compile.
WARM_UP, REPEATS = 3, 20


@dataclass(frozen=True)
class DeviceTime:
    """The seconds of kernels, copies and fills in one call, and how many there are of each name."""

    seconds: float
    launches: float
    kernels: dict[str, float]


def device_time(call: Callable[[], object], repeats: int = REPEATS) -> DeviceTime:
    """Measured on the GPU by torch's profiler."""
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    for _ in range(WARM_UP):
        call()
    synchronize("cuda")
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        for _ in range(repeats):
            call()
        synchronize("cuda")
    each = [event for event in found.events() if event.device_type == DeviceType.CUDA]
    kernels: dict[str, float] = {}
    for event in each:
        name = short_name(event.name)
        kernels[name] = kernels.get(name, 0.0) + event.time_range.elapsed_us() * 1e-6 / repeats
    return DeviceTime(sum(kernels.values()), len(each) / repeats, kernels)


def short_name(kernel: str) -> str:
    """The name of a kernel without types and namespaces; of ours with the formula, as ``box_gradient<Ciou>``."""
    plain = re.sub(r"\w+::|\(anonymous namespace\)::|^void ", "", kernel)
    ours = re.match(r"(\w+)<(\w+)", plain)
    return f"{ours[1]}<{ours[2]}>" if "iouloss" in kernel and ours else re.split(r"[<(]", plain)[0]
