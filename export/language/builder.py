"""A stretch of a model's layers as an ONNX graph, built node by node instead of traced.

Attention is onnxruntime's GroupQueryAttention: it rotates queries and keys, writes keys and values into the buffers that it is
given, and takes several tokens with a past where one sequence goes through. Nothing of a mask is in the graph, so layers can be
parted anywhere.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import TensorProto

from isthmus.contract.language import Weights
from isthmus.devices.decoder import decoder as ports
from isthmus.devices.decoder.shared import SEQUENCE_LENGTHS, TOTAL_LENGTH
from isthmus.export.language import linear
from isthmus.export.language.blueprint import Blueprint
from isthmus.export.language.network import CONTRIB, NetworkFile
from isthmus.export.language.rotation import Rotation
from isthmus.export.language.tensors import FolderTensors

EMBEDDING, NORM, LOGITS_WEIGHT = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
FLOAT, INT32, INT64 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64
END = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Which part of the model a network is.

    Attributes:
        first: of its layers.
        last: behind its last layer.
        embeds: whether token ids go in.
        predicts: whether the final norm and the language model's head are in it, so that logits come out.
    """

    first: int
    last: int
    embeds: bool
    predicts: bool

    @property
    def layers(self) -> int:
        """How many it has."""
        return self.last - self.first


