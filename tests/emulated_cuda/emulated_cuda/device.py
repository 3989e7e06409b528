"""Attaches this process to the stand-in for CUDA's runtime: its launches come here, and their statistics stay here."""

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
from .executor import READ, WRITE, Allocation, Kernel, Shape
from .faults import Fault
from .statistics import Stats

_ILLEGAL_ADDRESS = 700  # cudaErrorIllegalAddress

history: list[Stats] = []  # of the launches so far
last_error: BaseException | None = None
__all__ = ["READ", "WRITE", "history", "last_error"]

_P, _INT = ctypes.c_void_p, ctypes.c_int
_LAUNCH_ARGS = (ctypes.POINTER(ctypes.c_uint), ctypes.c_size_t, ctypes.POINTER(ctypes.c_void_p), _INT)
_runtime = ctypes.CDLL(None)  # it was loaded before anything else


class _Python(ctypes.Structure):
    """The functions that runtime.h calls."""

    _fields_ = [
        ("launch", ctypes.CFUNCTYPE(_INT, _P, _P, ctypes.c_char_p, *_LAUNCH_ARGS)),
        ("record", ctypes.CFUNCTYPE(ctypes.c_int64, _P, ctypes.c_char_p, *_LAUNCH_ARGS)),
        ("replay", ctypes.CFUNCTYPE(_INT, _P, ctypes.c_int64)),
        ("forget", ctypes.CFUNCTYPE(None, ctypes.c_int64)),
    ]


# --- What graphs keep: functions of the stream that they are replayed on. ---

_recorded: dict[int, Callable[[int], None]] = {}
_tokens = itertools.count(1)


def keep(work: Callable[[int], None]) -> int:
    token = next(_tokens)
    _recorded[token] = work
    return token


def _replay(stream: int, token: int) -> int:
    return _guarded(lambda: _recorded[token](stream))


def _forget(token: int) -> None:
    del _recorded[token]


# --- Launches. ---


def _guarded(work: Callable[[], None]) -> int:
    """CUDA's error number for how the work went."""
    global last_error
    try:
        work()
        return 0
    except Fault as fault:
        last_error = fault
        _runtime.emulated_message(f"emulated device: {fault}".encode())
    except BaseException as error:
        last_error = error
        traceback.print_exc(file=sys.stderr)
        _runtime.emulated_message(f"emulated device: {error!r}".encode())
    return _ILLEGAL_ADDRESS


def _prepared(code: int, name: bytes, grid_block: Any, shared: int, args: Any, device: int) -> Callable[[int], None]:
    """The launch, with its arguments copied."""
    kernel = fatbin.kernel(code, name.decode())
    shape = Shape(tuple(grid_block[0:3]), tuple(grid_block[3:6]), shared)
    params = {p.name: ctypes.string_at(args[i], p.size) for i, p in enumerate(kernel.params)}
    return lambda stream: _run(stream, kernel, shape, params, device)


def _run(stream: int, kernel: Kernel, shape: Shape, params: dict[str, bytes], device: int) -> None:
    memory = _allocations()
    # The number of the launch decides the order of its blocks and warps.
    history.append(kernel.launch(shape, params, memory, seed=len(history), device=device))
    for allocation in memory:
        if allocation.uses and _runtime.emulated_use_memory(stream, allocation.base, allocation.uses):
            raise Fault(f"{kernel.name}: {_runtime.cudaGetErrorString(_ILLEGAL_ADDRESS).decode()}")


def _launch(stream: int, code: int, name: bytes, *rest: Any) -> int:
    return _guarded(lambda: _prepared(code, name, *rest)(stream))


def _record(code: int, name: bytes, *rest: Any) -> int:
    token = 0

    def record() -> None:
        nonlocal token
        token = keep(_prepared(code, name, *rest))

    return -1 if _guarded(record) else token


def _allocations() -> ctypes.Array[Allocation]:
    count = _runtime.emulated_allocations(None, 0)
    table = (Allocation * count)()
    _runtime.emulated_allocations(table, count)
    return table


# --- For torch's operators (aten_on_host.py). A stream is known by its address in the runtime. ---


def current_stream(where: torch.device) -> int:
    index = torch.cuda.current_device() if where.index is None else where.index
    stream: int = _runtime.emulated_stream(torch._C._cuda_getCurrentRawStream(index), index)
    return stream


def begin_work(stream: int) -> None:
    _runtime.emulated_begin_work(stream)


def join(a: int, b: int) -> None:
    """Each stream waits for the other."""
    _runtime.emulated_join(a, b)


def use_memory(stream: int, address: int, uses: int) -> None:
    if _runtime.emulated_use_memory(stream, address, uses):
        raise Fault(_runtime.cudaGetErrorString(_ILLEGAL_ADDRESS).decode())


def mark_written(address: int, size: int) -> None:
    _runtime.emulated_mark_written(address, size)


def host_waits(stream: int) -> None:
    _runtime.emulated_host_waits(stream)


def capturing() -> bool:
    return bool(_runtime.emulated_capturing())


def record(stream: int, work: Callable[[int], None]) -> None:
    """Adds to the graph that the stream is captured into."""
    if _runtime.emulated_record(stream, keep(work)):
        raise Fault(_runtime.cudaGetErrorString(_ILLEGAL_ADDRESS).decode())


def _write_report() -> None:
    rows = [stats.row() for stats in history]
    pathlib.Path(os.environ["EMULATED_CUDA_REPORT"]).write_text(json.dumps(rows, indent=1))


def _attach() -> _Python:
    _runtime.emulated_allocations.restype = ctypes.c_size_t
    _runtime.emulated_allocations.argtypes = [_P, ctypes.c_size_t]
    _runtime.emulated_use_memory.argtypes = [_P, _P, _INT]
    _runtime.emulated_mark_written.argtypes = [_P, ctypes.c_size_t]
    _runtime.emulated_message.argtypes = [ctypes.c_char_p]
    _runtime.emulated_stream.restype = _P
    _runtime.emulated_stream.argtypes = [_P, _INT]
    _runtime.emulated_begin_work.argtypes = [_P]
    _runtime.emulated_host_waits.argtypes = [_P]
    _runtime.emulated_join.argtypes = [_P, _P]
    _runtime.emulated_record.argtypes = [_P, ctypes.c_int64]
    _runtime.cudaGetErrorString.restype = ctypes.c_char_p
    if "EMULATED_CUDA_REPORT" in os.environ:
        atexit.register(_write_report)
    functions = (_launch, _record, _replay, _forget)
    python = _Python(*(kind(function) for (_, kind), function in zip(_Python._fields_, functions)))
    _runtime.emulated_attach(ctypes.byref(python))
    atexit.register(_runtime.emulated_attach, ctypes.byref(_Python()))  # what ends later cannot call Python
    return python


_python = _attach()
