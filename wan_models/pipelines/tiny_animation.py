"""The tiny animate-14B: the only model with an image encoder and with an eye for faces."""

from __future__ import annotations

from typing import Any

from diffusers import WanAnimatePipeline, WanAnimateTransformer3DModel
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel

from wan_models.catalog import ModelSpec
from wan_models.pipelines import tiny_parts as parts

_HEADS = 2
_WIDTH = _HEADS * parts.HEAD_DIM
_IMAGE_SIDE = 28
_IMAGE_WIDTH = 16
_FACE_SIDE = 16


def animation(spec: ModelSpec) -> WanAnimatePipeline:
    """A WanAnimatePipeline; see ``build_tiny``."""
    return WanAnimatePipeline(
        transformer=_transformer(),
        vae=parts.vae(parts.VAE_8),
        image_encoder=_image_encoder(),
        image_processor=_image_processor(),
        **parts.text_parts(),
        scheduler=parts.scheduler(spec.shift),
    )


def _transformer() -> WanAnimateTransformer3DModel:
    return WanAnimateTransformer3DModel(
        in_channels=16 + 4 + 16,
        latent_channels=16,
        out_channels=16,
        num_attention_heads=_HEADS,
        attention_head_dim=parts.HEAD_DIM,
        num_layers=1,
        ffn_dim=32,
        freq_dim=32,
        text_dim=parts.TEXT_DIM,
        image_dim=_IMAGE_WIDTH,
        added_kv_proj_dim=_WIDTH,
        motion_encoder_channel_sizes={"4": 8, "8": 8, "16": 8},
        motion_encoder_size=_FACE_SIDE,
        motion_style_dim=8,
        motion_dim=4,
        motion_encoder_dim=8,
        face_encoder_hidden_dim=16,
        face_encoder_num_heads=2,
        inject_face_latents_blocks=1,
    )


def _image_encoder() -> Any:
    config = CLIPVisionConfig(
        hidden_size=_IMAGE_WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=_IMAGE_SIDE,
        patch_size=_IMAGE_SIDE // 2,
    )
    return CLIPVisionModel(config).eval()


def _image_processor() -> Any:
    side = {"height": _IMAGE_SIDE, "width": _IMAGE_SIDE}
    return CLIPImageProcessorPil(size={"shortest_edge": _IMAGE_SIDE}, crop_size=side)
