"""The logic of `make gpu`, on programs that fail, hang or cannot run: no GPU needed."""

import json
import sys
import time
from pathlib import Path

import pytest

from tools.gpu_day import __main__ as program
from tools.gpu_day import environment, plan, report, steps
from tools.gpu_day.steps import Step

FACTS = {
    "devices": [{"name": "A GPU", "capability": "9.0", "memory_gib": 80.0, "free_gib": 79.0}],
    "modules": ["torch", "pytest"],
    "sanitizer": None,
    "emulated": False,
    "commit": "abc",
    "changed": True,
}


def python(name: str, code: str, limit: float = 20, **options) -> Step:
    return Step(name, [sys.executable, "-c", code], limit, **{"least": 0.1, **options})


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *planned: Step, arguments: tuple[str, ...] = ()):
    """The exit status of the kit for these steps, the result of each, and the page."""
    outcomes: dict[str, steps.Result] = {}
    monkeypatch.setattr(environment, "probe", lambda: FACTS)
    monkeypatch.setattr(program, "plan", lambda *given: list(planned))
    monkeypatch.setattr(program, "tell", lambda result: outcomes.update({result.step.name: result}))
    status = program.main(["--output", str(tmp_path), *arguments])
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith("a-gpu-20") and json.loads((folder / "environment.json").read_text()) == FACTS
    return status, outcomes, (folder / "report.md").read_text()


def test_all_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, results, page = run(tmp_path, monkeypatch, python("a", "print('=== a | b ===')"))
    assert status == 0 and results["a"].outcome == steps.PASSED
    assert "| a | passed |" in page and "a \\| b |" in page and "commit abc, with changes" in page


def test_a_failure_is_reported_and_the_rest_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, results, page = run(
        tmp_path,
        monkeypatch,
        python("bad", "print('first'); raise SystemExit('it broke')"),
        python("next", "print('fine')"),
        python("needs bad", "print('fine')", after="bad"),
        Step("absent", ["/no/such/program"], 5),
    )
    assert status == 1
    assert results["bad"].outcome == steps.FAILED and results["bad"].says == "status 1: it broke"
    assert results["next"].outcome == steps.PASSED
    assert results["needs bad"].outcome == steps.NOT_RUN
    assert results["absent"].outcome == steps.FAILED and "could not be started" in results["absent"].says
    assert "## bad: FAILED" in page and "first" in page


def test_a_timeout_is_reported_and_nothing_lives_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "GRACE", 0.5)
    alive = tmp_path.parent / f"{tmp_path.name}.alive"
    child = f"import time, pathlib; time.sleep(3); pathlib.Path({str(alive)!r}).touch()"
    deaf = "import signal, subprocess, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    code = deaf + f"subprocess.Popen([sys.executable, '-c', {child!r}])\nprint('so far'); time.sleep(60)"
    started = time.monotonic()
    status, results, page = run(tmp_path, monkeypatch, python("slow", code, limit=1.5))
    assert time.monotonic() - started < 10
    assert status == 1 and results["slow"].outcome == steps.TIMED_OUT
    assert "stopped after 2 s, its limit; last: so far" in page
    time.sleep(max(0.0, 3.5 - (time.monotonic() - started)))
    assert not alive.exists()


def test_the_budget_shortens_and_drops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = python("slow", "import time; time.sleep(60)", limit=30)
    last = python("last", "print('fine')", least=5)
    status, results, page = run(tmp_path, monkeypatch, slow, last, arguments=("--budget", "1"))
    assert status == 1
    assert results["slow"].outcome == steps.TIMED_OUT and "what the budget left of its 30 s" in page
    assert results["last"].outcome == steps.DROPPED and "| last | dropped |" in page


def test_what_cannot_run_is_a_skip_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cannot = python("cannot", f"print('there is one GPU'); raise SystemExit({steps.CANNOT})")
    memcheck = plan.sanitizer("memcheck", FACTS)
    status, _, page = run(tmp_path, monkeypatch, cannot, memcheck)
    assert status == 0
    assert "| there is one GPU |" in page and "compute-sanitizer was not found" in page


def test_no_gpu_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "probe", lambda: {"error": "torch sees no GPU"})
    assert program.main(["--output", str(tmp_path)]) == 1
    assert "torch sees no GPU" in next(tmp_path.glob("no-gpu-*/report.md")).read_text()


def test_the_plan(tmp_path: Path) -> None:
    on_a_gpu = {step.name: step for step in plan.plan(FACTS, tmp_path)}
    assert on_a_gpu["build"].environment["TORCH_CUDA_ARCH_LIST"] == "9.0"
    assert all(step.after == "build" for name, step in on_a_gpu.items() if name != "build")
    assert {name for name, step in on_a_gpu.items() if step.skip} == set(plan.SANITIZERS)
    with_one = plan.sanitizer("racecheck", FACTS | {"sanitizer": "/bin/compute-sanitizer"})
    assert with_one.skip is None and with_one.command[:3] == ["/bin/compute-sanitizer", "--tool", "racecheck"]
    emulated = {step.name: step.skip for step in plan.plan(FACTS | {"emulated": True}, tmp_path)}
    assert {name for name, skip in emulated.items() if skip} == {
        "build",
        "kernel_times",
        "benchmarks",
        *plan.SANITIZERS,
    }


def test_skipped_and_failed_tests_are_counted(tmp_path: Path) -> None:
    (tmp_path / "tests.xml").write_text(
        '<testsuites><testsuite><testcase classname="t" name="a"><skipped message="no hypothesis"/></testcase>'
        '<testcase classname="t" name="b"><skipped message="no hypothesis"/></testcase>'
        '<testcase classname="t" name="c"><failure message="x"/></testcase></testsuite></testsuites>'
    )
    page = report.document(FACTS, [], 1.0, tmp_path)
    assert "- 2 x no hypothesis" in page and "- t::c" in page
