"""Wan 2.2's models at their real shapes, with random weights, made on the GPU without a file.

The shapes are those of the published configurations (Wan-AI/Wan2.2-TI2V-5B-Diffusers and
Wan-AI/Wan2.2-T2V-A14B-Diffusers). What a step costs depends on them, and not on what the weights are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanPipeline, WanTransformer3DModel
from transformers import UMT5Config, UMT5EncoderModel

from wan_models.catalog import CATALOG, Size
from wan_models.pipelines import tiny_parts as parts

_TEXT_DIM = 4096


def _text_encoder() -> Any:
    """UMT5-XXL's encoder."""
    return UMT5EncoderModel(
        UMT5Config(vocab_size=256384, d_model=_TEXT_DIM, d_kv=64, d_ff=10240, num_layers=24, num_heads=64)
    )


@dataclass(frozen=True, slots=True)
class Shape:
    """A model and the video to make with it."""

    task: str
    size: Size
    frames: int
    experts: int
    transformer: Mapping[str, int]
    vae: Mapping[str, Any]
    text_encoder: Callable[[], Any] = _text_encoder

    def from_pretrained(self, _path: Path, *, dtype: Mapping[str, torch.dtype], **_: Any) -> Any:
        """A pipeline with random weights, in the place of one that is loaded; see diffusers' of this name."""
        spec, default = CATALOG[self.task], dtype["default"]
        experts = [
            _with_whole_parts(_made(lambda: WanTransformer3DModel(**self.transformer), default))
            for _ in range(self.experts)
        ]
        return WanPipeline(
            transformer=experts[0],
            transformer_2=experts[1] if self.experts > 1 else None,
            boundary_ratio=spec.boundary,
            expand_timesteps=self.experts == 1,
            text_encoder=_made(self.text_encoder, default),
            tokenizer=parts.text_parts()["tokenizer"],
            vae=_made(lambda: AutoencoderKLWan(**self.vae), dtype["vae"]),
            scheduler=parts.scheduler(spec.shift),
        )


def part_sizes(shape: Shape) -> dict[str, int]:
    """Bytes of each part's weights on a GPU, by its name; nothing is made."""
    with torch.device("meta"):
        parts_made = {"text_encoder": shape.text_encoder(), "vae": AutoencoderKLWan(**shape.vae)}
        expert = WanTransformer3DModel(**shape.transformer)
    numbers = {name: _numbers(part) for name, part in parts_made.items()}
    experts = {f"transformer{suffix}": 2 * _numbers(expert) for suffix in ("", "_2")[: shape.experts]}
    return {"text_encoder": 2 * numbers["text_encoder"], "vae": 4 * numbers["vae"], **experts}


def _numbers(part: Any) -> int:
    return sum(parameter.numel() for parameter in part.parameters())


def _transformer(**sizes: int) -> Mapping[str, int]:
    return MappingProxyType({"attention_head_dim": 128, "freq_dim": 256, "text_dim": _TEXT_DIM, **sizes})


_VAE_48 = {
    "base_dim": 160,
    "decoder_base_dim": 256,
    "z_dim": 48,
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_spatial": 16,
    "latents_mean": [0.0] * 48,
    "latents_std": [1.0] * 48,
}

TI2V_5B = Shape(
    task="ti2v-5B",
    size=Size(1280, 704),
    frames=121,
    experts=1,
    transformer=_transformer(
        num_attention_heads=24, num_layers=30, ffn_dim=14336, in_channels=48, out_channels=48
    ),
    vae=_VAE_48,
)
T2V_A14B = Shape(  # at the smaller size: six steps of the larger one take minutes
    task="t2v-A14B",
    size=Size(832, 480),
    frames=81,
    experts=2,
    transformer=_transformer(
        num_attention_heads=40, num_layers=40, ffn_dim=13824, in_channels=16, out_channels=16
    ),
    vae={},
)
SMALL = Shape(  # for a machine without a GPU, to see that all of this runs
    task="ti2v-5B",
    size=Size(64, 64),
    frames=5,
    experts=1,
    transformer={
        **_transformer(num_attention_heads=2, num_layers=2, ffn_dim=32, in_channels=48, out_channels=48),
        "attention_head_dim": 12,
        "text_dim": parts.TEXT_DIM,
    },
    vae={**_VAE_48, "base_dim": 2, "decoder_base_dim": 2, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1},
    text_encoder=lambda: parts.text_parts()["text_encoder"],
)


def _made(build: Callable[[], Any], dtype: torch.dtype) -> Any:
    with _by_default(dtype), torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        return build().eval().requires_grad_(requires_grad=False)


def _with_whole_parts(model: Any) -> Any:
    """Have those parts in float32 that a model which is loaded has so."""
    for name, parameter in model.named_parameters():
        if not set(name.split(".")).isdisjoint(model._keep_in_fp32_modules):  # noqa: SLF001 - where it names them
            parameter.data = parameter.data.float()
    return model


@contextmanager
def _by_default(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
