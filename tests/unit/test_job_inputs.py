"""What a run is given to work with: the client's files, and speech where there is only a text."""

from pathlib import Path
from typing import Any

import pytest

from jobs.artifacts_local import LocalArtifactStore
from jobs.inputs import forget_inputs
from jobs.state import Job, JobState
from wan_models.bodies import SpeechToVideo
from wan_models.catalog import CATALOG
from wan_models.request import VideoRequest, resolve
from wan_models.speech import SpeechUnavailableError, VoiceSample
from workers.inputs import JobInputs

TEXT = {"enable_tts": True, "tts_text": "Hello."}


class Speaker:
    """Writes each text into a file of its own, and notes the voice that it was to have."""

    def __init__(self) -> None:
        self.samples: list[tuple[bytes, str | None] | None] = []
        self.error: Exception | None = None

    def speak(self, text: str, target: Path, sample: VoiceSample | None = None) -> None:
        self.samples.append((sample.audio.read_bytes(), sample.text) if sample else None)
        target.write_text(f"{text} {len(self.samples)}")
        if self.error:
            raise self.error


@pytest.fixture
def artifacts(tmp_path) -> LocalArtifactStore:
    store = LocalArtifactStore(tmp_path / "artifacts")
    for name in ("image.png", "audio.wav", "voice.wav"):
        (tmp_path / name).write_text(name)
        store.put(f"job_1/in/{name}", tmp_path / name)
    return store


@pytest.fixture
def speaker() -> Speaker:
    return Speaker()


@pytest.fixture
def inputs(artifacts, speaker) -> JobInputs:
    return JobInputs(artifacts, speaker)


def request(inputs: dict[str, str], **fields: Any) -> VideoRequest:
    body = SpeechToVideo.model_validate({"prompt": "a cat", "image_path": "asset://1", **fields})
    keys = {name: f"job_1/in/{file}" for name, file in inputs.items()}
    return resolve(body, CATALOG["s2v-14B"], tiny=False).model_copy(update={"inputs": keys})


def contents(inputs: JobInputs, of: VideoRequest) -> dict[str, str]:
    with inputs.of("job_1", of) as files:
        return {name: path.read_text() for name, path in files.items()}


def test_a_run_is_given_the_files_of_its_request(inputs, speaker):
    files = contents(inputs, request({"image": "image.png", "audio": "audio.wav"}, audio_path="asset://2"))
    assert files == {"image": "image.png", "audio": "audio.wav"}
    assert speaker.samples == []


def test_a_text_is_spoken_once_for_all_attempts(inputs, speaker):
    spoken = request({"image": "image.png"}, **TEXT)
    assert contents(inputs, spoken) == {"image": "image.png", "audio": "Hello. 1"}
    assert contents(inputs, spoken) == {"image": "image.png", "audio": "Hello. 1"}
    assert speaker.samples == [None]


def test_a_text_is_spoken_with_the_voice_that_was_sent(inputs, speaker):
    cloned = request({"image": "image.png", "tts_prompt": "voice.wav"}, **TEXT, tts_prompt_text="a voice")
    assert contents(inputs, cloned) == {"image": "image.png", "audio": "Hello. 1"}
    assert speaker.samples == [(b"voice.wav", "a voice")]


def test_a_text_that_could_not_be_spoken_is_spoken_by_the_next_attempt(inputs, speaker, artifacts):
    spoken = request({"image": "image.png"}, **TEXT)
    speaker.error = SpeechUnavailableError("later")
    with pytest.raises(SpeechUnavailableError):
        contents(inputs, spoken)
    speaker.error = None
    assert contents(inputs, spoken)["audio"] == "Hello. 2"


def test_the_speech_goes_with_the_inputs_of_its_job(inputs, artifacts):
    spoken = request({"image": "image.png"}, **TEXT)
    contents(inputs, spoken)
    assert "job_1/in/speech.wav" in {artifact.key for artifact in artifacts.find()}
    job = Job(
        id="job_1",
        queue="s2v-14B",
        tenant="default",
        spec=spoken.model_dump(mode="json"),
        state=JobState.COMPLETED,
        created_at=0,
    )
    forget_inputs(artifacts, job)
    assert list(artifacts.find("job_1/")) == []
