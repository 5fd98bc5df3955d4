"""The folder that speech to video is published in becomes a model that is installed."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import UMT5EncoderModel

from scripts.download_wan_models import install
from tests.integration.ways import WAYS
from wan_models.catalog import CATALOG
from wan_models.models_dir import installed_model, model_path
from wan_models.pipelines.s2v.original import convert_original
from wan_models.registry import Registry

TASK = "s2v-14B"
AUDIO, TOKENIZER = "wav2vec2-large-xlsr-53-english", "google/umt5-xxl"
VAE_SHAPES = Path(__file__).parents[1] / "data/s2v/vae_shapes.json"  # of Wan's own VAE, 4 channels wide
TEXT_NAMES = (
    ("shared.", "token_embedding."),
    ("encoder.final_layer_norm.", "norm."),
    (r"encoder.block.(\d+).layer.0.layer_norm.", r"blocks.\1.norm1."),
    (
        r"encoder.block.(\d+).layer.0.SelfAttention.relative_attention_bias.",
        r"blocks.\1.pos_embedding.embedding.",
    ),
    (r"encoder.block.(\d+).layer.0.SelfAttention.", r"blocks.\1.attn."),
    (r"encoder.block.(\d+).layer.1.layer_norm.", r"blocks.\1.norm2."),
    (r"encoder.block.(\d+).layer.1.DenseReluDense.wi_0.", r"blocks.\1.ffn.gate.0."),
    (r"encoder.block.(\d+).layer.1.DenseReluDense.wi_1.", r"blocks.\1.ffn.fc1."),
    (r"encoder.block.(\d+).layer.1.DenseReluDense.wo.", r"blocks.\1.ffn.fc2."),
)


@pytest.fixture
def tiny(models_dir: Path) -> Path:
    return model_path(models_dir, TASK)


@pytest.fixture
def published(tiny: Path, tmp_path: Path) -> Path:
    """The tiny model, laid out as the real one is published; its VAE is another one."""
    folder = model_path(tmp_path, TASK)
    shutil.copytree(tiny / "transformer", folder)
    shutil.copytree(tiny / "audio_encoder", folder / AUDIO)
    shutil.copy(tiny / "audio_processor/preprocessor_config.json", folder / AUDIO)
    shutil.copytree(tiny / "tokenizer", folder / TOKENIZER)
    texts = load_file(tiny / "text_encoder/model.safetensors")
    original = {text_name(name): value for name, value in texts.items() if "embed_tokens" not in name}
    torch.save(original, folder / "models_t5_umt5-xxl-enc-bf16.pth")
    generator = torch.Generator().manual_seed(0)
    shapes = json.loads(VAE_SHAPES.read_text())
    vae = {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in shapes.items()}
    torch.save(vae, folder / "Wan2.1_VAE.pth")
    return folder


def text_name(name: str) -> str:
    for pattern, replacement in TEXT_NAMES:
        name = re.sub(f"^{pattern}", replacement, name)
    return name


def test_a_published_folder_is_installed_once_it_is_converted(published, tmp_path, media):
    assert installed_model(tmp_path, TASK) is None
    install([CATALOG[TASK]], tmp_path, None)
    assert installed_model(tmp_path, TASK)
    assert {path.name for path in published.iterdir()} == {
        "audio_encoder",
        "audio_processor",
        "model_index.json",
        "scheduler",
        "text_encoder",
        "tokenizer",
        "transformer",
        "vae",
        "wanserve.json",
    }
    frames = WAYS[TASK].frames(Registry(tmp_path).load(TASK), media)
    assert frames.shape == (5, 64, 64, 3)


def test_the_converted_text_encoder_reads_as_before(published, tiny):
    convert_original(published)
    tokens = torch.arange(3, 20)[None]

    def states(folder: Path) -> torch.Tensor:
        model: Any = UMT5EncoderModel.from_pretrained(folder / "text_encoder")
        with torch.inference_mode():
            encoded: torch.Tensor = model(tokens).last_hidden_state
        return encoded

    assert torch.equal(states(published), states(tiny))


def test_a_conversion_that_broke_begins_again(published, tmp_path):
    vae = published / "Wan2.1_VAE.pth"
    kept = vae.read_bytes()
    vae.write_bytes(b"")
    with pytest.raises((RuntimeError, EOFError)):
        convert_original(published)
    assert installed_model(tmp_path, TASK) is None
    vae.write_bytes(kept)
    convert_original(published)
    assert installed_model(tmp_path, TASK)
