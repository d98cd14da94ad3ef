"""What a contender said to the photos that are reported on, and which picture is as good as the split."""

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.contract.metric import Metric, proportion

CODECS = ("webp", "jpeg")
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


def equal(answered: Sequence[Answered], codec: str, network: str) -> list[Answered]:
    """Pictures at which a network is right at least as often as the split, the smallest first."""
    split = next(one for one in answered if one.name == "split")
    good = [one for one in answered if (one.name, one.network) == (codec, network) and one.right >= split.right]
    return sorted(good, key=lambda one: one.bytes_mean)


def stand_ins(answered: Sequence[Answered]) -> list[Answered]:
    """What stands for pictures beside the split.

    Into an adapted network every one as good as the split to which none is smaller both in bytes and in side, on which an
    encoder's time hangs; into the plain network the smallest.
    """
    found = []
    for codec in CODECS:
        good = equal(answered, codec, "adapted")
        sides = [one.side_and_quality[0] for one in good]
        found += [one for place, one in enumerate(good) if sides[place] < min(sides[:place], default=sides[place] + 1)]
        found += equal(answered, codec, "plain")[:1]
    return found
