"""``python -m benchmarks``: time every loss beside its peers; ``--help`` lists the options."""

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import torch

from . import cases, machine, report
from .cases import Case, Plan
from .harness import TOLERANCE, DisagreementError, Effort, run

FULL = Effort(seconds=0.6)
QUICK = Effort(seconds=0.2, most_blocks=11, copy_mebibytes=256)


def _numbers(text: str) -> list[int]:
    return [int(float(part)) for part in text.split(",")]


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Time the losses beside their peers.")
    parser.add_argument("--quick", action="store_true", help="a few cases, for comparison with earlier runs")
    parser.add_argument("--gpu", action="store_true", help="what a GPU is judged by")
    parser.add_argument("--only", metavar="PATTERN", help="cases whose key (device/loss/dtype/size/threads) it matches")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results there")
    parser.add_argument("--sizes", metavar="N,N", type=_numbers, help="boxes, and rows of 80 logits")
    parser.add_argument("--threads", metavar="N,N", type=_numbers, help="default: all cores, and one for the scaling")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: all there are")
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile")
    return parser.parse_args(argv)


def select(options: argparse.Namespace) -> list[Case]:
    devices = [options.device] if options.device else ["cpu"] + ["cuda"] * torch.cuda.is_available()
    plan = Plan(devices, options.threads or [torch.get_num_threads(), 1], options.sizes)
    chosen = cases.distinct((cases.gpu if options.gpu else cases.quick if options.quick else cases.full)(plan))
    if options.only:
        chosen = [case for case in chosen if re.search(options.only, case.key)]
    if options.no_compile:
        chosen = [case.without_compiled() for case in chosen]
    return chosen


def run_all(chosen: list[Case], effort: Effort, file: Path | None = None) -> tuple[dict[str, Any], list[str]]:
    """The results, and the cases whose implementations disagree. ``file`` is rewritten after every case."""
    started = time.perf_counter()
    results: dict[str, Any] = {**machine.describe(), "copy_bytes_per_second": {}, "cases": []}
    results |= {"targets": [], "duration_seconds": 0.0}
    results["tolerance"] = {str(dtype): list(pair) for dtype, pair in TOLERANCE.items()}
    load, cores = results["machine"]["load"], results["machine"]["cores"]
    if load > 0.3 * cores:
        print(f"The machine is busy (load {load:.1f} on {cores} cores): these numbers are not to be relied on.")
    speeds = results["copy_bytes_per_second"]
    rows: list[report.Row] = []
    failures = []
    for i, case in enumerate(chosen):
        place = f"{case.device}/{case.threads}t"
        if place not in speeds:
            speeds[place] = machine.copy_speed(case.device, case.threads, effort.copy_mebibytes)
            print(f"copy, {place}: {speeds[place] / 1e9:.1f} GB/s", flush=True)
        try:
            rows.append(run(case, effort, speeds[place]))
            print(f"[{i + 1}/{len(chosen)}] {report.line(rows[-1], 'forward_backward')}", flush=True)
        except DisagreementError as error:
            failures.append(str(error))
            print(f"[{i + 1}/{len(chosen)}] DISAGREEMENT {error}", flush=True)
        results |= {"cases": rows, "targets": report.judged(rows)}
        results["duration_seconds"] = round(time.perf_counter() - started, 1)
        write(results, file)
    return results, failures


def write(results: dict[str, Any], file: Path | None) -> None:
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(results, indent=1) + "\n")


def measure(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Run the cases that ``options`` ask for."""
    # torch.compile compiles in this process, since helper processes would run beside what is timed.
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    return run_all(select(options), QUICK if options.quick or options.gpu else FULL, options.json)


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    results, failures = measure(options)
    report.print_table(results["cases"])
    report.print_scaling(results["cases"])
    report.print_targets(results["targets"])
    print(f"\n{len(results['cases'])} cases in {results['duration_seconds']:.0f} s")
    for failure in failures:
        print(f"DISAGREEMENT {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    machine.keep_memory()
    sys.exit(main())
