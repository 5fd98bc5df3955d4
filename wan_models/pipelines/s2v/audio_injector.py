"""Cross-attention from each frame's video tokens to the audio tokens of that frame.

After ``AudioInjector_WAN`` in ``wan/modules/s2v/audio_utils.py`` of Wan-Video/Wan2.2, in the mode
``attn_norm``: the video's tokens are normed by what the whole frame sounds like.
"""

from __future__ import annotations

import torch
from diffusers.models.normalization import AdaLayerNorm
from torch import nn

from wan_models.pipelines.s2v.attention import WanS2VAttention


class AudioInjector(nn.Module):
    """The injections of one transformer, one after each of some blocks.

    Args:
        count: how many blocks are followed by one.
        dim: channels of the states.
        heads: attention heads.
        eps: of the attention's norms.
    """

    def __init__(self, count: int, dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.injector = nn.ModuleList(WanS2VAttention(dim, heads, eps) for _ in range(count))
        self.injector_adain_layers = nn.ModuleList(
            AdaLayerNorm(embedding_dim=dim, output_dim=2 * dim, chunk_dim=1) for _ in range(count)
        )

    def forward(
        self, index: int, video: torch.Tensor, whole: torch.Tensor, local: torch.Tensor
    ) -> torch.Tensor:
        """What injection ``index`` adds to the video's tokens.

        Args:
            index: which injection.
            video: float32 [batch, latent frames * tokens of a frame, dim].
            whole: [batch, latent frames, 1, dim], the sound of each frame as a whole.
            local: [batch, latent frames, audio tokens, dim].

        Returns:
            The same shape as ``video``, in the precision of the audio.
        """
        batch, frames = local.shape[:2]
        states = video.unflatten(1, (frames, -1)).flatten(0, 1)
        normed = self.injector_adain_layers[index](states, temb=whole.flatten(0, 1)[:, 0])
        added = self.injector[index](normed.type_as(local), local.flatten(0, 1))
        return added.unflatten(0, (batch, frames)).flatten(1, 2)  # type: ignore[no-any-return] # nn.Module.__call__
