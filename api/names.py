"""How jobs and their videos are named."""

from __future__ import annotations

import re

from ulid import ULID

from api.refusals import VideoNotFoundError
from jobs.errors import JobNotFoundError

_JOB_ID = "job_[0-9a-hjkmnp-tv-z]{26}"
JOB_ID_PATTERN = f"^{_JOB_ID}$"
_SUFFIX = ".mp4"


def new_job_id() -> str:
    """A fresh id; ids sort by the time they were made, to the millisecond.

    Source: https://github.com/ulid/spec, in lower case.
    """
    return f"job_{ULID()}".lower()


def check_job_id(text: str) -> str:
    """Return the id when it is one of ours.

    Raises:
        JobNotFoundError: it cannot be the id of any job, so that no store need be asked.
    """
    if not re.fullmatch(_JOB_ID, text):
        raise JobNotFoundError(text[:64])
    return text


def video_filename(job_id: str) -> str:
    """The file name that a job's video is served under."""
    return f"{job_id}{_SUFFIX}"


def video_path(job_id: str) -> str:
    """The path that a job's video is served at."""
    return f"/videos/{video_filename(job_id)}"


def preview_path(job_id: str, step: int) -> str:
    """The path that a picture of an unfinished video is served at."""
    return f"/jobs/{job_id}/previews/{step}"


def job_of_video(filename: str) -> str:
    """The id of the job that a video's file name belongs to.

    Raises:
        VideoNotFoundError: it is no such name.
    """
    job_id = filename.removesuffix(_SUFFIX)
    if job_id == filename or not re.fullmatch(_JOB_ID, job_id):
        raise VideoNotFoundError(filename[:64])
    return job_id
