"""What the gateway itself refuses, as sentences. errors.py gives them their HTTP statuses."""


class RefusedError(Exception):
    """Base of what a request can get wrong before any other room sees it."""


class UnsupportedMediaTypeError(RefusedError):
    """The body is not declared as JSON."""

    def __init__(self, content_type: str) -> None:
        super().__init__(f"The body is declared as {content_type or 'nothing'}; send it as application/json.")


class MalformedJsonError(RefusedError):
    """The body is no JSON document, or one that readers would understand in different ways."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The body is not valid JSON: {why}.")


class BodyTooLargeError(RefusedError):
    """The body is larger than any valid request."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than the {limit} bytes allowed here.")


class VideoNotFoundError(RefusedError):
    """No video has this file name."""

    def __init__(self, filename: str) -> None:
        super().__init__(f"There is no video {filename}.")


class VideoNotReadyError(RefusedError):
    """The job of this name has no video, or not yet. ``state`` is the job's."""

    def __init__(self, job_id: str, state: str) -> None:
        super().__init__(f"Job {job_id} is {state}; it has no video.")


class JobActiveError(RefusedError):
    """The job has not ended, so that what belongs to it cannot be deleted. ``state`` is the job's."""

    def __init__(self, job_id: str, state: str) -> None:
        super().__init__(f"Job {job_id} is {state}. Cancel it first: POST /jobs/{job_id}/cancel.")


class PreconditionFailedError(RefusedError):
    """If-Match or If-Unmodified-Since names another version of the file."""

    def __init__(self) -> None:
        super().__init__("The file is not the version that the request was made for.")


class ForeignOriginError(RefusedError):
    """A page of another site opened a WebSocket."""

    def __init__(self, origin: str) -> None:
        super().__init__(f"Pages of {origin} may not open a WebSocket here.")
