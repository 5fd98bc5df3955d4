"""Install Wan's models from the Hugging Face hub: ``python scripts/download_wan_models.py --list``."""

from __future__ import annotations

import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from jobs.settings import load_settings
from scripts.build_tiny_models import build_missing
from wan_models.catalog import CATALOG, ModelSpec
from wan_models.models_dir import installed_model, installed_models, model_path
from workers.settings import WorkerSettings


def list_models() -> None:
    """Print the catalog: what there is, how large, and from where."""
    for spec in CATALOG.values():
        note = "" if spec.pipeline else "  (no pipeline in this version)"
        print(f"{spec.id:<12} {spec.disk_gb:>4.0f} GB  {spec.repository}{note}")


def list_installed(models_dir: Path) -> None:
    """Print the complete models of the models directory."""
    found = installed_models(models_dir)
    for model in found.values():
        print(f"{model.task:<12} {model.path}{'  (tiny: paints noise)' if model.tiny else ''}")
    if not found:
        print(f"No complete model in {models_dir / 'wan'}.")


def install(spec: ModelSpec, models_dir: Path) -> None:
    """Download one model into its place. It appears there whole or not at all.

    A download that broke goes on where it stopped: what has come so far is kept beside the place.
    """
    if model := installed_model(models_dir, spec.id):
        tiny = " It is a tiny one: set MODELS_DIR to where the real ones belong." if model.tiny else ""
        print(f"{spec.id} is installed already, in {model.path}.{tiny}")
        return
    if spec.pipeline is None:
        sys.exit(f"This version has no pipeline for {spec.id}, so its weights would be of no use.")
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - slow to import, needed here alone

    target = model_path(models_dir, spec.id)
    if target.exists():
        if not convert(target):
            sys.exit(f"{target} exists but is incomplete. Move it away, then try again.")
        return
    partial = target.with_name(f".{spec.id}.partial")
    snapshot_download(spec.repository, local_dir=partial)
    shutil.rmtree(partial / ".cache", ignore_errors=True)
    convert(partial)
    partial.rename(target)
    print(f"Installed {spec.id} in {target}.")


def convert(folder: Path) -> bool:
    """Convert a folder that is laid out as Wan publishes speech to video. Say whether it was one."""
    if not (folder / "wav2vec2-large-xlsr-53-english").is_dir():
        return False
    from wan_models.pipelines.s2v.original import convert_original  # noqa: PLC0415 - torch comes with it

    print(f"Converting {folder}.")
    convert_original(folder)
    return True


def parse(arguments: Sequence[str]) -> Namespace:
    """The command line: exactly one thing to do."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--models-dir", type=Path, help="default: MODELS_DIR, or the one below DATA_DIR")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--all", action="store_true", help="install every model that this version can run")
    what.add_argument("--model", choices=list(CATALOG), help="install one model")
    what.add_argument("--list", action="store_true", help="list the catalog")
    what.add_argument("--installed", action="store_true", help="list what is installed")
    what.add_argument("--tiny", action="store_true", help="build the tiny models, which need no download")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Do what the command line says."""
    options = parse(arguments)
    models_dir = options.models_dir or load_settings(WorkerSettings).models_path
    if options.list:
        list_models()
    elif options.installed:
        list_installed(models_dir)
    elif options.tiny:
        build_missing(models_dir)
    elif options.model:
        install(CATALOG[options.model], models_dir)
    else:
        for spec in CATALOG.values():
            if spec.pipeline:
                install(spec, models_dir)


if __name__ == "__main__":
    main(sys.argv[1:])
