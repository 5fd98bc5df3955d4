"""What the gateway itself refuses, as sentences. errors.py gives them their HTTP statuses."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.limits import Allowance
from routing.route import Route


class RefusedError(Exception):
    """Base of what a request can get wrong before any other room sees it."""


class KeyRequiredError(RefusedError):
    """The request has no API key, and this service asks for one."""

    def __init__(self) -> None:
        super().__init__("Send your API key: Authorization: Bearer wk_…")


class InvalidKeyError(RefusedError):
    """The API key is unknown or revoked."""

    def __init__(self) -> None:
        super().__init__("The API key is not valid: it is mistyped, revoked, or another service's.")


class ScopeMissingError(RefusedError):
    """The API key does not allow this. ``scope`` is the one it lacks."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"The API key does not have the scope `{scope}`, which this takes.")
        self.scope = scope


class TooManyRequestsError(RefusedError):
    """The key has made as many requests as its tenant may."""

    def __init__(self, allowance: Allowance) -> None:
        super().__init__(
            f"This key may make {allowance.limit} requests a minute. "
            f"Try again in {allowance.retry_seconds} seconds."
        )
        self.allowance = allowance


class UnknownHostError(RefusedError):
    """Without a key, the service is served under its own names alone."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"{host or 'No name'} is no name of this service. "
            "Set PUBLIC_URL to the address that it has, or make API keys."
        )


class UnsupportedMediaTypeError(RefusedError):
    """The body is not declared as something that is taken here; ``accepted`` is what is."""

    def __init__(self, content_type: str, accepted: Sequence[str] = ("application/json",)) -> None:
        super().__init__(
            f"The body is declared as {content_type[:80] or 'nothing'}; "
            f"send it as {' or '.join(accepted)}, text in UTF-8."
        )
        self.accepted = accepted


class CompressedBodyError(RefusedError):
    """The body is compressed, or encoded otherwise."""

    def __init__(self, encoding: str) -> None:
        super().__init__(f"The body is encoded as {encoding[:80]}; send it as it is.")


class MalformedRequestError(RefusedError):
    """What came is no HTTP request."""

    def __init__(self, why: str) -> None:
        super().__init__(why)


class MalformedJsonError(RefusedError):
    """The body is no JSON document, or one that readers would understand in different ways."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The body is not valid JSON: {why}.")


class MalformedFormError(RefusedError):
    """The body is no form, or one with too many parts."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The body is not a valid form: {why.rstrip('.')}.")


class HeadTooSlowError(RefusedError):
    """What a connection wants did not come in time."""

    def __init__(self) -> None:
        super().__init__("The head of the request took too long to arrive.")


class BodyTooSlowError(RefusedError):
    """The body did not come in time."""

    def __init__(self) -> None:
        super().__init__("The body took too long to arrive.")


class BodyTooLargeError(RefusedError):
    """The body is larger than any valid request."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than the {limit} bytes allowed here.")


class RepeatedParameterError(RefusedError):
    """A query parameter comes more than once. ``field`` is its name."""

    def __init__(self, field: str) -> None:
        self.field = field[:64]
        self.message = "It was sent twice."
        super().__init__(f"{self.field}: {self.message}")


class PresignUnavailableError(RefusedError):
    """Files are kept where clients cannot write directly."""

    def __init__(self) -> None:
        super().__init__("This service takes no direct uploads; send the file to POST /uploads.")


class ModelNotFoundError(RefusedError):
    """No installed model has this id."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no model {name} here; GET /v1/models lists those that there are.")


class NotOfferedError(RefusedError):
    """OpenAI's API has this; no Wan model can do it."""

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(f"{what} are not offered: no model here makes them. {instead}")


class BatchNotFoundError(RefusedError):
    """There is no such batch, or no job of it any more."""

    def __init__(self, batch_id: str) -> None:
        super().__init__(f"There is no batch {batch_id}.")


class VideoNotFoundError(RefusedError):
    """No video has this file name."""

    def __init__(self, filename: str) -> None:
        super().__init__(f"There is no video {filename}.")


class PreviewNotFoundError(RefusedError):
    """No picture was taken of the job behind this step."""

    def __init__(self, job_id: str, step: int) -> None:
        super().__init__(f"There is no picture of job {job_id} behind step {step}.")


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
    """A page of another site called, and no key says that it may."""

    def __init__(self, origin: str) -> None:
        super().__init__(f"Pages of {origin} may not call this service. CORS_ORIGINS lists those that may.")


class UnroutableError(RefusedError):
    """Nothing here can do what a query asks for. ``route`` says what that would take."""

    def __init__(self, route: Route) -> None:
        super().__init__(route.reason)
        self.route = route


class NeighbourRefusedError(RefusedError):
    """A neighbouring service does not take what the client sent. ``said`` are its own words."""

    def __init__(self, service: str, said: str) -> None:
        super().__init__(f"The {service} service refused the request: {said}")


class NeighbourFailedError(RefusedError):
    """A neighbouring service answers, but not as it should."""

    def __init__(self, service: str, how: str) -> None:
        super().__init__(f"The {service} service failed: {how}.")
