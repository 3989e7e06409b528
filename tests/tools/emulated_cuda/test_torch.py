"""Torch and a compiled library on the emulated devices, in a process of their own."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]


@pytest.fixture(scope="module")
def launchers(tmp_path_factory: pytest.TempPathFactory) -> str:
    target = str(tmp_path_factory.mktemp("launchers") / "launchers.so")
    code = "-gencode=arch=compute_90,code=[sm_90,compute_90]"
    command = ["nvcc", "-shared", "-Xcompiler=-fPIC", "-cudart=shared", code, str(HERE / "launchers.cu"), "-o", target]
    subprocess.run(command, check=True)
    return target


def test_on_the_device(launchers: str, tmp_path: pathlib.Path) -> None:
    report = tmp_path / "report.json"
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "on_the_device.py")]
    env = os.environ | {"LAUNCHERS": launchers}
    command = [sys.executable, "-m", "tools.emulated_cuda", "--report", str(report), *tests]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    row = json.loads(report.read_text())[0]
    assert row["kernel"] == "scale_kernel(float const*, float*, int)"
    assert row["access_widths"] == {"4": 400}
    assert row["sector_efficiency"] == 1
    assert row["memory_bytes"] == 1600
