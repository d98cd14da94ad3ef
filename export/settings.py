"""What to make of a network: the choices of one export."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from isthmus.export.bottlenecks.bottleneck import Maker
from isthmus.export.cutting.costed import CutCosts
from isthmus.export.training.settings import TrainingSettings

CHANNELS, BITS = 8, 4
"""Of codes that nobody trains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """What to make.

    Attributes:
        cut: selector, see `export.cutting.cuts`.
        costs: what `auto` goes by where device and link are known, see `export.cutting.costed`; None: the plain rule.
        bottleneck: `none` puts a quantiser at the cut, `pca` principal components; `learned` trains an encoder that replaces
            what is before the cut. Or a function of your own, see `export.bottlenecks.bottleneck.Maker`.
        channels: of the codes of `pca` and `learned`, None takes the recipe's, 8 for `pca`; `pca` makes operating points of all,
            half and a quarter of them.
        bits: of a code; None takes the recipe's for `learned`, else 4.
        data: image folder or npz for calibration and training.
        preprocess: name of a preset of `export.preprocessing`; None chooses by the network's input.
        detector: `auto`, `none`, or a family of `export.detectors.detector`, whose boxes are decoded behind the network.
        labels: names of the classes; empty takes what the model brings, or for a detector of 80 classes COCO's.
        score_min: from which score boxes are shown; None takes the family's.
        training: recipe and time.
        int8: `auto` ships an int8 head beside the float one if it is faster on this machine, `on` in any case, `off` never.
        local: what goes in as `local.onnx`, see `export.standalone`; None: nothing.
        runtime: `tensorrt` refuses what its public support list does not take, see `export.targets.tensorrt`.
        resume: go on from the checkpoint beside the output.
        version: of the bundle.
        licence: of the network, in words.
    """

    cut: str = "auto"
    costs: CutCosts | None = None
    bottleneck: Literal["none", "pca", "learned"] | Maker = "learned"
    channels: int | None = None
    bits: int | None = None
    data: Path | None = None
    preprocess: str | None = None
    detector: str = "auto"
    labels: tuple[str, ...] = ()
    score_min: float | None = None
    training: TrainingSettings = field(default_factory=TrainingSettings)
    int8: Literal["auto", "on", "off"] = "auto"
    local: Literal["whole", "int8"] | Path | None = None
    runtime: Literal["onnxruntime", "tensorrt"] = "onnxruntime"
    resume: bool = False
    version: str = "1"
    licence: str = ""

    @property
    def bottleneck_name(self) -> Literal["none", "pca", "learned", "own"]:
        """As in the manifest."""
        return "own" if callable(self.bottleneck) else self.bottleneck

    @property
    def code_channels(self) -> int:
        """Channels of the codes."""
        fallback = self.training.recipe.channels if self.bottleneck == "learned" else CHANNELS
        return fallback if self.channels is None else self.channels

    @property
    def code_bits(self) -> int:
        """Bits of a code."""
        fallback = self.training.recipe.bits if self.bottleneck == "learned" else BITS
        return fallback if self.bits is None else self.bits
