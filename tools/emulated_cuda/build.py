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
# As PTX wants it: no rounding is left to the compiler, integers wrap, and a register may be read as any type.
CXXFLAGS = [*CFLAGS, "-std=c++20", "-ffp-contract=off", "-fwrapv", "-fno-strict-aliasing"]


def cache_folder() -> pathlib.Path:
    folder = pathlib.Path(tempfile.gettempdir(), f"emulated_cuda-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def executor_library() -> pathlib.Path:
    sources = sorted((HERE / "executor").glob("*.cpp"))
    headers = (HERE / "executor").glob("*.h")
    return _library("libexecutor.so", sources, ["g++", *CXXFLAGS], headers)


def runtime_libraries() -> list[pathlib.Path]:
    """The stand-ins for libcudart and libcuda."""
    folder = HERE / "runtime"
    driver = folder / "driver_stub.c"
    runtime = [source for source in sorted(folder.glob("*.c")) if source != driver]
    compiler = ["gcc", *CFLAGS, f"-I{_cuda_headers()}"]
    return [
        _library("libemulated_cudart.so", runtime, compiler, folder.glob("*.h")),
        _library("libcuda.so.1", [driver], compiler, []),
    ]


def _cuda_headers() -> pathlib.Path:
    places = [pathlib.Path(os.environ.get("CUDA_HOME", "/usr/local/cuda"), "include")]
    places += [pathlib.Path(path, "nvidia/cu13/include") for path in sys.path]
    for place in places:
        if (place / "cuda_runtime_api.h").exists():
            return place
    sys.exit("emulated_cuda: no CUDA headers found (set CUDA_HOME)")


def _library(
    name: str, sources: list[pathlib.Path], compiler: list[str], headers: Iterable[pathlib.Path]
) -> pathlib.Path:
    key = hashlib.sha256(" ".join(compiler).encode())
    for path in sorted([*sources, *headers]):
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
        command = [
            compiler[0],
            "-shared",
            f"-Wl,-soname,{name}",
            *map(str, objects),
            "-o",
            str(linked),
            "-lpthread",
            "-ldl",
        ]
        subprocess.run(command, check=True)
        linked.replace(library)  # at once: another process may be building it too
    return library
