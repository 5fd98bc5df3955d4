"""The folder that Wan2.2-S2V-14B is published in, made into one of diffusers.

The transformer, which is two thirds of it, is moved as it is. The text encoder and the VAE come as
pickles with names of their own (``wan/modules/t5.py``, ``wan/modules/vae2_1.py`` of Wan-Video/Wan2.2).
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from transformers import UMT5Config, UMT5EncoderModel, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from wan_models.catalog import CATALOG
from wan_models.models_dir import MODEL_INDEX

_TEXT_ENCODER = "models_t5_umt5-xxl-enc-bf16.pth"
_VAE = "Wan2.1_VAE.pth"
_AUDIO = "wav2vec2-large-xlsr-53-english"
_TOKENIZER = "google/umt5-xxl"
_TRANSFORMER = ("config.json", "diffusion_pytorch_model*")

_INDEX = {
    "_class_name": "WanSpeechToVideoPipeline",
    "audio_encoder": ["transformers", "Wav2Vec2Model"],
    "audio_processor": ["transformers", "Wav2Vec2FeatureExtractor"],
    "scheduler": ["diffusers", "UniPCMultistepScheduler"],
    "text_encoder": ["transformers", "UMT5EncoderModel"],
    "tokenizer": ["transformers", "T5TokenizerFast"],
    "transformer": ["wan_models.pipelines.s2v.transformer", "WanS2VTransformer3DModel"],
    "vae": ["diffusers", "AutoencoderKLWan"],
}
_TEXT_NAMES = (
    (r"^token_embedding\.", "shared."),
    (r"^norm\.", "encoder.final_layer_norm."),
    (r"^blocks\.(\d+)\.norm1\.", r"encoder.block.\1.layer.0.layer_norm."),
    (r"^blocks\.(\d+)\.attn\.", r"encoder.block.\1.layer.0.SelfAttention."),
    (
        r"^blocks\.(\d+)\.pos_embedding\.embedding\.",
        r"encoder.block.\1.layer.0.SelfAttention.relative_attention_bias.",
    ),
    (r"^blocks\.(\d+)\.norm2\.", r"encoder.block.\1.layer.1.layer_norm."),
    (r"^blocks\.(\d+)\.ffn\.gate\.0\.", r"encoder.block.\1.layer.1.DenseReluDense.wi_0."),
    (r"^blocks\.(\d+)\.ffn\.fc1\.", r"encoder.block.\1.layer.1.DenseReluDense.wi_1."),
    (r"^blocks\.(\d+)\.ffn\.fc2\.", r"encoder.block.\1.layer.1.DenseReluDense.wo."),
)


def convert_original(folder: Path) -> None:
    """Convert a folder in place; where that is cut short, it may be begun again.

    The originals of the small parts go at the end. Until then, 13 GB more of disk are needed.

    Args:
        folder: of Wan-AI/Wan2.2-S2V-14B, complete.

    Raises:
        OSError: a file is missing, or the disk is full.
        RuntimeError: the weights are not those of this model.
    """
    _text_encoder(folder / _TEXT_ENCODER).save_pretrained(folder / "text_encoder")
    _vae(folder / _VAE).save_pretrained(folder / "vae")
    Wav2Vec2Model.from_pretrained(folder / _AUDIO).save_pretrained(folder / "audio_encoder")
    Wav2Vec2FeatureExtractor.from_pretrained(folder / _AUDIO).save_pretrained(folder / "audio_processor")
    shutil.copytree(folder / _TOKENIZER, folder / "tokenizer", dirs_exist_ok=True)
    scheduler: Any = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=CATALOG["s2v-14B"].shift
    )
    scheduler.save_pretrained(folder / "scheduler")
    _settle(folder)


def _settle(folder: Path) -> None:
    """Move the transformer, let the originals go, and write the index, which makes the folder count."""
    target = folder / "transformer"
    target.mkdir(exist_ok=True)
    for pattern in _TRANSFORMER:
        for file in folder.glob(pattern):
            file.rename(target / file.name)
    (folder / MODEL_INDEX).write_text(json.dumps(_INDEX, indent=2) + "\n")
    for name in (_TEXT_ENCODER, _VAE):
        (folder / name).unlink()
    for name in (_AUDIO, Path(_TOKENIZER).parts[0]):
        shutil.rmtree(folder / name)


def _read(path: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return weights


def _text_encoder(path: Path) -> UMT5EncoderModel:
    weights = _read(path)
    buckets, heads = weights["blocks.0.pos_embedding.embedding.weight"].shape
    vocabulary, dim = weights["token_embedding.weight"].shape
    with torch.device("meta"):
        model = UMT5EncoderModel(
            UMT5Config(
                vocab_size=vocabulary,
                d_model=dim,
                d_kv=len(weights["blocks.0.attn.q.weight"]) // heads,
                d_ff=len(weights["blocks.0.ffn.fc1.weight"]),
                num_heads=heads,
                num_layers=1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks.")),
                relative_attention_num_buckets=buckets,
                dtype=weights["token_embedding.weight"].dtype,
            )
        )
    renamed = {_text_name(name): weight for name, weight in weights.items()}
    model.load_state_dict(renamed | {"encoder.embed_tokens.weight": renamed["shared.weight"]}, assign=True)
    return model


def _text_name(name: str) -> str:
    for pattern, replacement in _TEXT_NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _vae(path: Path) -> Any:
    weights = _read(path)
    model: Any = AutoencoderKLWan(base_dim=len(weights["encoder.conv1.weight"]))
    model.load_state_dict(convert_wan_vae_to_diffusers(weights))
    return model
