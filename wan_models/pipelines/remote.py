"""A pipeline without weights: another server makes the videos, and this one asks it how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import httpx

from wan_models.engines import RemoteEngine
from wan_models.errors import EngineUnavailableError, GenerationError, GenerationStoppedError
from wan_models.pipeline import EncodedVideo, GeneratedVideo, Run
from wan_models.pipelines.dialects import creation
from wan_models.request import VideoRequest

_TIMEOUT = httpx.Timeout(60, connect=10)
_POLL_SECONDS = 1.0
_LONGEST_WAIT = 30.0
_TRIES = 8  # in a row that get no answer
_BUSY = frozenset({429, 502, 503, 504})
_MAX_BYTES = 1 << 30
_NOT_FOUND, _BAD_REQUEST = 404, 400
_SNIPPET_CHARACTERS = 300

Wait = Callable[[float], object]


class RemotePipeline:
    """Sends requests to an engine.

    Args:
        engine: the server.
        wait: waits so many seconds.
    """

    def __init__(self, engine: RemoteEngine, wait: Wait = time.sleep) -> None:
        self._engine = engine
        self._wait = wait

    def generate(self, request: VideoRequest, run: Run) -> GeneratedVideo:
        """Make one video; see the Pipeline protocol.

        The steps are those that the engine's percentage stands for. The video's name on the engine is kept as
        the run's checkpoint: another attempt waits for the same video instead of asking for another one.

        Raises:
            EngineUnavailableError: the engine cannot be reached, or forgot the video.
        """
        if request.loras:
            raise GenerationError(
                f"{self._engine.dialect}, which serves {request.task} here, has no adapters."
            )
        key = self._engine.key
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        started = time.perf_counter()
        with httpx.Client(base_url=f"{self._engine.url}/v1", headers=headers, timeout=_TIMEOUT) as client:
            conversation = _Conversation(client, self._engine, request, run, self._wait)
            told = conversation.make()
            content = conversation.content(told)
        return GeneratedVideo(
            _read(content), _metrics(told, request, time.perf_counter() - started, self._engine)
        )


class _Conversation:
    """What is said about one video."""

    def __init__(
        self, client: httpx.Client, engine: RemoteEngine, request: VideoRequest, run: Run, wait: Wait
    ) -> None:
        self._client = client
        self._engine = engine
        self._request = request
        self._run = run
        self._wait = wait
        self._step = 0

    def make(self) -> dict[str, Any]:
        """Have the video made, or wait for an earlier attempt's; what the engine tells of it at its end."""
        name = self._resumed() or self._create()
        try:
            while True:
                answer = self._ask("GET", f"/videos/{name}")
                told = self._told(answer)
                self._report(told)
                if told.get("status") == "completed":
                    return told
                self._wait(_pause(answer))
        except GenerationStoppedError as stop:
            if not (stop.goes_on and self._run.checkpoints):
                with suppress(httpx.HTTPError):
                    self._client.delete(f"/videos/{name}")
            raise

    def content(self, told: dict[str, Any]) -> bytes:
        """The file. SGLang, when it has put it elsewhere, tells only where."""
        answer = self._ask("GET", f"/videos/{told['id']}/content")
        elsewhere = str(told.get("url") or "")
        if answer.status_code == _BAD_REQUEST and elsewhere.startswith(("http://", "https://")):
            with self._reaching():
                answer = httpx.get(elsewhere, timeout=_TIMEOUT)  # without the key, which is the engine's
        if not answer.is_success:
            raise GenerationError(
                f"The engine does not give its video ({answer.status_code}): {_said(answer, self._request)}"
            )
        if len(answer.content) > _MAX_BYTES:
            raise GenerationError("The engine's video is too large.")
        return answer.content

    def _create(self) -> str:
        arguments = creation(self._engine, self._request, self._run.inputs)
        answer = self._ask("POST", "/videos", **arguments)
        if not answer.is_success:
            raise GenerationError(
                f"The engine refuses the request ({answer.status_code}): {_said(answer, self._request)}"
            )
        name = str(_json(answer).get("id") or "")
        if not name.replace("-", "").replace("_", "").isalnum():
            raise GenerationError("The engine does not say how its video is called.")
        if checkpoints := self._run.checkpoints:
            text = f"{checkpoints.fingerprint}\n{name}\n"
            checkpoints.save(0, lambda path: _write(path, text))
        return name

    def _resumed(self) -> str | None:
        """The video that an earlier attempt asked for, if the engine knows it still."""
        checkpoints = self._run.checkpoints
        path = checkpoints.resume() if checkpoints else None
        if checkpoints is None or path is None:
            return None
        fingerprint, _, name = path.read_text(encoding="utf-8", errors="replace").strip().partition("\n")
        if fingerprint != checkpoints.fingerprint:
            return None
        return name if self._ask("GET", f"/videos/{name}").is_success else None

    def _told(self, answer: httpx.Response) -> dict[str, Any]:
        """The video's state. vLLM-Omni tells of a failed one with the status of an error."""
        told = _json(answer)
        if answer.status_code == _NOT_FOUND:
            raise EngineUnavailableError("The engine has forgotten the video; it was started anew.")
        if not answer.is_success or told.get("status") in ("failed", "cancelled", "deleted"):
            raise GenerationError(f"The engine failed: {_said(answer, self._request)}")
        return told

    def _report(self, told: dict[str, Any]) -> None:
        """Pass on how far it is. Also without news: that is how a run learns that it is to stop."""
        progress = told.get("progress")
        percent = min(max(float(progress), 0), 100) if isinstance(progress, int | float) else 0
        done = told.get("status") == "completed"
        steps = self._request.sample_steps
        self._step = max(self._step, steps if done else int(steps * percent / 100))
        self._run.on_step(self._step, steps)

    def _ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """One answer, however often it takes; while the engine is busy, for as long as the job may run."""
        failures = 0
        while True:
            try:
                answer = self._client.request(method, path, **arguments)
            except httpx.TransportError as error:
                failures += 1
                if failures == _TRIES:
                    raise EngineUnavailableError(
                        f"The engine at {self._engine.url} cannot be reached: {type(error).__name__}."
                    ) from None
                pause = min(2.0**failures / 4, _LONGEST_WAIT)
            else:
                if answer.status_code not in _BUSY:
                    return answer
                pause = _pause(answer)
            self._run.on_step(self._step, self._request.sample_steps)
            self._wait(pause)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            raise EngineUnavailableError(
                f"The engine's video cannot be fetched: {type(error).__name__}."
            ) from None


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _pause(answer: httpx.Response) -> float:
    """Seconds until the next question, as the engine would have it."""
    after_ms, after = (answer.headers.get(name, "") for name in ("openai-poll-after-ms", "Retry-After"))
    if after_ms.isdecimal():
        return min(int(after_ms) / 1000, _LONGEST_WAIT)
    return min(float(after), _LONGEST_WAIT) if after.isdecimal() else _POLL_SECONDS


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        value = answer.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _said(answer: httpx.Response, request: VideoRequest) -> str:
    """What an engine says went wrong, in OpenAI's shape, FastAPI's, or none. Prompts are not repeated."""
    told = _json(answer)
    error = told.get("error") or told.get("detail") or told.get("message")
    text = error.get("message") if isinstance(error, dict) else error
    said = str(text or answer.text)
    for prompt in filter(None, (request.prompt, request.negative_prompt)):
        said = said.replace(prompt, "[prompt]")
    return said[:_SNIPPET_CHARACTERS]


def _read(content: bytes) -> EncodedVideo:
    try:
        with av.open(BytesIO(content), "r") as container:
            stream = container.streams.video[0]
            frames = sum(1 for _ in container.decode(stream))
            return EncodedVideo(content, (frames, stream.height, stream.width, 3))
    except (av.error.FFmpegError, IndexError, ValueError):
        raise GenerationError("What the engine made is no video.") from None


def _metrics(
    told: dict[str, Any], request: VideoRequest, seconds: float, engine: RemoteEngine
) -> dict[str, Any]:
    denoise = told.get("inference_time_s")
    spent = float(denoise) if isinstance(denoise, int | float) else seconds
    return {
        "denoise_seconds": spent,
        "decode_seconds": 0.0,
        "seconds_per_step": spent / request.sample_steps,
        "resumed_step": 0,
        "peak_memory_mb": told.get("peak_memory_mb"),
        "engine": engine.dialect,
        "acceleration": {},
    }
