"""What is run. The most important steps come first, in case the time runs out."""

import sys
from pathlib import Path
from typing import Any

from .steps import Step

SANITIZERS = ("memcheck", "racecheck", "initcheck", "synccheck")
# The tests of the CUDA backend. The file that is left out needs only the compiler.
TESTS = ("tests", "-k", "cuda", "--ignore=tests/tools/test_cuda_static.py")
NO_TIME = "the emulated device measures no time"
FEW_TESTS = ("tests/boxes", "-k", "cuda and every_size")


def plan(facts: dict[str, Any], folder: Path, may_build: bool = True) -> list[Step]:
    emulated = facts["emulated"]
    return [
        build(facts, may_build),
        check("kernels", 60),
        tests(facts, folder),
        check("graph", 60),
        check("devices", 60),
        check("large", 60),
        kernel_times(facts, folder),
        benchmarks(facts, folder),
        accuracy(folder, emulated),
        *(sanitizer(name, facts) for name in SANITIZERS),
    ]


def python(name: str, limit: float, *arguments: str, **options: Any) -> Step:
    return Step(name, [sys.executable, *arguments], limit, after="build", **options)


def build(facts: dict[str, Any], may_build: bool) -> Step:
    """Build for the GPU that is here only: some container images set TORCH_CUDA_ARCH_LIST to every architecture."""
    skip = None if may_build else "the extension is taken as it is (--no-build)"
    if facts["emulated"]:
        skip = "the emulated device runs an extension that was built before"
    archs = ";".join(sorted({device["capability"] for device in facts["devices"]}))
    environment = {"FORCE_CUDA": "1", "TORCH_CUDA_ARCH_LIST": archs}
    return Step("build", [sys.executable, "setup.py", "build_ext", "--inplace"], 240, environment, skip)


def check(name: str, limit: float) -> Step:
    return python(name, limit, "-m", f"tools.gpu_day.checks.{name}")


def tests(facts: dict[str, Any], folder: Path) -> Step:
    several = ["-n", "8"] if "xdist" in facts["modules"] and not facts["emulated"] else []
    skip = None if "pytest" in facts["modules"] else "pytest is not installed"
    chosen = FEW_TESTS if facts["emulated"] else TESTS
    options = ["-q", "-p", "no:cacheprovider", f"--junitxml={folder / 'tests.xml'}", *several]
    environment = {"OMP_NUM_THREADS": "2"} if several else {}  # per process, since the reference computes on the host
    return python("tests", 200, "-m", "pytest", *chosen, *options, skip=skip, least=30, environment=environment)


def kernel_times(facts: dict[str, Any], folder: Path) -> Step:
    arguments = ["-m", "benchmarks.gpu_kernels", "--json", str(folder / "kernel_times.json")]
    return python("kernel_times", 150, *arguments, skip=NO_TIME if facts["emulated"] else None, least=30)


def benchmarks(facts: dict[str, Any], folder: Path) -> Step:
    eager = [] if "triton" in facts["modules"] else ["--no-compile"]
    arguments = ["-m", "benchmarks", "--gpu", *eager, "--json", str(folder / "benchmarks.json")]
    return python("benchmarks", 400, *arguments, skip=NO_TIME if facts["emulated"] else None, least=30)


def accuracy(folder: Path, emulated: bool) -> Step:
    files = ["--json", str(folder / "accuracy.json"), "--document", str(folder / "accuracy.md")]
    count = ["--count", "64"] if emulated else []
    return python("accuracy", 60, "-m", "benchmarks.accuracy", *files, *count)


def sanitizer(name: str, facts: dict[str, Any]) -> Step:
    """Every tensor gets an allocation of its own: otherwise an access beyond one would land in the next, unnoticed."""
    skip = None if facts["sanitizer"] else "compute-sanitizer was not found, on the PATH or in CUDA_HOME"
    if facts["emulated"]:
        skip = "the emulated device checks every access itself"
    options = ["--error-exitcode", "1"]
    # initcheck must see every kernel: it believes that values which unseen kernels wrote are uninitialised.
    if name != "initcheck":
        options += ["--kernel-name", "kernel_substring=iouloss"]
    if name == "memcheck":
        options += ["--padding", "64", "--report-api-errors", "no"]
    program = [sys.executable, "-m", "tools.gpu_day.checks.kernels"]
    command = [facts["sanitizer"] or "compute-sanitizer", "--tool", name, *options, *program]
    return Step(name, command, 60, {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}, skip, after="build", least=15)
