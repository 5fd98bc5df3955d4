"""One transformer block whose video tokens and condition tokens are at different timesteps."""

from __future__ import annotations

import torch
from diffusers.models.normalization import FP32LayerNorm
from torch import nn

from wan_models.pipelines.s2v.attention import WanS2VAttention


class WanS2VBlock(nn.Module):
    """Self-attention, cross-attention to the text, feed-forward.

    After ``WanS2VAttentionBlock`` in ``wan/modules/s2v/model_s2v.py`` of Wan-Video/Wan2.2. The residual
    stream stays in float32, as there.

    Args:
        dim: channels of the states.
        ffn_dim: channels inside the feed-forward.
        heads: attention heads.
        eps: of the norms.
    """

    def __init__(self, dim: int, ffn_dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.norm1 = FP32LayerNorm(dim, eps, elementwise_affine=False)
        self.self_attn = WanS2VAttention(dim, heads, eps)
        self.norm3 = FP32LayerNorm(dim, eps, elementwise_affine=True)
        self.cross_attn = WanS2VAttention(dim, heads, eps)
        self.norm2 = FP32LayerNorm(dim, eps, elementwise_affine=False)
        self.ffn = nn.Sequential(
            nn.Linear(dim, ffn_dim), nn.GELU(approximate="tanh"), nn.Linear(ffn_dim, dim)
        )
        self.modulation = nn.Parameter(torch.randn(1, 6, dim) / dim**0.5)

    def forward(
        self,
        states: torch.Tensor,
        text: torch.Tensor,
        timestep: torch.Tensor,
        video_tokens: int,
        rotary: tuple[torch.Tensor, torch.Tensor],
    ) -> torch.Tensor:
        """Run the block.

        Args:
            states: float32 [batch, tokens, dim], the video's tokens first.
            text: [batch, text tokens, dim], in the precision to compute in.
            timestep: float32 [batch, 2, 6, dim]: the modulation of the video's tokens, then of the rest.
            video_tokens: how many tokens are the video's.
            rotary: cosines and sines of all tokens.

        Returns:
            float32 [batch, tokens, dim].
        """
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = (
            (self.modulation.unsqueeze(1) + timestep).float().unbind(dim=2)
        )
        normed = _modulate(self.norm1(states), scale, shift, video_tokens)
        states = states + _gate(self.self_attn(normed.type_as(text), rotary=rotary), gate, video_tokens)
        states = states + self.cross_attn(self.norm3(states).type_as(text), text)
        normed = _modulate(self.norm2(states), ffn_scale, ffn_shift, video_tokens)
        return states + _gate(self.ffn(normed.type_as(text)), ffn_gate, video_tokens)


# Both work in place on a fresh tensor: at full size, each copy of the states is more than a gigabyte.


def _modulate(
    normed: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, video_tokens: int
) -> torch.Tensor:
    for segment, tokens in enumerate((normed[:, :video_tokens], normed[:, video_tokens:])):
        tokens.mul_(1 + scale[:, segment, None]).add_(shift[:, segment, None])
    return normed


def _gate(update: torch.Tensor, gate: torch.Tensor, video_tokens: int) -> torch.Tensor:
    update = update.float()
    for segment, tokens in enumerate((update[:, :video_tokens], update[:, video_tokens:])):
        tokens.mul_(gate[:, segment, None])
    return update
