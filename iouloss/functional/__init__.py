"""One function per loss."""

from . import boxes, by_kind, entropy, logits, regions, regression, rows
from .boxes import *  # noqa: F403
from .by_kind import *  # noqa: F403
from .entropy import *  # noqa: F403
from .logits import *  # noqa: F403
from .regions import *  # noqa: F403
from .regression import *  # noqa: F403
from .rows import *  # noqa: F403

__all__ = []
__all__ += boxes.__all__
__all__ += by_kind.__all__
__all__ += entropy.__all__
__all__ += logits.__all__
__all__ += regions.__all__
__all__ += regression.__all__
__all__ += rows.__all__
