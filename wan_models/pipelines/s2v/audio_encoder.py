"""From speech features to audio tokens, one set a latent frame.

After ``CausalAudioEncoder`` and ``MotionEncoder_tc`` in ``wan/modules/s2v`` of Wan-Video/Wan2.2.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the name everyone gives it

_KERNEL = 3
_EPS = 1e-6


class CausalAudioEncoder(nn.Module):
    """Mixes the layers of the speech model, then packs four video frames into one latent frame.

    Args:
        audio_dim: channels of the speech features.
        layers: layers of the speech model, the embedding among them.
        dim: channels of the transformer.
        tokens: audio tokens a latent frame, beside a learned one.
    """

    def __init__(self, audio_dim: int, layers: int, dim: int, tokens: int) -> None:
        super().__init__()
        self.encoder = _MotionEncoder(audio_dim, dim, tokens)
        self.weights = nn.Parameter(torch.full((1, layers, 1, 1), 0.01))

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode float32 features [batch, layers, audio_dim, frames].

        Returns:
            One global token a latent frame, [batch, latent frames, 1, dim], and the local tokens,
            [batch, latent frames, tokens + 1, dim].
        """
        weights = F.silu(self.weights)
        mixed = (features * weights / weights.sum(dim=1, keepdim=True)).sum(dim=1)
        return self.encoder(mixed)  # type: ignore[no-any-return] # nn.Module.__call__


class _MotionEncoder(nn.Module):
    def __init__(self, audio_dim: int, dim: int, tokens: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.conv1_local = _CausalConv(audio_dim, dim // 4 * tokens)
        self.conv1_global = _CausalConv(audio_dim, dim // 4)
        self.conv2 = _CausalConv(dim // 4, dim // 2, stride=2)
        self.conv3 = _CausalConv(dim // 2, dim, stride=2)
        self.final_linear = nn.Linear(dim, dim)
        self.padding_tokens = nn.Parameter(torch.zeros(1, 1, 1, dim))

    def forward(self, audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[batch, audio_dim, frames] to the two kinds of tokens."""
        batch = len(audio)
        heads = self.conv1_local(audio).unflatten(1, (self.tokens, -1)).flatten(0, 1)
        local = self._pack(heads).unflatten(0, (batch, self.tokens)).transpose(1, 2)
        padding = self.padding_tokens.expand(batch, local.shape[1], -1, -1)
        whole = self.final_linear(self._pack(self.conv1_global(audio)))
        return whole.unsqueeze(2), torch.cat([local, padding], dim=2)

    def _pack(self, audio: torch.Tensor) -> torch.Tensor:
        """[batch, channels, frames] to [batch, latent frames, dim]."""
        for conv in (self.conv2, self.conv3):
            audio = conv(_activate(audio.transpose(1, 2)).transpose(1, 2))
        return _activate(audio.transpose(1, 2))


class _CausalConv(nn.Module):
    """Sees a frame and the two before it; before the first frame, the first one over again."""

    def __init__(self, channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, out_channels, _KERNEL, stride=stride)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        return self.conv(F.pad(audio, (_KERNEL - 1, 0), mode="replicate"))  # type: ignore[no-any-return] # nn.Module.__call__


def _activate(audio: torch.Tensor) -> torch.Tensor:
    return F.silu(F.layer_norm(audio, audio.shape[-1:], eps=_EPS))
