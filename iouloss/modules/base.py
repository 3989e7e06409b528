"""What the modules of all losses share."""

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
