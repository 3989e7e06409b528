"""What nvcc makes of the CUDA kernels for every architecture, without a GPU.

    python -m tools.cuda_static             all that setup.py builds for
    python -m tools.cuda_static 9.0 12.0    some of them

Prints the registers of a thread and the shared memory of a block of every kernel, and fails if one
- spills a register, or keeps anything in local memory;
- takes more registers than its number type may;
- lacks 16-byte loads through the read-only cache, in PTX or in machine code;
- has an atomic operation on anything but a counter: sums of floats are to be deterministic.
"""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "csrc/cuda").glob("*.cu"), reverse=True)  # the slowest to compile is not last

# The registers that a thread may take. A block has 256 threads and a multiprocessor 64 K registers. So four blocks fit
# on it with 64 registers a thread, two with 128. With 80 it is three, which csrc/cuda/policy.cuh asks for rows with two
# targets.
LARGER = re.compile(r"row_.*BinTarget")
LARGER_BUDGET = 80
BUDGET = {"float": 64, "double": 128}
COMPILERS = 2  # at a time
RESERVED = 1024  # bytes of shared memory that the driver takes of each block from sm_80 on
FEW_NUMBERS = {"region_values", "kept_weight"}  # kernels that read no tensor of logits or boxes

VECTOR_LOAD_PTX = re.compile(r"\bld\.global\.nc\.v4\.[bf]32\b")
VECTOR_LOAD_SASS = re.compile(r"\bLDG\.E\.128\.CONSTANT\b")
ATOMIC_PTX = re.compile(r"^\s*(?:@!?%p\d+ )?((?:atom|red)\.\S+)", re.MULTILINE)


def setup_constants() -> dict[str, Any]:
    """The constants of setup.py."""
    path = ROOT / "setup.py"
    module = ast.parse(path.read_text())
    module.body = [statement for statement in module.body if not isinstance(statement, ast.Expr)]  # without setup()
    constants: dict[str, Any] = {"__file__": str(path)}
    exec(compile(module, path, "exec"), constants)
    return constants


SETUP = setup_constants()
FLAGS = SETUP["NVCC_FLAGS"]
ARCHS = re.findall(r"\d+\.\d", SETUP["DEFAULT_ARCHS"])


@dataclass
class Kernel:
    arch: str
    name: str  # box_forward
    formula: str  # LinearIoU + EnclosingGap
    number: str  # float or double
    registers: int = 0
    stack: int = 0  # bytes, as all that follow
    spilled: int = 0
    shared: int = 0
    ptx: str = field(default="", repr=False)
    sass: str | None = field(default=None, repr=False)  # where there is a disassembler

    def violations(self) -> list[str]:
        found = []
        if self.spilled:
            found.append(f"spills {self.spilled} bytes of registers")
        if self.stack:
            found.append(f"has a stack frame of {self.stack} bytes")
        larger = self.number == "float" and LARGER.match(f"{self.name} {self.formula}")
        budget = LARGER_BUDGET if larger else BUDGET[self.number]
        if self.registers > budget:
            found.append(f"takes {self.registers} registers, more than {budget}")
        streams = self.name not in FEW_NUMBERS
        if streams and not VECTOR_LOAD_PTX.search(self.ptx):
            found.append("has no 16-byte loads in PTX")
        if streams and self.sass is not None and not VECTOR_LOAD_SASS.search(self.sass):
            found.append("has no 16-byte loads in machine code")
        for atomic in ATOMIC_PTX.findall(self.ptx):
            if not atomic.endswith(".add.u32"):
                found.append(f"has {atomic}")
        return [f"sm_{self.arch} {self.name}<{self.formula}, {self.number}> {what}" for what in found]


def find_nvcc() -> str | None:
    home = os.environ.get("CUDA_HOME")
    return shutil.which("nvcc", path=f"{home}/bin") if home else shutil.which("nvcc")


def find_cuobjdump(nvcc: str) -> str | None:
    """From the toolkit, or from the package nvidia-cuda-cuobjdump."""
    spec = importlib.util.find_spec("nvidia")
    packages = list(spec.submodule_search_locations or []) if spec else []
    folders = [str(Path(nvcc).parent), *(str(path) for package in packages for path in Path(package).glob("*/bin"))]
    return shutil.which("cuobjdump") or shutil.which("cuobjdump", path=os.pathsep.join(folders))


def run(*command: str | Path, **options) -> subprocess.CompletedProcess[str]:
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if result.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{result.stdout}{result.stderr}")
    return result


