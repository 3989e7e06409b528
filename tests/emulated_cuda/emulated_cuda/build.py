"""Compiles the emulated device's own libraries, once per version of their sources."""

from __future__ import annotations

import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
CFLAGS = ["-O2", "-fPIC", "-fvisibility=hidden", "-march=native"]
# PTX leaves no rounding to the compiler's choice, wraps its integers, and reads registers as it likes.
CXXFLAGS = [*CFLAGS, "-std=c++20", "-ffp-contract=off", "-fwrapv", "-fno-strict-aliasing"]


def cache_folder() -> pathlib.Path:
    folder = pathlib.Path(tempfile.gettempdir(), f"emulated_cuda-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def executor_library() -> pathlib.Path:
    sources = sorted((HERE / "executor").glob("*.cpp"))
    return _library("libexecutor.so", sources, ["g++", *CXXFLAGS], [*sources, *(HERE / "executor").glob("*.h")])


def _library(name: str, sources: list[pathlib.Path], compiler: list[str], inputs: Iterable[pathlib.Path]) -> pathlib.Path:
    key = hashlib.sha256(" ".join(compiler).encode())
    for path in sorted(inputs):
        key.update(path.name.encode() + path.read_bytes())
    library = cache_folder() / key.hexdigest()[:16] / name
    if library.exists():
        return library
    library.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
        objects = [pathlib.Path(scratch, f"{source.name}.o") for source in sources]

        def compile_one(source: pathlib.Path, target: pathlib.Path) -> None:
            subprocess.run([*compiler, "-c", str(source), "-o", str(target)], check=True)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(compile_one, sources, objects))
        linked = pathlib.Path(scratch, name)
        subprocess.run([compiler[0], "-shared", *map(str, objects), "-o", str(linked)], check=True)
        linked.replace(library)  # at once: others may be building it too
    return library
