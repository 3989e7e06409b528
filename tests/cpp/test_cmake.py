"""The C++ tests of the core and the CPU kernels, by CMake; and CMakeLists.txt and setup.py agree."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.cuda_static import ROOT, SETUP

OBJECTS = ROOT / "build/editable/cpu"  # of the extension that is installed, which need not be compiled once more
MISSING = [tool for tool in ("cmake", "ninja", os.environ.get("CXX", "c++")) if shutil.which(tool) is None]


@pytest.mark.skipif(bool(MISSING), reason=f"not here: {', '.join(MISSING)}")
def test_cpp(tmp_path: Path) -> None:
    sources = [ROOT / "setup.py", *(ROOT / "csrc/core").iterdir(), *(ROOT / "csrc/cpu").iterdir()]
    newest = max(path.stat().st_mtime for path in sources)
    objects = [OBJECTS / f"{name}.o" for name in SETUP["INSTRUCTION_SETS"]]
    are_built = all(path.exists() and path.stat().st_mtime >= newest for path in objects)
    options = [f"-DIOULOSS_OBJECTS={OBJECTS}"] if are_built else []
    for command in (
        ["cmake", "-S", str(ROOT), "-B", str(tmp_path), "-G", "Ninja", *options],
        ["cmake", "--build", str(tmp_path)],
        ["ctest", "--test-dir", str(tmp_path), "--output-on-failure", "--parallel", str(os.cpu_count())],
    ):
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, f"{' '.join(command)}:\n{result.stdout}{result.stderr}"


def test_cmake_compiles_as_setup_does() -> None:
    lists = dict(re.findall(r"set\(IOULOSS_(\w+)\s([^)]*)\)", (ROOT / "CMakeLists.txt").read_text()))
    assert lists["CXX_FLAGS"].split() == SETUP["CXX_FLAGS"]
    assert lists["NVCC_FLAGS"].split() == SETUP["NVCC_FLAGS"]
    for name, (vector_bytes, flags) in SETUP["INSTRUCTION_SETS"].items():
        assert lists[name].split() == [str(vector_bytes), *flags]
