"""What an operator function is given besides its tensors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir
import torch

Result = torch.Tensor | tuple[torch.Tensor, ...]
Operator = Callable[..., Result]
"""`(call, *inputs) -> tensor or tuple`; an input left out in the graph is None, missing ones at the end are not passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The attributes of one node, its opset and the number of its outputs.

    Attributes:
        attributes: by name, as plain Python values.
        opset: version of the default domain; decides where operators changed their meaning.
        outputs: how many outputs the node has.
    """

    attributes: dict[str, object]
    opset: int
    outputs: int

    @classmethod
    def of(cls, node: ir.Node, opset: int) -> "Call":
        """Read a node once, when the interpreter is built."""
        return cls(
            attributes={name: attribute.value for name, attribute in node.attributes.items()},
            opset=opset,
            outputs=len(node.outputs),
        )

    def integer(self, name: str, default: int) -> int:
        """Value of an integer attribute."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, int) else default

    def number(self, name: str, default: float) -> float:
        """Value of a float attribute."""
        value = self.attributes.get(name, default)
        return float(value) if isinstance(value, (int, float)) else default

    def flag(self, name: str, *, default: bool = False) -> bool:
        """An integer attribute that means yes or no."""
        return bool(self.integer(name, int(default)))

    def text(self, name: str, default: str) -> str:
        """Value of a string attribute."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, str) else default

    def integers(self, name: str) -> list[int] | None:
        """Value of a list attribute, None when it is absent."""
        value = self.attributes.get(name)
        return [int(entry) for entry in value] if isinstance(value, Sequence) and not isinstance(value, str) else None

    def integers_or_input(self, name: str, source: torch.Tensor | None) -> list[int] | None:
        """A list that moved from an attribute to an input between opsets; None when neither is given."""
        return integers_of(source) if source is not None else self.integers(name)


def integers_of(source: torch.Tensor) -> list[int]:
    """A small integer tensor as a list."""
    return [int(entry) for entry in source.reshape(-1).tolist()]


def aligned(axis: int, rank: int) -> int:
    """A non-negative axis."""
    return axis + rank if axis < 0 else axis
