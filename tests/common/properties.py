"""hypothesis; where it is not installed, stand-ins by which the tests that need it are skipped."""

import os
from collections.abc import Callable
from typing import Any

import pytest

try:
    import hypothesis
    from hypothesis import given, settings
    from hypothesis import strategies as st
except ImportError:

    class _Strategies:
        """Takes any strategy for granted."""

        def __getattr__(self, name: str) -> Callable[..., Any]:
            return lambda *arguments, **options: self

        def __call__(self, *arguments: Any, **options: Any) -> "_Strategies":
            return self

    st = _Strategies()

    def settings(**named: Any) -> Callable[..., Any]:
        return lambda test: test

    def given(*strategies: Any, **named: Any) -> Callable[..., Callable[..., None]]:
        return lambda test: lambda *arguments, **options: pytest.skip("hypothesis is not installed")

else:
    few = os.environ.get("EMULATED_CUDA") == "1"
    hypothesis.settings.register_profile(
        "iouloss", derandomize=True, deadline=None, max_examples=5 if few else 25, database=None
    )
    hypothesis.settings.load_profile("iouloss")

__all__ = ["given", "settings", "st"]
