"""``wanserve generate``."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from scripts.cli.api_client import ApiClient, pass_api
from scripts.cli.progress import show_until_final

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _saved_in(_: click.Context, __: click.Parameter, file: Path | None) -> Path | None:
    """Told before a GPU has worked for it for minutes."""
    if file and not os.access(file.absolute().parent, os.W_OK):
        raise click.BadParameter(f"Nothing can be saved in {file.absolute().parent}.")
    return file


@click.command()
@click.argument("prompt")
@click.option("--task", help="Model; by default the one that fits what is given, see `wanserve models`.")
@click.option("--image", type=_FILE, help="Picture to begin with, or the portrait that speaks.")
@click.option("--audio", type=_FILE, help="Speech for a portrait.")
@click.option("--say", metavar="TEXT", help="What a portrait says, in a voice made for it.")
@click.option("--size", help="Width and height, such as 1280x720.")
@click.option("--frames", "frame_num", type=int, help="Frames of the video, 4n+1.")
@click.option("--steps", "sample_steps", type=int, help="Denoising steps.")
@click.option("--seed", "base_seed", type=int, help="The same seed gives the same video.")
@click.option("--negative", "negative_prompt", help="What to avoid.")
@click.option("--priority", type=click.Choice(["high", "normal", "low"]))
@click.option("--wait/--no-wait", default=None, help="Stay until the video is there; -o means --wait.")
@click.option(
    *("-o", "--output"),
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_saved_in,
    help="Save the video here.",
)
@pass_api
def generate(
    api: ApiClient,
    /,
    *,
    prompt: str,
    image: Path | None,
    audio: Path | None,
    say: str | None,
    wait: bool | None,
    output: Path | None,
    **fields: Any,
) -> None:
    """Make a video of PROMPT.

    With --image the video begins with that picture; with --audio or --say as well, the person in it speaks.
    """
    if output and wait is False:
        raise click.UsageError("-o waits for the video, and --no-wait does not: leave one of them out.")
    given = {name: value for name, value in fields.items() if value is not None}
    if say:
        given |= {"enable_tts": True, "tts_text": say}
    kind = _kind(image, audio, say, given.get("task"))
    job = _submit(api, f"/generate/{kind}", {"prompt": prompt, **given}, {"image": image, "audio": audio})
    click.echo(f"{job['id']}  {job['task']}  {job['status']}", err=True)
    if not (wait or output):
        click.echo(job["id"])
        return
    job = show_until_final(api, job)
    if output:
        api.download(job["video_path"], output)
    click.echo(output or job["video_url"])


def _kind(image: Path | None, audio: Path | None, say: str | None, task: object) -> str:
    if audio or say:
        if image is None:
            raise click.UsageError("Speech needs a portrait: --image FILE.")
        return "speech-to-video"
    if image is None:
        return "text-to-video"
    return "text-image-to-video" if task == "ti2v-5B" else "image-to-video"


def _submit(
    api: ApiClient, path: str, fields: dict[str, Any], files: dict[str, Path | None]
) -> dict[str, Any]:
    with ExitStack() as stack:
        opened = {name: stack.enter_context(file.open("rb")) for name, file in files.items() if file}
        # A form carries files beside the fields; its values are strings, booleans written as in JSON.
        form = {name: str(value).lower() if value is True else str(value) for name, value in fields.items()}
        arguments: dict[str, Any] = {"data": form, "files": opened} if opened else {"json": fields}
        job: dict[str, Any] = api.request("POST", path, **arguments)
        return job
