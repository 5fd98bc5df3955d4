"""The files that a run needs: the client's inputs, and the speech that is made of its text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from jobs.artifacts import ArtifactStore
from jobs.errors import ArtifactNotFoundError
from jobs.inputs import input_key, local_inputs
from jobs.scratch import scratch
from wan_models.request import VideoRequest
from wan_models.speech import Speaker, VoiceSample

_VOICE = "tts_prompt"


class JobInputs:
    """Brings inputs to the worker.

    Args:
        artifacts: where the client's inputs lie.
        speaker: speaks the texts of requests that come without a sound.
    """

    def __init__(self, artifacts: ArtifactStore, speaker: Speaker) -> None:
        self._artifacts = artifacts
        self._speaker = speaker

    @contextmanager
    def of(self, job_id: str, request: VideoRequest) -> Iterator[Mapping[str, Path]]:
        """Local copies of a job's inputs, by their names, for as long as the context lasts.

        Speech is made once for a job and then kept with its inputs: an attempt that goes on where another
        one was stopped needs the very same sound.

        Raises:
            SpeechUnavailableError: the text cannot be spoken now.
            SpeechError: the text cannot be spoken at all.
            ArtifactNotFoundError: an input is gone.
            ArtifactStoreUnavailableError: the store cannot be reached.
        """
        keys = {
            name: key for name, key in request.inputs.items() if name != _VOICE
        }  # which is for the speaker
        if request.tts_text is not None:
            keys["audio"] = input_key(job_id, "speech", "wav")
            if not self._is_stored(keys["audio"]):
                self._speak(request, request.tts_text, keys["audio"])
        with local_inputs(self._artifacts, keys) as files:
            yield files

    def _is_stored(self, key: str) -> bool:
        try:
            self._artifacts.stat(key)
        except ArtifactNotFoundError:
            return False
        return True

    def _speak(self, request: VideoRequest, text: str, key: str) -> None:
        samples = {name: key for name, key in request.inputs.items() if name == _VOICE}
        with (
            local_inputs(self._artifacts, samples) as files,
            scratch("speech") as folder,
        ):
            audio = files.get(_VOICE)
            sample = VoiceSample(audio, request.tts_prompt_text) if audio else None
            target = folder / "speech.wav"
            self._speaker.speak(text, target, sample)
            self._artifacts.put(key, target)
