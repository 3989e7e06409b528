"""What a launch did, counted over all its threads."""

from __future__ import annotations

import functools
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import Any

SECTOR = 32  # bytes: what global memory moves at a time


@dataclass
class Stats:
    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    threads: int
    seed: int  # of the order in which blocks and warps took turns
    thread_instructions: dict[str, int] = field(default_factory=dict)  # by their names
    warp_instructions: int = 0
    forms: dict[str, int] = field(default_factory=dict)  # thread_instructions by names with modifiers: rcp.approx.f32
    load_bytes: int = 0  # of global memory
    store_bytes: int = 0
    load_sectors: int = 0
    store_sectors: int = 0
    distinct_load_sectors: int = 0  # the same, each counted once a launch
    distinct_store_sectors: int = 0
    widths: dict[int, int] = field(default_factory=dict)  # global accesses by their bytes per thread
    atomics: int = 0
    local_bytes: int = 0  # local memory touched: spills and indexed arrays
    barriers: int = 0  # passed, summed over the blocks

    def sector_efficiency(self) -> float:
        """The part of the bytes moved that the threads asked for; more than 1 where lanes share a sector's bytes."""
        moved = (self.load_sectors + self.store_sectors) * SECTOR
        return (self.load_bytes + self.store_bytes) / moved if moved else 1.0

    def memory_bytes(self) -> int:
        """What memory would move for the launch if the caches forgot nothing meanwhile."""
        return (self.distinct_load_sectors + self.distinct_store_sectors) * SECTOR

    def row(self) -> dict[str, Any]:
        """As the report has it."""
        return {
            "kernel": demangled(self.kernel),
            "grid": self.grid,
            "block": self.block,
            "threads": self.threads,
            "thread_instructions": sum(self.thread_instructions.values()),
            "warp_instructions": self.warp_instructions,
            "load_bytes": self.load_bytes,
            "store_bytes": self.store_bytes,
            "memory_bytes": self.memory_bytes(),
            "sector_efficiency": self.sector_efficiency(),
            "access_widths": self.widths,
            "atomics": self.atomics,
            "local_bytes": self.local_bytes,
            "barriers": self.barriers,
            "mix": self.thread_instructions,
        }


@functools.cache
def demangled(name: str) -> str:
    tool = shutil.which("c++filt")
    return subprocess.run([tool, name], capture_output=True, text=True).stdout.strip() if tool else name
