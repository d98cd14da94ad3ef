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
from isthmus.export.language import linear
from isthmus.export.language.blueprint import Blueprint
from isthmus.export.language.network import CONTRIB, NetworkFile
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
        network.takes(ports.SEQUENCE_LENGTHS, INT32, ["batch"])
        network.takes(ports.TOTAL_LENGTH, INT32, [])
        self._angles(network)
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
        return linear.lookup(network, self._tensors, self._weights, ids=ports.IDS, matrix=EMBEDDING, name="embedded")

    def _angles(self, network: NetworkFile) -> None:
        frequencies = np.zeros(self._plan.network_head_width // 2, np.float32)
        frequencies[: len(self._plan.frequencies)] = self._plan.frequencies
        angles = np.arange(self._positions, dtype=np.float32)[:, np.newaxis] * frequencies
        magnification = np.float32(self._plan.magnification)
        network.constant("cosines", np.cos(angles) * magnification)
        network.constant("sines", np.sin(angles) * magnification)

    def _layer(self, network: NetworkFile, index: int, place: int, x: str, added: str) -> tuple[str, str]:
        """One layer; the residual stream behind its attention, and what is still to be added to it."""
        name = f"model.layers.{index}."
        x, normed = self._norm(network, x, added, f"{name}input_layernorm.weight")
        attended = self._attention(network, f"{name}self_attn.", index, place, normed)
        x, normed = self._norm(network, x, attended, f"{name}post_attention_layernorm.weight")
        gate = self._linear(network, normed, f"{name}mlp.gate_proj")
        gate = network.node("Mul", [gate, network.node("Sigmoid", [gate], f"{gate}.sigmoid")], f"{gate}.silu")
        inner = network.node("Mul", [gate, self._linear(network, normed, f"{name}mlp.up_proj")], f"{name}mlp.inner")
        return x, self._linear(network, inner, f"{name}mlp.down_proj")

    def _attention(self, network: NetworkFile, name: str, index: int, place: int, x: str) -> str:
        plan = self._plan
        queries = self._heads(network, self._linear(network, x, f"{name}q_proj"), f"{name}q_norm.weight", plan.heads)
        keys = self._heads(network, self._linear(network, x, f"{name}k_proj"), f"{name}k_norm.weight", plan.key_value_heads)
        values = self._linear(network, x, f"{name}v_proj")
        pasts, presents = ports.past_names(place), ports.present_names(place)
        for past, present in zip(pasts, presents, strict=True):
            network.takes(past, FLOAT, ["batch", plan.key_value_heads, "past_positions", plan.network_head_width])
            network.gives(present, FLOAT, ["batch", plan.key_value_heads, "positions", plan.network_head_width])
        inputs = [queries, keys, values, *pasts, ports.SEQUENCE_LENGTHS, ports.TOTAL_LENGTH, "cosines", "sines"]
        attended = network.node(
            "GroupQueryAttention",
            inputs,
            f"{name}attended",
            *presents,
            domain=CONTRIB,
            num_heads=plan.heads,
            kv_num_heads=plan.key_value_heads,
            scale=float(plan.head_width**-0.5),
            do_rotary=1,
            local_window_size=plan.windows[index] or -1,
        )
        return self._linear(network, attended, f"{name}o_proj")

    def _heads(self, network: NetworkFile, x: str, norm: str, heads: int) -> str:
        """Queries or keys, each head normed for itself where the model has the weights for it."""
        if norm not in self._tensors:
            return x
        parted = network.constant(f"{norm}.parted", np.array([0, 0, heads, self._plan.head_width]))
        joined = network.constant(f"{norm}.joined", np.array([0, 0, heads * self._plan.head_width]))
        _, normed = self._norm(network, network.node("Reshape", [x, parted], f"{x}.heads"), "", norm)
        return network.node("Reshape", [normed, joined], f"{x}.normed")

    def _norm(self, network: NetworkFile, x: str, added: str, weight: str) -> tuple[str, str]:
        """Add what is still to be added, and norm; the sum and the normed sum."""
        scale, normed = linear.vector(network, self._tensors, weight), f"{weight}.normed"
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
        linear.product(network, self._tensors, self._weights, x=normed, matrix=matrix, name=ports.LOGITS)
        network.gives(ports.LOGITS, FLOAT, ["batch", "rows_kept", self._plan.vocabulary])
