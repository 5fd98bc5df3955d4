"""Which tokens a process works on, where several share a video (Ulysses).

Each takes an even share of the video's tokens and an even share of the others: so every one has video tokens
in front, whatever the length of the clip, and an equal part of the work.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from diffusers.hooks.context_parallel import PartitionAnythingSharder


class Share(NamedTuple):
    """A process's tokens: ``first`` and ``video`` say where its video tokens begin, and how many there are.

    ``mesh`` are the processes that share, None where there is one.
    """

    mesh: Any
    first: int
    video: int

    @classmethod
    def of(cls, config: Any, video_tokens: int) -> Share:
        """This process's share.

        Args:
            config: diffusers' ParallelConfig of the transformer, None without.
            video_tokens: of the whole clip.
        """
        if config is None:
            return cls(None, 0, video_tokens)
        mesh = config.context_parallel_config._flattened_mesh  # noqa: SLF001 - diffusers' own hooks do so
        parts = torch.arange(video_tokens).tensor_split(mesh.size())
        part = parts[mesh.get_local_rank()]
        return cls(mesh, int(part[0]), len(part))

    def take(self, tokens: torch.Tensor, video_tokens: int) -> torch.Tensor:
        """This process's part of [batch, tokens, ...], the video's in front."""
        if self.mesh is None:
            return tokens
        segments = tokens[:, :video_tokens], tokens[:, video_tokens:]
        rank, count = self.mesh.get_local_rank(), self.mesh.size()
        return torch.cat([segment.tensor_split(count, dim=1)[rank] for segment in segments], dim=1)

    def gather(self, video: torch.Tensor) -> torch.Tensor:
        """All of the video's tokens, from every process's part of [batch, tokens, channels]."""
        return video if self.mesh is None else _unshard(video, self.mesh)


def _unshard(video: torch.Tensor, mesh: Any) -> torch.Tensor:
    whole: torch.Tensor = PartitionAnythingSharder.unshard_anything(video, 1, mesh)
    return whole
