"""The harness itself: a case from end to end, a peer that computes something else, a loss that became slower."""

import copy
import json
from pathlib import Path

import pytest
import torch
from torch.utils.benchmark import Timer

import iouloss
from benchmarks import __main__ as program
from benchmarks import (
    accuracy,
    accuracy_report,
    cases,
    compare,
    device_time,
    gpu_report,
    harness,
    peers,
    profile_call,
    report,
)
from benchmarks.cases import Case
from benchmarks.harness import DisagreementError, Effort
from iouloss import _backend

pytest.importorskip("torchvision")

BRIEF = Effort(seconds=0.01, least_blocks=3, most_blocks=3, copy_mebibytes=16)


def test_a_run_writes_every_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "results" / "tiny.json"
    monkeypatch.setattr(program, "QUICK", BRIEF)
    arguments = ["--no-compile", "--sizes", "8,128", "--device", "cpu", "--threads", "1", "--json", str(file)]
    assert program.main(["--quick", "--only", "/(ciou|giou|focal_index)/", *arguments]) == 0
    results = json.loads(file.read_text())
    rows = {row["key"]: row for row in results["cases"]}
    assert rows.keys() >= {"cpu/giou/float32/8/1t", "cpu/focal_index/float32/128/1t"}
    for row in results["cases"]:
        for mode in cases.MODES:
            assert "torchvision" in row["seconds"][mode]
            assert (mode in row["empty_call"]) == (row["size"] == harness.SMALL)
            for timing in row["seconds"][mode].values():
                assert 0 < timing["q1"] <= timing["median"] <= timing["q3"]
    ciou = rows["cpu/ciou/float32/128/1t"]
    assert ciou["bytes"]["forward_backward"] == 128 * 88
    assert ciou["least_bytes"]["forward_backward"] == 128 * 80
    assert ciou["differences"]["torchvision"]["gradient"] < 1e-5
    assert rows["cpu/focal_index/float32/128/1t"]["bytes"]["forward_backward"] == 128 * (80 * 12 + 16)
    assert results["machine"]["cpu"] and results["versions"]["torch"] and results["commit"]
    printed = capsys.readouterr().out
    assert "x floor" in printed and "over the empty call" in printed


