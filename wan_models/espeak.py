"""Speaks the text on its standard input: ``python -m wan_models.espeak VOICE TARGET.wav``.

It drives eSpeak NG's library (``espeak-ng/speak_lib.h``), which comes with its voices in a wheel.
"""

from __future__ import annotations

import ctypes
import sys
import wave
from collections.abc import Sequence
from typing import Any

# Of speak_lib.h.
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_BY_CHARACTER = 1
_UTF8 = 1

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(ctypes.c_char)
)


def main(arguments: Sequence[str]) -> None:
    """Speak; what goes wrong ends the program with a sentence."""
    voice, target = arguments
    samples, rate = _speak(_library(), sys.stdin.buffer.read(), voice)
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples)


def _library() -> tuple[Any, bytes]:
    """The library, and where its voices are."""
    try:
        import espeakng_loader  # noqa: PLC0415 - a missing one is told in a sentence

        return ctypes.CDLL(espeakng_loader.get_library_path()), espeakng_loader.get_data_path().encode()
    except (ImportError, OSError):
        sys.exit(
            "eSpeak NG is not installed on the worker: run pip install espeakng-loader there, or set TTS_URL "
            "to a speech service."
        )


def _speak(library: tuple[Any, bytes], text: bytes, voice: str) -> tuple[bytes, int]:
    """16-bit samples in mono, and their rate."""
    espeak, data = library
    rate: int = espeak.espeak_Initialize(_SYNCHRONOUS, 0, data, _DONT_EXIT)
    if rate <= 0:
        sys.exit("eSpeak NG cannot find its voices.")
    if espeak.espeak_SetVoiceByName(voice.encode()):
        sys.exit(f"eSpeak NG has no voice {voice!r}; TTS_VOICE names one, such as en or de.")
    samples = bytearray()

    def keep(chunk: Any, count: int, _events: Any) -> int:
        if chunk and count > 0:
            samples.extend(ctypes.string_at(chunk, count * ctypes.sizeof(ctypes.c_short)))
        return 0

    callback = _Callback(keep)
    espeak.espeak_SetSynthCallback(callback)
    failed = espeak.espeak_Synth(text + b"\0", len(text) + 1, 0, _BY_CHARACTER, 0, _UTF8, None, None)
    if failed or not samples:
        sys.exit("eSpeak NG found nothing to say in it.")
    return bytes(samples), rate


if __name__ == "__main__":
    main(sys.argv[1:])
