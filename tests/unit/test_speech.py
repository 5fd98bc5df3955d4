"""Texts become speech: by eSpeak NG on this machine, or by a service."""

import json
import subprocess
import sys
import wave
from base64 import b64decode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from wan_models.speech import SpeechError, SpeechUnavailableError, VoiceSample
from wan_models.speech_local import LocalSpeaker
from wan_models.speech_service import ServiceSpeaker


def seconds(path: Path) -> float:
    with wave.open(str(path)) as file:
        return float(file.getnframes() / file.getframerate())


class SpeechService(ThreadingHTTPServer):
    """Answers every request the same way, and keeps the last one."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.answer = 200, b"a sound"
        self.path, self.headers, self.body = "", {}, {}  # type: ignore[var-annotated] # of the last request
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        service: Any = self.server
        service.path, service.headers = self.path, dict(self.headers)
        service.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(service.status)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()
        self.wfile.write(service.answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[SpeechService]:
    server = SpeechService()
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def sample(tmp_path) -> VoiceSample:
    (tmp_path / "voice.wav").write_bytes(b"RIFF")
    return VoiceSample(tmp_path / "voice.wav", "what is said in it")


def test_longer_texts_take_longer_to_say(tmp_path):
    for name, text in (("short", "Hello."), ("long", "Hello, this is the text to synthesize.")):
        LocalSpeaker().speak(text, tmp_path / name)
    assert 0.3 < seconds(tmp_path / "short") < seconds(tmp_path / "long") < 5


def test_the_same_text_is_said_the_same_way(tmp_path):
    for name in "ab":
        LocalSpeaker("de").speak("Guten Tag, 你好; $(rm -rf /)", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_voice_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SpeechError, match="xx"):
        LocalSpeaker("xx").speak("Hello.", tmp_path / "a")


def test_espeak_cannot_clone_a_voice_and_says_what_can(tmp_path, sample):
    with pytest.raises(SpeechError, match="TTS_URL"):
        LocalSpeaker().speak("Hello.", tmp_path / "a", sample)


def test_a_missing_library_is_told_with_the_command_that_installs_it(tmp_path):
    program = (
        "import sys; sys.modules['espeakng_loader'] = None; from wan_models import espeak; "
        f"espeak.main(['en', {str(tmp_path / 'a')!r}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input="Hi", capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "pip install espeakng-loader" in done.stderr


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_a_service_is_asked_as_openai_has_it(service, tmp_path, suffix):
    speaker = ServiceSpeaker(service.url + suffix, key="secret", model="tts-1", voice="alloy")
    speaker.speak("Hello.", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"a sound"
    assert (service.path, service.headers["Authorization"]) == ("/v1/audio/speech", "Bearer secret")
    assert service.body == {"model": "tts-1", "input": "Hello.", "voice": "alloy", "response_format": "wav"}


def test_a_service_is_sent_the_voice_to_clone(service, tmp_path, sample):
    ServiceSpeaker(service.url, voice="alloy").speak("Hello.", tmp_path / "a", sample)
    head, _, sound = service.body.pop("ref_audio").partition(",")
    assert (head, b64decode(sound)) == ("data:audio/wav;base64", b"RIFF")
    assert service.body == {"input": "Hello.", "response_format": "wav", "ref_text": "what is said in it"}
    assert "Authorization" not in service.headers


@pytest.mark.parametrize("status", [302, 400, 401, 422])
def test_a_text_that_a_service_refuses_is_not_tried_again(service, tmp_path, status):
    service.status, service.answer = status, b'{"error": "too long"}'
    with pytest.raises(SpeechError, match=rf"{status}.*too long") as refused:
        ServiceSpeaker(service.url).speak("Hello.", tmp_path / "a")
    assert not isinstance(refused.value, SpeechUnavailableError)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_service_that_is_overloaded_may_be_asked_again(service, tmp_path, status):
    service.status = status
    with pytest.raises(SpeechUnavailableError, match=str(status)):
        ServiceSpeaker(service.url).speak("Hello.", tmp_path / "a")


def test_a_service_that_is_away_may_be_asked_again(tmp_path):
    with pytest.raises(SpeechUnavailableError, match="reached"):
        ServiceSpeaker("http://127.0.0.1:1").speak("Hello.", tmp_path / "a")
