"""How a video of speech is cut into clips."""

from __future__ import annotations

DROPPED_FRAMES = 3
"""Frames that the first clip makes and does not show: the VAE needs them to get under way."""


def count_clips(frames: int, clip_frames: int, *, start_from_image: bool) -> int:
    """How many clips a video of so many frames takes."""
    return -(-_made(frames, start_from_image=start_from_image) // clip_frames)


def fitting_clip(frames: int, clip_frames: int, *, start_from_image: bool) -> int:
    """The length of a clip for a video of so many frames: a short video needs no whole one.

    Args:
        frames: of the video.
        clip_frames: the length asked for, a multiple of 4.
        start_from_image: whether the first clip shows all its frames.

    Returns:
        A multiple of 4, at most ``clip_frames``.
    """
    made = _made(frames, start_from_image=start_from_image)
    return min(clip_frames, -(-made // 4) * 4)


def _made(frames: int, *, start_from_image: bool) -> int:
    return frames if start_from_image else frames + DROPPED_FRAMES
