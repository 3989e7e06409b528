"""Who looks on while a loss is computed, and whether they take the compiled operators for what they are."""

from typing import Any

import torch
from torch import Tensor, compiler
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor
from torch.autograd import forward_ad

_functorch_level = torch._C._functorch.maybe_current_level


@compiler.assume_constant_result  # type: ignore[untyped-decorator]
def is_transformed() -> bool:
    """Whether a ``torch.func`` transform, forward-mode AD or an exporter wants the losses made of PyTorch's operators.

    A compiler knows all three while it traces, and guards on them. The flag is that of ``torch.compiler.is_exporting``,
    whose call would cost more than all else here.
    """
    return _functorch_level() is not None or forward_ad._current_level >= 0 or compiler._is_exporting_flag


def implements_operators(tensor: Any) -> bool:
    """Whether a tensor's class implements the operators itself, as DTensor does; or what is given is no tensor."""
    kind = type(tensor)
    if kind is torch.nn.Parameter:
        return False
    if not isinstance(tensor, Tensor):
        return True
    return kind.__torch_dispatch__ is not Tensor.__torch_dispatch__ and kind not in (FakeTensor, FunctionalTensor)


def check_whole(name: str, tensor: Any) -> None:
    """Raise where a tensor may be spread over processes: a loss of many items is not the mean of its parts' losses."""
    if isinstance(tensor, Tensor) and implements_operators(tensor):
        wants = "a tensor of this process: full_tensor(), or to_local() for the loss of a part"
        raise TypeError(f"{name}: got a {type(tensor).__name__}, wants {wants}")
