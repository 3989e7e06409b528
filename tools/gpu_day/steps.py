"""Steps: programs that run one after another, each with its log and its limit, all within one budget."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CANNOT = 77  # the exit status of a program that lacks what it needs: tools.gpu_day.checks
GRACE = 5.0  # seconds between asking a program to stop and ending it

PASSED, FAILED, TIMED_OUT = "passed", "FAILED", "TIMED OUT"
SKIPPED, DROPPED, NOT_RUN = "skipped", "dropped", "not run"


@dataclass(frozen=True)
class Step:
    name: str
    command: Sequence[str]
    limit: float  # seconds
    environment: Mapping[str, str] = field(default_factory=dict)
    skip: str | None = None  # why it cannot run here
    after: str | None = None  # the step that must not have failed before
    least: float = 5.0  # with fewer seconds left it is not worth starting


@dataclass(frozen=True)
class Result:
    step: Step
    outcome: str
    seconds: float
    says: str
    log: Path | None = None

    @property
    def good(self) -> bool:
        return self.outcome in (PASSED, SKIPPED, DROPPED)


def run_all(
    steps: Sequence[Step], budget: float, folder: Path, cwd: Path, tell: Callable[[Result], None] = lambda result: None
) -> list[Result]:
    """Run every step that the budget, in seconds, allows. The logs are written to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + budget
    results: dict[str, Result] = {}
    for step in steps:
        left = deadline - time.monotonic()
        needed = results.get(step.after or "")
        if step.skip:
            result = Result(step, SKIPPED, 0, step.skip)
        elif needed and needed.outcome not in (PASSED, SKIPPED):
            result = Result(step, NOT_RUN, 0, f"{needed.step.name}: {needed.outcome}")
        elif left < step.least:
            result = Result(step, DROPPED, 0, f"the budget of {budget:.0f} s was spent")
        else:
            result = run(step, min(step.limit, left), folder, cwd)
        results[step.name] = result
        tell(result)
    return list(results.values())


def run(step: Step, seconds: float, folder: Path, cwd: Path) -> Result:
    log = folder / f"{step.name}.log"
    started = time.monotonic()
    with log.open("wb") as out:
        out.write(f"$ {' '.join(step.command)}\n".encode())
        out.flush()
        try:
            status = _wait(step, seconds, out.fileno(), cwd)
        except OSError as error:
            return Result(step, FAILED, 0, f"could not be started: {error}", log)
    spent = time.monotonic() - started
    says = last_line(log)
    if status is None:
        by = "its limit" if seconds == step.limit else f"what the budget left of its {step.limit:.0f} s"
        return Result(step, TIMED_OUT, spent, f"stopped after {seconds:.0f} s, {by}; last: {says}", log)
    outcome = {0: PASSED, CANNOT: SKIPPED}.get(status, FAILED)
    return Result(step, outcome, spent, says if outcome != FAILED else f"status {status}: {says}", log)


def _wait(step: Step, seconds: float, out: int, cwd: Path) -> int | None:
    """The exit status, or None if the program had to be stopped."""
    # Unbuffered, so that the log ends with the last line that the program wrote.
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **step.environment}
    process = subprocess.Popen(
        step.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd, env=environment, start_new_session=True
    )
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGINT)  # at which pytest writes the results so far
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        return None
    finally:
        _signal(process, signal.SIGKILL)  # processes that it left behind would run beside the next step
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)  # it leads a process group of its own


def last_line(log: Path) -> str:
    """The last line of a log, where every program says how it went; without the rules of pytest and the sanitizer."""
    lines = [line.strip("= \t") for line in log.read_text(errors="replace").splitlines()[1:]]
    return next((line for line in reversed(lines) if line), "nothing")
