"""Which Hugging Face architectures come in, what they are fed and which of their answers count.

The name of an architecture says its task (`ViTForImageClassification`), the task says the outputs, the class itself the input.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from isthmus.errors import ExportError, NotBuiltYet, UsageError
from isthmus.export.doors import processor


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """How one architecture is used.

    Attributes:
        class_name: of the class in transformers to load; not always the one that wrote the folder.
        outputs: fields of its answer that are kept, in this order.
        encoder_only: use what `get_encoder()` gives.
        has_labels: its scores are classes with names.
        half: entry of the configuration for the half that is used, of a model of two.
        left_out: beginning of the names of weights that this use of the folder does not need.
    """

    class_name: str
    outputs: tuple[str, ...]
    encoder_only: bool = False
    has_labels: bool = False
    half: str | None = None
    left_out: tuple[str, ...] = ()


_TASKS: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    ("ForImageClassification", ("logits",), True),
    ("ForImageClassificationWithTeacher", ("logits",), True),
    ("ForObjectDetection", ("logits", "pred_boxes"), True),
    ("ForSemanticSegmentation", ("logits",), True),
    ("ForUniversalSegmentation", ("class_queries_logits", "masks_queries_logits"), True),
    ("ForPoseEstimation", ("heatmaps",), False),
    ("ForDepthEstimation", ("predicted_depth",), False),
    ("ForSequenceClassification", ("logits",), True),
    ("ForTokenClassification", ("logits",), True),
    ("ForMaskedLM", ("logits",), False),
    ("VisionModelWithProjection", ("image_embeds",), False),
    ("Model", ("last_hidden_state",), False),
)
"""End of the class name, outputs, and whether they are named classes."""

_SPECIAL = {
    "WhisperForConditionalGeneration": Architecture(
        class_name="WhisperForConditionalGeneration", outputs=("last_hidden_state",), encoder_only=True
    ),
    "WhisperModel": Architecture(class_name="WhisperModel", outputs=("last_hidden_state",), encoder_only=True),
    "CLIPModel": Architecture(
        class_name="CLIPVisionModelWithProjection",
        outputs=("image_embeds",),
        half="vision_config",
        left_out=("text_model.", "text_projection.", "logit_scale"),
    ),
}
"""Speech models come in as their encoder, CLIP as the half that sees."""

_WRITE_TEXT = ("ForCausalLM", "LMHeadModel")
"""Ends of language models that go on with a text; `export.language` cuts them."""
_FROM_TEXT_TO_TEXT = ("ForConditionalGeneration", "ForSeq2SeqLM")

TASKS = (
    "image classification, object detection, semantic segmentation, pose, depth, CLIP vision, Whisper encoders and BERT-like "
    "encoders"
)
"""What comes in, for messages."""


def named(config: Mapping[str, object]) -> str:
    """The architecture that a `config.json` names, or an empty string."""
    names = config.get("architectures")
    return names[0] if isinstance(names, list) and names and isinstance(names[0], str) else ""


def writes_text(folder: Path) -> bool:
    """Whether a folder holds a language model that goes on with a text."""
    path = folder / "config.json"
    return path.is_file() and named(processor.read_json(path)).endswith(_WRITE_TEXT)


def of_config(config: Mapping[str, object], reference: str) -> Architecture:
    """The architecture that a `config.json` names.

    Args:
        config: content of the file.
        reference: the folder, for messages.

    Raises:
        UsageError: a language model that goes on with a text.
        NotBuiltYet: another language model.
        ExportError: none is named, it brings code of its own, or its task is not among ours.
    """
    name = named(config)
    if not name:
        raise ExportError(
            f'{reference}/config.json names no architecture; it needs "architectures": ["..."], see `save_pretrained`'
        )
    if "auto_map" in config:
        raise ExportError(f"{reference}: {name} needs code that comes with the model, which is not run; give its ONNX file")
    if name in _SPECIAL:
        return _SPECIAL[name]
    if name.endswith(_WRITE_TEXT):
        raise UsageError(
            f"{reference}: {name} is a language model, which `isthmus export {reference} --cut K` cuts behind layer K"
        )
    if name.endswith(_FROM_TEXT_TO_TEXT):
        raise NotBuiltYet(f"{reference}: {name} is a language model with an encoder, and splitting those is not built yet")
    for end, outputs, has_labels in _TASKS:
        if name.endswith(end):
            return Architecture(class_name=name, outputs=outputs, has_labels=has_labels)
    raise ExportError(f"{reference}: {name} is none of what comes in from a folder ({TASKS}); give its ONNX file or a factory")
