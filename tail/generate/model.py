"""A loaded language model: what of it runs here, in which layouts, and how hidden states come in and go out."""

from collections.abc import Mapping, Sequence
from typing import Self

from isthmus.codec.hidden import calibration
from isthmus.codec.hidden.codec import MODES, HiddenCodec, agree
from isthmus.codec.payload import Mode
from isthmus.contract.bundle import LanguageBundle
from isthmus.contract.language import LOCAL, TAIL
from isthmus.devices import provider as providers
from isthmus.devices.decoder.decoder import Decoder
from isthmus.devices.sampler import Sampling

TOKENS = "tokens"
"""The layout in which token ids cross and the whole model runs here."""


class LanguageModel:
    """The networks of one bundle.

    Args:
        bundle: opened and checked.
        decoders: by the layout that they serve.
    """

    def __init__(self, bundle: LanguageBundle, decoders: Mapping[str, Decoder]) -> None:
        self.bundle = bundle
        self.decoders = dict(decoders)
        self.defaults = Sampling.of(bundle.manifest.generation)
        """How is sampled where the device says nothing."""
        self._calibration = calibration.of_bundle(bundle, bundle.manifest.width)
        self._codecs: dict[tuple[Mode, ...], HiddenCodec] = {}

    @classmethod
    def load(cls, bundle: LanguageBundle, *, threads: int, slots: int, whole: bool) -> Self:
        """Load the tail, and the whole model for devices that send token ids; the CPU computes.

        Args:
            bundle: opened and checked.
            threads: inside one operator.
            slots: conversations whose caches lie side by side.
            whole: whether to load `local.onnx` where the bundle has it.

        Raises:
            BundleError: a network is missing or damaged.
            DeviceError: onnxruntime cannot run one here.
        """
        files = {bundle.manifest.layout: TAIL} | ({TOKENS: LOCAL} if whole and bundle.has(LOCAL) else {})
        decoders = {
            layout: Decoder.of_bundle(bundle, name, slots=slots, threads=threads, providers=providers.chain("cpu"))
            for layout, name in files.items()
        }
        return cls(bundle, decoders)

    @property
    def layouts(self) -> tuple[str, ...]:
        """Layouts that a device may open, the bundle's own first."""
        return tuple(self.decoders)

    def codec(self, offer: Sequence[int]) -> HiddenCodec:
        """The codec for devices that offer these modes; conversations that agree on the same share one."""
        agreed = agree(offer, MODES)
        if agreed not in self._codecs:
            self._codecs[agreed] = HiddenCodec(self._calibration, agreed)
        return self._codecs[agreed]
