"""Attaches this process to the stand-in for CUDA's runtime (runtime/). The runtime hands its launches to this module,
which runs them and records what they did. Torch's operators (aten_on_host.py) reach the runtime through it."""

from __future__ import annotations

import atexit
import ctypes
import itertools
import json
import os
import pathlib
import sys
import traceback
from collections.abc import Callable
from typing import Any

import torch

from . import fatbin
from .executor import Allocation, Kernel, Shape
from .faults import Fault
from .statistics import Stats

ILLEGAL_ADDRESS = 700  # cudaErrorIllegalAddress

history: list[Stats] = []  # of the launches so far
operators: list[str] = []  # of torch, so far: on a GPU each would be a launch of its own

_runtime = ctypes.CDLL(None)  # it was loaded before anything else


def _declare(name: str, result: Any, *args: Any) -> None:
    function = getattr(_runtime, name)
    function.restype, function.argtypes = result, args


_P, _INT, _LONG, _SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_size_t
_declare("cudaGetErrorString", ctypes.c_char_p, _INT)
_declare("emulated_allocations", _SIZE, _P, _SIZE)
_declare("emulated_attach", None, _P)
_declare("emulated_begin_work", None, _P)
_declare("emulated_capturing", _INT)
_declare("emulated_host_waits", None, _P)
_declare("emulated_join", None, _P, _P)
_declare("emulated_mark_written", None, _P, _SIZE)
_declare("emulated_message", None, ctypes.c_char_p)
_declare("emulated_record", _INT, _P, _LONG)
_declare("emulated_stream", _P, _P, _INT)
_declare("emulated_use_memory", _INT, _P, _P, _INT)


def _raise_if(error: int) -> None:
    if error:
        raise Fault(_runtime.cudaGetErrorString(error).decode())


# --- Launches ---


def _number_of(work: Callable[[], object]) -> int:
    """CUDA's error number for how the work went."""
    try:
        work()
        return 0
    except Fault as fault:
        message = str(fault)
    except BaseException as error:  # nothing may pass through the runtime
        traceback.print_exc(file=sys.stderr)
        message = repr(error)
    _runtime.emulated_message(f"emulated device: {message}".encode())
    return ILLEGAL_ADDRESS


def _prepared(code: int, name: bytes, grid_block: Any, shared: int, args: Any, device: int) -> Callable[[int], None]:
    """The launch, with its arguments copied: a function of the stream."""
    kernel = fatbin.kernel(code, name.decode())
    shape = Shape(tuple(grid_block[0:3]), tuple(grid_block[3:6]), shared)
    params = {p.name: ctypes.string_at(args[i], p.size) for i, p in enumerate(kernel.params)}
    return lambda stream: _run(stream, kernel, shape, params, device)


def _run(stream: int, kernel: Kernel, shape: Shape, params: dict[str, bytes], device: int) -> None:
    memory = allocations()
    # The number of the launch decides the order of its blocks and warps.
    history.append(kernel.launch(shape, params, memory, seed=len(history), device=device))
    for allocation in memory:
        if allocation.uses and _runtime.emulated_use_memory(stream, allocation.base, allocation.uses):
            raise Fault(f"{kernel.name}: {_runtime.cudaGetErrorString(ILLEGAL_ADDRESS).decode()}")


def allocations() -> list[Allocation]:
    """All device memory."""
    table = (Allocation * _runtime.emulated_allocations(None, 0))()
    _runtime.emulated_allocations(table, len(table))
    return list(table)


# --- What the runtime calls, as runtime.h declares it ---

_GEOMETRY = (ctypes.POINTER(ctypes.c_uint), _SIZE, ctypes.POINTER(_P), _INT)  # grid and block, shared, args, device

# The work that graphs hold. Each is a function of the stream that the graph is replayed on.
_recorded: dict[int, Callable[[int], None]] = {}
_tokens = itertools.count(1)


def _keep(work: Callable[[int], None]) -> int:
    token = next(_tokens)
    _recorded[token] = work
    return token


def _launch(stream: int, code: int, name: bytes, *geometry: Any) -> int:
    return _number_of(lambda: _prepared(code, name, *geometry)(stream))


def _record(code: int, name: bytes, *geometry: Any) -> int:
    tokens: list[int] = []
    error = _number_of(lambda: tokens.append(_keep(_prepared(code, name, *geometry))))
    return -error if error else tokens[0]


def _replay(stream: int, token: int) -> int:
    return _number_of(lambda: _recorded[token](stream))


def _forget(token: int) -> None:
    del _recorded[token]


class _Python(ctypes.Structure):
    _fields_ = (
        ("launch", ctypes.CFUNCTYPE(_INT, _P, _P, ctypes.c_char_p, *_GEOMETRY)),
        ("record", ctypes.CFUNCTYPE(_LONG, _P, ctypes.c_char_p, *_GEOMETRY)),
        ("replay", ctypes.CFUNCTYPE(_INT, _P, _LONG)),
        ("forget", ctypes.CFUNCTYPE(None, _LONG)),
    )


_functions = (_launch, _record, _replay, _forget)
_python = _Python(*(field[1](function) for field, function in zip(_Python._fields_, _functions, strict=True)))  # type: ignore[call-overload]
_runtime.emulated_attach(ctypes.byref(_python))
atexit.register(_runtime.emulated_attach, ctypes.byref(_Python()))  # graphs may end after Python


# --- For torch's operators. A stream is known by its address in the runtime ---


def current_stream(where: torch.device) -> int:
    index = torch.cuda.current_device() if where.index is None else where.index
    return int(_runtime.emulated_stream(torch._C._cuda_getCurrentRawStream(index), index))


def begin_work(stream: int) -> None:
    _runtime.emulated_begin_work(stream)


def use_memory(stream: int, address: int, uses: int) -> None:
    """Raises where the stream's work is not ordered with what used the memory before."""
    _raise_if(_runtime.emulated_use_memory(stream, address, uses))


def mark_written(address: int, size: int) -> None:
    _runtime.emulated_mark_written(address, size)


def host_waits(stream: int) -> None:
    _runtime.emulated_host_waits(stream)


def join(a: int, b: int) -> None:
    """Each stream waits for the other."""
    _runtime.emulated_join(a, b)


def capturing() -> bool:
    return bool(_runtime.emulated_capturing())


def record(stream: int, work: Callable[[int], None]) -> None:
    """Adds to the graph that the stream is captured into."""
    _raise_if(_runtime.emulated_record(stream, _keep(work)))


# --- The report ---


def _write_report(path: str) -> None:
    pathlib.Path(path).write_text(json.dumps([stats.row() for stats in history], indent=1))


def _write_coverage(path: str) -> None:
    pathlib.Path(path).write_text(json.dumps(fatbin.never_executed(), indent=1))


if path := os.environ.get("EMULATED_CUDA_REPORT"):
    atexit.register(_write_report, path)
if path := os.environ.get("EMULATED_CUDA_COVERAGE"):
    atexit.register(_write_coverage, path)
