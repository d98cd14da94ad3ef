"""In which frames is something to see? Told by annotations, by folders, by the source, or by the bundle's own unsplit network.

model               whole.onnx on the picture as it comes: a detector's boxes, a classifier's class
source              the source knows the truth: a drawn belt
folders             FOLDER/<class>/<picture>: every class but those of --nothing; frames are in the order of their file names
FILE.csv            columns `frame`, or `first` and `last`; and `film` where there are several. Each row is a frame, or a stretch,
                    with something to see; frames are numbers from 0, or names of pictures
FILE.json           COCO: pictures with an annotation of positive width and height that is no crowd
"""

import csv
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from isthmus.contract.bundle import Bundle
from isthmus.contract.classification import classify
from isthmus.contract.detection import detect
from isthmus.contract.filter import Presence
from isthmus.contract.manifest import Task
from isthmus.contract.presence import sees
from isthmus.devices.runtime import Network
from isthmus.errors import ExportError, UsageError
from isthmus.export.filtering.footage import Labels, Shot

FOLDERS, MODEL, SOURCE = "folders", "model", "source"


class ModelLabels:
    """What the bundle's unsplit network sees."""

    def __init__(self, bundle: Bundle, presence: Presence | None) -> None:
        if presence is None:
            raise ExportError(
                "the network's answers do not say where nothing is to be seen: name its classes for that with --nothing, or give "
                "--labels FILE"
            )
        if not bundle.has("whole.onnx"):
            raise ExportError(
                f"{bundle.origin} has no whole.onnx that could tell where something is to be seen; give --labels FILE"
            )
        counted = ", ".join(presence.names) or "any class"
        by = f"boxes of {counted} from score {presence.score_min:g}" if presence.kind == "boxes" else f"classes but {counted}"
        self.words = f"the bundle's own unsplit network: {by}"
        self._presence = presence
        self._manifest = bundle.manifest
        self._network = Network.of_bundle(bundle, "whole.onnx")

    def seen(self, film: str, shot: Shot, prepared: np.ndarray) -> bool:
        """Whether its answer says something."""
        del film
        outputs = self._network.run({self._manifest.input.name: prepared})
        if self._presence.kind == "classes":
            return sees(self._presence, classify(outputs, self._manifest), None)
        height, width = shot.picture.shape[:2]
        return sees(self._presence, None, detect(outputs, self._manifest, width=width, height=height))


class SourceLabels:
    """What the source says itself."""

    words = "the source, which knows the truth"

    def seen(self, film: str, shot: Shot, prepared: np.ndarray) -> bool | None:
        """What the source says."""
        del film, prepared
        return shot.truth


class FolderLabels:
    """The class folder of each picture."""

    def __init__(self, nothing: tuple[str, ...]) -> None:
        if not nothing:
            raise UsageError("--labels folders needs the names of the folders without anything to see: --nothing NAME")
        self.words = f"class folders, but {', '.join(nothing)}"
        self._nothing = nothing

    def seen(self, film: str, shot: Shot, prepared: np.ndarray) -> bool:
        """Whether it lies in another folder than those of nothing."""
        del prepared
        parent = PurePosixPath(shot.name).parent.name
        if not parent:
            raise ExportError(f"{film}: picture {shot.name or shot.index} lies in no class folder; see --labels")
        return parent not in self._nothing


