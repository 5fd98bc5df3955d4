"""Tiny randomly initialised models, laid out as the real ones: they run the whole path and paint noise."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from types import MappingProxyType
from typing import Any

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from wan_models.catalog import CATALOG
from wan_models.models_dir import MANIFEST, installed_model, model_path

_TEXT_DIM = 16
_SPECIAL_TOKENS = ("<pad>", "</s>", "<unk>")

# The two shapes of Wan's VAE: 8 times smaller in space, or 16 times through 2*2 patches (5B).
_VAE_8: Mapping[str, Any] = MappingProxyType({"z_dim": 16, "base_dim": 2})
_VAE_16: Mapping[str, Any] = MappingProxyType(
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
_SHAPES: Mapping[str, Mapping[str, Any]] = MappingProxyType({"t2v-A14B": _VAE_8, "ti2v-5B": _VAE_16})


def build_tiny(task: str, models_dir: Path) -> Path:
    """Build the tiny model of a task under ``models_dir/wan/<task>``, unless a complete model is there.

    The folder appears whole or not at all, also when two processes build it at once. The same
    version of torch gives the same weights everywhere.

    Returns:
        The model's folder.

    Raises:
        KeyError: there is no tiny model of this task.
    """
    target = model_path(models_dir, task)
    if installed_model(models_dir, task):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(mkdtemp(prefix=f".{task}-", dir=target.parent))
    try:
        _pipeline(task).save_pretrained(scratch)
        (scratch / MANIFEST).write_text(json.dumps({"tiny": True}) + "\n")
        scratch.chmod(0o755)  # mkdtemp makes it private
        _move_into_place(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _move_into_place(scratch: Path, target: Path) -> None:
    try:
        os.replace(scratch, target)  # noqa: PTH105 - Path.replace says less of folders
    except OSError:
        if installed_model(target.parents[1], target.name) is None:
            raise  # otherwise another process was faster, and built the same


def _pipeline(task: str) -> Any:
    shape = _SHAPES[task]
    spec = CATALOG[task]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        experts = [_transformer(shape["z_dim"]) for _ in range(1 if spec.boundary is None else 2)]
        vae = _vae(shape)
        text_encoder = _text_encoder()
    return WanPipeline(
        tokenizer=_tokenizer(),
        text_encoder=text_encoder,
        vae=vae,
        scheduler=_scheduler(spec.shift),
        transformer=experts[0],
        transformer_2=experts[1] if len(experts) > 1 else None,
        boundary_ratio=spec.boundary,
        expand_timesteps=spec.boundary is None,
    )


def _transformer(channels: int) -> WanTransformer3DModel:
    return WanTransformer3DModel(
        in_channels=channels,
        out_channels=channels,
        num_attention_heads=2,
        attention_head_dim=12,
        num_layers=1,
        ffn_dim=32,
        freq_dim=32,
        text_dim=_TEXT_DIM,
    )


def _vae(shape: Mapping[str, Any]) -> Any:
    channels = shape["z_dim"]
    vae: Any = AutoencoderKLWan(
        **shape,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=[0.0] * channels,
        latents_std=[1.0] * channels,
    )
    with torch.no_grad():
        for name, parameter in vae.named_parameters():
            if name.endswith(".bias"):
                parameter.zero_()  # random ones outweigh the noise: one flat colour would be left of it
        vae.decoder.conv_out.weight.mul_(2)  # and this one lends it contrast
    return vae


def _text_encoder() -> Any:
    vocabulary = len(_vocabulary())
    return UMT5EncoderModel(
        UMT5Config(
            vocab_size=vocabulary,
            d_model=_TEXT_DIM,
            d_kv=8,
            d_ff=32,
            num_layers=1,
            num_heads=2,
            dropout_rate=0.0,
        )
    ).eval()


def _scheduler(shift: float) -> UniPCMultistepScheduler:
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
