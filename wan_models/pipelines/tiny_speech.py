"""What a tiny model of speech to video has of its own: a transformer, and a speech model with its ears."""

from __future__ import annotations

from typing import Any

from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from wan_models.catalog import ModelSpec
from wan_models.pipelines import tiny_parts as parts
from wan_models.pipelines.s2v.pipeline import WanSpeechToVideoPipeline
from wan_models.pipelines.s2v.transformer import WanS2VTransformer3DModel

_AUDIO_DIM = 16
_AUDIO_LAYERS = 2


def speech_to_video(spec: ModelSpec) -> WanSpeechToVideoPipeline:
    """The tiny model of speech to video."""
    return WanSpeechToVideoPipeline(
        transformer=_transformer(),
        audio_encoder=_audio_encoder(),
        audio_processor=Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True),
        vae=parts.vae(parts.VAE_8),
        **parts.text_parts(),
        scheduler=parts.scheduler(spec.shift),
    )


def _transformer() -> Any:
    return WanS2VTransformer3DModel(
        dim=24,
        ffn_dim=32,
        num_heads=2,
        num_layers=2,
        text_dim=parts.TEXT_DIM,
        freq_dim=32,
        audio_dim=_AUDIO_DIM,
        num_audio_layers=_AUDIO_LAYERS + 1,
        audio_inject_layers=(0, 1),
    )


def _audio_encoder() -> Any:
    """50 states a second, as the real one: its strides come to 320 samples."""
    config = Wav2Vec2Config(
        hidden_size=_AUDIO_DIM,
        num_hidden_layers=_AUDIO_LAYERS,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        conv_bias=True,
    )
    return Wav2Vec2Model(config).eval()
