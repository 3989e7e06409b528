"""What the modules of all losses share."""

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn


class Loss(nn.Module):
    """A function's options kept: by the same names, order and defaults. One that is a tensor becomes a buffer."""

    function: ClassVar[Callable[..., Tensor]]
    tensors: ClassVar[frozenset[str]]  # the arguments of the function that ``forward`` takes

    def __init__(self, *values: Any, **options: Any) -> None:
        super().__init__()
        self._names: list[str] = []
        for name, value in self._bound(values, options).items():
            self._names.append(name)
            if isinstance(value, Tensor):
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)

    @classmethod
    def _bound(cls, values: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
        """Each option with its value."""
        given = inspect.signature(cls.function).parameters.values()
        named = [p for p in given if p.name not in cls.tensors and p.kind is not p.VAR_KEYWORD]
        further = any(p.kind is p.VAR_KEYWORD for p in given)  # those of a loss chosen by name
        known = {p.name: p.default for p in named}
        if len(values) > len(known):
            raise TypeError(f"{cls.__name__}: got {len(values)} options, wants at most {len(known)}")
        chosen = dict(zip(known, values, strict=False))
        for name in options:
            if name in chosen or not (further or name in known):
                raise TypeError(
                    f"{cls.__name__}: got the option {name!r}, wants {', '.join(map(repr, known))}, once each"
                )
        return known | chosen | options

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._names}

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self._options().items())


class OfLogits(Loss):
    """A loss of logits and their targets; ``forward`` takes what further tensors the function does."""

    tensors = frozenset(("logits", "targets", "weight", "avg_factor"))

    def forward(
        self,
        logits: Tensor,
        targets: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        **tensors: Tensor | None,
    ) -> Tensor:
        options = {"weight": weight, "avg_factor": avg_factor, **tensors, **self._options()}
        return type(self).function(logits, targets, **options)
