"""The device's own tests are no part of the suite that runs on it: they run when they are asked for by their path."""

import pathlib

import pytest

DEVICE = pathlib.Path(__file__).resolve().parents[1]


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    asked = [pathlib.Path(config.invocation_params.dir, arg.partition("::")[0]).resolve() for arg in config.args]
    return None if any(path.is_relative_to(DEVICE) for path in asked) else True
