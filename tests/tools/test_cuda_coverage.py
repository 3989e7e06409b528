"""The check that a run on the emulated device tried every CUDA kernel out: that it sees what a run leaves out."""

import subprocess
import sys
from pathlib import Path

import pytest

from iouloss import _backend
from tools import cuda_coverage
from tools.cuda_static import ROOT

ONE_CALL = """
import torch, iouloss
boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0]], device="cuda")
iouloss.iou_loss(boxes, boxes + 1)
"""


def test_gaps_are_named() -> None:
    never_executed = {
        "whole": [],
        "arithmetic alone": [
            "add.f32 %f1, %f2, %f3",
            "ld.param.u64 %rd1, [p]",
            "@%p1 bra $L",
            "ld.shared.f32 %f1, [s]",
        ],
        "gap": ["ld.global.nc.v4.f32 {%f1,%f2,%f3,%f4}, [%rd1]", "@!%p2 st.global.u16 [%rd1], %rs1"],
    }
    found = cuda_coverage.missed([*never_executed, "not launched"], never_executed)
    assert found == {
        "gap": ["never executed: 1 ld.global.nc.v4.f32", "never executed: 1 st.global.u16"],
        "not launched": ["never launched"],
    }


def test_several_runs_count_together() -> None:
    first = {"a": ["ld.global.u8", "ld.global.u8", "st.global.u8"], "b": ["bra"]}
    second = {"a": ["ld.global.u8", "atom.global"], "c": []}
    assert cuda_coverage.together([first, second]) == {"a": ["ld.global.u8"], "b": ["bra"], "c": []}


def test_an_excuse_is_for_some_accesses_of_some_kernels() -> None:
    load, store = "never executed: 13 ld.global.f32", "never executed: 2 st.global.f64"
    assert cuda_coverage.is_excused("row_losses<ClassTarget<true>, double>", [load])
    assert not cuda_coverage.is_excused("row_losses<ClassTarget<true>, double>", [load, store])
    assert not cuda_coverage.is_excused("row_losses<ClassTarget<true>, float>", [load])
    assert not cuda_coverage.is_excused("row_losses<ClassTarget<true>, double>", [cuda_coverage.NEVER])


@pytest.mark.skipif(not _backend.has_cuda, reason="the extension is built without CUDA")
def test_a_run_of_one_kernel_leaves_out_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not cuda_coverage.kernels_in(_backend.extension.__file__):
        pytest.skip("the extension carries no PTX")
    report = tmp_path / "coverage.json"
    command = [sys.executable, "-m", "tools.emulated_cuda", "--coverage", str(report), sys.executable, "-c", ONE_CALL]
    subprocess.run(command, check=True, cwd=ROOT)
    assert cuda_coverage.main(str(report)) == 1
    *lines, count = capsys.readouterr().out.splitlines()
    found = dict(line.split(": ", 1) for line in lines)
    # One reduced call over float32 boxes, that wanted no gradient: of the loads by vectors, those of a call that has
    # nothing special were made, those of any other and those of half precision were not.
    assert found["box_gradient<LinearIoU, float>"] == "never launched"
    assert "ld.global.nc.v2.u32" in found["box_losses<LinearIoU, float>"]
    assert "2 ld.global.nc.v4.f32" in found["box_losses<LinearIoU, float>"]
    assert len(found) == int(count.split()[0]) == sum("never launched" in what for what in found.values()) + 1
    # No excuse is for a kernel that was not launched.
    assert not any("excused" in what for what in found.values()) and f"{len(found)} of them" in count
