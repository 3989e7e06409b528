"""How the module of a loss is made of its function.

Only the function names its arguments: the module reads them from its signature.
"""

import functools
import inspect
import linecache
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

# The arguments of the functions that ``forward`` takes, in this order. All others are options, which the module holds.
TENSORS = ("pred", "target", "logits", "targets", "balance", "weight", "avg_factor", "mask", "scores", "pixel_weight")

_MOST_DIMENSIONS = 64  # torch's limit


class Loss(nn.Module):
    """A function and its options: ``class CIoULoss(Loss, function=ciou_loss): ...`` says all about a loss.

    The constructor takes the function's options, ``forward`` its tensors, both as the function declares them. An option
    that is a parameter stays one, any other tensor becomes a buffer. What the function refuses, the constructor does.
    """

    function: ClassVar[Callable[..., Tensor]]

    def __init_subclass__(cls, function: Callable[..., Tensor] | None = None, **further: Any) -> None:
        super().__init_subclass__(**further)
        if function is None:  # a subclass of a loss inherits all of the below
            return
        tensors, options = split_signature(function)
        members = {
            "function": staticmethod(function),
            "__init__": _constructor(cls, options, [p.name for p in tensors if p.default is p.empty]),
            "forward": _forward(cls, function, tensors),
            "__doc__": cls.__doc__ or _documentation(function, tensors, options),
        }
        for name, member in members.items():
            setattr(cls, name, member)

    def _hold(self, options: dict[str, Any]) -> None:
        self._names = tuple(options)
        for name, value in options.items():
            if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._names}

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self._options().items())


def module_of(function: Callable[..., Tensor], module: str) -> type[Loss]:
    """Make the class of a function, as a member of the Python module ``module``."""
    return type(class_name(function.__name__), (Loss,), {"__module__": module}, function=function)


def class_name(function_name: str) -> str:
    """The name of a function's module: ``FocalEIoULoss`` for ``focal_eiou_loss``, ``KLDivLoss`` for ``kl_div_loss``."""
    words = (f"{word[:-3].upper()}IoU" if word.endswith("iou") else word.title() for word in function_name.split("_"))
    return "".join("KL" if word == "Kl" else word for word in words)


def split_signature(function: Callable[..., Tensor]) -> tuple[list[inspect.Parameter], list[inspect.Parameter]]:
    """The function's arguments that ``forward`` takes, in its order; and those that the constructor takes."""
    given = inspect.signature(function, eval_str=True).parameters
    tensors = [given[name].replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in TENSORS if name in given]
    return tensors, [parameter for name, parameter in given.items() if name not in TENSORS]


def _constructor(cls: type[Loss], options: list[inspect.Parameter], required: list[str]) -> Callable[..., None]:
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    signature = inspect.Signature(options)

    def __init__(self: Loss, /, *values: Any, **named: Any) -> None:
        super(cls, self).__init__()
        try:
            bound = signature.bind(*values, **named)
        except TypeError as error:
            raise TypeError(f"{cls.__name__}: {error}, wants {signature}") from None
        bound.apply_defaults()
        chosen: dict[str, Any] = {}
        for option in options:
            value = bound.arguments[option.name]
            chosen |= value if option.kind is option.VAR_KEYWORD else {option.name: value}
        _try_out(cls.function, required, chosen)
        self._hold(chosen)

    __init__.__signature__ = signature.replace(parameters=[itself, *options], return_annotation=None)  # type: ignore[attr-defined]
    __init__.__qualname__ = f"{cls.__qualname__}.__init__"
    __init__.__module__ = cls.__module__
    return __init__


def _forward(cls: type[Loss], function: Callable[..., Tensor], tensors: list[inspect.Parameter]) -> Callable[..., Any]:
    """Make a method with the signature of the tensors by compiling its text.

    So each class has a code object of its own. torch.compile needs that: it counts recompilations and remembers
    shapes for each code object.
    """
    called = ", ".join(f"{p.name}={p.name}" for p in tensors)
    text = (
        f"def forward(self, {', '.join(p.name for p in tensors)}):\n"
        f"    return {function.__name__}({called}, **self._options())\n"
    )
    file = f"<{cls.__module__}.{cls.__qualname__}.forward>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)  # so that tracebacks show the text
    names: dict[str, Any] = {"__name__": cls.__module__, function.__name__: function}
    exec(compile(text, file, "exec"), names)
    forward: Any = names["forward"]
    inspect.Signature(tensors)  # raises if an argument without a default follows one with a default
    forward.__defaults__ = tuple(p.default for p in tensors if p.default is not p.empty)
    forward.__annotations__ = {p.name: p.annotation for p in tensors} | {"return": Tensor}
    forward.__qualname__ = f"{cls.__qualname__}.forward"
    return forward  # type: ignore[no-any-return]


def _documentation(
    function: Callable[..., Tensor], tensors: list[inspect.Parameter], options: list[inspect.Parameter]
) -> str:
    def listed(parameters: list[inspect.Parameter]) -> str:
        return ", ".join(f"``{p.replace(annotation=p.empty)}``" for p in parameters)

    summary = (inspect.getdoc(function) or "").partition("\n")[0]
    return (
        f"{summary}\n\n"
        f"The module of :func:`iouloss.functional.{function.__name__}`, which documents all of its arguments.\n\n"
        f"Options: {listed(options)}\n\n"
        f"``forward`` takes {listed(tensors)}\n"
    )


def _try_out(function: Callable[..., Tensor], required: list[str], options: dict[str, Any]) -> None:
    """Raise what the function raises for these options: call it on the CPU with the smallest tensors that fit them."""
    given = {
        name: torch.ones(x.shape, dtype=x.dtype, device="cpu") if isinstance(x, Tensor) else x
        for name, x in options.items()
    }
    *earlier, last = _examples(options)
    with torch.no_grad():
        for tensors in earlier:
            try:
                function(**{name: tensors[name] for name in required}, **given)
                return
            except (TypeError, ValueError) as error:
                if not str(error).startswith("targets:"):  # if the targets did not fit, another kind of targets may
                    raise
        function(**{name: last[name] for name in required}, **given)


def _examples(options: dict[str, Any]) -> list[dict[str, Tensor]]:
    """The smallest tensors that fit the options, with each kind of targets: class indices, dense ones, places."""
    zeros = functools.partial(torch.zeros, dtype=torch.float32, device="cpu")
    classes = next((x.shape[-1] if x.ndim else 1 for x in options.values() if isinstance(x, Tensor)), 2)
    class_dim = options.get("class_dim", -1)
    if not isinstance(class_dim, int) or not -_MOST_DIMENSIONS <= class_dim < _MOST_DIMENSIONS:
        class_dim = -1  # the function itself refuses it
    rows = [1] * max(1, class_dim, -class_dim - 1)
    shape = [*rows, 1]
    shape[class_dim] = classes
    boxes, logits = zeros(1, 4), zeros(shape)
    tensors = {"pred": boxes, "target": boxes, "logits": logits, "balance": zeros(classes)}
    return [{**tensors, "targets": targets} for targets in (zeros(rows).long(), logits, zeros(rows))]
