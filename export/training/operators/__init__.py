"""ONNX operators as small torch functions, one table: `TABLE["Conv"](call, x, weight, bias)`."""

from isthmus.export.training.operators import elementwise, layout, reduction, spatial
from isthmus.export.training.operators.call import Call, Operator

TABLE: dict[str, Operator] = {**elementwise.TABLE, **layout.TABLE, **reduction.TABLE, **spatial.TABLE}
"""Operator type of the default domain -> function. What is not here cannot be interpreted."""

__all__ = ["TABLE", "Call", "Operator"]
