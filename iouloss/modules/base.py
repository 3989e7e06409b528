"""What the modules of all losses share."""

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn


class Loss(nn.Module):
    """Keeps its options as attributes, shows them, and hands them to the function."""

    function: ClassVar[Callable[..., Tensor]]

    def __init__(self) -> None:
        super().__init__()
        self._names: tuple[str, ...] = ()

    def _keep(self, **options: Any) -> None:
        """Keep more options; they are shown before those kept so far."""
        self._names = (*options, *self._names)
        for name, value in options.items():
            setattr(self, name, value)

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._names}

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self._options().items())


class WithOptionsOfFunction(Loss):
    """Takes the options of its function, by the same names, order and defaults. An option that is a tensor becomes a
    buffer."""

    tensors: ClassVar[frozenset[str]]  # the arguments of the function that ``forward`` takes

    def __init__(self, *values: Any, **options: Any) -> None:
        super().__init__()
        given = inspect.signature(type(self).function).parameters.values()
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        free = [parameter.replace(kind=kind) for parameter in given if parameter.name not in self.tensors]
        bound = inspect.Signature(free).bind(*values, **options)
        bound.apply_defaults()
        for name, value in bound.arguments.items():
            if isinstance(value, Tensor):
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)
        self._names = tuple(bound.arguments)
