"""What somebody should do who has this network: split it, run it on the device, or send the picture."""

from collections.abc import Sequence

from benchmarks.contender import Contender
from benchmarks.headline.bjontegaard import bytes_at
from benchmarks.headline.codecs import CODECS
from benchmarks.imagenet.plan import BYTES_MAX, DROP_MAX


def advice(found: Sequence[Contender], split: Contender) -> str:
    """In words, against the hardest rivals first.

    Args:
        found: all contenders.
        split: the released point of the split.
    """
    bearable = max(DROP_MAX, split.drop.value)
    alone = [one for one in found if one.family == "local" and one.drop.value <= bearable and one.share <= split.share]
    if alone:
        best = min(alone, key=lambda one: (one.share, one.drop.value))
        return (
            f"**Run it on the device.** {best.setting} {best.variant} loses {_points(best)} with "
            f"{100 * best.share:.0f}% of the multiply-adds, no more than the head of the split, and sends nothing. Such a late "
            "cut is worth its link only where the last layers have to be the server's, as when classes are added there."
        )
    sizes = {codec: bytes_for(found, codec, split.accuracy.value) for codec in CODECS}
    less = {codec: size for codec, size in sizes.items() if size is not None and size <= split.bytes_mean}
    if less:
        codec = min(less, key=lambda one: less[one])
        return f"**Send the picture.** {codec} has the top-1 of the split with {less[codec]:.0f} bytes."
    if split.drop.value <= DROP_MAX and split.bytes_mean <= BYTES_MAX:
        return (
            "**Split it.** No picture of so few bytes is as good, and no network on the device that computes "
            f"{100 * split.share:.0f}% of the whole."
        )
    return (
        "**Train a bottleneck, or give it more bytes.** No picture of so few bytes is as good, and no network on the device "
        f"that computes {100 * split.share:.0f}% of the whole, but {_points(split)} are too many to lose."
    )


def _points(one: Contender) -> str:
    return f"{100 * one.drop.value:.1f} points" if one.drop.value > 0 else "nothing"


def bytes_for(found: Sequence[Contender], codec: str, accuracy: float) -> float | None:
    """Bytes of a picture that has this top-1; None where none has."""
    return bytes_at([(one.bytes_mean, one.accuracy.value) for one in found if one.family == codec], accuracy)
