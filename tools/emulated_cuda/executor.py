"""Runs kernels on the host: the Python side of executor/."""

from __future__ import annotations

import ctypes
import functools
import math
import re
import weakref
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from . import build, encode
from .faults import Fault
from .ptx import Module
from .statistics import Stats

_ERROR_BYTES = 4096
INSTRUCTION_BUDGET = 500_000_000  # of the warps of a launch: an endless loop is an error
WIDTHS = [1, 2, 4, 8, 16, 32]


class _EncodedKernel(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_char_p) for name in ("name", "code", "strings", "register_bytes")),
        ("specials", ctypes.c_void_p),
        *((name, ctypes.c_int32) for name in ("instructions", "registers", "special_count", "entry", "static_shared")),
        *((name, ctypes.c_int32) for name in ("local_bytes", "max_threads")),
    ]


READ, WRITE = 1, 2


class Allocation(ctypes.Structure):
    """Device memory. `written` has a byte for each, 0 where nothing has written; without it, all counts as written."""

    _fields_ = [
        ("base", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("written", ctypes.c_void_p),
        ("device", ctypes.c_int64),
        ("uses", ctypes.c_uint64),  # READ and WRITE, set by a launch
    ]


_FORM = re.compile(r"(?:@!?%\w+ +)?([^\s;]+)")  # of the text of an instruction: its name with its modifiers
_SUMS = (
    *("load_bytes", "store_bytes", "load_sectors", "store_sectors", "atomics", "local_bytes", "barriers"),
    *("distinct_load_sectors", "distinct_store_sectors"),
)


class _Totals(ctypes.Structure):
    _fields_ = (*((name, ctypes.c_uint64) for name in _SUMS), ("widths", ctypes.c_uint64 * len(WIDTHS)))


class _LaunchRequest(ctypes.Structure):
    _fields_ = [
        ("kernel", ctypes.c_void_p),
        ("grid", ctypes.c_uint32 * 3),
        ("block", ctypes.c_uint32 * 3),
        ("params", ctypes.c_char_p),
        ("allocations", ctypes.c_void_p),
        ("counts", ctypes.c_void_p),
        ("totals", ctypes.POINTER(_Totals)),
        ("error", ctypes.c_void_p),
        *((name, ctypes.c_uint64) for name in ("param_bytes", "allocation_count", "error_bytes", "seed", "budget")),
        ("dynamic_shared", ctypes.c_uint32),
        ("device", ctypes.c_int32),
    ]


@functools.cache
def _library() -> ctypes.CDLL:
    lib = ctypes.CDLL(str(build.executor_library()))
    lib.emulated_kernel_new.restype = ctypes.c_void_p
    lib.emulated_kernel_new.argtypes = [ctypes.POINTER(_EncodedKernel), ctypes.c_char_p, ctypes.c_size_t]
    lib.emulated_kernel_delete.argtypes = [ctypes.c_void_p]
    lib.emulated_launch.argtypes = [ctypes.POINTER(_LaunchRequest)]
    return lib


@dataclass(frozen=True)
class Shape:
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    dynamic_shared: int = 0

    def threads(self) -> int:
        return math.prod(self.grid) * math.prod(self.block)


class Program:
    """A module whose variables have memory, and its kernels as they are asked for."""

    def __init__(self, module: Module):
        self.module = module
        self.kernels: dict[str, Kernel] = {}
        self._memory: list[ctypes.Array[ctypes.c_char]] = []
        self.addresses: dict[str, int] = {}
        self.allocations: list[Allocation] = []
        for variable in module.variables.values():
            if variable.space in ("global", "const"):
                self._allocate(variable.name, variable.size, max(variable.align, 256), variable.init)

    def _allocate(self, name: str, size: int, align: int, init: bytes) -> None:
        buffer = ctypes.create_string_buffer(size + align)
        base = -(-ctypes.addressof(buffer) // align) * align
        ctypes.memmove(base, init, len(init))
        self._memory.append(buffer)
        self.addresses[name] = base
        self.allocations.append(Allocation(base, size, None, -1))

    def kernel(self, name: str) -> Kernel:
        if name not in self.kernels:
            self.kernels[name] = Kernel(self, name)
        return self.kernels[name]


class Kernel:
    def __init__(self, program: Program, name: str):
        self.name = name
        self.params = program.module.function(name).params
        self._own_memory = program.allocations
        encoded = encode.Encoder(program.module, name, program.addresses).encode()
        self._places, self._max_threads = encoded.params, encoded.max_threads
        self._op_names, op_numbers = np.unique(encoded.ops, return_inverse=True)
        self._op_numbers = op_numbers
        self._texts, self._executed = encoded.texts, np.zeros(len(op_numbers), bool)
        self._handle = _new_kernel(name, encoded)
        weakref.finalize(self, _library().emulated_kernel_delete, self._handle)

    def launch(
        self,
        shape: Shape,
        params: Mapping[str, bytes],
        allocations: Iterable[Allocation],
        seed: int = 0,
        device: int = 0,
        budget: int = INSTRUCTION_BUDGET,
    ) -> Stats:
        """Runs the kernel with the bytes of its parameters by name; raises Fault for what a GPU would not forgive."""
        if math.prod(shape.block) > self._max_threads:
            bound = f"over its launch bound of {self._max_threads}"
            raise Fault(f"{self.name}: {math.prod(shape.block)} threads a block, {bound}")
        block = bytearray(self._places.size)
        for name, value in params.items():
            block[self._places.offsets[name] : self._places.offsets[name] + len(value)] = value
        memory = [*allocations, *self._own_memory]
        table = (Allocation * len(memory))(*memory)
        counts, totals = np.zeros((len(self._op_numbers), 2), np.uint64), _Totals()
        error = ctypes.create_string_buffer(_ERROR_BYTES)
        request = _LaunchRequest(
            kernel=self._handle,
            grid=shape.grid,
            block=shape.block,
            dynamic_shared=shape.dynamic_shared,
            device=device,
            params=bytes(block),
            param_bytes=len(block),
            allocations=ctypes.addressof(table),
            allocation_count=len(memory),
            counts=counts.ctypes.data,
            totals=ctypes.pointer(totals),
            error=ctypes.addressof(error),
            error_bytes=_ERROR_BYTES,
            seed=seed,
            budget=budget,
        )
        _library().emulated_launch(ctypes.byref(request))
        if error.value:
            raise Fault(error.value.decode())
        for allocation, used in zip(memory, table, strict=True):
            allocation.uses = used.uses
        self._executed |= counts[:, 0] > 0
        return self._stats(shape, seed, counts, totals)

    def never_executed(self) -> list[str]:
        """The instructions that no thread of any launch has executed."""
        return [text for text, executed in zip(self._texts, self._executed, strict=True) if not executed]

    def _stats(self, shape: Shape, seed: int, counts: np.ndarray, totals: _Totals) -> Stats:
        by_op = np.bincount(self._op_numbers, counts[:, 0], len(self._op_names)).astype(int)
        forms: Counter[str] = Counter()
        for text, n in zip(self._texts, counts[:, 0].tolist(), strict=True):
            if n:
                forms[_FORM.match(text)[1]] += n  # type: ignore[index]
        sums = {name: getattr(totals, name) for name in _SUMS}
        return Stats(
            self.name,
            shape.grid,
            shape.block,
            shape.threads(),
            seed,
            {str(op): int(n) for op, n in zip(self._op_names, by_op, strict=True) if n},
            int(counts[:, 1].sum()),
            forms=dict(forms),
            widths={width: n for width, n in zip(WIDTHS, totals.widths, strict=True) if n},
            **sums,
        )


def _new_kernel(name: str, encoded: encode.Encoded) -> int:
    specials = (ctypes.c_int32 * (2 * len(encoded.specials)))(*(x for pair in encoded.specials for x in pair))
    request = _EncodedKernel(
        name=name.encode(),
        code=encoded.code,
        strings=encoded.strings,
        register_bytes=encoded.register_bytes,
        specials=ctypes.addressof(specials),
        instructions=len(encoded.ops),
        registers=len(encoded.register_bytes),
        special_count=len(encoded.specials),
        entry=encoded.entry,
        static_shared=encoded.static_shared,
        local_bytes=encoded.local_bytes,
        max_threads=encoded.max_threads,
    )
    error = ctypes.create_string_buffer(_ERROR_BYTES)
    handle = _library().emulated_kernel_new(ctypes.byref(request), error, _ERROR_BYTES)
    if error.value:
        raise Fault(f"{name}: {error.value.decode()}")
    return int(handle)
