"""The service as the command line sees it: requests whose failures are sentences."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import click
import httpx

FINAL = frozenset({"completed", "failed", "cancelled", "expired"})
_POLL_SECONDS = 0.3
_PATIENCE_SECONDS = 60.0  # for a service that restarts while a job is watched


class AwayError(click.ClickException):
    """The service does not answer, or not just now. Asking again may help."""


class ApiClient:
    """Speaks to one service. Every failure is a ClickException that says what to do."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url.rstrip("/")
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=httpx.Timeout(60, connect=5))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def request(self, method: str, path: str, **arguments: Any) -> Any:
        """Send a request and read the JSON of its answer."""
        try:
            answer = self._http.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise AwayError(
                f"{self.url} does not answer ({error}). Start it with `wanserve up`, or name another "
                "with --url or WANSERVE_URL."
            ) from error
        if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise AwayError(_explain(answer))
        if answer.is_error:
            raise click.ClickException(_explain(answer))
        return answer.json() if answer.content else None

    def job(self, job_id: str) -> dict[str, Any]:
        """A job as it is now."""
        found: dict[str, Any] = self.request("GET", job_path(job_id))
        return found

    def follow(self, job_id: str) -> Iterator[dict[str, Any]]:
        """The job again and again until it has ended; a service that is away for a while is waited for."""
        silent_since = None
        while True:
            try:
                job = self.job(job_id)
            except AwayError:
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > _PATIENCE_SECONDS:
                    raise
            else:
                silent_since = None
                yield job
                if job["status"] in FINAL:
                    return
            time.sleep(_POLL_SECONDS)

    def download(self, path: str, file: Path) -> None:
        """Save what the service has there. The file appears whole or not at all."""
        part = file.with_name(f".{file.name}.part")
        try:
            with self._stream(path) as answer, part.open("wb") as output:
                for chunk in answer.iter_bytes():
                    output.write(chunk)
            part.replace(file)
        except (httpx.HTTPError, OSError) as error:
            raise click.ClickException(f"{path} cannot be saved as {file}: {error}") from error
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def _stream(self, path: str) -> Iterator[httpx.Response]:
        with self._http.stream("GET", path, follow_redirects=True) as answer:
            if answer.is_error:
                answer.read()
                raise click.ClickException(_explain(answer))
            yield answer


def job_path(job_id: str) -> str:
    """Where the service has a job, whatever somebody typed as its id."""
    # Dots alone would be taken for a way up, quoted or not.
    return f"/jobs/{quote(job_id, safe='').replace('.', '%2E')}"


def _explain(answer: httpx.Response) -> str:
    """The service's own words for what is wrong."""
    try:
        problem: Mapping[str, Any] = answer.json()
        detail, faults = str(problem["detail"]), problem.get("errors", [])
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            return f"{detail}\n  Name it with --key or WANSERVE_API_KEY."
        more = [f"{one['field']}: {one['message']}" for one in faults if one["message"] not in detail]
        return "\n  ".join([detail, *more])
    except (ValueError, KeyError, TypeError):
        return f"The service answered {answer.status_code} {answer.reason_phrase}."


pass_api = click.make_pass_decorator(ApiClient)
"""Hands a command the client that the group made."""
