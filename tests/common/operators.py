"""The arguments of an operator, from the named tuple of the inputs of a loss."""

from typing import Any

import torch
from torch import Tensor


def arguments(name: str, inputs: Any) -> dict[str, Any]:
    """What ``torch.ops.iouloss.<name>`` takes."""
    fields = inputs._asdict()
    by = fields["avg_factor"]
    fields |= {"avg_factor": by, "divisor": None} if isinstance(by, Tensor) else {"avg_factor": None, "divisor": by}
    schema = getattr(torch.ops.iouloss, name).default._schema
    return {argument.name: fields[argument.name] for argument in schema.arguments}
