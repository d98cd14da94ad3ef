"""Which nodes of a network its kernels stand for.

Kernels are those of the optimised graph, cuts lie in the graph as it was written. A kernel keeps the name of its node, or
onnxruntime makes a name of the tensor that it gives (`<tensor>_nchwc` for its blocked layout) or of the node that it took in
(`<node>_new_reshape`). One whose name tells nothing (a change of layout) belongs to whatever ran before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.devices.cost.kernel import Kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of the network as it was written: its name and the tensors that it gives."""

    name: str
    outputs: tuple[str, ...]


def seconds_by_node(kernels: Sequence[Kernel], nodes: Sequence[Node]) -> list[float]:
    """Time of each node; a kernel that stands for several fused nodes counts at the last of them, where its tensor is ready.

    Args:
        kernels: in the order in which they run.
        nodes: in the order of the graph.

    Returns:
        Seconds, one for each node; together those of all kernels.
    """
    places = {name: index for index, node in enumerate(nodes) for name in (node.name, *node.outputs) if name}
    found = [0.0] * len(nodes)
    at = 0
    for kernel in kernels:
        at = _place(kernel.name, places, at)
        if found:
            found[at] += kernel.seconds
    return found


def _place(name: str, places: dict[str, int], otherwise: int) -> int:
    if name in places:
        return places[name]
    # The longest known name that it begins with, at a boundary: `Conv_1_nchwc` is of `Conv_1`, `Conv_12` is not.
    for end in range(len(name) - 1, 0, -1):
        if name[end] in "_/" and name[:end] in places:
            return places[name[:end]]
    return otherwise