class FileLabels:
    """Annotations of a file.

    Args:
        path: CSV, or JSON in COCO's form.
        watched: of COCO, names of the categories that count; empty: all.
    """

    def __init__(self, path: Path, watched: tuple[str, ...] = ()) -> None:
        self.words = f"annotations {path.name}"
        self._path = path
        self._known: frozenset[str] | None = None
        self._ranges: list[tuple[str, int, int]] = []
        self._names: set[tuple[str, str]] = set()
        try:
            if path.suffix.lower() == ".json":
                self._read_coco(json.loads(path.read_text(encoding="utf-8")), watched)
            else:
                with path.open(newline="", encoding="utf-8") as file:
                    self._read_csv(csv.DictReader(file))
        except OSError as error:
            raise ExportError(f"labels {path} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
            raise ExportError(f"labels {path}: {error!s:.200}; see `isthmus filter --help` on --labels") from error

    def seen(self, film: str, shot: Shot, prepared: np.ndarray) -> bool:
        """Whether the file says so."""
        del prepared
        base = PurePosixPath(shot.name).name
        if self._known is not None and not {shot.name, base} & self._known:
            raise ExportError(
                f"labels {self._path} do not know {shot.name or 'frames without a file name, as of videos'} of {film}"
            )
        if any(first <= shot.index <= last for name, first, last in self._ranges if name in ("", film)):
            return True
        return bool(shot.name) and any((where, name) in self._names for where in ("", film) for name in (shot.name, base))

    def _read_csv(self, rows: "csv.DictReader[str]") -> None:
        columns = set(rows.fieldnames or ())
        if "frame" not in columns and not {"first", "last"} <= columns:
            raise ValueError(
                f"the columns are {', '.join(sorted(columns)) or 'missing'}; `frame`, or `first` and `last`, are needed"
            )
        for row in rows:
            film = row.get("film") or ""
            if row.get("frame") and not row["frame"].isdecimal():
                self._names.add((film, row["frame"]))
                continue
            first = row.get("frame") or row["first"]
            self._ranges.append((film, int(first), int(row.get("frame") or row["last"])))

    def _read_coco(self, document: Mapping[str, Any], watched: tuple[str, ...]) -> None:
        counted = {one["id"] for one in document.get("categories", ()) if not watched or one["name"] in watched}
        if watched and not counted:
            raise ValueError(f"no category is named {' or '.join(watched)}")
        files = {one["id"]: str(one["file_name"]) for one in document["images"]}
        self._known = frozenset(files.values())
        for one in document["annotations"]:
            _, _, width, height = one["bbox"]
            if width > 0 and height > 0 and not one.get("iscrowd") and (not watched or one["category_id"] in counted):
                self._names.add(("", files[one["image_id"]]))


def choose(name: str, bundle: Bundle, *, watched: tuple[str, ...], nothing: tuple[str, ...]) -> Labels:
    """The labels that were asked for.

    Args:
        name: see the head of this module.
        bundle: whose network may be asked.
        watched: classes of boxes that count; empty: all.
        nothing: classes, or class folders, that mean nothing.

    Raises:
        UsageError: a class is no label of the bundle, or the name is none of those above.
        ExportError: the file cannot be read, or the network cannot tell.
    """
    if name == FOLDERS:
        return FolderLabels(nothing)
    if name == SOURCE:
        return SourceLabels()
    if name == MODEL:
        return ModelLabels(bundle, presence_of(bundle.manifest.task, watched=watched, nothing=nothing))
    if not name.lower().endswith((".csv", ".json")):
        raise UsageError(f"--labels {name!r} is not known; give model, source, folders, FILE.csv or FILE.json")
    return FileLabels(Path(name), watched)


def presence_of(task: Task, *, watched: tuple[str, ...] = (), nothing: tuple[str, ...] = ()) -> Presence | None:
    """What counts as something in the answers of a bundle.

    Args:
        task: of the bundle.
        watched: classes of a detector that count; empty: all.
        nothing: classes of a classifier that mean nothing.

    Returns:
        None where the answers do not tell: a classifier of which no class means nothing, or another network.

    Raises:
        UsageError: a name is no label of the bundle.
    """
    if task.boxes is not None:
        _check_names("--watch", watched, task)
        return Presence(kind="boxes", names=watched, score_min=task.boxes.score_min)
    if task.kind != "classification" or not nothing:
        return None
    _check_names("--nothing", nothing, task)
    return Presence(kind="classes", names=nothing)


def _check_names(option: str, names: tuple[str, ...], task: Task) -> None:
    unknown = [name for name in names if name not in task.labels]
    if unknown:
        raise UsageError(f"{option} {unknown[0]!r} is no label of the bundle; it has {', '.join(task.labels[:12]) or 'none'}")
