"""Whether a run on the emulated device has tried every CUDA kernel of the extension, and all its accesses to memory.

    python -m tools.emulated_cuda --coverage coverage.json python -m pytest ...
    python -m tools.cuda_coverage coverage.json [of another run, ...]

A kernel is compiled for a formula and a number type. Dtypes, strides, weights and all else that comes in as an argument
are branches in it, and each branch ends in loads or stores of its own. So this fails, and names what was missed, if a
kernel was never launched, or if no thread has made one of its accesses to global memory. cuda_untried.txt excuses some
accesses: a pattern of kernels' names, and the forms of access that these kernels need not make.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from .cuda_static import run, short_name
from .emulated_cuda import fatbin

EXCUSED = Path(__file__).parent / "cuda_untried.txt"
NEVER = "never launched"

ACCESS = re.compile(r"(?:@!?%\w+ )?((?:ld|st|atom|red)\.\S*global\S*)")


def kernels_in(binary: str) -> list[str]:
    return fatbin.entries(binary)


def missed(kernels: Iterable[str], never_executed: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """For each kernel, by its name in the binary, what was never tried. A kernel of which all was is not in it."""
    found = {}
    for kernel in kernels:
        if kernel not in never_executed:
            found[kernel] = [NEVER]
            continue
        accesses = Counter(match[1] for text in never_executed[kernel] if (match := ACCESS.match(text)))
        if accesses:
            found[kernel] = [f"never executed: {count} {access}" for access, count in accesses.items()]
    return found


def together(reports: Iterable[Mapping[str, Iterable[str]]]) -> dict[str, list[str]]:
    """For each kernel, what none of several runs has executed."""
    found: dict[str, Counter[str]] = {}
    for report in reports:
        for kernel, never in report.items():
            found[kernel] = found[kernel] & Counter(never) if kernel in found else Counter(never)
    return {kernel: list(never.elements()) for kernel, never in found.items()}


def readable(kernel: str) -> str:
    name, formula, number = short_name(run("c++filt", kernel).stdout.strip())
    return f"{name}<{', '.join(filter(None, (formula, number)))}>"


def excuses() -> list[tuple[str, set[str]]]:
    """The entries of cuda_untried.txt: a pattern of kernels' names, and the forms of access that these may lack."""
    lines = EXCUSED.read_text().split("\n\n", 1)[1].splitlines()
    pairs = [line.split(": ") for line in lines if line and not line.startswith(" ")]
    return [(pattern, set(forms.split())) for pattern, forms in pairs]


def is_excused(kernel: str, what: Iterable[str]) -> bool:
    """Whether every access that the kernel never made is excused. A kernel that was never launched is not."""
    forms = {form for pattern, forms in excuses() if fnmatchcase(kernel, pattern) for form in forms}
    return all(one != NEVER and one.split()[-1] in forms for one in what)


def main(*reports: str) -> int:
    from iouloss import _backend

    kernels = kernels_in(_backend.extension.__file__)
    found = missed(kernels, together(json.loads(Path(report).read_text()) for report in reports))
    named = {readable(kernel): what for kernel, what in found.items()}
    excused = {name for name, what in named.items() if is_excused(name, what)}
    for name, what in named.items():
        print(f"{name}: {'; '.join(what)}{' (excused)' if name in excused else ''}")
    bad = len(named) - len(excused)
    if bad or not kernels:
        print(f"{len(kernels)} CUDA kernels, {bad} of them not tried out")
        return 1
    print(f"all {len(kernels)} launched, {len(excused)} of them not in every way: {EXCUSED.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
