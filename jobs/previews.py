"""Where the pictures of unfinished videos lie in the artifact store."""

from __future__ import annotations


def preview_key(job_id: str, step: int) -> str:
    """Where the picture that was taken behind a step lies, such as ``<job>/preview/20.jpg``."""
    return f"{job_id}/preview/{step}.jpg"
