"""Loads the compiled extension, and says what was built, what was found and what runs."""

import os
import platform
import warnings
from types import ModuleType
from typing import Any

import torch

_MEND = "pip install --no-build-isolation --force-reinstall --no-deps iouloss"


def switch(name: str) -> bool:
    """Whether the environment variable is on."""
    value = os.environ.get(name, "")
    if value not in ("", "0", "1"):
        raise ValueError(f"{name}: got {value!r}, wants '', '0' or '1'")
    return value == "1"


def _check_cpu_isa() -> None:
    """Raise if the environment names kernels that are not usable here: the extension would use others."""
    wanted = os.environ.get("IOULOSS_CPU_ISA")
    usable = extension.cpu_isas() if extension else []
    if wanted and usable and wanted not in usable:
        choices = ", ".join(map(repr, usable))
        raise ValueError(
            f"IOULOSS_CPU_ISA: got {wanted!r}, wants one of {choices}, which this build and this processor have"
        )


def _build() -> dict[str, Any]:
    """What the build recorded; empty if nothing was built."""
    try:
        from ._build_info import BUILD  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return {}
    return dict(BUILD)


def _load() -> tuple[ModuleType | None, BaseException | None]:
    """The extension; or None, with the reason if it was built but did not load."""
    if switch("IOULOSS_NO_EXT"):
        return None, None
    try:
        from . import _C
    except ImportError as error:
        # Where the module was never built, this is a pure-Python installation and not an error.
        if not BUILD.get("extension", not _is_missing(error)):
            return None, None
        return None, error
    except OSError as error:
        return None, error
    return _C, None


def _is_missing(error: ImportError) -> bool:
    return isinstance(error, ModuleNotFoundError) or "cannot import name '_C'" in str(error)


def _mismatch(error: BaseException) -> str:
    def built(name: str) -> str:
        return str(BUILD.get(name) or "none" if BUILD else "unknown")

    return (
        "iouloss: the compiled extension did not load; the losses run in pure PyTorch, which is slower.\n"
        f"  built for: torch {built('torch')}, CUDA {built('cuda')}, Python {built('python')}\n"
        f"  found:     torch {torch.__version__}, CUDA {torch.version.cuda or 'none'}, "
        f"Python {platform.python_version()}\n"
        f"  error:     {error}\n"
        f"To build it for this torch, run `{_MEND}` (in a checkout of the source: `.` in place of `iouloss`). "
        "To use pure PyTorch without this warning, set IOULOSS_NO_EXT=1."
    )


BUILD = _build()
extension, load_error = _load()
if load_error is not None:
    warnings.warn(_mismatch(load_error), RuntimeWarning, stacklevel=2)
_check_cpu_isa()
has_cuda = extension is not None and extension.has_cuda()


def backend_info() -> dict[str, Any]:
    """What the installed iouloss was built for, what it found, and what serves each device.

    Returns a dict with

    - ``version``: of iouloss; ``compiler``: that built the extension, or None
    - ``torch``, ``python``, ``cuda``: each ``{"built": ..., "found": ...}``; None where there is none
    - ``cuda_archs``: the GPU architectures in the extension
    - ``cpu_isas``: the CPU instruction sets ``{"built": [...], "usable": [...], "active": ...}``
    - ``backend``: ``{"cpu": ..., "cuda": ...}``, each ``"compiled"``, ``"reference"`` (pure PyTorch) or, for a device
      that torch does not see, None
    - ``error``: why the extension did not load, or None
    """
    from . import __version__

    cuda = ("compiled" if has_cuda else "reference") if torch.cuda.is_available() else None
    return {
        "version": __version__,
        "torch": {"built": BUILD.get("torch"), "found": str(torch.__version__)},
        "python": {"built": BUILD.get("python"), "found": platform.python_version()},
        "cuda": {"built": BUILD.get("cuda"), "found": torch.version.cuda},
        "cuda_archs": list(BUILD.get("cuda_archs") or []),
        "cpu_isas": {
            "built": list(BUILD.get("cpu_isas") or []),
            "usable": extension.cpu_isas() if extension else [],
            "active": extension.cpu_isa() if extension else None,
        },
        "compiler": BUILD.get("compiler"),
        "backend": {"cpu": "compiled" if extension else "reference", "cuda": cuda},
        "error": None if load_error is None else f"{type(load_error).__name__}: {load_error}",
    }
