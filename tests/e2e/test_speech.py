"""A portrait and a voice in, a video that is heard out."""

import io
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Service
from tests.integration.ways import gradient, write_sound
from wan_models.pipelines.sound import read_sound
from wan_models.pipelines.video import probe_mp4

pytestmark = pytest.mark.slow

FIELDS = {
    "task": "s2v-14B",
    "prompt": "A person speaking naturally",
    "size": "128*128",
    "sample_steps": 2,
    "sample_guide_scale": 7.5,
    "base_seed": 42,
}


def portrait() -> bytes:
    file = io.BytesIO()
    gradient(160, 120).save(file, "PNG")
    return file.getvalue()


def speak(service: Service, files: dict[str, bytes], **fields: Any) -> dict[str, Any]:
    answer = service.client.post("/generate/speech-to-video", data=FIELDS | fields, files=files)
    assert answer.status_code == 202, answer.text
    done = service.finished(answer.json()["id"])
    assert done["status"] == "completed", done
    return done


def saved(service: Service, done: dict[str, Any], directory: Path) -> Path:
    file = directory / "video.mp4"
    file.write_bytes(service.video(done))
    return file


def test_a_portrait_says_a_sound_for_as_long_as_it_lasts(service, tmp_path):
    write_sound(tmp_path / "voice.wav", seconds=1)
    files = {"image": portrait(), "audio": (tmp_path / "voice.wav").read_bytes()}
    video = saved(service, speak(service, files), tmp_path)
    info = probe_mp4(video)
    assert (info.width, info.height, info.frames, info.fps) == (128, 128, 17, 16)
    assert (info.codec, info.audio_codec) == ("h264", "aac")
    assert info.audio_seconds == pytest.approx(1, abs=0.01)
    assert read_sound({"video": video}, "video", 2).samples.abs().max() > 0.1


def test_a_portrait_says_a_text_as_the_guide_asks(service, tmp_path):
    done = speak(
        service,
        {"image": portrait()},
        enable_tts="true",
        tts_prompt_text="Hello, this is a test.",
        tts_text="This is the text to synthesize",
        frame_num=17,
    )
    assert (done["progress"], done["step"], done["steps"]) == (100, 2, 2)
    info = probe_mp4(saved(service, done, tmp_path))
    assert (info.frames, info.audio_codec) == (17, "aac")
    assert info.audio_seconds == pytest.approx(17 / 16, abs=0.01)