class Builder:
    """Writes one network.

    Args:
        blueprint: of the model.
        tensors: its weights.
        positions: rows of the tables of angles; the longest sequence that the network takes.
        weights: precision of the matrices.
    """

    def __init__(self, blueprint: Blueprint, tensors: FolderTensors, *, positions: int, weights: Weights = "float32") -> None:
        self._plan = blueprint
        self._tensors = tensors
        self._positions = positions
        self._weights = weights
        self._rotations: list[Rotation] = []

    def write(self, path: Path, stretch: Stretch) -> NetworkFile:
        """Write a network and the file of its weights.

        Raises:
            ExportError: weights are missing, or the disk is full.
        """
        with NetworkFile(path) as network:
            self._write(network, stretch)
        return network

    def _write(self, network: NetworkFile, stretch: Stretch) -> None:
        x, added = self._entry(network, stretch), ""
        network.takes(SEQUENCE_LENGTHS, INT32, ["batch"])
        network.takes(TOTAL_LENGTH, INT32, [])
        for index in range(stretch.first, stretch.last):
            x, added = self._layer(network, index, index - stretch.first, x, added)
            self._tensors.forget()
        if stretch.predicts:
            self._predict(network, x, added)
        else:
            network.node("Add", [x, added], ports.HIDDEN_OUT)
            network.gives(ports.HIDDEN_OUT, FLOAT, ["batch", "rows", self._plan.width])

    def _entry(self, network: NetworkFile, stretch: Stretch) -> str:
        if not stretch.embeds:
            return network.takes(ports.HIDDEN, FLOAT, ["batch", "rows", self._plan.width])
        network.takes(ports.IDS, INT64, ["batch", "rows"])
        embedded = linear.lookup(network, self._tensors, self._weights, ids=ports.IDS, matrix=EMBEDDING, name="embedded")
        return self._scaled(network, embedded, self._plan.constants.embedding)

    def _angles(self, network: NetworkFile, rotation: Rotation) -> list[str]:
        """Tables of cosines and sines, one pair of them for all layers of a kind."""
        if rotation not in self._rotations:
            self._rotations.append(rotation)
        kind = self._rotations.index(rotation)
        is_whole = rotation.values == self._plan.head_width
        width = self._plan.network_head_width if is_whole else rotation.values
        frequencies = np.zeros(width // 2, np.float32)
        frequencies[: len(rotation.frequencies)] = rotation.frequencies
        angles = np.arange(self._positions, dtype=np.float32)[:, np.newaxis] * frequencies
        magnification = np.float32(rotation.magnification)
        return [
            network.constant(f"{name}.{kind}", turned(angles) * magnification)
            for name, turned in (("cosines", np.cos), ("sines", np.sin))
        ]

    def _layer(self, network: NetworkFile, index: int, place: int, x: str, added: str) -> tuple[str, str]:
        """One layer; the residual stream behind its attention, and what is still to be added to it."""
        name, norms = f"model.layers.{index}.", self._plan.norms
        x, normed = self._before(network, x, added, f"{name}self_attn", norms.before_attention)
        attended = self._attention(network, f"{name}self_attn.", index, place, normed)
        attended = self._behind(network, attended, name, norms.after_attention)
        x, normed = self._before(network, x, attended, f"{name}mlp", norms.before_network)
        return x, self._behind(network, self._gated(network, f"{name}mlp.", normed), name, norms.after_network)

    def _before(self, network: NetworkFile, x: str, added: str, branch: str, norm: str | None) -> tuple[str, str]:
        """What a branch goes on from: the residual stream, and what of it the branch sees."""
        if norm is not None:
            return self._norm(network, x, added, f"{branch.rpartition('.')[0]}.{norm}.weight")
        total = network.node("Add", [x, added], f"{branch}.entry") if added else x
        return total, total

    def _behind(self, network: NetworkFile, x: str, layer: str, norm: str | None) -> str:
        """What a branch adds to the residual stream."""
        if norm is not None:
            _, x = self._norm(network, x, "", f"{layer}{norm}.weight")
        return self._scaled(network, x, self._plan.constants.residual)

    def _gated(self, network: NetworkFile, name: str, x: str) -> str:
        """The network of a layer; Phi has the matrices of gate and values in one."""
        gate, inner = f"{name}gate_proj", f"{name}up_proj"
        if f"{name}gate_up_proj.weight" in self._tensors:
            network.node("Split", [self._linear(network, x, f"{name}gate_up_proj")], gate, inner, axis=-1, num_outputs=2)
        else:
            gate, inner = (self._linear(network, x, one) for one in (gate, inner))
        product = network.node("Mul", [self._activated(network, gate), inner], f"{name}inner")
        return self._linear(network, product, f"{name}down_proj")

    def _activated(self, network: NetworkFile, x: str) -> str:
        if self._plan.activation == "silu":
            return network.node("Mul", [x, network.node("Sigmoid", [x], f"{x}.sigmoid")], f"{x}.silu")
        approximate = "tanh" if self._plan.activation == "gelu_tanh" else "none"
        return network.node("Gelu", [x], f"{x}.gelu", approximate=approximate)

    def _attention(self, network: NetworkFile, name: str, index: int, place: int, x: str) -> str:
        plan = self._plan
        pasts, presents = ports.past_names(place), ports.present_names(place)
        for past, present in zip(pasts, presents, strict=True):
            network.takes(past, FLOAT, ["batch", plan.key_value_heads, "past_positions", plan.network_head_width])
            network.gives(present, FLOAT, ["batch", plan.key_value_heads, "positions", plan.network_head_width])
        rotation = plan.rotations[index]
        angles = [] if rotation is None else self._angles(network, rotation)
        attended = network.node(
            "GroupQueryAttention",
            [*self._projected(network, name, x), *pasts, SEQUENCE_LENGTHS, TOTAL_LENGTH, *angles],
            f"{name}attended",
            *presents,
            domain=CONTRIB,
            num_heads=plan.heads,
            kv_num_heads=plan.key_value_heads,
            scale=float(plan.constants.attention_scale),
            softcap=float(plan.constants.attention_cap or 0.0),
            do_rotary=int(rotation is not None),
            local_window_size=plan.windows[index] or -1,
        )
        return self._linear(network, attended, f"{name}o_proj")

    def _projected(self, network: NetworkFile, name: str, x: str) -> list[str]:
        """Queries, keys and values; packed one behind the other they are taken as they are."""
        if f"{name}qkv_proj.weight" in self._tensors:
            return [self._linear(network, x, f"{name}qkv_proj"), "", ""]
        queries, keys, values = (self._linear(network, x, f"{name}{one}_proj") for one in "qkv")
        return [
            self._heads(network, queries, f"{name}q_norm.weight", self._plan.heads),
            self._heads(network, keys, f"{name}k_norm.weight", self._plan.key_value_heads),
            values,
        ]

    def _heads(self, network: NetworkFile, x: str, norm: str, heads: int) -> str:
        """Queries or keys, normed where the model has the weights for it: each head for itself, or all heads as one."""
        if norm not in self._tensors:
            return x
        if self._tensors.size(norm) != self._plan.head_width:
            return self._norm(network, x, "", norm)[1]
        parted = network.constant(f"{norm}.parted", np.array([0, 0, heads, self._plan.head_width]))
        joined = network.constant(f"{norm}.joined", np.array([0, 0, heads * self._plan.head_width]))
        _, normed = self._norm(network, network.node("Reshape", [x, parted], f"{x}.heads"), "", norm)
        return network.node("Reshape", [normed, joined], f"{x}.normed")

    def _norm(self, network: NetworkFile, x: str, added: str, weight: str) -> tuple[str, str]:
        """Add what is still to be added, and norm; the sum and the normed sum."""
        offset = self._plan.constants.norm_offset
        scale, normed = linear.vector(network, self._tensors, weight, offset=offset), f"{weight}.normed"
        epsilon = self._plan.epsilon
        if not added:
            network.node("SimplifiedLayerNormalization", [x, scale], normed, axis=-1, epsilon=epsilon, stash_type=1)
            return x, normed
        total = f"{weight}.sum"
        network.node(
            "SkipSimplifiedLayerNormalization", [x, added, scale], normed, "", "", total, domain=CONTRIB, epsilon=epsilon
        )
        return total, normed

    def _linear(self, network: NetworkFile, x: str, name: str) -> str:
        product = linear.product(network, self._tensors, self._weights, x=x, matrix=f"{name}.weight", name=name)
        if f"{name}.bias" not in self._tensors:
            return product
        bias = linear.vector(network, self._tensors, f"{name}.bias")
        return network.node("Add", [product, bias], f"{name}.biased")

    def _predict(self, network: NetworkFile, x: str, added: str) -> None:
        """Norm and head, for the last rows that are asked for."""
        network.takes(ports.KEEP, INT64, [])
        one = network.constant("one", np.array([1]))
        first = network.node("Neg", [network.node("Reshape", [ports.KEEP, one], "kept")], "first_kept")
        end = network.constant("end", np.array([END]))
        x = network.node("Slice", [x, first, end, one], "kept_rows")
        added = network.node("Slice", [added, first, end, one], "kept_addends")
        _, normed = self._norm(network, x, added, NORM)
        matrix = EMBEDDING if self._plan.tied else LOGITS_WEIGHT
        constants = self._plan.constants
        is_plain = constants.logits == 1 and constants.logits_cap is None
        name = ports.LOGITS if is_plain else "products"
        logits = linear.product(network, self._tensors, self._weights, x=normed, matrix=matrix, name=name)
        if constants.logits_cap is not None:
            within = self._scaled(network, logits, constants.logits / constants.logits_cap)
            saturated = network.node("Tanh", [within], "saturated")
            self._scaled(network, saturated, constants.logits_cap, ports.LOGITS)
        elif not is_plain:
            self._scaled(network, logits, constants.logits, ports.LOGITS)
        network.gives(ports.LOGITS, FLOAT, ["batch", "rows_kept", self._plan.vocabulary])

    def _scaled(self, network: NetworkFile, x: str, factor: float, name: str = "") -> str:
        if factor == 1 and not name:
            return x
        held = network.constant(f"factor {factor!r}", np.array(factor, np.float32))
        return network.node("Mul", [x, held], name or f"{x}.scaled")
