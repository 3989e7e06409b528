"""``python -m tools.gpu_day``: build for the GPU that is here, test, check and time everything on it, and report.

Needs torch, numpy, pytest, setuptools and nvcc; downloads nothing. docs/gpu_day.md says what is run.
"""

import argparse
import json
import re
import signal
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from . import environment, report
from .plan import plan
from .steps import Result, run_all

ROOT = Path(__file__).parents[2]


def main(argv: list[str] | None = None) -> int:
    about = "Everything that wants a GPU, in one run."
    parser = argparse.ArgumentParser(prog="python -m tools.gpu_day", description=about)
    parser.add_argument("--budget", metavar="SECONDS", type=float, default=600, help="for all of it (default: 600)")
    parser.add_argument("--output", metavar="FOLDER", type=Path, default=ROOT / "gpu-report", help="of the reports")
    parser.add_argument("--no-build", action="store_true", help="take the extension as it is")
    parser.add_argument("--only", metavar="PATTERN", help="the steps whose name it matches")
    options = parser.parse_args(argv)
    started = time.monotonic()
    # A shell starts background jobs with SIGINT ignored, and their children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    facts = environment.probe()
    folder = make_folder(options.output, facts["devices"][0]["name"] if facts.get("devices") else "no GPU")
    (folder / "environment.json").write_text(json.dumps(facts, indent=1) + "\n")
    results: list[Result] = []
    if "error" not in facts:
        steps = plan(facts, folder, not options.no_build)
        if options.only:
            steps = [step for step in steps if re.search(options.only, step.name)]
        left = options.budget - (time.monotonic() - started)
        results = run_all(steps, left, folder / "logs", ROOT, tell)
    page = folder / "report.md"
    page.write_text(report.document(facts, results, time.monotonic() - started, folder))
    print(f"{report.verdict(results, time.monotonic() - started) if results else facts['error']}: {page}")
    return 0 if results and all(result.good for result in results) else 1


def make_folder(parent: Path, device: str) -> Path:
    date = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    folder = parent.resolve() / f"{re.sub('[^a-z0-9]+', '-', device.lower()).strip('-')}-{date}"
    folder.mkdir(parents=True)
    return folder


def tell(result: Result) -> None:
    print(f"{result.step.name:12}{result.outcome:10}{result.seconds:7.1f} s  {result.says}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
