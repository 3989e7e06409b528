"""``python -m iouloss``: what was built, what was found, what runs."""

import argparse
from collections.abc import Sequence
from typing import Any

from . import __version__, backend_info


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(entry)}" for key, entry in value.items())
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m iouloss", description="What was built, what was found, what runs.")
    parser.add_argument("--version", action="version", version=f"iouloss {__version__}")
    parser.parse_args(argv)
    info = backend_info()
    width = max(map(len, info))
    for key, value in info.items():
        print(f"{key:<{width}}  {_text(value)}")


if __name__ == "__main__":
    main()
