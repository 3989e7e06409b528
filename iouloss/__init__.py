"""Fused losses for object detectors."""

from . import functional, modules
from ._backend import backend_info, extension
from ._checking import checking
from .functional import *  # noqa: F403
from .modules import *  # noqa: F403
from .priors import init_prior_bias, prior_bias

if extension is not None:
    from . import _double_backward  # noqa: F401

__version__ = "0.1.0"

__all__ = ["backend_info", "checking", "functional", "init_prior_bias", "modules", "prior_bias"]
__all__ += functional.__all__
__all__ += modules.__all__
