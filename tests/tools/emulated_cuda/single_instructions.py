"""Runs a few statements of PTX on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from tools.emulated_cuda.executor import Program
from tools.emulated_cuda.ptx import Module

from .support import DeviceArray, run, zeros

REGISTER_BITS = {"u8": 16, "s8": 16, "u16": 16, "s16": 16, "f16": 16, "bf16": 16, "u32": 32, "s32": 32, "f32": 32}
REGISTER_BITS |= {"f16x2": 32, "u64": 64, "s64": 64, "f64": 64}
DTYPE = {
    "u8": "u1",
    "s8": "i1",
    "u16": "u2",
    "s16": "i2",
    "f16": "f2",
    "bf16": "u2",
    "u32": "u4",
    "s32": "i4",
    "f32": "f4",
}
DTYPE |= {"f16x2": "u4", "u64": "u8", "s64": "i8", "f64": "f8"}


def evaluate(statements: str, kinds: str, *inputs: Any) -> np.ndarray:
    """The result d of statements on inputs a, b, c, a thread for each element; kinds names the types of d, a, b, c.
    The statements may use the registers t0 ... t3 of 32 bits and the predicates q0 ... q3."""
    names, types = "dabc", kinds.split()
    values = [np.asarray(x).astype(DTYPE[kind]) for x, kind in zip(inputs, types[1:], strict=True)]
    arrays = [zeros(values[0].size, DTYPE[types[0]]), *map(DeviceArray, values)]
    arguments = [*zip(names, types, arrays, strict=False)]
    declare = " ".join(f".reg .b{REGISTER_BITS[kind]} %{name};" for name, kind, _ in arguments)
    address = "ld.param.u64 %p, [k_{0}]; mad.wide.u32 %p, %tid.x, {1}, %p;"
    access = {name: address.format(name, a.array.itemsize) for name, _, a in arguments}
    load = "\n".join(f"{access[name]} ld.global.b{8 * a.array.itemsize} %{name}, [%p];" for name, _, a in arguments[1:])
    text = f"""
    .visible .entry k({", ".join(f".param .u64 k_{name}" for name, _, _ in arguments)}) {{
      .reg .b64 %p; .reg .b32 %t<4>; .reg .pred %q<4>; {declare}
      {load}
      {statements};
      {access["d"]} st.global.b{8 * arrays[0].array.itemsize} [%p], %d;
    }}"""
    run(Program(Module(text)), "k", 1, values[0].size, *arrays)
    return arrays[0].array


def pairs(values: list[Any]) -> tuple[list[Any], list[Any]]:
    """All pairs of the values, their firsts and their seconds."""
    return [a for a in values for _ in values], [b for _ in values for b in values]
