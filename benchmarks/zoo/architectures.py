"""Architectures of the transformers library, built from their configuration with random weights; nothing is downloaded.

Each function is a factory for the torch door:

    isthmus cuts zoo.architectures:swin_tiny      (from the folder `benchmarks`)

What the library gives is a dictionary with optional entries; `Picked` makes a plain tuple of it. Attention is the written-out
kind (`eager`) where the fused one hides masks that depend on shapes.
"""

from collections.abc import Sequence

import torch
import transformers as library
from torch import nn

from zoo.weights import Network, settle

CLASSES = 1000
WIDE = 0.05
"""Spread of weights for detectors, whose boxes otherwise all lie in the middle (the library's own is 0.02); with 0.1 attention is
so sharp that float32 differs from float64 by 1e-3."""


class Picked(nn.Module):
    """A model of the library with tensors in and the named outputs out."""

    def __init__(
        self,
        model: nn.Module,
        outputs: Sequence[str],
        *,
        inputs: Sequence[str] = ("pixel_values",),
        whole: library.PreTrainedModel | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        # In a list, so that torch does not take it for a part of this module.
        self._whole = [model if whole is None else whole]
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)

    @property
    def whole(self) -> library.PreTrainedModel:
        """What a folder holds of this model."""
        return self._whole[0]

    def forward(self, first: torch.Tensor, second: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        """The named outputs of the model."""
        # Named parameters: torch.export does not free the batch of a `*tensors`.
        given = [tensor for tensor in (first, second) if tensor is not None]
        answer = self.model(**dict(zip(self.inputs, given, strict=True)))
        return tuple(answer[name] for name in self.outputs)


def picture(side: int = 224, *, width: int | None = None) -> torch.Tensor:
    """Two random pictures, float32[batch, channel, row, column] in 0..1."""
    return torch.rand(2, 3, side, width or side)


def classifier(kind: type[nn.Module], configuration: library.PretrainedConfig, side: int = 224) -> Network:
    """A picture classifier with its weights drawn from a fixed seed."""
    torch.manual_seed(0)
    return settle(Picked(kind(configuration), ["logits"]), picture(side))


def resnet18() -> Network:
    sizes = {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"}
    return classifier(library.ResNetForImageClassification, library.ResNetConfig(**sizes, num_labels=CLASSES))


def resnet50() -> Network:
    return classifier(library.ResNetForImageClassification, library.ResNetConfig(num_labels=CLASSES))


def regnet_y_4gf() -> Network:
    return classifier(library.RegNetForImageClassification, library.RegNetConfig(num_labels=CLASSES))


def mobilenet_v2() -> Network:
    return classifier(library.MobileNetV2ForImageClassification, library.MobileNetV2Config(num_labels=CLASSES))


def efficientnet_b0() -> Network:
    sizes = {"width_coefficient": 1.0, "depth_coefficient": 1.0, "hidden_dim": 1280, "image_size": 224}
    return classifier(library.EfficientNetForImageClassification, library.EfficientNetConfig(**sizes, num_labels=CLASSES))


def convnext_tiny() -> Network:
    return classifier(library.ConvNextForImageClassification, library.ConvNextConfig(num_labels=CLASSES))


def vit_small() -> Network:
    sizes = {"hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536}
    return classifier(library.ViTForImageClassification, library.ViTConfig(**sizes, num_labels=CLASSES))


def dinov2_small() -> Network:
    sizes = {"hidden_size": 384, "num_attention_heads": 6, "image_size": 224}
    return classifier(library.Dinov2ForImageClassification, library.Dinov2Config(**sizes, num_labels=CLASSES))


def swin_tiny() -> Network:
    configuration = library.SwinConfig(num_labels=CLASSES, attn_implementation="eager")
    return classifier(library.SwinForImageClassification, configuration)


def mobilevit_small() -> Network:
    return classifier(library.MobileViTForImageClassification, library.MobileViTConfig(num_labels=CLASSES), 256)


def segformer_b0() -> Network:
    return classifier(library.SegformerForSemanticSegmentation, library.SegformerConfig(num_labels=150), 256)


def _detector(kind: type[nn.Module], configuration: library.PretrainedConfig, side: int = 320) -> Network:
    torch.manual_seed(0)
    return settle(Picked(kind(configuration), ["logits", "pred_boxes"]), picture(side))


def detr_resnet50() -> Network:
    backbone = library.ResNetConfig(out_features=["stage4"])
    configuration = library.DetrConfig(use_timm_backbone=False, backbone_config=backbone, init_std=WIDE)
    return _detector(library.DetrForObjectDetection, configuration)


def yolos_tiny() -> Network:
    sizes = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768, "image_size": [320, 320]}
    configuration = library.YolosConfig(**sizes, use_mid_position_embeddings=False, initializer_range=WIDE)
    return _detector(library.YolosForObjectDetection, configuration)


def rt_detr() -> Network:
    """RT-DETR with 30 queries: which of 2100 nearly equal random scores are the best 300 hangs on the last bit of a sum."""
    return _detector(library.RTDetrForObjectDetection, library.RTDetrConfig(num_queries=30))


def vitpose_small() -> Network:
    torch.manual_seed(0)
    sizes = {"hidden_size": 384, "num_attention_heads": 6, "image_size": [256, 192]}
    backbone = library.VitPoseBackboneConfig(**sizes, out_features=["stage12"])
    model = library.VitPoseForPoseEstimation(library.VitPoseConfig(backbone_config=backbone))
    return settle(Picked(model, ["heatmaps"]), picture(256, width=192))


def depth_anything_small() -> Network:
    torch.manual_seed(0)
    sizes = {"hidden_size": 384, "num_attention_heads": 6, "image_size": 224}
    stages = ["stage3", "stage6", "stage9", "stage12"]
    backbone = library.Dinov2Config(**sizes, out_features=stages, reshape_hidden_states=False)
    neck = {"reassemble_hidden_size": 384, "neck_hidden_sizes": [48, 96, 192, 384], "fusion_hidden_size": 64}
    configuration = library.DepthAnythingConfig(backbone_config=backbone, **neck)
    return settle(Picked(library.DepthAnythingForDepthEstimation(configuration), ["predicted_depth"]), picture())


def clip_vision() -> Network:
    torch.manual_seed(0)
    model = library.CLIPVisionModelWithProjection(library.CLIPVisionConfig())
    return settle(Picked(model, ["image_embeds"]), picture())


def whisper_tiny_encoder() -> Network:
    """The encoder of Whisper-tiny: 30 s of sound as float32[batch, band 80, step 3000]."""
    torch.manual_seed(0)
    model = library.WhisperModel(library.WhisperConfig())
    encoder = Picked(model.get_encoder(), ["last_hidden_state"], inputs=["input_features"], whole=model)
    return settle(encoder, torch.rand(2, 80, 3000))


def bert_base() -> Network:
    """BERT-base: token ids and mask, int64[batch, token 64] each."""
    torch.manual_seed(0)
    model = library.BertModel(library.BertConfig())
    ids, mask = torch.randint(0, 30_000, (2, 64)), torch.ones(2, 64, dtype=torch.long)
    return settle(Picked(model, ["last_hidden_state", "pooler_output"], inputs=["input_ids", "attention_mask"]), ids, mask)
