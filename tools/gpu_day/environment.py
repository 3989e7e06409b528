"""``python -m tools.gpu_day.environment``: the machine, as JSON. A process of its own, so that the kit holds no GPU."""

import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

MODULES = ("torch", "triton", "numpy", "pytest", "xdist", "hypothesis", "expecttest", "torchvision", "ninja")


def tool(name: str) -> str | None:
    """A program of the CUDA toolkit, which is not always on the PATH."""
    places = [os.environ.get("PATH", ""), *(f"{home}/bin" for home in (os.environ.get("CUDA_HOME"), "/usr/local/cuda"))]
    return shutil.which(name, path=os.pathsep.join(places))


def output(*command: str) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def describe() -> dict[str, Any]:
    import torch

    devices = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        devices.append(
            {
                "name": torch.cuda.get_device_name(index),
                "capability": "{}.{}".format(*torch.cuda.get_device_capability(index)),
                "memory_gib": round(total / 2**30, 1),
                "free_gib": round(free / 2**30, 1),
            }
        )
    root = str(Path(__file__).parents[2])
    changes = output("git", "-C", root, "status", "--porcelain", "-uno")
    nvcc, query = tool("nvcc"), "--query-gpu=driver_version"
    driver = output("nvidia-smi", query, "--format=csv,noheader")
    release = re.search(r"release ([\d.]+)", (nvcc and output(nvcc, "--version")) or "")
    return {
        "devices": devices,
        "driver": driver.splitlines()[0] if driver else None,
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "nvcc": release[1] if release else None,
        "sanitizer": tool("compute-sanitizer"),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "modules": [name for name in MODULES if importlib.util.find_spec(name)],
        "commit": output("git", "-C", root, "rev-parse", "HEAD"),
        "changed": bool(changes),
        "emulated": os.environ.get("EMULATED_CUDA") == "1",
        "nvidia_smi": output("nvidia-smi"),
    }


def probe() -> dict[str, Any]:
    """``describe()`` in a process of its own; after a failure, the reason under "error"."""
    command = [sys.executable, "-m", "tools.gpu_day.environment"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[2])
    except subprocess.TimeoutExpired:
        return {"error": "the GPU does not answer"}
    if run.returncode:
        return {"error": (run.stderr.strip().splitlines() or ["no message"])[-1]}
    facts: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return facts if facts["devices"] else {**facts, "error": "torch sees no GPU"}


if __name__ == "__main__":
    print(json.dumps(describe()))
