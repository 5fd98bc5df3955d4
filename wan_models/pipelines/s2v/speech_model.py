"""What a speech model makes of a sound, layer by layer."""

from __future__ import annotations

from typing import Any

import torch

SAMPLE_RATE = 16_000
"""Samples a second of what Wav2Vec2 hears."""


def hidden_states(samples: torch.Tensor, model: Any, processor: Any) -> torch.Tensor:
    """Run Wav2Vec2 over a whole sound at once.

    Args:
        samples: [samples] at 16 kHz, in mono, on the CPU.
        model: a ``Wav2Vec2Model``.
        processor: its feature extractor, which brings the sound to one loudness.

    Returns:
        [layers, states, channels] in float32, about 50 states a second; the first layer is the embedding.
    """
    values = processor(samples.numpy(), sampling_rate=SAMPLE_RATE, return_tensors="pt").input_values
    output = model(values.to(model.device, model.dtype), output_hidden_states=True)
    return torch.cat(output.hidden_states).float()
