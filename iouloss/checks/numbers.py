"""Numbers, names and flags."""

import math
from collections.abc import Iterable
from numbers import Real
from typing import Any

REDUCTIONS = ("mean", "sum", "none")
SMALLEST, LARGEST = 1.1754943508222875e-38, 3.4028234663852886e38  # the range of float32's normal numbers
IN_RANGE = " in float32's range"


def check_options(ranges: dict[str, str], inputs: Any) -> None:
    """Raise unless each option that a loss takes is in its range."""
    for name, allowed in ranges.items():
        _RANGES[allowed](name, getattr(inputs, name))


def check_fraction(name: str, value: Any, otherwise: str = "") -> None:
    """Raise unless ``value`` is a number in [0, 1]; ``otherwise`` says what else the argument may be."""
    wants = f"a number in [0, 1]{otherwise}"
    if not 0 <= as_number(name, value, wants) <= 1:
        raise ValueError(f"{name}: got {shown(value)}, wants {wants}")


def check_number(name: str, value: Any, wants: str = "a finite number") -> None:
    """Raise unless ``value`` is finite and in the range of float32, whatever the dtype of the tensors."""
    number = as_number(name, value, wants)
    if not -LARGEST <= number <= LARGEST:  # not math.isfinite, which does not accept a traced number
        finite = -math.inf < number < math.inf
        raise ValueError(f"{name}: got {shown(value)}, wants {wants}{IN_RANGE if finite else ''}")


def check_not_negative(name: str, value: Any, otherwise: str = "") -> None:
    """Raise unless ``value`` is a finite number >= 0; ``otherwise`` says what else the argument may be."""
    wants = f"a finite number >= 0{otherwise}"
    check_number(name, value, wants)
    if value < 0:
        raise ValueError(f"{name}: got {shown(value)}, wants {wants}")


def check_positive(name: str, value: Any) -> None:
    """Raise unless ``value`` is a finite number > 0."""
    wants = "a finite number > 0"
    check_number(name, value, wants)
    if value < SMALLEST:
        raise ValueError(f"{name}: got {shown(value)}, wants {wants}{IN_RANGE if value > 0 else ''}")


_RANGES = {
    "finite": check_number,
    "not_negative": check_not_negative,
    "positive": check_positive,
    "fraction": check_fraction,
}


def as_number(name: str, value: Any, wants: str) -> float:
    """``value`` as a number that can be compared with floats."""
    if isinstance(value, (int, float)):
        return value
    if not isinstance(value, Real):
        raise TypeError(f"{name}: got {kind_of(value)}, wants {wants}")
    return as_float(value)


def as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def shown(value: Any) -> str:
    number = as_float(value)
    return f"{number}" if isinstance(value, float) or abs(number) < math.inf else "a number beyond float64's range"


def check_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Raise ValueError unless ``value`` is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}: got {value!r}, wants one of {', '.join(map(repr, choices))}")


def check_reduction(reduction: Any) -> None:
    """Raise unless ``reduction`` is one of ``REDUCTIONS``."""
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        raise ValueError(f"reduction: got {reduction!r}, wants 'mean', 'sum' or 'none'")


def check_int(name: str, value: Any) -> None:
    """Raise unless ``value`` is an int."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name}: got {kind_of(value)}, wants an int")


def check_bool(name: str, value: Any) -> None:
    """Raise unless ``value`` is a bool."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: got {kind_of(value)}, wants a bool")


def check_ignore_index(ignore_index: Any) -> None:
    """Raise unless ``ignore_index`` is None or an int that a tensor can hold."""
    if ignore_index is None:
        return
    if not isinstance(ignore_index, int) or isinstance(ignore_index, bool):
        raise TypeError(f"ignore_index: got {kind_of(ignore_index)}, wants an int or None")
    if not -(2**63) <= ignore_index < 2**63:
        raise ValueError("ignore_index: got more than 64 bits, wants an int of 64 bits")


def kind_of(value: Any) -> str:
    return type(value).__name__
