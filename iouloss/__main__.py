"""``python -m iouloss``: what was built, what was found, what runs."""

from typing import Any

from . import backend_info


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(entry)}" for key, entry in value.items())
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def main() -> None:
    info = backend_info()
    width = max(map(len, info))
    for key, value in info.items():
        print(f"{key:<{width}}  {_text(value)}")


if __name__ == "__main__":
    main()
