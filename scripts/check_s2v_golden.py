"""Hold our speech-to-video code against numbers of Wan's own code.

``python scripts/check_s2v_golden.py TRANSFORMER.safetensors AUDIO.safetensors AUDIO.json``

TRANSFORMER holds a transformer's weights (``w.*``), its inputs (``i.*``) and its outputs with the frames
before the clip kept (``out_drop0``) and dropped (``out_drop1``), in float32. AUDIO holds hidden states at
50 a second (``<n>.feat50``), the same at 30 (``<n>.feat30``) and one feature a video frame
(``<n>.bucket``); the JSON file counts them and lists portraits with the size of their video. The largest
difference of each part is printed, and the exit status says whether all of them hold.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, wherever it is run from

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from wan_models.pipelines.s2v.speech_features import by_frame, clips_of, resample
from wan_models.pipelines.s2v.transformer import WanS2VTransformer3DModel
from wan_models.speech_size import fitting_size

TRANSFORMER_TOLERANCE = 1e-4
FPS, CLIP_FRAMES = 16, 80
INJECT_LAYERS = {2: (0, 2), 12: (0, 4, 8, 12, 16, 20, 24, 27, 30, 33, 36, 39)}  # by their count

Tensors = dict[str, torch.Tensor]
Part = tuple[str, float, float]  # its name, its largest difference, and the largest one allowed


def check_transformer(tensors: Tensors, options: Namespace) -> Iterator[Part]:
    """Run the transformer with the frames before the clip kept and dropped."""
    weights = {name[2:]: value.float() for name, value in tensors.items() if name.startswith("w.")}
    inputs = {name[2:]: value.float() for name, value in tensors.items() if name.startswith("i.")}
    model = WanS2VTransformer3DModel(**shapes_of(weights, options)).eval()
    model.load_state_dict(weights)
    text = inputs["context"]
    motion = inputs["motion_latents"]
    padded = text.new_zeros(1, max(options.text_length, len(text)), text.shape[1])
    padded[0, : len(text)] = text
    for drop in (0, 1):
        with torch.inference_mode():
            (flow,) = model(
                inputs["x"][None],
                inputs["t"],
                padded,
                ref_latents=inputs["ref_latents"],
                motion_latents=motion,
                cond_states=inputs["cond_states"],
                audio_input=inputs["audio_input"],
                motion_frames=4 * motion.shape[2] - 3,
                drop_motion_frames=bool(drop),
                return_dict=False,
            )
        part = f"out_drop{drop}"
        yield part, difference(flow[0], tensors[part]), TRANSFORMER_TOLERANCE


def shapes_of(weights: Tensors, options: Namespace) -> dict[str, Any]:
    """Read a transformer's configuration off its weights, but for the heads, which do not show."""
    injections = sum(name.endswith(".o.weight") for name in weights if "audio_injector.injector." in name)
    dim, in_dim, *patch = weights["patch_embedding.weight"].shape
    encoder = "casual_audio_encoder.encoder"
    return {
        "dim": dim,
        "in_dim": in_dim,
        "patch_size": tuple(patch),
        "ffn_dim": len(weights["blocks.0.ffn.0.weight"]),
        "freq_dim": weights["time_embedding.0.weight"].shape[1],
        "text_dim": weights["text_embedding.0.weight"].shape[1],
        "out_dim": len(weights["head.head.weight"]) // (patch[0] * patch[1] * patch[2]),
        "num_heads": options.heads,
        "num_layers": 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks.")),
        "cond_dim": weights["cond_encoder.weight"].shape[1],
        "audio_dim": weights[f"{encoder}.conv1_local.conv.weight"].shape[1],
        "num_audio_layers": weights["casual_audio_encoder.weights"].shape[1],
        "num_audio_token": len(weights[f"{encoder}.conv1_local.conv.weight"]) // (dim // 4),
        "audio_inject_layers": options.inject_layers or INJECT_LAYERS[injections],
    }


def check_audio(tensors: Tensors, expected: dict[str, Any]) -> Iterator[Part]:
    """Resample the features of every sound, and sort them into frames and clips."""
    sounds = sorted({int(name.split(".")[0]) for name in tensors})
    resampled = {sound: resample(tensors[f"{sound}.feat50"]) for sound in sounds}
    yield "feat30", largest(difference(resampled[n], tensors[f"{n}.feat30"]) for n in sounds), 0.0
    frames = {sound: by_frame(features, FPS, CLIP_FRAMES) for sound, features in resampled.items()}
    yield "bucket", largest(difference(frames[n], tensors[f"{n}.bucket"]) for n in sounds), 0.0
    counts = (
        abs(clips_of(resampled[case["index"]].shape[1], FPS, CLIP_FRAMES) - case["num_clips"])
        for case in expected["audio_bucket"]
    )
    yield "clips", largest(counts), 0.0


def check_sizes(expected: dict[str, Any]) -> Iterator[Part]:
    """Fit every portrait into its area."""
    differences = (
        abs(ours - theirs)
        for case in expected["size_less_than_area"]
        for ours, theirs in zip(
            fitting_size(case["height"], case["width"], case["target_area"]), case["result"], strict=True
        )
    )
    yield "sizes", largest(differences), 0.0


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference of two tensors: infinite where their shapes differ, or one is not a number."""
    if ours.shape != theirs.shape:
        return float("inf")
    return (ours.double() - theirs.double()).abs().nan_to_num(nan=float("inf")).max().item()


def largest(differences: Iterator[float]) -> float:
    """The largest of some differences, which may be none."""
    return max(differences, default=0.0)


def parse() -> Namespace:
    """The command line."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("transformer", type=Path)
    parser.add_argument("audio", type=Path)
    parser.add_argument("counts", type=Path)
    parser.add_argument("--heads", type=int, default=4, help="attention heads, which no shape shows")
    parser.add_argument("--inject-layers", type=int, nargs="+", help="blocks with audio")
    parser.add_argument("--text-length", type=int, default=16, help="text tokens, filled up with zeros")
    return parser.parse_args()


def main() -> None:
    """Print a line for each part; exit with 1 where one does not hold."""
    options = parse()
    try:
        expected = json.loads(options.counts.read_text())
        transformer, audio = load_file(options.transformer), load_file(options.audio)
        parts = [
            *check_transformer(transformer, options),
            *check_audio(audio, expected),
            *check_sizes(expected),
        ]
    except (OSError, SafetensorError, ValueError) as error:
        sys.exit(f"The files cannot be read: {error}")
    except KeyError as error:
        sys.exit(f"The files are not of this layout, which has {error} (see --help).")
    for name, found, allowed in parts:
        verdict = "ok" if found <= allowed else f"differs, at most {allowed:g} is allowed"
        print(f"{name:<10} largest difference {found:.3g}  {verdict}")
    sys.exit(any(found > allowed for _, found, allowed in parts))


if __name__ == "__main__":
    main()
