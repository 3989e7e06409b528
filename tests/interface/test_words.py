"""What every function says of an option that is no word where it wants one."""

from inspect import signature

import numpy as np
import pytest
import torch
from backends import Backend
from every_loss import ARGUMENTS
from torch import Tensor

import iouloss

WORDS = [
    (name, option.name)
    for name in iouloss.functional.__all__
    for option in signature(getattr(iouloss, name)).parameters.values()
    if isinstance(option.default, str)
]
WRONG = (["mean"], {}, b"mean", 1, np.array([1.0, 2.0]), np.array(["mean", "sum"]), torch.ones(2), object())


@pytest.mark.parametrize("name, option", WORDS, ids=lambda word: word)
def test_a_word_is_a_string(backend: Backend, name: str, option: str) -> None:
    arguments = [x.to(backend.device) if isinstance(x, Tensor) else x for x in ARGUMENTS[name]]
    for wrong in WRONG:
        with pytest.raises((ValueError, TypeError), match=f"^{option}: got .*, wants "):
            getattr(iouloss, name)(*arguments, **{option: wrong})
