"""Rotary positions for tokens of several grids in one sequence.

After ``rope_precompute`` in ``wan/modules/s2v/s2v_utils.py`` of Wan-Video/Wan2.2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

_THETA = 10000.0


class Grid(NamedTuple):
    """A block of tokens and the place it takes in the video's own coordinates.

    ``shape`` counts tokens by frame, row and column; ``span`` is the extent they stand for, in tokens of
    the video: a coarse grid has fewer tokens than its span. ``start`` is the first frame's position;
    negative ones lie before the video, and run towards it.
    """

    start: int
    shape: tuple[int, int, int]
    span: tuple[int, int, int]

    def positions(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The whole-numbered positions of the grid's frames, rows and columns."""
        first = abs(self.start)
        last = first + self.span[0] - 1 if self.start >= 0 else first - self.span[0] + 1
        frames = _spread(first, last, self.shape[0])
        rows, columns = (_spread(0, self.span[axis] - 1, self.shape[axis]) for axis in (1, 2))
        return (frames if self.start >= 0 else -frames), rows, columns


def rotary_embedding(
    grids: list[Grid], head_dim: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines for the tokens of the grids, one grid after the other.

    Args:
        grids: where the tokens are.
        head_dim: channels of one attention head; frames get what rows and columns leave over.
        device: where the tables are wanted.

    Returns:
        Two float32 tensors [1, tokens, 1, head_dim / 2].
    """
    angles = torch.cat([_angles(grid, head_dim, device) for grid in grids])[None, :, None]
    return angles.cos().float(), angles.sin().float()


def rotate(states: torch.Tensor, rotary: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Turn each pair of neighbouring channels of [batch, tokens, heads, head_dim] by its angle."""
    cos, sin = rotary
    real, imaginary = states.float().unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack((real * cos - imaginary * sin, real * sin + imaginary * cos), dim=-1)
    return turned.flatten(-2).type_as(states)


def _spread(first: int, last: int, count: int) -> torch.Tensor:
    # The fractions are cut off, not rounded, as upstream does.
    return torch.from_numpy(np.linspace(first, last, count).astype(np.int64))


def _angles(grid: Grid, head_dim: int, device: torch.device) -> torch.Tensor:
    side = 2 * (head_dim // 6)
    dims = (head_dim - 2 * side, side, side)
    frames, rows, columns = (
        _axis_angles(positions.to(device), dim) for positions, dim in zip(grid.positions(), dims, strict=True)
    )
    f, h, w = grid.shape
    parts = (
        frames[:, None, None].expand(f, h, w, -1),
        rows[None, :, None].expand(f, h, w, -1),
        columns[None, None, :].expand(f, h, w, -1),
    )
    return torch.cat(parts, dim=-1).flatten(0, 2)


def _axis_angles(positions: torch.Tensor, dim: int) -> torch.Tensor:
    exponents = torch.arange(0, dim, 2, dtype=torch.float64, device=positions.device) / dim
    return torch.outer(positions.double(), _THETA**-exponents)
