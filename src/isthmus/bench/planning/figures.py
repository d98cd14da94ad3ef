"""What answers are worth: accuracy and bytes of points, pictures and the unsplit network, as `isthmus evaluate` found them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from isthmus.bench import evaluation
from isthmus.bench.evaluation import Evaluation, Rated
from isthmus.bench.stages import PICTURE_QUALITIES
from isthmus.contract.bundle import Bundle
from isthmus.contract.metric import Metric
from isthmus.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one bundle on one set of pictures.

    Attributes:
        data: the pictures, in words.
        points: operating point -> its row, with the head that the device runs.
        pictures: setting as `head.placement.Offload` names it, `webp-50@224x224`, -> its row.
        local: `whole` and, where the bundle has one, `local` -> its row.
    """

    data: str
    points: Mapping[str, Rated]
    pictures: Mapping[str, Rated]
    local: Mapping[str, Rated]

    @property
    def unsplit(self) -> Metric:
        """Of the network as it is, on the untouched picture."""
        return self.local["whole"].metric


def read(bundle: Bundle, file: Path | None = None) -> Figures:
    """Read the figures that lie in a bundle, or those that `isthmus evaluate --json` printed into a file.

    Raises:
        ConfigError: there are none, they cannot be read, or are of another bundle.
    """
    path = bundle.folder / evaluation.FILE_NAME if file is None else file
    if not path.exists():
        raise ConfigError(
            f"{path} is not there, so nobody knows what {bundle.origin} is worth; "
            f"`isthmus evaluate {bundle.origin} --data PICTURES --json > FILE` measures that, --evaluation FILE takes it"
        )
    found = evaluation.read_file(path)
    if file is not None and found.meta.get("contract_digest") != bundle.digest:
        raise ConfigError(f"{file} is of another bundle than {bundle.origin}; run `isthmus evaluate {bundle.origin} --json`")
    figures = _sorted(found)
    if "whole" not in figures.local:
        raise ConfigError(f"{path} has no figures of the unsplit network; evaluate with --rivals local,jpeg,webp")
    return figures


def _sorted(found: Evaluation) -> Figures:
    rows = found.rows
    # What the agent does not send, as AVIF, is no placement.
    pictures = [row for row in rows if row.rival in PICTURE_QUALITIES]
    return Figures(
        data=f"{found.meta.get('data', 'pictures not named')}, {found.meta.get('samples', '?')} pictures",
        # The first row of a point is of the head that the device prefers.
        points={row.point: row for row in reversed(rows) if row.point is not None},
        # `q75@224x224` of the rival `jpeg` is what placements call `jpeg-75@224x224`.
        pictures={f"{row.rival}-{row.setting.removeprefix('q')}": row for row in pictures},
        local={row.setting.removesuffix(".onnx"): row for row in rows if row.rival == "local"},
    )
