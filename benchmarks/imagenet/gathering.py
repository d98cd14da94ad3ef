"""From the folder of results to one record for each contender, over all photos."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.contender import Contender, contender_of, joined
from benchmarks.headline import predictions
from benchmarks.headline.folds import Split
from benchmarks.headline.stages import CONTENDERS
from benchmarks.headline.store import Store
from benchmarks.imagenet.plan import BYTES_MAX, DROP_MAX
from benchmarks.imagenet.stages import SHARES, Sample, done


def gather(store: Store, sample: Sample) -> list[Contender]:
    """All contenders that have been asked about every photo."""
    found: dict[tuple[str, str, str], list[Contender]] = {}
    shares: dict[str, float] = {}
    unsplit: predictions.Predictions | None = None
    for stage, facts in done(store, sample.stages()):
        shares |= facts.get(SHARES, {})
        for told in facts[CONTENDERS]:
            said = predictions.load(store.folder(stage) / told["file"])
            unsplit = unsplit or said
            share = shares[told["cut"]] if "cut" in told else told.get("share", float(told["family"] == "unsplit"))
            one = contender_of(told, said, unsplit, sample.photos.labels, share)
            found.setdefault((one.family, one.setting, one.variant), []).append(one)
    together = [joined(parts) for parts in found.values()]
    return [one for one in together if len(one.photos) == len(sample.photos)]


@dataclass(frozen=True, kw_only=True, eq=False)
class Released:
    """The point that one would ship, chosen on the other folds for each fold.

    Attributes:
        choices: for each fold the point's setting.
        result: what those points did on the folds that they were not chosen on; the share is of the deepest.
    """

    choices: Sequence[str]
    result: Contender


def released(points: Sequence[Contender], splits: Sequence[Split]) -> Released | None:
    """Of the points that keep to bytes and drop on the other folds the one that computes least on the device.

    Where none keeps to the drop, the best of those that keep to the bytes; None where none does.
    """
    picked = []
    for split in splits:
        seen = {id(point): point.on(split.learning) for point in points}
        small = [point for point in points if seen[id(point)].bytes_mean <= BYTES_MAX]
        good = [point for point in small if seen[id(point)].drop.value <= DROP_MAX]
        if not small:
            return None
        best = (
            min(good, key=lambda one: (one.share, -seen[id(one)].accuracy.value))
            if good
            else max(small, key=lambda one: seen[id(one)].accuracy.value)
        )
        picked.append(best.on(split.reporting))
    result = replace(joined(picked), share=max(one.share for one in picked))
    return Released(choices=[one.setting for one in picked], result=result)
