"""Matrices of a model as nodes of a network, in the precision that is asked for, read and written piece by piece."""

from collections.abc import Iterator

import numpy as np

from isthmus.contract.language import Weights
from isthmus.export.language import packing
from isthmus.export.language.network import CONTRIB, NetworkFile
from isthmus.export.language.packing import Bits
from isthmus.export.language.tensors import FolderTensors

BITS: dict[Weights, Bits] = {"int8": 8, "int4": 4}
ACCURACY_LEVEL = 4
"""Of MatMulNBits: activations are rounded to 8 bits as well, so that integers are multiplied."""


def product(network: NetworkFile, tensors: FolderTensors, weights: Weights, *, x: str, matrix: str, name: str) -> str:
    """Multiply by a matrix; the name of the product.

    Args:
        network: that is written.
        tensors: of the model.
        weights: precision of the matrix.
        x: what is multiplied.
        matrix: name of the weights, [output, input].
        name: of the product.
    """
    rows, columns = tensors.shape(matrix)
    network.parameters += tensors.size(matrix)
    if weights == "float32":
        held = network.pieces(f"{name}.weight", (columns, rows), np.dtype(np.float32), tensors.columns(matrix))
        return network.node("MatMul", [x, held], name)
    bits = BITS[weights]
    scales: list[np.ndarray] = []
    shape = packing.shape(rows, columns, bits)
    codes = network.pieces(f"{name}.codes", shape, np.dtype(np.uint8), _packed(tensors.rows(matrix), bits, scales))
    held = network.constant(f"{name}.scales", np.concatenate(scales))
    return network.node(
        "MatMulNBits",
        [x, codes, held],
        name,
        domain=CONTRIB,
        K=columns,
        N=rows,
        bits=bits,
        block_size=packing.BLOCK,
        accuracy_level=ACCURACY_LEVEL,
    )


def lookup(network: NetworkFile, tensors: FolderTensors, weights: Weights, *, ids: str, matrix: str, name: str) -> str:
    """Take rows of an embedding, which is quantised to 8 bits at least; the name of what was taken."""
    rows, columns = tensors.shape(matrix)
    network.parameters += tensors.size(matrix)
    if weights == "float32":
        held = network.pieces(matrix, (rows, columns), np.dtype(np.float32), tensors.rows(matrix))
        return network.node("Gather", [held, ids], name)
    scales: list[np.ndarray] = []
    codes = network.pieces(f"{matrix}.codes", (rows, columns), np.dtype(np.int8), _packed_rows(tensors.rows(matrix), scales))
    held = network.constant(f"{matrix}.scales", np.concatenate(scales))
    taken = network.node("Cast", [network.node("Gather", [codes, ids], f"{name}.codes")], f"{name}.values", to=1)
    return network.node("Mul", [taken, network.node("Gather", [held, ids], f"{name}.scales")], name)


def vector(network: NetworkFile, tensors: FolderTensors, name: str, *, offset: float = 0.0) -> str:
    """Write a bias or the scales of a norm, all of them higher by `offset`; its name."""
    network.parameters += tensors.size(name)
    return network.constant(name, tensors.read(name) + np.float32(offset))


def _packed(pieces: Iterator[np.ndarray], bits: Bits, scales: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Codes of each piece; their scales are appended."""
    for piece in pieces:
        packed = packing.pack(piece, bits)
        scales.append(packed.scales)
        yield packed.codes


def _packed_rows(pieces: Iterator[np.ndarray], scales: list[np.ndarray]) -> Iterator[np.ndarray]:
    for piece in pieces:
        packed = packing.pack_rows(piece)
        scales.append(packed.scales)
        yield packed.codes
