"""python -m emulated_cuda [--report FILE] COMMAND ...: runs COMMAND with torch seeing the emulated devices."""

from __future__ import annotations

import os
import pathlib
import sys

from . import build

HERE = pathlib.Path(__file__).resolve().parent


def environment(report: str | None) -> dict[str, str]:
    runtime, driver = build.runtime_libraries()
    build.executor_library()  # now, rather than at the first launch
    env = dict(os.environ)

    def prepend(name: str, *paths: pathlib.Path) -> None:
        env[name] = ":".join([*map(str, paths), *filter(None, [env.get(name)])])

    env["EMULATED_CUDA"] = "1"
    env["PYTORCH_NO_CUDA_MEMORY_CACHING"] = "1"  # each tensor an allocation of its own size: its bounds are checked
    prepend("LD_PRELOAD", runtime)
    prepend("LD_LIBRARY_PATH", driver.parent)
    prepend("PYTHONPATH", HERE / "site", HERE.parent)
    if report:
        env["EMULATED_CUDA_REPORT"] = os.path.abspath(report)
    return env


def main(args: list[str]) -> None:
    report = None
    if args[:1] == ["--report"]:
        report, args = args[1], args[2:]
    if not args:
        sys.exit(__doc__)
    os.execvpe(args[0], args, environment(report))


if __name__ == "__main__":
    main(sys.argv[1:])
