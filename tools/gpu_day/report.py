"""The results as a page."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from .steps import FAILED, TIMED_OUT, Result

SHOWN = ("kernel_times", "benchmarks")  # the log of these is their result
TAIL = 40  # how many lines of a failed step's log are shown


def document(facts: dict[str, Any], results: Sequence[Result], seconds: float, folder: Path) -> str:
    parts = ["# GPU report", "", *_machine(facts), "", verdict(results, seconds), ""]
    parts += ["| step | result | seconds | what it says |", "|---|---|---|---|"]
    for result in results:
        says = result.says.replace("|", "\\|")
        parts.append(f"| {result.step.name} | {result.outcome} | {result.seconds:.1f} | {says} |")
    parts += _tests(folder / "tests.xml")
    for result in results:
        if result.log and (result.outcome in (FAILED, TIMED_OUT) or result.step.name in SHOWN):
            lines = result.log.read_text(errors="replace").splitlines()
            shown = lines if result.step.name in SHOWN else lines[-TAIL:]
            parts += ["", f"## {result.step.name}: {result.outcome}", "", "```", *shown, "```"]
    return "\n".join(parts) + "\n"


def verdict(results: Sequence[Result], seconds: float) -> str:
    counts = Counter(result.outcome for result in results)
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) + f", in {seconds:.0f} s"


def _machine(facts: dict[str, Any]) -> Iterator[str]:
    if "error" in facts:
        yield f"- **{facts['error']}**"
    for device in facts.get("devices", []):
        memory = f"{device['memory_gib']} GiB, {device['free_gib']} free"
        yield f"- {device['name']}, compute capability {device['capability']}, {memory}"
    names = ("driver", "torch", "cuda", "nvcc", "python", "cores")
    if known := [f"{name} {facts[name]}" for name in names if facts.get(name)]:
        yield "- " + ", ".join(known)
    if "modules" in facts:
        yield "- modules: " + ", ".join(facts["modules"])
    if facts.get("commit"):
        yield f"- commit {facts['commit']}{', with changes' if facts['changed'] else ''}"


def _tests(junit: Path) -> Iterator[str]:
    """The failed tests by name, the skipped ones counted by reason."""
    if not junit.exists():
        return
    failed, skipped = [], Counter[str]()
    for case in ElementTree.parse(junit).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(f"- {case.get('classname')}::{case.get('name')}")
        reason = case.find("skipped")
        if reason is not None:
            skipped[reason.get("message") or "no reason"] += 1
    if failed:
        yield from ("", "Tests that failed:", "", *failed)
    if skipped:
        yield from ("", "Tests that were skipped:", "")
        yield from (f"- {count} x {reason}" for reason, count in skipped.most_common())
