"""Speech by a service that speaks OpenAI's ``/v1/audio/speech``.

A voice is cloned by the fields ``ref_audio`` and ``ref_text``, as vLLM-Omni's speech API names them, which
serves CosyVoice among others.
"""

from __future__ import annotations

import json
from base64 import b64encode
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from wan_models.speech import SpeechError, SpeechUnavailableError, VoiceSample

_SECONDS = 120.0
_MAX_BYTES = 64 * 1024 * 1024
_SNIPPET_CHARACTERS = 300
_OK, _TOO_MANY, _SERVER_FAULT = 200, 429, 500


class ServiceSpeaker:
    """Sends texts to a speech service.

    Args:
        url: the service's address, with or without ``/v1``.
        key: its API key, None for a service that takes none.
        model: the model to ask for; None leaves the choice to the service.
        voice: the voice to ask for where there is no sample; None leaves it to the service.
    """

    def __init__(
        self, url: str, *, key: str | None = None, model: str | None = None, voice: str | None = None
    ) -> None:
        self._address = urlsplit(url.rstrip("/").removesuffix("/v1"))
        self._key = key
        self._model = model
        self._voice = voice

    def speak(self, text: str, target: Path, sample: VoiceSample | None = None) -> None:
        """Write what the service answers; see the Speaker protocol."""
        try:
            status, answer = self._post(json.dumps(self._body(text, sample)).encode())
        except (OSError, HTTPException) as error:
            raise SpeechUnavailableError(
                f"The speech service cannot be reached: {type(error).__name__}."
            ) from error
        if status == _TOO_MANY or status >= _SERVER_FAULT:
            raise SpeechUnavailableError(f"The speech service is not able to answer now (status {status}).")
        if status != _OK:
            said = answer.decode(errors="replace")[:_SNIPPET_CHARACTERS]
            raise SpeechError(f"The speech service refused the text (status {status}): {said}")
        if len(answer) > _MAX_BYTES:
            raise SpeechError("The speech service answered with more sound than a video can hold.")
        target.write_bytes(answer)

    def _body(self, text: str, sample: VoiceSample | None) -> dict[str, str]:
        body = {"model": self._model, "input": text, "response_format": "wav"}
        if sample:
            sound = b64encode(sample.audio.read_bytes()).decode()
            body |= {"ref_audio": f"data:audio/wav;base64,{sound}", "ref_text": sample.text}
        else:
            body["voice"] = self._voice
        return {name: value for name, value in body.items() if value is not None}

    def _post(self, body: bytes) -> tuple[int, bytes]:
        """One request; a redirect is an answer like any other, so that the key goes nowhere else."""
        kind = HTTPSConnection if self._address.scheme == "https" else HTTPConnection
        connection = kind(self._address.hostname or "", self._address.port, timeout=_SECONDS)
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            connection.request("POST", f"{self._address.path}/v1/audio/speech", body, headers)
            response = connection.getresponse()
            return response.status, response.read(_MAX_BYTES + 1)
        finally:
            connection.close()
