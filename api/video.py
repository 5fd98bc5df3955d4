"""A finished video as an HTTP answer: whole, in part, or only its headers."""

from __future__ import annotations

from contextlib import closing

from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.conditional import Version, is_known, may_send_range
from api.names import video_filename
from api.ranges import ByteRange, parse_range
from api.refusals import VideoNotReadyError
from jobs.artifact_stream import ArtifactStream
from jobs.artifacts import ArtifactStore
from jobs.state import Job

MEDIA_TYPE = "video/mp4"
# A browser that opens the address itself wraps the video in a page with styles of its own.
_POLICY = "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"


class ArtifactResponse(StreamingResponse):
    """Sends a stream, and lets go of its file or connection however the sending ends."""

    def __init__(self, stream: ArtifactStream, status: int, headers: dict[str, str]) -> None:
        super().__init__(stream, status, headers, media_type=MEDIA_TYPE)
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See Starlette."""
        with closing(self._stream):
            await super().__call__(scope, receive, send)


def video_response(job: Job, artifacts: ArtifactStore, method: str, headers: Headers) -> Response:
    """Answer a GET or HEAD for the video of a job.

    Raises:
        VideoNotReadyError: the job has none.
        UnsatisfiableRangeError: a range was asked for that the video does not have.
        PreconditionFailedError: another version was asked for.
        ArtifactNotFoundError: the file is gone.
    """
    if job.result is None or job.finished_at is None:
        raise VideoNotReadyError(job.id, job.state)
    key, size = job.result["artifact"], job.result["size"]
    version = Version(job.result["sha256"], int(job.finished_at))
    common = _headers(job, version)
    if is_known(headers, version):
        return Response(status_code=304, headers=common)
    part = _part(method, headers, version, size)
    if part:
        common["content-range"] = part.content_range
    common["content-length"] = str(part.length if part else size)
    status = 206 if part else 200
    if method == "HEAD":
        return Response(status_code=status, headers=common, media_type=MEDIA_TYPE)
    stream = artifacts.read(key, part.first, part.last) if part else artifacts.read(key)
    return ArtifactResponse(stream, status, common)


def _part(method: str, headers: Headers, version: Version, size: int) -> ByteRange | None:
    """The range to send. Range is defined for GET alone (RFC 9110, section 14.2)."""
    if method != "GET" or not may_send_range(headers, version):
        return None
    return parse_range(headers.get("range"), size)


def _headers(job: Job, version: Version) -> dict[str, str]:
    return {
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",  # kept, but asked about each time: it can be deleted
        "content-disposition": f'inline; filename="{video_filename(job.id)}"',
        "content-security-policy": _POLICY,
        "etag": version.etag,
        "last-modified": version.last_modified,
    }
