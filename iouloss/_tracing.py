"""Detects what traces or transforms a call, and what that means for the choice of a backend."""

from typing import Any

import torch
from torch import Tensor, compiler
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor
from torch.autograd import forward_ad

_functorch_level = torch._C._functorch.maybe_current_level


@compiler.assume_constant_result  # type: ignore[untyped-decorator]
def is_transformed() -> bool:
    """Whether a ``torch.func`` transform, forward-mode AD or an exporter needs the losses made of PyTorch's operators.

    A compiler knows all three while it traces, and guards on them. The flag is what ``torch.compiler.is_exporting``
    returns; to call that would cost more than everything else here.
    """
    return _functorch_level() is not None or forward_ad._current_level >= 0 or compiler._is_exporting_flag


def implements_operators(tensor: Any) -> bool:
    """Whether a tensor's class implements the operators itself, as DTensor does. Also true for what is not a tensor."""
    kind = type(tensor)
    if kind is torch.nn.Parameter:
        return False
    if not isinstance(tensor, Tensor):
        return True
    return kind.__torch_dispatch__ is not Tensor.__torch_dispatch__ and kind not in (FakeTensor, FunctionalTensor)


def check_whole(name: str, tensor: Any) -> None:
    """Raise if a tensor may be spread over processes.

    Losses of regions need the whole: its loss is not the mean of the losses of its parts.
    """
    if isinstance(tensor, Tensor) and implements_operators(tensor) and not tensor.is_nested:
        wants = "a tensor of this process: full_tensor(), or to_local() for the loss of a part"
        raise TypeError(f"{name}: got a {type(tensor).__name__}, wants {wants}")
