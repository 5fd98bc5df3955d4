"""Install Wan's models from the Hugging Face hub: ``python scripts/download_wan_models.py --list``."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from jobs.settings import explain, load_settings
from scripts.build_tiny_models import build_missing
from scripts.models.errors import InstallError
from scripts.models.hub import Hub, HubSettings
from scripts.models.install import Installer
from scripts.models.progress import ProgressBar
from scripts.models.verify import damaged_files
from wan_models.catalog import CATALOG, ModelSpec
from wan_models.manifest import Manifest
from wan_models.models_dir import InstalledModel, installed_models, model_path
from workers.settings import WorkerSettings

_INTERRUPTED = 130  # as shells say it of Ctrl-C


def list_models() -> None:
    """Print the catalog: what there is, how large, and from where."""
    for spec in CATALOG.values():
        note = "" if spec.pipeline else "  (no pipeline in this version)"
        print(f"{spec.id:<12} {spec.disk_gb:>4.0f} GB  {spec.repository}{note}")


def list_installed(models_dir: Path) -> None:
    """Print the complete models of the models directory."""
    found = installed_models(models_dir)
    for model in found.values():
        print(f"{model.task:<12} {model.path}{_note(model)}")
    if not found:
        print(f"No complete model in {models_dir / 'wan'}.")


def _note(model: InstalledModel) -> str:
    if model.tiny:
        return "  (tiny: paints noise)"
    if not model.verified:
        return "  (copied by hand: its files were never compared with the hub's)"
    manifest = Manifest.read(model.path)
    return f"  ({manifest.dtype or 'as published'}, {manifest.repository}@{(manifest.commit or '-')[:12]})"


def verify(models_dir: Path) -> bool:
    """Read every model that we installed again. Say whether all are as they were."""
    folders = [path for task in CATALOG if Manifest.read(path := model_path(models_dir, task)).files]
    faults = {}
    with ProgressBar() as bar:
        for folder in folders:
            bar.begin(folder.name, sum(entry.size for entry in Manifest.read(folder).files.values()))
            faults[folder.name] = damaged_files(folder, bar.advance)
    for task, damaged in faults.items():
        print(f"{task:<12} {'damaged: ' + ', '.join(damaged) if damaged else 'as installed'}")
        if damaged:
            print(f"Repair it with: python scripts/download_wan_models.py --model {task}")
    if not folders:
        print(f"No model in {models_dir / 'wan'} has a record of its files.")
    return not any(faults.values())


def install(specs: Sequence[ModelSpec], models_dir: Path, dtype: str | None) -> None:
    """Install models one after another.

    Raises:
        InstallError: one of them cannot be installed.
    """
    with Hub(HubSettings()) as hub, ProgressBar() as bar:
        installer = Installer(models_dir, hub, bar, "bf16" if dtype else None)
        for spec in specs:
            installer.install(spec)


def parse(arguments: Sequence[str]) -> Namespace:
    """The command line: exactly one thing to do."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--models-dir", type=Path, help="default: MODELS_DIR, or the one below DATA_DIR")
    parser.add_argument(
        "--dtype",
        choices=["bf16"],
        help="keep weights in bfloat16, in about half the disk; what a GPU computes stays the same",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--all", action="store_true", help="install every model that this version can run")
    what.add_argument("--model", choices=list(CATALOG), help="install one model, or repair it")
    what.add_argument("--list", action="store_true", help="list the catalog")
    what.add_argument("--installed", action="store_true", help="list what is installed")
    what.add_argument("--verify", action="store_true", help="compare every file with what was installed")
    what.add_argument("--tiny", action="store_true", help="build the tiny models, which need no download")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says.

    Returns:
        The exit status: 0 if it is done.
    """
    options = parse(arguments)
    models_dir = options.models_dir or load_settings(WorkerSettings).models_path
    if options.list:
        list_models()
    elif options.installed:
        list_installed(models_dir)
    elif options.verify:
        return 0 if verify(models_dir) else 1
    elif options.tiny:
        build_missing(models_dir)
    else:
        specs = [CATALOG[options.model]] if options.model else [s for s in CATALOG.values() if s.pipeline]
        return _install(specs, models_dir, options.dtype)
    return 0


def _install(specs: Sequence[ModelSpec], models_dir: Path, dtype: str | None) -> int:
    try:
        install(specs, models_dir, dtype)
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1
    except ValidationError as error:
        print(explain(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. The same command goes on where it was.", file=sys.stderr)
        return _INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
