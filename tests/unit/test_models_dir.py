"""Which folders count as installed models."""

import json
from pathlib import Path

import pytest

from wan_models.manifest import MANIFEST
from wan_models.models_dir import installed_model, installed_models, is_complete, model_path

INDEX = {
    "_class_name": "WanPipeline",
    "boundary_ratio": 0.875,
    "scheduler": ["diffusers", "UniPCMultistepScheduler"],
    "text_encoder": ["transformers", "UMT5EncoderModel"],
    "tokenizer": ["transformers", "T5TokenizerFast"],
    "transformer": ["diffusers", "WanTransformer3DModel"],
    "transformer_2": [None, None],
    "vae": ["diffusers", "AutoencoderKLWan"],
}
WEIGHTS = "diffusion_pytorch_model"
NEEDED = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/tokenizer_config.json",
    "tokenizer/tokenizer.json",
    "transformer/config.json",
    f"transformer/{WEIGHTS}-00001-of-00002.safetensors",
    f"transformer/{WEIGHTS}-00002-of-00002.safetensors",
    "vae/config.json",
    f"vae/{WEIGHTS}.safetensors",
]
SHARDED = [name for name in NEEDED if "-of-" in name]


def safetensors(size: int = 8) -> bytes:
    """One tensor of so many bytes, in the file format of the same name."""
    header = json.dumps({"__metadata__": {"format": "pt"}, "w": {"data_offsets": [0, size]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(size)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A complete model folder of t2v-A14B under ``tmp_path``, in the smallest files that pass."""
    folder = model_path(tmp_path, "t2v-A14B")
    for name in NEEDED:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(safetensors() if file.suffix == ".safetensors" else b"{}")
    (folder / "model_index.json").write_text(json.dumps(INDEX))
    weight_map = {f"w{number}": Path(shard).name for number, shard in enumerate(SHARDED)}
    (folder / "transformer" / f"{WEIGHTS}.safetensors.index.json").write_text(
        json.dumps({"weight_map": weight_map})
    )
    return folder


def test_a_complete_folder_is_an_installed_model(model, tmp_path):
    assert model == tmp_path / "wan" / "t2v-A14B"
    installed = installed_models(tmp_path)
    assert list(installed) == ["t2v-A14B"]
    assert (installed["t2v-A14B"].path, installed["t2v-A14B"].tiny) == (model, False)


@pytest.mark.parametrize("name", NEEDED)
def test_a_folder_that_lacks_one_file_does_not_count(model, tmp_path, name):
    (model / name).unlink()
    assert installed_models(tmp_path) == {}


@pytest.mark.parametrize("name", [name for name in NEEDED if name.endswith(".safetensors")])
@pytest.mark.parametrize("length", [0, 4, 20, -1])
def test_a_folder_with_a_file_cut_short_does_not_count(model, name, length):
    assert is_complete(model)
    (model / name).write_bytes(safetensors()[:length])
    assert not is_complete(model)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"_class_name": "WanPipeline"}'])
def test_a_broken_index_does_not_count(model, content):
    (model / "model_index.json").write_text(content)
    assert not is_complete(model)


def test_an_empty_shard_index_does_not_count(model):
    (model / "transformer" / f"{WEIGHTS}.safetensors.index.json").write_text("{}")
    assert not is_complete(model)


@pytest.mark.parametrize(
    ("manifest", "tiny"), [('{"tiny": true}', True), ('{"tiny": false}', False), ("{}", False), ("{", False)]
)
def test_the_manifest_tells_a_tiny_model(model, tmp_path, manifest, tiny):
    (model / MANIFEST).write_text(manifest)
    installed = installed_model(tmp_path, "t2v-A14B")
    assert installed
    assert installed.tiny is tiny


def test_a_folder_that_is_no_task_of_the_catalog_is_not_listed(model, tmp_path):
    model.rename(model.with_name("t2v-1.3B"))
    assert installed_models(tmp_path) == {}


def test_an_absent_models_directory_has_no_models(tmp_path):
    assert installed_models(tmp_path / "nowhere") == {}
