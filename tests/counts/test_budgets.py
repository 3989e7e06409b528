"""The CUDA kernels keep to their budgets of instructions and bytes, as the emulated device counts them."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

import iouloss
from benchmarks import gpu_counts, roofline
from benchmarks.gpu_budgets import BUDGETS, ONE, with_one_more

emulated = pytest.mark.skipif(os.environ.get("EMULATED_CUDA") != "1", reason="the emulated device counts")


def mean_focal(logits: torch.Tensor, targets: torch.Tensor, avg_factor: torch.Tensor, reduction: str) -> torch.Tensor:
    return iouloss.sigmoid_focal_loss(logits, targets, avg_factor=avg_factor)


@emulated
@pytest.mark.parametrize("loss", BUDGETS)
def test_the_kernels_keep_to_their_budgets(loss: str) -> None:
    rows, debts = gpu_counts.measure([loss]), BUDGETS[loss].debts
    for row in rows:
        over = {name: row[name] for name in row["over_budget"] if row[name] > debts.get(name, 0)}
        assert not over, f"{row['dtype']}, {row['way']}: {over}"
    assert gpu_counts.owed(rows).keys() == debts.keys(), "a budget that is kept now is no debt any more"


@emulated
def test_what_is_over_a_budget_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_counts, "BOXES", 64)
    monkeypatch.setitem(BUDGETS, "ciou", gpu_counts.Budget(BUDGETS["ciou"].problem, 10, 1, asked=0.5))
    (row,) = gpu_counts.measure(["ciou"], {torch.float32: (ONE,)})
    assert {"instructions", "special", "sector_bytes"} <= set(row["over_budget"])


@emulated
def test_operators_of_torch_are_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_counts, "LOGITS", 160)
    # A factor of each class is taken as it is; what a mean is divided by, where it is a half, torch converts.
    alphas = with_one_more("focal_dense", iouloss.sigmoid_focal_loss, "alpha", lambda x: x[0].sigmoid())
    factor = with_one_more("focal_dense", mean_focal, "avg_factor", lambda x: x.abs().amax().half())
    for problem, operators in ((alphas, 0), (factor, 2)):
        monkeypatch.setitem(BUDGETS, "some", gpu_counts.Budget(problem, 1, 1))
        (row,) = gpu_counts.measure(["some"], {torch.float32: (ONE,)})
        assert row["launches"] == len(row["passes"]) + row["operators"] and row["operators"] == operators


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
