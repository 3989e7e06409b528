"""The inputs of an operator are described once in C++; what Python says of them is the same."""

import ast
from pathlib import Path
from typing import Any

import pytest
import torch

from iouloss import _backend, _inputs, _tables

STUB = Path(_backend.__file__).with_name("_C.pyi")
TYPES = {
    "Tensor": "Tensor",
    "Optional[Tensor]": "Tensor | None",
    "float": "float",
    "Optional[float]": "float | None",
    "int": "int",
    "Optional[int]": "int | None",
    "bool": "bool",
    "str": "str",
}
LOSSES = {
    "box_loss": _inputs.BoxInputs,
    "logit_loss": _inputs.LogitInputs,
    "regression_loss": _inputs.RegressionInputs,
    "row_loss": _inputs.RowInputs,
    "region_loss": _inputs.RegionInputs,
}
pytestmark = pytest.mark.skipif(_backend.extension is None, reason="the extension is not there")


def arguments(name: str) -> dict[str, str]:
    """Of an operator: their types by their names."""
    schema = getattr(torch.ops.iouloss, name).default._schema
    return {argument.name: TYPES[str(argument.type)] for argument in schema.arguments}


@pytest.mark.parametrize("name", [*LOSSES, "kept_weight"])
def test_the_stub_of_the_extension(name: str) -> None:
    functions = {node.name: node for node in ast.parse(STUB.read_text()).body if isinstance(node, ast.FunctionDef)}
    (inputs,) = functions[name].args.args
    assert inputs.annotation is not None
    types = arguments(name).values()
    wanted = LOSSES[name].__name__ if name in LOSSES else f"tuple[{', '.join(types)}]"
    assert ast.unparse(inputs.annotation) == wanted


@pytest.mark.parametrize("name, inputs", LOSSES.items(), ids=LOSSES)
def test_the_named_tuples(name: str, inputs: Any) -> None:
    wanted = [argument for argument in arguments(name) if argument != "divisor"]
    fields = list(inputs._fields)
    assert fields[: len(wanted)] == wanted
    assert all(field in inputs._field_defaults for field in fields[len(wanted) :])


def test_inputs_of_operators() -> None:
    names = list(arguments("logit_loss"))
    x, alpha, by = torch.zeros(1), torch.ones(1), torch.ones(())
    given = dict.fromkeys(names) | {"logits": x, "targets": x, "alpha_per_class": alpha, "gamma": 2.0, "divisor": 3.0}
    of = lambda **more: _inputs.of_operator("logit_loss", list((given | more).values()), names)  # noqa: E731
    assert of().avg_factor == 3.0 and of().gamma == 2.0 and of().alpha_per_class is alpha
    assert of(avg_factor=by).avg_factor is by


def test_the_tables_of_losses() -> None:
    ours = {
        **{"boxes": _tables.BOXES, "logits": _tables.LOGITS, "regression": _tables.REGRESSION},
        **{"rows": _tables.ROWS, "regions": _tables.REGIONS},
    }
    assert _backend.extension.losses() == ours
