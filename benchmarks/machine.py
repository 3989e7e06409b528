"""The machine that a measurement was made on, and how fast its memory is."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from torch.utils.benchmark import Timer

import iouloss

_PACKAGES = (
    "torch",
    "torchvision",
    "triton",
    "numpy",
    "mmdet",
    "mmcv",
    "ultralytics",
    "kornia",
    "monai",
    "segmentation-models-pytorch",
)


def describe() -> dict[str, Any]:
    """The facts about the machine by which a reader can judge the numbers."""
    return {
        "machine": {
            "cpu": _cpu_model(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "caches": _caches(),
            "memory_gib": _memory_gib(),
            "gpu": _gpu(),
            "system": f"{platform.system()} {platform.machine()}",
            "load": os.getloadavg()[0],
        },
        "versions": {"python": platform.python_version(), "iouloss": iouloss.__version__, **_packages()},
        "instruction_set": iouloss.backend_info()["cpu_isas"]["active"],
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
    }


def keep_memory() -> None:
    """Start the program again with an allocator that returns no memory to the system.

    Otherwise what was freed before decides whether a large result costs page faults, which take longer than a loss: the
    same call would be fast or slow by chance. This holds for all implementations alike.
    """
    wanted = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**60)}
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.environ.update(wanted)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def copy_speed(device: str, threads: int, mebibytes: int) -> float:
    """Bytes per second, read and written, when an array larger than any cache is copied."""
    source = torch.ones(mebibytes * 2**18, device=device)
    destination = torch.empty_like(source)
    timer = Timer("b.copy_(a)", globals={"a": source, "b": destination}, num_threads=threads)
    timer.timeit(1)  # touches every page once
    seconds = sorted(timer.timeit(1).median for _ in range(7))
    return 2 * source.nbytes / seconds[len(seconds) // 2]


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _packages() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions | {"torch": str(torch.__version__), "cuda": torch.version.cuda or "none"}


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    field = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = field.get("model name", platform.processor() or "unknown")
    # Some virtual machines hide the name, but family and model still tell the generation.
    return f"{name} (family {field.get('cpu family')}, model {field.get('model')})" if "model" in field else name


def _caches() -> dict[str, str]:
    caches = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            caches[f"L{level}"] = size
    return caches


def _memory_gib() -> float | None:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)


def _gpu() -> str | None:
    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"


def _commit() -> str:
    """The commit of the source tree, with ``+`` where there are changes that are not committed."""

    def git(*args: str) -> str:
        command = ("git", "-C", str(Path(__file__).parent), *args)
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
