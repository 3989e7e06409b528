"""Builds the wheel: the CPU kernels always, the CUDA kernels when a toolkit is there.

Environment:
    IOULOSS_NO_EXT=1      install pure Python, no compiler needed
    IOULOSS_NO_CUDA=1     build for the CPU alone
    FORCE_CUDA=1          fail rather than leave CUDA out
    TORCH_CUDA_ARCH_LIST  GPU architectures, as torch reads it
    MAX_JOBS              how many compilers run at once
"""

import contextlib
import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
DEFAULT_ARCHS = "7.5;8.0;8.6;8.9;9.0;10.0;12.0+PTX"

# No contraction: a * b + c is fused where a formula says mul_add, and nowhere else, so that what cancels exactly in a
# formula cancels exactly in the kernel, on every machine. The other three cost nothing in accuracy.
CXX_FLAGS = (
    "-std=c++20 -O3 -g0 -fvisibility=hidden -ffp-contract=off -fno-math-errno -fno-signed-zeros -fno-trapping-math "
    "-Wall -Wno-psabi -Wno-ignored-attributes -Wno-maybe-uninitialized"
).split()
NVCC_FLAGS = (
    "-std=c++20 -O3 -fmad=false --expt-relaxed-constexpr -Xcompiler -fvisibility=hidden -DIOULOSS_ARCH=cuda"
).split()

# One object an instruction set, each with its own flags; the program chooses at run time.
INSTRUCTION_SETS = {"baseline": (16, [])}
if platform.machine().lower() in ("x86_64", "amd64"):
    INSTRUCTION_SETS["avx2"] = (32, ["-mavx2", "-mfma", "-mf16c"])
    INSTRUCTION_SETS["avx512"] = (64, ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma", "-mf16c"])


def enabled(name: str) -> bool:
    return os.environ.get(name, "0") not in ("", "0")


def require_wheels() -> None:
    """New environments of Python 3.10 and 3.11 have a setuptools that makes no wheel: pip would not say what to do."""
    making_one = {"dist_info", "bdist_wheel", "editable_wheel"} & set(sys.argv)
    found = [name for name in ("setuptools.command.bdist_wheel", "wheel.bdist_wheel") if importable(name)]
    if making_one and not found:
        sys.exit("iouloss: this setuptools makes no wheels: pip install 'setuptools>=70.1'")


def importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def find_cuda_home() -> str | None:
    """The first place that is a whole toolkit. An nvcc on the PATH may be a wrapper that lives elsewhere."""
    nvcc = shutil.which("nvcc")
    places = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), nvcc and Path(nvcc).resolve().parents[1]]
    for place in (*places, "/usr/local/cuda"):
        if place and Path(place, "bin/nvcc").exists() and Path(place, "include/cuda_runtime.h").exists():
            return str(place)
    return None


def import_torch():
    home = find_cuda_home()
    if home is not None:
        os.environ["CUDA_HOME"] = home  # torch.utils.cpp_extension reads it when imported
    try:
        import torch
        import torch.utils.cpp_extension
    except ImportError as error:
        sys.exit(
            f"iouloss: building the extension needs torch ({error}).\n"
            "Install it, then run `pip install --no-build-isolation .`; "
            "or set IOULOSS_NO_EXT=1 for a pure-Python install."
        )
    # An environment need not be activated to be used: torch looks for ninja on the PATH. Without it torch compiles one
    # file after the other.
    with contextlib.suppress(ImportError):
        import ninja

        os.environ["PATH"] = os.pathsep.join([ninja.BIN_DIR, os.environ["PATH"]])
    return torch


def choose_cuda(torch) -> tuple[bool, str]:
    """Whether to build the CUDA kernels, and why. A GPU need not be visible: wheels are built without one."""
    if enabled("IOULOSS_NO_CUDA"):
        return False, "IOULOSS_NO_CUDA is set"
    missing = missing_for_cuda(torch)
    if missing and enabled("FORCE_CUDA"):
        sys.exit(f"iouloss: FORCE_CUDA is set, but {missing}")
    return (False, missing) if missing else (True, f"CUDA_HOME is {find_cuda_home()}")


def missing_for_cuda(torch) -> str | None:
    home = find_cuda_home()
    if torch.version.cuda is None:
        return "this torch is built without CUDA"
    if home is None:
        return "no CUDA toolkit was found (CUDA_HOME)"
    text = subprocess.run([str(Path(home, "bin/nvcc")), "--version"], capture_output=True, text=True).stdout
    found = re.search(r"release (\d+)", text)
    if found is None or found[1] != torch.version.cuda.split(".")[0]:
        return f"the toolkit in {home} is of CUDA {found[1] if found else '?'}, torch of CUDA {torch.version.cuda}"
    return None


