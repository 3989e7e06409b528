"""Types of command-line arguments that reject invalid values, and a parser for several processes."""

import argparse
import os
import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

import torch

Number = TypeVar("Number", int, float)


class Parser(argparse.ArgumentParser):
    """Of the processes that torchrun starts, only the first reports an error."""

    def error(self, message: str) -> NoReturn:
        if int(os.environ.get("RANK", 0)) == 0:
            super().error(message)
        sys.exit(2)


def number(kind: type[Number], wants: str, allowed: Callable[[Number], bool]) -> Callable[[str], Number]:
    """A type for numbers that are ``allowed``; ``wants`` describes these in the error."""

    def parse(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not allowed(value):
            raise argparse.ArgumentTypeError(f"got {text}, wants {wants}")
        return value

    return parse


def whole(least: int, most: int = 2**63 - 1) -> Callable[[str], int]:
    wants = f"{least} or more" if most == 2**63 - 1 else f"{least} to {most}"
    return number(int, f"a whole number, {wants}", lambda value: least <= value <= most)


def share(text: str) -> float:
    return number(float, "a share between 0 and 1", lambda value: 0 < value < 1)(text)


def usable_device(name: str) -> str:
    """A device that is here and can compute."""
    try:
        torch.ones(1, device=name).item()
    except (RuntimeError, AssertionError) as error:
        raise argparse.ArgumentTypeError(f"got {name}: {str(error).splitlines()[0]}") from error
    return name


def default_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
