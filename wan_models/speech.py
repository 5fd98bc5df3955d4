"""Speech from text, for portraits that are to say something. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wan_models.errors import ModelsError


class SpeechError(ModelsError):
    """A text cannot be spoken, and trying again would not help."""

    code = "speech_failed"


class SpeechUnavailableError(SpeechError):
    """The speech service does not answer, or is overloaded: the same text may be spoken later."""

    code = "speech_unavailable"


@dataclass(frozen=True, slots=True)
class VoiceSample:
    """A voice to speak with: a recording, and what is said in it if that is known."""

    audio: Path
    text: str | None = None


class Speaker(Protocol):
    """Speaks texts."""

    def speak(self, text: str, target: Path, sample: VoiceSample | None = None) -> None:
        """Write the speech into a sound file.

        Args:
            text: what to say.
            target: the file to write; its format is the speaker's choice.
            sample: the voice to say it with; the speaker's own if None.

        Raises:
            SpeechUnavailableError: it cannot be spoken now.
            SpeechError: it cannot be spoken at all.
        """
        ...
