"""The frames before a clip as few tokens: the farther back, the coarser.

After ``FramePackMotioner`` in ``wan/modules/s2v/motioner.py`` of Wan-Video/Wan2.2.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from wan_models.pipelines.s2v.rope import Grid

_BUCKETS = (1, 2, 16)  # latent frames packed fine, coarser and coarsest, the nearest to the clip first
MOTION_LATENTS = sum(_BUCKETS)
"""Latent frames that a packer looks back; fewer are filled up with zeros at the far end."""

ALL_MOTION = 2


class FramePacker(nn.Module):
    """Three patch embeddings, each twice as coarse in every direction as the one before.

    Args:
        in_dim: channels of the latents.
        dim: channels of the transformer.
        drop_mode: what becomes of motion that a call leaves out: ``drop`` its tokens, or ``padd`` zeros.
    """

    def __init__(self, in_dim: int, dim: int, drop_mode: Literal["drop", "padd"]) -> None:
        super().__init__()
        self.drop_mode = drop_mode
        self.proj = nn.Conv3d(in_dim, dim, kernel_size=(1, 2, 2), stride=(1, 2, 2))
        self.proj_2x = nn.Conv3d(in_dim, dim, kernel_size=(2, 4, 4), stride=(2, 4, 4))
        self.proj_4x = nn.Conv3d(in_dim, dim, kernel_size=(4, 8, 8), stride=(4, 8, 8))

    def forward(self, motion: torch.Tensor, last_motion: int = ALL_MOTION) -> tuple[torch.Tensor, list[Grid]]:
        """Pack latents [batch, in_dim, frames, height, width], the nearest frame last.

        Args:
            motion: the latents before the clip.
            last_motion: 2 uses all of them, 1 leaves out the finest level, 0 the two finer ones.

        Returns:
            Tokens [batch, tokens, dim], and the grids they lie on.
        """
        padded = motion.new_zeros(*motion.shape[:2], MOTION_LATENTS, *motion.shape[3:])
        overlap = min(MOTION_LATENTS, motion.shape[2])
        padded[:, :, MOTION_LATENTS - overlap :] = motion[:, :, motion.shape[2] - overlap :]
        left_out = ALL_MOTION - last_motion
        if left_out and self.drop_mode == "padd":
            padded[:, :, -sum(_BUCKETS[:left_out]) :] = 0
        first = left_out if self.drop_mode == "drop" else 0
        levels = [self._level(index, padded) for index in range(first, len(_BUCKETS))]
        return torch.cat([tokens for tokens, _ in levels], dim=1), [grid for _, grid in levels]

    def _level(self, index: int, padded: torch.Tensor) -> tuple[torch.Tensor, Grid]:
        far, near = sum(_BUCKETS[: index + 1]), sum(_BUCKETS[:index])
        latents = padded[:, :, MOTION_LATENTS - far : MOTION_LATENTS - near]
        patches = (self.proj, self.proj_2x, self.proj_4x)[index](latents)
        height, width = (side // 2 for side in padded.shape[3:])
        grid = Grid(-far, tuple(patches.shape[2:]), (_BUCKETS[index], height, width))
        return patches.flatten(2).transpose(1, 2), grid
