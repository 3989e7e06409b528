"""A module per loss: it holds the options of its function, ``forward`` takes the tensors.

Each function of ``iouloss.functional`` has one, made here in a loop; the function documents options and tensors. Type
checkers and editors do not run the loop. They read ``__init__.pyi``, which ``python -m tools.generate`` writes.
"""

from .. import functional
from .base import module_of

_modules = [module_of(getattr(functional, name), __name__) for name in functional.__all__]
globals().update({module.__name__: module for module in _modules})

__all__ = sorted(module.__name__ for module in _modules)
