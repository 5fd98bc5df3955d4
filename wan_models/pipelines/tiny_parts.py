"""Parts of tiny models: the classes and layouts of the real ones, at a size that is built in moments.

The weights come from torch's global random state, which ``build_tiny`` sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

TEXT_DIM = 16
HEAD_DIM = 12
_SPECIAL_TOKENS = ("<pad>", "</s>", "<unk>")

# The two shapes of Wan's VAE: 8 times smaller in space, or 16 times through 2*2 patches (5B).
VAE_8: Mapping[str, Any] = MappingProxyType({"z_dim": 16, "base_dim": 2})
VAE_16: Mapping[str, Any] = MappingProxyType(
    {
        "z_dim": 48,
        "base_dim": 2,
        "decoder_base_dim": 2,
        "is_residual": True,
        "in_channels": 12,
        "out_channels": 12,
        "patch_size": 2,
        "scale_factor_spatial": 16,
    }
)


def transformer(in_channels: int, out_channels: int) -> WanTransformer3DModel:
    """One expert."""
    return WanTransformer3DModel(
        in_channels=in_channels,
        out_channels=out_channels,
        num_attention_heads=2,
        attention_head_dim=HEAD_DIM,
        num_layers=2,  # a step cache needs a first and a last one
        ffn_dim=32,
        freq_dim=32,
        text_dim=TEXT_DIM,
    )


def vae(shape: Mapping[str, Any]) -> Any:
    """The video VAE in one of its two shapes, with a decoder that makes a picture of noise."""
    channels = shape["z_dim"]
    model: Any = AutoencoderKLWan(
        **shape,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=[0.0] * channels,
        latents_std=[1.0] * channels,
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".bias"):
                parameter.zero_()  # random ones outweigh the noise: one flat colour would be left of it
        model.decoder.conv_out.weight.mul_(2)  # and this one lends it contrast
    return model


def text_parts() -> dict[str, Any]:
    """The tokenizer and the text encoder, by the names that every pipeline gives them."""
    return {"tokenizer": _tokenizer(), "text_encoder": _text_encoder()}


def _text_encoder() -> Any:
    vocabulary = len(_vocabulary())
    return UMT5EncoderModel(
        UMT5Config(
            vocab_size=vocabulary,
            d_model=TEXT_DIM,
            d_kv=8,
            d_ff=32,
            num_layers=1,
            num_heads=2,
            dropout_rate=0.0,
        )
    ).eval()


def scheduler(shift: float) -> UniPCMultistepScheduler:
    """The scheduler of the published models."""
    return UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=shift
    )


def _vocabulary() -> list[tuple[str, float]]:
    """Special tokens, then one token a byte: every text in every script can be written with it."""
    bytes_ = [(f"<0x{value:02X}>", -1.0) for value in range(256)]
    return [(token, 0.0) for token in _SPECIAL_TOKENS] + bytes_


def _tokenizer() -> PreTrainedTokenizerFast:
    pad, end, unknown = _SPECIAL_TOKENS
    model = Tokenizer(Unigram(_vocabulary(), unk_id=_SPECIAL_TOKENS.index(unknown), byte_fallback=True))
    return PreTrainedTokenizerFast(
        tokenizer_object=model, pad_token=pad, eos_token=end, unk_token=unknown, model_max_length=512
    )
