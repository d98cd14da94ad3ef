"""What is to be known of a language model before it is cut, however its networks are made."""

from dataclasses import dataclass

from isthmus.contract.language import CacheKind, KeyValues


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """Sizes of a model.

    Attributes:
        architecture: name of the class in transformers.
        layers: how many.
        width: of a hidden state.
        vocabulary: number of logits.
        windows: per layer the number of latest positions that it sees; None: all.
        positions_max: longest sequence that the model is made for.
        cache: how its networks keep keys and values.
        key_values: of its layers in order, equal neighbours in one.
    """

    architecture: str
    layers: int
    width: int
    vocabulary: int
    windows: tuple[int | None, ...]
    positions_max: int
    cache: CacheKind
    key_values: tuple[KeyValues, ...]
