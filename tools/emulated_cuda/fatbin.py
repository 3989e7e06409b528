"""Finds the PTX of a kernel in the binary that holds it."""

from __future__ import annotations

import ctypes
import hashlib
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys

from . import build
from .executor import Kernel, Program
from .faults import Fault
from .ptx import Module

_ENTRY = re.compile(r"\.entry\s+([\w$]+)\s*\(")

_programs: dict[tuple[int, str], Program] = {}


def kernel(fatbin: int, name: str) -> Kernel:
    """The kernel of that name in the device code registered from that address."""
    if (fatbin, name) not in _programs:
        _load(fatbin, name)
    return _programs[fatbin, name].kernel(name)


def never_executed() -> dict[str, list[str]]:
    """Of every kernel launched, the instructions that no thread has executed."""
    programs = {id(program): program for program in _programs.values()}.values()
    return {name: kernel.never_executed() for program in programs for name, kernel in program.kernels.items()}


def entries(path: str) -> list[str]:
    """The names of all kernels in a binary, each once, whatever architectures carry it."""
    return sorted({name for part in _ptx_parts(path) for name in _ENTRY.findall(part)})


def _load(fatbin: int, name: str) -> None:
    _, _, header, size = struct.unpack("<IHHQ", ctypes.string_at(fatbin, 16))
    blob = ctypes.string_at(fatbin, header + size)
    start = blob.find(b".version ")
    plain = blob[start : blob.find(b"\0", start)].decode() if start >= 0 else None
    program = Program(Module(plain or _unpacked_ptx(_mapped_file(fatbin), name)))
    _programs.update({(fatbin, function): program for function in program.module.functions})
    if (fatbin, name) not in _programs:
        raise Fault(f"no PTX of {name}")


def _mapped_file(address: int) -> str:
    for line in pathlib.Path("/proc/self/maps").read_text().splitlines():
        span, *_, path = line.split(maxsplit=5)
        first, last = (int(x, 16) for x in span.split("-"))
        if first <= address < last:
            return path.strip()
    raise Fault("the kernel's binary is not mapped from a file")


def _unpacked_ptx(path: str, name: str) -> str:
    """The one of the file's PTX modules that defines the kernel."""
    for part in _ptx_parts(path):
        if name in _ENTRY.findall(part):
            return part
    raise Fault(f"{path} carries no PTX of {name}: build it with TORCH_CUDA_ARCH_LIST=9.0+PTX")


def _ptx_parts(path: str) -> list[str]:
    """The file's PTX modules. What cuobjdump says is stored on disk."""
    content = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()[:16]
    kept = build.cache_folder() / f"{content}.ptx"
    if not kept.exists():
        text = subprocess.run([_cuobjdump(), "-ptx", path], capture_output=True, text=True, check=True).stdout
        unfinished = kept.with_suffix(f".{id(text)}")
        unfinished.write_text(text)
        unfinished.replace(kept)
    parts = kept.read_text().split("Fatbin ptx code:")[1:]
    return [part[part.index(".version") :].split("\nFatbin ")[0] for part in parts]


def _cuobjdump() -> str:
    places = [pathlib.Path(os.environ.get("CUDA_HOME", "/usr/local/cuda"), "bin/cuobjdump")]
    places += [pathlib.Path(p, "nvidia/cu13/bin/cuobjdump") for p in sys.path]
    for place in (shutil.which("cuobjdump"), *places):
        if place and pathlib.Path(place).exists():
            return str(place)
    raise Fault(
        "the device code is compressed and there is no cuobjdump to unpack it (pip install nvidia-cuda-cuobjdump)"
    )
