"""From the hidden states of a speech model to one feature a video frame.

After ``wan/modules/s2v/audio_encoder.py`` of Wan-Video/Wan2.2, number for number.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 - the name everyone gives it

SPEECH_FPS = 50
"""Hidden states a second of Wav2Vec2."""

FEATURE_FPS = 30
"""The rate that S2V was trained with, between the speech model's and the video's."""


def resample(states: torch.Tensor) -> torch.Tensor:
    """Bring hidden states from 50 to 30 a second, by linear interpolation between the two ends.

    Args:
        states: [layers, states, channels].

    Returns:
        [layers, features, channels], with 3 features for 5 states.

    Raises:
        ValueError: less than one feature's worth of states.
    """
    count = int(states.shape[1] / float(SPEECH_FPS) * FEATURE_FPS)
    if count == 0:
        raise ValueError("The sound is shorter than one frame.")
    by_channel = states.transpose(1, 2)
    return F.interpolate(by_channel, size=count, mode="linear", align_corners=True).transpose(1, 2)


def clips_of(features: int, fps: int, clip_frames: int) -> int:
    """How many clips so many features fill; at a clip's exact end a silent one follows, as upstream."""
    return int(features / (clip_frames * FEATURE_FPS / fps)) + 1


def by_frame(features: torch.Tensor, fps: int = 16, clip_frames: int = 80) -> torch.Tensor:
    """Give each video frame the feature nearest in time, and zeros after the end of the sound.

    Args:
        features: [layers, features, channels] at 30 a second.
        fps: video frames a second.
        clip_frames: video frames a clip; the last clip is filled up.

    Returns:
        [video frames, layers, channels], a whole number of clips.
    """
    layers, count, channels = features.shape
    frames = clips_of(count, fps, clip_frames) * clip_frames
    available = math.ceil(frames / fps * FEATURE_FPS)
    times = np.linspace(0, frames / fps, frames, endpoint=False)
    nearest = np.clip(np.round(times * FEATURE_FPS).astype(np.int64), 0, available - 1)
    padded = features.new_zeros(layers, max(available, count), channels)
    padded[:, :count] = features
    return padded[:, torch.from_numpy(nearest)].transpose(0, 1)
