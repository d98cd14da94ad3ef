"""A Triton model repository from a bundle.

    REPOSITORY/<id>/config.pbtxt              the tail: raw codes in, the outputs of the source network out
    REPOSITORY/<id>/labels.txt                classes, for a classifier whose classes have names
    REPOSITORY/<id>/<version>/model.onnx      and the files beside it that hold its weights, if they are large
    REPOSITORY/<id>_whole/...                 the unsplit network, for devices that send the prepared picture

Nothing is half there: a model appears under its name when it is complete. A model of the same name that was not written here is
left alone, and so is a folder that is no model repository.
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from isthmus.contract import models
from isthmus.contract.bundle import Bundle
from isthmus.errors import BundleError, ConfigError, UsageError
from isthmus.export.targets.triton_config import Interface, config_text, read_interface

CONFIG, LABELS, NETWORK = "config.pbtxt", "labels.txt", "model.onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class TritonSettings:
    """How Triton shall run the models.

    Attributes:
        version: of the models, at least 1; None takes the bundle's where that is a whole number.
        max_batch: most requests that are joined.
        instances: of each network at the same time.
        with_whole: write the unsplit network too, where the bundle has it.
    """

    version: int | None = None
    max_batch: int = 32
    instances: int = 1
    with_whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One model of the repository."""

    name: str
    version: int
    folder: Path
    interface: Interface


def write_repository(bundle: Bundle, repository: Path, settings: TritonSettings) -> list[Written]:
    """Write the tail of a bundle, and the unsplit network, as models of a Triton repository.

    Args:
        bundle: opened and checked.
        repository: a folder; made if missing, added to if it is a model repository.
        settings: how Triton shall run them.

    Raises:
        UsageError: the bundle's version is no whole number and `settings` name none.
        ConfigError: `repository` cannot be written, holds something else than models, or a model of that name from elsewhere.
        ExportError, BundleError: a network has an input Triton cannot be told, or lacks its weights.
    """
    version = settings.version if settings.version is not None else _version(bundle)
    _check_repository(repository)
    networks = {bundle.manifest.id: models.TAIL}
    if settings.with_whole and bundle.has(models.WHOLE):
        networks[bundle.manifest.id + models.WHOLE_SUFFIX] = models.WHOLE
    for name in networks:
        _check_model(repository / name)
    try:
        repository.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".isthmus-", dir=repository) as temporary:
            written = [_stage(bundle, file, Path(temporary) / name, version, settings) for name, file in networks.items()]
            for model in written:
                _place(model.folder, repository / model.name, version, Path(temporary))
    except OSError as error:
        raise ConfigError(f"{repository} cannot be written: {error.strerror} ({error.filename})") from error
    return [Written(name=m.name, version=version, folder=repository / m.name, interface=m.interface) for m in written]


def _version(bundle: Bundle) -> int:
    text = bundle.manifest.version
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise UsageError(f"Triton numbers versions from 1, the bundle's version is {text!r}; name one with --version N")
    return int(text)


def _check_repository(repository: Path) -> None:
    """Refuse a folder that holds something else than models."""
    if not repository.exists():
        return
    if not repository.is_dir():
        raise ConfigError(f"{repository} is a file; a model repository is a folder")
    try:
        strange = [path.name for path in sorted(repository.iterdir()) if not path.name.startswith(".") and not _is_model(path)]
    except OSError as error:
        raise ConfigError(f"{repository} cannot be read: {error.strerror}") from error
    if strange:
        raise ConfigError(
            f"{repository} is no model repository: it holds {', '.join(strange[:3])}; name an empty or a new folder"
        )


def _is_model(path: Path) -> bool:
    return path.is_dir() and ((path / CONFIG).is_file() or any(child.name.isdigit() for child in path.iterdir()))


def _check_model(folder: Path) -> None:
    """Refuse to replace a model that came from elsewhere."""
    if not folder.exists():
        return
    config = folder / CONFIG
    if not config.is_file() or models.DIGEST not in config.read_text(encoding="utf-8", errors="replace"):
        raise ConfigError(f"{folder} is a model that was not written from a bundle; name another repository, or remove it")


def _stage(bundle: Bundle, file: str, folder: Path, version: int, settings: TritonSettings) -> Written:
    """Write one whole model to a folder of its own."""
    network = bundle.path(file)
    interface = read_interface(network)
    target = folder / str(version)
    target.mkdir(parents=True)
    shutil.copyfile(network, target / NETWORK)
    for location in _weight_files(network):
        if not bundle.has(location):
            raise BundleError(f"{bundle.origin} lacks {location}, where {file} has weights")
        (target / location).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.path(location), target / location)
    labels = _labels(bundle, interface)
    for name in labels.values():
        lines = (" ".join(label.split()) or "-" for label in bundle.manifest.task.labels)
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = config_text(
        folder.name,
        interface,
        max_batch=settings.max_batch,
        instances=settings.instances,
        label_files=labels,
        parameters=models.parameters(bundle.manifest, file),
    )
    (folder / CONFIG).write_text(text, encoding="utf-8")
    return Written(name=folder.name, version=version, folder=folder, interface=interface)


def _weight_files(network: Path) -> list[str]:
    """Files beside an ONNX file that hold weights of it, as it names them."""
    weights = (value.const_value for value in ir.load(network).graph.initializers.values())
    return sorted({str(tensor.location) for tensor in weights if isinstance(tensor, ir.ExternalTensor)})


def _labels(bundle: Bundle, interface: Interface) -> dict[str, str]:
    """The file of class names by the output whose scores they name."""
    task = bundle.manifest.task
    if task.kind != "classification" or not task.labels:
        return {}
    return {port.name: LABELS for port in interface.outputs if port.dims[-1] == len(task.labels)}


def _place(staged: Path, target: Path, version: int, temporary: Path) -> None:
    """Give a staged model its place; other versions of it stay."""
    if not target.exists():
        staged.rename(target)
        return
    place = target / str(version)
    if place.exists():
        place.rename(temporary / f"{target.name}-replaced")
    (staged / str(version)).rename(place)
    for name in (LABELS, CONFIG):
        if (staged / name).exists():
            (staged / name).replace(target / name)
        else:
            (target / name).unlink(missing_ok=True)
