"""Compiles the CUDA sources beside the tests and runs their kernels on arrays."""

from __future__ import annotations

import functools
import pathlib
import subprocess
import tempfile
from typing import Any

import numpy as np

from tools.emulated_cuda.executor import INSTRUCTION_BUDGET, Allocation, Program, Shape
from tools.emulated_cuda.ptx import Module
from tools.emulated_cuda.statistics import Stats

HERE = pathlib.Path(__file__).parent


@functools.cache
def compiled(source: str) -> Program:
    with tempfile.TemporaryDirectory() as folder:
        target = pathlib.Path(folder, "out.ptx")
        command = ["nvcc", "-ptx", "-arch=compute_90", "-O3", "--expt-relaxed-constexpr", str(HERE / source)]
        subprocess.run([*command, "-o", str(target)], check=True)
        return Program(Module(target.read_text()))


class DeviceArray:
    """An array in device memory; what of it is written is known."""

    def __init__(self, values: Any, dtype: Any = None, written: bool = True, device: int = 0):
        values = np.asarray(values, dtype)
        raw = np.empty(values.nbytes + 512, np.uint8)
        start = -raw.ctypes.data % 512
        self.array = raw[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
        self.array[...] = values
        self.written = np.full(values.nbytes, written, np.uint8)
        self.device = device

    def allocation(self) -> Allocation:
        return Allocation(self.array.ctypes.data, self.array.nbytes, self.written.ctypes.data, self.device)


def zeros(n: int, dtype: Any) -> DeviceArray:
    return DeviceArray(np.zeros(n, dtype))


def fresh(n: int, dtype: Any) -> DeviceArray:
    return DeviceArray(np.zeros(n, dtype), written=False)


def run(
    program: Program,
    name: str,
    grid: int,
    block: int,
    *args: Any,
    seed: int = 0,
    dynamic_shared: int = 0,
    budget: int = INSTRUCTION_BUDGET,
) -> Stats:
    """Launches a kernel on DeviceArrays and ints."""
    kernel = program.kernel(name)
    arrays = [a for a in args if isinstance(a, DeviceArray)]
    values = [
        np.uint64(a.array.ctypes.data).tobytes() if isinstance(a, DeviceArray) else int(a).to_bytes(p.size, "little")
        for p, a in zip(kernel.params, args, strict=True)
    ]
    params = {p.name: v for p, v in zip(kernel.params, values, strict=True)}
    shape = Shape((grid, 1, 1), (block, 1, 1), dynamic_shared)
    return kernel.launch(shape, params, {id(a): a.allocation() for a in arrays}.values(), seed, budget=budget)
