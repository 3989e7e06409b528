"""``python -m benchmarks.compare``: has a loss become slower, beside its peers, than in the committed results?

Times differ from machine to machine and from hour to hour; how many times faster than its peers a loss is differs
less. A case counts as slower only if that factor has fallen by the allowed share against *every* peer: a single peer
may have become faster, or been lucky.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from . import machine
from .report import Row, ratio

BASELINE = Path(__file__).parent / "results" / "quick.json"
ALLOWED = 0.3


def changes(before: Row, now: Row) -> dict[str, float]:
    """The change of the factors by which peers are slower: 1 is no change, below 1 is a regression."""
    peers = [name for name in before["seconds"]["forward_backward"] if name != "ours"] or ["floor"]
    found = {}
    for name in peers:
        old, new = ratio(before, name), ratio(now, name)
        if old and new:
            found[name] = new / old
    return found


def regressions(before: Iterable[Row], now: Iterable[Row], allowed: float = ALLOWED) -> tuple[list[str], int]:
    """A message for each case that lost more than ``allowed``; and how many cases were compared."""
    current = {row["key"]: row for row in now}
    found, compared = [], 0
    for row in before:
        if row["key"] not in current:
            continue
        changed = changes(row, current[row["key"]])
        compared += bool(changed)
        if changed and max(changed.values()) < 1 - allowed:
            text = ", ".join(f"{1 - change:.0%} against {name}" for name, change in changed.items())
            found.append(f"{row['key']}: lost {text}")
    return found, compared


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description="Look for regressions.")
    parser.add_argument("current", nargs="?", type=Path, help="results to judge; default: those of a quick run, now")
    parser.add_argument("--baseline", type=Path, default=BASELINE)
    parser.add_argument("--allowed", type=float, default=ALLOWED, help="the share that may be lost")
    options = parser.parse_args(argv)
    if not options.baseline.exists():
        print(f"there are no results to compare with: {options.baseline}", file=sys.stderr)
        return 1
    before = json.loads(options.baseline.read_text())
    if options.current:
        now = json.loads(options.current.read_text())
    else:
        from .__main__ import measure, parse

        now, disagreements = measure(parse(["--quick"]))
        if disagreements:
            print("\n".join(disagreements), file=sys.stderr)
            return 1
    found, compared = regressions(before["cases"], now["cases"], options.allowed)
    print(f"{compared} cases compared with {before['date']}, {before['machine']['cpu']}; {len(found)} slower")
    for text in found:
        print("  " + text)
    if not compared:
        print("no case is in both: nothing was compared", file=sys.stderr)
    return 1 if found or not compared else 0


if __name__ == "__main__":
    machine.keep_memory()
    sys.exit(main())
