"""What a GPU itself spends on a call, kernel by kernel, whatever the host takes to launch them."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from .machine import synchronize

# Of what calls run before they are looked at: allocations, choices of algorithms, compilation.
WARM_UP, REPEATS = 3, 20


@dataclass(frozen=True)
class DeviceTime:
    """Of one call: seconds of kernels, copies and fills, and how many these are, each by its name."""

    seconds: float
    launches: float
    kernels: dict[str, float]


def device_time(call: Callable[[], object], repeats: int = REPEATS) -> DeviceTime:
    """As torch's profiler has it from the GPU."""
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
    """Without types and namespaces: ``box_gradient<Ciou>`` for ours, the function's name for others."""
    plain = re.sub(r"\w+::|\(anonymous namespace\)::|^void ", "", kernel)
    ours = re.match(r"(\w+)<(\w+)", plain)
    return f"{ours[1]}<{ours[2]}>" if "iouloss" in kernel and ours else re.split(r"[<(]", plain)[0]