def compile_kernels(nvcc: str, source: Path, arch: str) -> list[Kernel]:
    arch = arch.replace(".", "")
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder, "kernels.cubin")
        target = [f"-arch=sm_{arch}", "-cubin", "-o", binary, "--keep", "--keep-dir", folder]
        log = run(nvcc, *FLAGS, *target, "-Xptxas", "-v", source, cwd=folder).stderr
        ptx = split(Path(folder, f"{source.stem}.ptx").read_text(), r"\.entry (\w+)\(")
        cuobjdump = find_cuobjdump(nvcc)
        sass = split(run(cuobjdump, "-sass", binary).stdout, r"Function : (\w+)") if cuobjdump else None
    kernels = []
    names = run("c++filt", input="\n".join(ptx)).stdout.splitlines()
    facts = split(log, r"Compiling entry function '(\w+)'")
    for symbol, name in zip(ptx, names, strict=True):
        kernels.append(
            Kernel(
                arch,
                *short_name(name),
                registers=number_in(r"Used (\d+) registers", facts[symbol]),
                stack=number_in(r"(\d+) bytes stack frame", facts[symbol]),
                spilled=number_in(r"(\d+) bytes spill stores", facts[symbol]),
                shared=number_in(r"(\d+) bytes smem", facts[symbol]),
                ptx=ptx[symbol],
                sass=sass[symbol] if sass else None,
            )
        )
    return kernels


def built_kernels(cuobjdump: str, binary: Path, arch: str) -> list[Kernel]:
    """The kernels for an architecture that a binary carries; none if it lacks their PTX or their machine code."""
    arch = arch.replace(".", "")
    shown = lambda what: run(cuobjdump, "-arch", f"sm_{arch}", what, binary).stdout  # noqa: E731
    ptx, sass = split(shown("-ptx"), r"\.entry (\w+)\("), split(shown("-sass"), r"Function : (\w+)")
    facts = split(shown("-res-usage"), r"Function (\w+):")
    if ptx.keys() != sass.keys():
        return []
    names = run("c++filt", input="\n".join(ptx)).stdout.splitlines()
    return [
        Kernel(
            arch,
            *short_name(name),
            registers=number_in(r"REG:(\d+)", facts[symbol]),
            stack=number_in(r"STACK:(\d+)", facts[symbol]) + number_in(r"LOCAL:(\d+)", facts[symbol]),
            shared=max(number_in(r"SHARED:(\d+)", facts[symbol]) - RESERVED, 0),
            ptx=ptx[symbol],
            sass=sass[symbol],
        )
        for symbol, name in zip(ptx, names, strict=True)
    ]


def split(text: str, heading: str) -> dict[str, str]:
    """The parts of a text that begin with a heading, by what the heading's group captured."""
    _, *parts = re.split(heading, text)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def number_in(pattern: str, text: str) -> int:
    match = re.search(pattern, text)
    return int(match[1]) if match else 0


def short_name(name: str) -> tuple[str, str, str]:
    """``void iouloss::cuda::box_forward<Sum<A, B>, float>(...)`` is box_forward of A + B in float."""
    match = re.match(r"(?:void )?(\w+)<(?:(.*), )?(float|double)>\(", name.replace("iouloss::cuda::", ""))
    if match is None:
        raise ValueError(f"{name} is not a kernel of a number type")
    formula, nested = match[2] or "", 1
    while nested:
        formula, nested = re.subn(r"Sum<([^<>]*)>", r"\1", formula)
    return match[1], formula.replace(", ", " + "), match[3]


def compile_all(nvcc: str, archs: Sequence[str], sources: Sequence[Path] = SOURCES) -> list[Kernel]:
    jobs = [(source, arch) for arch in reversed(archs) for source in sources]
    with ThreadPoolExecutor(COMPILERS) as pool:
        kernels = pool.map(lambda job: compile_kernels(nvcc, *job), jobs)
        return [kernel for part in kernels for kernel in part]


def table(kernels: Iterable[Kernel]) -> str:
    """A row for each kernel with its registers, a column for each architecture. The last column is shared memory."""
    rows: dict[tuple[str, str, str], dict[str, Kernel]] = {}
    for kernel in kernels:
        rows.setdefault((kernel.number, kernel.name, kernel.formula), {})[kernel.arch] = kernel
    archs = sorted({kernel.arch for row in rows.values() for kernel in row.values()}, key=int)
    lines = [f"{'':82}" + "".join(f"{'sm_' + arch:>8}" for arch in archs) + "  shared"]
    for (number, name, formula), row in sorted(rows.items()):
        found = (row.get(arch) for arch in archs)
        cells = [f"{one.registers}{'!' if one.violations() else ' '}" if one else "" for one in found]
        shared = max(kernel.shared for kernel in row.values())
        lines.append(f"{number:7}{name:15}{formula:60}" + "".join(f"{cell:>8}" for cell in cells) + f"{shared:8}")
    return "\n".join(lines)


def report(kernels: Sequence[Kernel]) -> int:
    violations = [violation for kernel in kernels for violation in kernel.violations()]
    print(table(kernels))
    print("\n".join(["", *violations]) if violations else f"\n{len(kernels)} kernels, no violation")
    return 1 if violations else 0


def main(archs: Sequence[str]) -> int:
    nvcc = find_nvcc()
    if nvcc is None:
        sys.exit("no nvcc was found, in CUDA_HOME or on the PATH")
    if find_cuobjdump(nvcc) is None:
        print("no cuobjdump was found: machine code is not looked at")
    return report(compile_all(nvcc, archs or ARCHS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
