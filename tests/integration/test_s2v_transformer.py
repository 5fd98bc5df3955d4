"""The speech-to-video transformer and its audio path, held against numbers of Wan's own code."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from scripts import check_s2v_golden
from wan_models.pipelines.s2v.frame_packer import FramePacker
from wan_models.pipelines.s2v.rope import Grid
from wan_models.pipelines.s2v.speech_features import by_frame, resample
from wan_models.pipelines.s2v.transformer import WanS2VTransformer3DModel
from wan_models.speech_size import fitting_size

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests/data/s2v"
TRANSFORMER, AUDIO, COUNTS = (
    DATA / name for name in ("s2v_transformer.safetensors", "s2v_audio.safetensors", "s2v_audio.json")
)
OFFICIAL_CONFIG = {  # as the published folder writes it, at the size of the golden weights
    "_class_name": "WanModel_S2V",
    "_diffusers_version": "0.35.0",
    "adain_mode": "attn_norm",
    "add_last_motion": True,
    "audio_dim": 8,
    "audio_inject_layers": [0, 2],
    "cond_dim": 16,
    "dim": 48,
    "enable_adain": True,
    "enable_framepack": True,
    "enable_motioner": False,
    "enable_tsm": False,
    "ffn_dim": 64,
    "framepack_drop_mode": "padd",
    "freq_dim": 32,
    "in_dim": 16,
    "model_type": "s2v",
    "num_audio_token": 4,
    "num_heads": 4,
    "num_layers": 3,
    "out_dim": 16,
    "text_dim": 24,
    "text_len": 16,
    "zero_init": True,
    "zero_timestep": True,
}


def original_folder(path: Path) -> Path:
    """The golden weights laid out as the published ones: original names, two shards, the original config."""
    tensors = load_file(TRANSFORMER)
    weights = {name[2:]: value for name, value in tensors.items() if name.startswith("w.")}
    names = sorted(weights)
    halves = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, half in halves.items():
        save_file({name: weights[name] for name in half}, path / file)
    index = {"metadata": {}, "weight_map": {name: file for file, half in halves.items() for name in half}}
    (path / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    (path / "config.json").write_text(json.dumps(OFFICIAL_CONFIG))
    return path


def predict(model: Any, *, drop: bool, dtype: torch.dtype = torch.float32, frames: int = 20) -> torch.Tensor:
    """The prediction for the golden inputs, or for their first latent frames."""
    inputs = {name[2:]: value for name, value in load_file(TRANSFORMER).items() if name.startswith("i.")}
    inputs["x"], inputs["cond_states"] = inputs["x"][:, :frames], inputs["cond_states"][:, :, :frames]
    inputs["audio_input"] = inputs["audio_input"][..., : 4 * frames]
    inputs |= {name: inputs[name].to(dtype) for name in inputs if name != "t"}
    text = torch.zeros(1, 16, 24, dtype=dtype)
    text[0, :9] = inputs["context"]
    conditions = {
        name: inputs[name] for name in ("ref_latents", "motion_latents", "cond_states", "audio_input")
    }
    with torch.inference_mode():
        output = model.eval()(inputs["x"][None], inputs["t"], text, drop_motion_frames=drop, **conditions)
    assert isinstance(output.sample, torch.Tensor)
    return output.sample[0]


def test_the_golden_check_holds_every_part_against_the_official_numbers():
    command = [sys.executable, "scripts/check_s2v_golden.py", *map(str, (TRANSFORMER, AUDIO, COUNTS))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    parts = [line.split()[0] for line in done.stdout.splitlines()]
    assert parts == ["out_drop0", "out_drop1", "feat30", "bucket", "clips", "sizes"]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("out_drop0", "out_drop0"),
        ("out_drop1", "out_drop1"),
        ("w.audio_injector.injector.1.o.weight", "out_drop0"),
        ("w.frame_packer.proj_4x.weight", "out_drop0"),
        ("2.feat30", "feat30"),
        ("3.bucket", "bucket"),
    ],
)
def test_the_golden_check_fails_where_a_number_is_off(tmp_path, monkeypatch, capsys, name, part):
    files = [TRANSFORMER, AUDIO]
    changed = 0 if name in load_file(TRANSFORMER) else 1
    tensors = load_file(files[changed])
    tensors[name] = torch.zeros_like(tensors[name])
    files[changed] = tmp_path / "changed.safetensors"
    save_file(tensors, files[changed])
    monkeypatch.setattr(sys, "argv", ["check", *map(str, files), str(COUNTS)])
    with pytest.raises(SystemExit) as end:
        check_s2v_golden.main()
    assert end.value.code == 1
    assert any(line.startswith(part) and "differs" in line for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(
    ("transformer", "told"),
    [(Path("absent"), "cannot be read"), (COUNTS, "cannot be read"), (AUDIO, "has 'patch_embedding.weight'")],
)
def test_the_golden_check_says_which_files_it_cannot_use(monkeypatch, transformer, told):
    monkeypatch.setattr(sys, "argv", ["check", *map(str, (transformer, AUDIO, COUNTS))])
    with pytest.raises(SystemExit, match=told):
        check_s2v_golden.main()


def test_the_original_folder_loads_as_it_is(tmp_path):
    model = WanS2VTransformer3DModel.from_pretrained(original_folder(tmp_path))
    expected = load_file(TRANSFORMER)["out_drop0"]
    assert (predict(model, drop=False) - expected).abs().max() < 1e-4


def test_a_saved_transformer_loads_again_in_shards_and_predicts_the_same(tmp_path):
    model = WanS2VTransformer3DModel.from_pretrained(original_folder(tmp_path))
    model.save_pretrained(tmp_path / "saved", max_shard_size="200KB")
    assert len(list((tmp_path / "saved").glob("*.safetensors"))) > 2
    again = WanS2VTransformer3DModel.from_pretrained(tmp_path / "saved")
    assert torch.equal(predict(model, drop=True), predict(again, drop=True))


def test_in_bfloat16_what_the_timestep_and_the_sound_pass_through_stays_float32(tmp_path):
    model = WanS2VTransformer3DModel.from_pretrained(original_folder(tmp_path), dtype=torch.bfloat16)
    kept = {name for name, value in model.named_parameters() if value.dtype is torch.float32}
    assert "blocks.0.modulation" in kept
    assert "casual_audio_encoder.weights" in kept
    assert "blocks.0.self_attn.q.weight" not in kept
    assert deviation(model) < 0.01


def test_weights_may_be_stored_in_eight_bits(tmp_path):
    model = WanS2VTransformer3DModel.from_pretrained(original_folder(tmp_path), dtype=torch.bfloat16)
    model.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.bfloat16)
    assert deviation(model) < 0.03


def deviation(model: Any) -> float:
    """How far a prediction is from the official one, as a share of it."""
    official = load_file(TRANSFORMER)["out_drop0"]
    predicted = predict(model, drop=False, dtype=torch.bfloat16).float()
    return float((predicted - official).norm() / official.norm())


def test_a_variant_that_was_never_published_is_refused():
    with pytest.raises(ValueError, match="variant"):
        WanS2VTransformer3DModel(dim=48, num_heads=4, num_layers=0, enable_motioner=True)


def test_motion_left_out_is_dropped_or_blanked_as_configured():
    motion = torch.ones(1, 16, 19, 16, 16)
    dropping, padding = FramePacker(16, 48, "drop"), FramePacker(16, 48, "padd")
    assert [len(dropping(motion, last)[1]) for last in (2, 1, 0)] == [3, 2, 1]
    assert [len(padding(motion, last)[1]) for last in (2, 1, 0)] == [3, 3, 3]
    blank = padding.state_dict()["proj.bias"].expand(64, -1)
    assert torch.equal(padding(motion, 1)[0][0, :64], blank)
    assert not torch.equal(padding(motion, 2)[0][0, :64], blank)


def test_frames_before_the_video_lie_at_negative_positions_the_nearest_last():
    frames, rows, _ = Grid(-19, (4, 2, 2), (16, 8, 8)).positions()
    assert frames.tolist() == [-19, -14, -9, -4]
    assert rows.tolist() == [0, 7]


def test_the_features_of_a_silent_end_are_zeros():
    features = resample(torch.ones(3, 30, 4))
    frames = by_frame(features)
    assert frames.shape == (80, 3, 4)
    assert frames[:10].eq(1).all()
    assert frames[10:].eq(0).all()


def test_sound_shorter_than_a_frame_is_refused():
    with pytest.raises(ValueError, match="shorter"):
        resample(torch.ones(3, 1, 4))


@pytest.mark.parametrize("sides", [(720, 1280), (64, 64), (31, 4000), (3000, 70)])
def test_a_video_fits_into_its_area_in_multiples_of_64(sides):
    height, width = sides
    height, width = fitting_size(height, width, 832 * 480)
    assert 0 < height * width <= 832 * 480
    assert height % 64 == width % 64 == 0