def choose_archs(torch) -> tuple[str, str]:
    """The architecture list, and why."""
    if os.environ.get("TORCH_CUDA_ARCH_LIST"):
        return os.environ["TORCH_CUDA_ARCH_LIST"], "TORCH_CUDA_ARCH_LIST"
    if torch.cuda.is_available():
        visible = {torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())}
        return ";".join(f"{major}.{minor}" for major, minor in sorted(visible)), "the visible GPUs"
    return DEFAULT_ARCHS, "no GPU is visible: all that are supported"


def make_build_command(cpp_extension):
    class BuildExtension(cpp_extension.BuildExtension):
        """torch's, beside the objects of the instruction sets: its flags are the same for every file."""

        def finalize_options(self):
            super().finalize_options()
            if self.editable_mode:  # so that building anew compiles what has changed
                self.build_temp = str(ROOT / "build/editable")

        def build_extension(self, extension):
            jobs = int(os.environ.get("MAX_JOBS") or os.cpu_count() or 1)
            with ThreadPoolExecutor(jobs) as pool:
                extra = pool.map(self.instruction_set_compiler(), INSTRUCTION_SETS)
                link = self.compiler.link_shared_object
                self.compiler.link_shared_object = lambda objects, *rest, **named: link(
                    [*objects, *extra], *rest, **named
                )
                super().build_extension(extension)

        def instruction_set_compiler(self):
            out = Path(self.build_temp, "cpu").resolve()
            out.mkdir(parents=True, exist_ok=True)
            compiler = shlex.split(os.environ.get("CXX", "c++"))
            headers = [path for folder in ("core", "cpu") for path in (ROOT / "csrc" / folder).iterdir()]
            newest = max(path.stat().st_mtime for path in (Path(__file__), *headers))

            def compiled(name: str) -> str:
                vector_bytes, flags = INSTRUCTION_SETS[name]
                target = out / f"{name}.o"
                if not target.exists() or target.stat().st_mtime < newest:
                    defines = [f"-DIOULOSS_ARCH={name}", f"-DIOULOSS_VECTOR_BYTES={vector_bytes}"]
                    source = str(ROOT / "csrc/cpu/instruction_set.cpp")
                    command = [*compiler, "-fPIC", *CXX_FLAGS, *flags, *defines, "-c", source, "-o", str(target)]
                    subprocess.run(command, check=True)
                return str(target)

            return compiled

    return BuildExtension


def write_build_info(**build) -> None:
    """What the wheel was built for: iouloss reports it, and names it when the extension does not load."""
    lines = ["# Written by setup.py.", "BUILD = {", *(f"    {k!r}: {v!r}," for k, v in build.items()), "}"]
    (ROOT / "iouloss/_build_info.py").write_text("\n".join(lines) + "\n")


def sources(*folders: str, suffix: str = ".cpp") -> list[str]:
    found = (path for folder in folders for path in (ROOT / folder).glob(f"*{suffix}"))
    return sorted(str(path.relative_to(ROOT)) for path in found if path.name != "instruction_set.cpp")


def extension_options() -> dict:
    if enabled("IOULOSS_NO_EXT"):
        print("iouloss: pure Python (IOULOSS_NO_EXT is set)")
        write_build_info(extension=False)
        return {}
    torch = import_torch()
    from torch.utils import cpp_extension

    cuda, why = choose_cuda(torch)
    archs, why_archs = choose_archs(torch) if cuda else ("", "")
    print(f"iouloss: torch {torch.__version__}, CPU instruction sets {', '.join(INSTRUCTION_SETS)}")
    print(f"iouloss: CUDA kernels {'on' if cuda else 'off'} ({why})")
    macros = [("IOULOSS_X86", None)] if "avx2" in INSTRUCTION_SETS else []
    kind, files = cpp_extension.CppExtension, sources("csrc/cpu", "csrc/torch")
    if cuda:
        print(f"iouloss: GPU architectures {archs} ({why_archs})")
        os.environ["TORCH_CUDA_ARCH_LIST"] = archs
        macros.append(("IOULOSS_CUDA", None))
        kind, files = cpp_extension.CUDAExtension, files + sources("csrc/cuda", suffix=".cu")
    write_build_info(
        extension=True,
        torch=str(torch.__version__),
        python=platform.python_version(),
        cuda=torch.version.cuda if cuda else None,
        cuda_archs=archs.replace(" ", ";").split(";") if cuda else [],
        cpu_isas=list(INSTRUCTION_SETS),
        compiler=os.environ.get("CXX", "c++"),
    )
    # Without OpenMP torch's parallel_for is a plain loop. The runtime is the one that torch has loaded.
    flags = {"cxx": [*CXX_FLAGS, "-fopenmp"], "nvcc": NVCC_FLAGS}
    extension = kind("iouloss._C", files, define_macros=macros, extra_compile_args=flags, extra_link_args=["-fopenmp"])
    return {"ext_modules": [extension], "cmdclass": {"build_ext": make_build_command(cpp_extension)}}


require_wheels()
setup(**extension_options())
