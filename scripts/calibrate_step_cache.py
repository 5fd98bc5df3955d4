"""Measure a model for STEP_CACHE=magcache: ``python -m scripts.calibrate_step_cache --model t2v-A14B``.

It makes one video, which takes as long as any other, and keeps how much the model's blocks added at each of
its steps, in the model's folder. Workers that load the model after that leave steps out by it.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from diffusers import WanImageToVideoPipeline, WanPipeline

from jobs.settings import load_settings
from scripts import sample_inputs
from wan_models.bodies import ImageToVideo, TextToVideo, VideoBody
from wan_models.catalog import CATALOG
from wan_models.errors import ModelNotInstalledError, ModelsError
from wan_models.models_dir import InstalledModel, installed_model
from wan_models.options import MAGNITUDES, PipelineOptions
from wan_models.pipeline import Run
from wan_models.pipelines.arguments import guidance_arguments, text_arguments
from wan_models.pipelines.engine import Engine
from wan_models.pipelines.image_to_video import image_arguments
from wan_models.pipelines.magnitudes import write_curves
from wan_models.pipelines.memory import bytes_each, free_bytes, has_gpu
from wan_models.pipelines.meter import measure
from wan_models.plan import Plan, choose_plan
from wan_models.request import VideoRequest, resolve
from wan_models.weights import part_sizes
from workers.settings import WorkerSettings

_PIPELINES: dict[str, Any] = {
    "t2v-A14B": WanPipeline,
    "i2v-A14B": WanImageToVideoPipeline,
    "ti2v-5B": WanPipeline,
}
_PROMPT = "A woman walks along a busy street at dusk, and the camera follows her past lit windows"


def calibrate(models_dir: Path, options: Namespace) -> Path:
    """Measure a model and keep what was found.

    Returns:
        The file.

    Raises:
        ModelsError: the model is not installed, does not fit, or cannot make what is asked for.
    """
    model = installed_model(models_dir, options.model)
    if model is None:
        raise ModelNotInstalledError(options.model)
    request = resolve(_body(options), CATALOG[model.task], tiny=model.tiny)
    engine = Engine(_PIPELINES[model.task], model.path, PipelineOptions(plan=_plan(model)))
    with TemporaryDirectory(prefix="wanserve-calibrate-") as folder:
        arguments = _arguments(request, options.image or _sample(Path(folder)))
        curves = measure(engine, request, arguments, _show)
    write_curves(model.path, curves)
    return model.path / MAGNITUDES


def _body(options: Namespace) -> VideoBody:
    asked = {"task": options.model, "prompt": options.prompt, "base_seed": 42}
    chosen = {"size": options.size, "frame_num": options.frames, "sample_steps": options.steps}
    if options.model == "i2v-A14B":
        return ImageToVideo.model_validate(asked | chosen | {"image_path": "as given"})
    return TextToVideo.model_validate(asked | chosen)


def _arguments(request: VideoRequest, image: Path) -> dict[str, Any]:
    if request.task == "i2v-A14B":
        return image_arguments(request, Run(on_step=_show, inputs={"image": image}))
    return text_arguments(request) | guidance_arguments(request) | {"num_frames": request.frame_num}


def _sample(folder: Path) -> Path:
    path = folder / "image.png"
    path.write_bytes(sample_inputs.portrait(512, 512))
    return path


def _plan(model: InstalledModel) -> Plan:
    if not has_gpu():
        return Plan.RESIDENT
    working = int(CATALOG[model.task].working_gb * 1e9)
    return choose_plan(part_sizes(model.path, bytes_each()), working, free_bytes())


def _show(step: int, steps: int) -> None:
    print(f"\rStep {step} of {steps}", end="\n" if step == steps else "", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says.

    Returns:
        The exit status: 0 if it is done.
    """
    parser = ArgumentParser(
        prog="python -m scripts.calibrate_step_cache",
        description=__doc__,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", choices=list(_PIPELINES), required=True)
    parser.add_argument("--models-dir", type=Path, help="default: MODELS_DIR, or the one below DATA_DIR")
    parser.add_argument("--prompt", default=_PROMPT)
    parser.add_argument("--image", type=Path, help="first frame for i2v-A14B (default: a slope of colour)")
    parser.add_argument("--size", help="default: the model's first")
    parser.add_argument("--frames", type=int, help="default: the model's own")
    parser.add_argument("--steps", type=int, help="default: the model's own")
    options = parser.parse_args(arguments)
    models_dir = options.models_dir or load_settings(WorkerSettings).models_path
    try:
        print(f"Kept in {calibrate(models_dir, options)}. Workers go by it once they load the model anew.")
    except (ModelsError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
