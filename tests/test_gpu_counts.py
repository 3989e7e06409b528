"""The CUDA kernels keep to their budgets of instructions and bytes, as the emulated device counts them."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import gpu_counts, roofline

emulated = pytest.mark.skipif(os.environ.get("EMULATED_CUDA") != "1", reason="the emulated device counts")


@emulated
@pytest.mark.parametrize("loss", gpu_counts.BUDGETS)
def test_the_kernels_keep_to_their_budgets(loss: str) -> None:
    for row in gpu_counts.measure([loss]):
        over = {name: row[name] for name in gpu_counts.exceeded(row)}
        assert not over, f"{row['dtype']}, {row['way']}: {over}"


@emulated
def test_what_is_over_a_budget_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_counts, "BOXES", 64)
    monkeypatch.setattr(gpu_counts, "machine_code", dict)
    (row,) = gpu_counts.measure(["ciou"], [(torch.float32, gpu_counts.ONE)])
    monkeypatch.setitem(gpu_counts.BUDGETS, "ciou", gpu_counts.Budget(10, 1, 10))
    assert {"instructions", "special"} <= set(gpu_counts.exceeded(row))


def test_the_model_is_what_the_counts_make_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    file = tmp_path / "roofline.json"
    assert roofline.main(["--json", str(file)]) == 0
    assert "A model, not a measurement" in capsys.readouterr().out
    rows: list[dict[str, Any]] = json.loads(file.read_text())["rows"]
    assert {row["gpu"] for row in rows} == set(roofline.GPUS)
    for row in rows:
        assert row["model"]["over_floor"] >= 1
        if "torchvision_model" in row:
            assert row["torchvision_model"]["seconds"] > row["model"]["seconds"]
