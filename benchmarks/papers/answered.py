"""What a contender said to the photos that are reported on, and which picture is as good as the split."""

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.contract.metric import Metric, proportion

ADAPTED_EPOCHS = 2.0
"""Of a network that was trained further on compressed pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One contender on the photos that are reported on.

    Attributes:
        name: `unsplit`, `split`, or the codec.
        setting: of the picture or the point.
        network: `plain` or `adapted` behind a picture; else empty.
        bytes_mean: of a photo.
        right: photos answered rightly.
        photos: number of them.
    """

    name: str
    setting: str
    network: str
    bytes_mean: float
    right: int
    photos: int

    @property
    def top1(self) -> Metric:
        """With Wilson's interval."""
        return proportion("top-1", self.right, self.photos)

    @property
    def side_and_quality(self) -> tuple[int, int]:
        """Of a picture.

        >>> Answered(name="webp", setting="96px q25", network="plain", bytes_mean=1, right=1, photos=1).side_and_quality
        (96, 25)
        """
        side, _, quality = self.setting.partition("px q")
        return int(side), int(quality)


def equal(answered: Sequence[Answered], codec: str, network: str) -> Answered | None:
    """The smallest picture at which a network is right at least as often as the split; None where none is."""
    split = next(one for one in answered if one.name == "split")
    good = [one for one in answered if (one.name, one.network) == (codec, network) and one.right >= split.right]
    return min(good, key=lambda one: one.bytes_mean, default=None)