@pytest.mark.parametrize("loss", cases.PROBLEMS)
def test_the_formulas_to_compile_are_the_losses(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    case = Case(loss, 100)
    losses = case.losses()
    assert "compile" in losses
    harness.check(case, losses, *case.problem.make_inputs(case.size, case.dtype, case.device))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("fault", ["value", "gradient", "nan"])
def test_a_disagreement_is_caught(fault: str, dtype: torch.dtype) -> None:
    faults = {
        "value": lambda loss: loss + 0.01 * loss.detach(),
        "gradient": lambda loss: 1.05 * loss - 0.05 * loss.detach(),
        "nan": lambda loss: loss * float("nan"),
    }
    case = Case("ciou", 50, dtype, with_compiled=False)
    losses = case.losses()
    right = losses["torchvision"]
    inputs = case.problem.make_inputs(case.size, case.dtype, case.device)
    harness.check(case, losses, *inputs)
    losses["torchvision"] = lambda pred, target: faults[fault](right(pred, target))
    with pytest.raises(DisagreementError, match="torchvision differs from ours"):
        harness.check(case, losses, *inputs)


def test_a_run_with_a_disagreement_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(program, "QUICK", BRIEF)
    monkeypatch.setattr(peers, "libraries", lambda loss, device: {"planted": lambda pred, target: pred.sum()})
    assert program.main(["--quick", "--no-compile", "--device", "cpu", "--sizes", "8", "--only", "/ciou/"]) == 1
    assert "planted differs from ours" in capsys.readouterr().err


def slowed(results: dict, factor: float, *names: str) -> dict:
    """The results with the times of ``names`` multiplied."""
    results = copy.deepcopy(results)
    for row in results["cases"]:
        for name in names:
            row["seconds"]["forward_backward"][name]["median"] *= factor
    return results


def test_compare_flags_a_loss_of_30_percent(tmp_path: Path) -> None:
    row = harness.run(Case("ciou", 100, with_compiled=False), BRIEF, speed=1e10)
    row["seconds"]["forward_backward"]["other"] = dict(row["seconds"]["forward_backward"]["torchvision"])
    before = {"date": "", "machine": {"cpu": ""}, "cases": [row]}

    def verdict(now: dict) -> int:
        for name, results in (("before", before), ("now", now)):
            (tmp_path / name).write_text(json.dumps(results))
        return compare.main([str(tmp_path / "now"), "--baseline", str(tmp_path / "before")])

    assert verdict(before) == 0
    assert verdict(slowed(before, 1.3, "ours")) == 0  # 23 % of the ratio
    assert verdict(slowed(before, 1.5, "ours")) == 1
    assert verdict(slowed(before, 1.5, "ours", "torchvision", "other")) == 0  # a slower machine
    assert verdict(slowed(before, 0.5, "other")) == 0  # one peer became faster
    assert verdict(before | {"cases": []}) == 1


def test_compare_falls_back_on_the_floor() -> None:
    row = harness.run(Case("eiou", 100, with_compiled=False), BRIEF, speed=1e10)
    rows, slower = [row], slowed({"cases": [row]}, 2, "ours")["cases"]
    assert compare.regressions(rows, rows) == ([], 1)
    assert len(compare.regressions(rows, slower)[0]) == 1


def test_targets_are_judged() -> None:
    target = report.Target("ciou", 10**6, "torchvision", 25)
    medians = {"ours": 1.0, "torchvision": 30.0, "compile": 0.5}
    times = {name: {"median": median, "q1": median, "q3": median} for name, median in medians.items()}
    row = {
        "loss": "ciou",
        "dtype": "float32",
        "size": 10**6,
        "device": "cpu",
        "threads": 2,
        "key": "key",
        "empty_call": {},
    }
    row |= {"seconds": dict.fromkeys(cases.MODES, times), "floor": dict.fromkeys(cases.MODES, 0.4)}
    assert target.value({("ciou", "float32", 10**6): row}) == 30
    verdicts = {entry["target"]: entry["met"] for entry in report.judged([row])}
    assert verdicts == {
        ">= 25 x faster than torchvision": True,
        ">= 8 x faster than compile": False,
        "<= 2 x the floor": False,
    }
    assert report.line(row, "forward").strip().endswith("slower than a peer")


def test_the_table_of_errors(tmp_path: Path) -> None:
    files = tmp_path / "accuracy.json", tmp_path / "accuracy.md"
    assert accuracy.main(["--count", "16", "--json", str(files[0]), "--document", str(files[1])]) == 0
    result = json.loads(files[0].read_text())
    for table, bound in (("boxes", accuracy_report.BOX_BOUND), ("focal", accuracy_report.LOGIT_BOUND)):
        for row in result[table]:
            if row["dtype"] == "float32":
                assert max(map(float, row["errors"]["reference"].values())) < bound
            for difference in row["differences"].values():
                assert float(difference["value"]) < (1e-12 if row["dtype"] == "float64" else 2 * bound)
    assert "| ciou |" in files[1].read_text()


def test_backends_that_lie_apart_are_seen() -> None:
    truth = torch.zeros(3), torch.ones(3, 4)
    apart = torch.tensor([0.0, 0.5, 0.0]), truth[1]
    broken = truth[0], torch.full((3, 4), float("nan"))
    found = {"reference": truth, "cpu baseline": truth, "cpu avx2": apart, "cuda": broken, "torchvision": broken}
    rows = accuracy.compare(found, truth, lambda a, b: accuracy.box_difference(a, b, truth))
    assert rows["errors"]["cpu avx2"] == {"value": 0.5, "gradient": 0}
    assert rows["differences"] == {
        "reference and cpu": {"value": 0.5, "gradient": 0},
        "reference and cuda": {"value": 0, "gradient": "nan"},
        "cpu and cuda": {"value": 0.5, "gradient": "nan"},
    }


@pytest.mark.skipif(_backend.extension is None, reason="a call in pure PyTorch does not have these layers")
@pytest.mark.parametrize("call", profile_call.CALLS)
def test_the_profile_times_calls_of_one_loss(call: str) -> None:
    statement, n, wants_gradient = profile_call.CALLS[call]
    names = profile_call.names_for(n, wants_gradient)
    assert Timer(statement, globals=names).timeit(1).median > 0
    if "box_loss" in statement:
        loss = eval(statement, names)
        assert loss.requires_grad == wants_gradient
        torch.testing.assert_close(loss, iouloss.ciou_loss(names["p"], names["t"]), rtol=0, atol=0)


def test_the_layers_of_the_profile_are_the_whole_call() -> None:
    times = {name: float(i**3) for i, name in enumerate(profile_call.CALLS, 1)}
    assert sum(profile_call.layers(times).values()) == times["forward + backward"]


def test_the_page_has_what_the_gpu_took(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_report.main([]) == 0
    page = gpu_report.PAGE.read_text()
    for table in capsys.readouterr().out.strip().split("\n\n"):
        assert table in page
        assert len(table.splitlines()) > 30


def test_names_of_kernels_are_short() -> None:
    ours = "void iouloss::cuda::box_gradient<iouloss::cuda::Sum<iouloss::cuda::LinearIoU>, float>(iouloss::BoxLaunch)"
    assert device_time.short_name(ours) == "box_gradient<Sum>"
    theirs = "void at::native::(anonymous namespace)::CatArrayBatchedCopy<float, unsigned int>(float*)"
    assert device_time.short_name(theirs) == "CatArrayBatchedCopy"
    assert device_time.short_name("Memset (Device)").strip() == "Memset"
