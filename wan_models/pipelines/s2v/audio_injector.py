"""Cross-attention from each frame's video tokens to the audio tokens of that frame.

After ``AudioInjector_WAN`` in ``wan/modules/s2v/audio_utils.py`` of Wan-Video/Wan2.2, in the mode
``attn_norm``: the video's tokens are normed by what the whole frame sounds like.
"""

from __future__ import annotations

import torch
from diffusers.models.normalization import AdaLayerNorm
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the name everyone gives it

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
        self,
        index: int,
        video: torch.Tensor,
        first: int,
        frame: int,
        sound: tuple[torch.Tensor, torch.Tensor],
    ) -> torch.Tensor:
        """What injection ``index`` adds to tokens of the video.

        Args:
            index: which injection.
            video: float32 [batch, tokens, dim], all of the clip's tokens or some that follow one another.
            first: which of the clip's tokens they begin with.
            frame: the tokens of a latent frame.
            sound: of each frame as a whole, [batch, latent frames, 1, dim], and in part, [batch, latent
                frames, audio tokens, dim].

        Returns:
            The same shape as ``video``, in the precision of the audio.
        """
        begin, end = first // frame, -(-(first + video.shape[1]) // frame)
        # A frame that others have a part of is filled up: each token hears its frame's sound by itself.
        before, behind = first - begin * frame, end * frame - first - video.shape[1]
        padded = F.pad(video, (0, 0, before, behind)) if before or behind else video
        states = padded.unflatten(1, (end - begin, frame)).flatten(0, 1)
        whole, local = (part[:, begin:end] for part in sound)
        normed = self.injector_adain_layers[index](states, temb=whole.flatten(0, 1)[:, 0])
        added = self.injector[index](normed.type_as(local), local.flatten(0, 1))
        tokens = added.unflatten(0, (len(video), end - begin)).flatten(1, 2)
        return tokens[:, before : before + video.shape[1]]  # type: ignore[no-any-return] # nn.Module.__call__
