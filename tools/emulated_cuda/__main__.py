"""python -m tools.emulated_cuda [--report FILE] [--coverage FILE] COMMAND ...: runs COMMAND with torch seeing the
emulated devices."""

from __future__ import annotations

import os
import pathlib
import sys

from . import build

HERE = pathlib.Path(__file__).resolve().parent
OUTPUTS = {"--report": "EMULATED_CUDA_REPORT", "--coverage": "EMULATED_CUDA_COVERAGE"}


def environment(outputs: dict[str, str]) -> dict[str, str]:
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
    env.update({OUTPUTS[option]: os.path.abspath(path) for option, path in outputs.items()})
    return env


def main(args: list[str]) -> None:
    outputs = {}
    while args[:1] and args[0] in OUTPUTS:
        outputs[args[0]], args = args[1], args[2:]
    if not args:
        sys.exit(__doc__)
    os.execvpe(args[0], args, environment(outputs))


if __name__ == "__main__":
    main(sys.argv[1:])
