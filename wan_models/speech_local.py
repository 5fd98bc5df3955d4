"""Speech by eSpeak NG on this machine: small, quick, and easily told from a human voice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from wan_models.speech import SpeechError, VoiceSample

_SECONDS = 60.0
_ROOT = Path(__file__).parent.parent


class LocalSpeaker:
    """Runs eSpeak NG in a process of its own, since it is written in C; the text goes through a pipe.

    Args:
        voice: one of its voices, which are named by language: ``en``, ``en-us``, ``de``, ``cmn``.
    """

    def __init__(self, voice: str = "en") -> None:
        self._voice = voice

    def speak(self, text: str, target: Path, sample: VoiceSample | None = None) -> None:
        """Write a WAV file; see the Speaker protocol."""
        if sample:
            raise SpeechError(
                "A voice cannot be cloned here: leave tts_prompt_audio out, or have the operator set TTS_URL "
                "to a speech service that can."
            )
        environment = {"PATH": os.defpath, "PYTHONPATH": str(_ROOT), "LANG": "C.UTF-8"}
        try:
            done = subprocess.run(  # noqa: S603 - our own program; the text is not on the command line
                [sys.executable, "-m", "wan_models.espeak", self._voice, target],
                input=text.encode(),
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise SpeechError(f"eSpeak NG did not finish within {_SECONDS:.0f} s.") from None
        if done.returncode:
            reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise SpeechError(f"The text cannot be spoken. {reason}")
