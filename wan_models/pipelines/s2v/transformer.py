"""Wan 2.2's speech-to-video transformer, under the names of the published checkpoint."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.loaders.peft import PeftAdapterMixin
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.normalization import FP32LayerNorm
from torch import nn

from wan_models.pipelines.s2v.audio_encoder import CausalAudioEncoder
from wan_models.pipelines.s2v.audio_injector import AudioInjector
from wan_models.pipelines.s2v.block import WanS2VBlock
from wan_models.pipelines.s2v.frame_packer import FramePacker
from wan_models.pipelines.s2v.rope import Grid, rotary_embedding
from wan_models.pipelines.s2v.share import Share

_INJECT_LAYERS = (0, 4, 8, 12, 16, 20, 24, 27, 30, 33, 36, 39)
_REFERENCE_POSITION = 30  # where the portrait stands in time: behind every frame of a clip
_VIDEO, _REFERENCE, _MOTION = range(3)  # what trainable_cond_mask tells apart


class WanS2VTransformer3DModel(ModelMixin, ConfigMixin, PeftAdapterMixin):  # type: ignore[misc] # each names its file
    """Denoises a clip by text, a portrait, the frames before it, poses and speech.

    After ``WanModel_S2V`` in ``wan/modules/s2v/model_s2v.py`` of Wan-Video/Wan2.2, in the variant that was
    published: AdaIN audio injection in mode ``attn_norm``, frame packing, and timestep zero for all tokens
    but the video's. Both the original folder and a diffusers one load with ``from_pretrained``; the
    defaults are those of the 14B model.

    Args:
        dim: channels of the transformer.
        ffn_dim: channels inside the feed-forwards.
        num_heads: attention heads.
        num_layers: transformer blocks.
        in_dim: channels of the latents.
        out_dim: channels of the prediction.
        text_dim: channels of the text encoder.
        freq_dim: channels of the sinusoidal timestep.
        patch_size: latents a token, by frame, row and column.
        cond_dim: channels of the pose latents.
        audio_dim: channels of the speech model.
        num_audio_layers: layers of the speech model, its embedding among them.
        num_audio_token: audio tokens a latent frame.
        audio_inject_layers: the blocks that are followed by an audio injection.
        framepack_drop_mode: see ``FramePacker``.
        eps: of the norms.
        enable_adain: must be True; this and the next four select variants that were never published.
        adain_mode: must be ``attn_norm``.
        zero_timestep: must be True.
        enable_framepack: must be True.
        enable_motioner: must be False.

    Raises:
        ValueError: a variant that was never published.
    """

    # diffusers' own knobs, which it types as what their absence is.
    _cp_plan: ClassVar[dict[str, Any]] = {}  # type: ignore[assignment, misc] # no hooks: forward shares its tokens out itself
    _repeated_blocks: ClassVar = ["WanS2VBlock"]  # type: ignore[misc] # see above
    _no_split_modules: ClassVar = ["WanS2VBlock"]  # type: ignore[assignment, misc] # see above
    _keep_in_fp32_modules: ClassVar = [  # type: ignore[assignment, misc] # see above
        "time_embedding",
        "time_projection",
        "modulation",
        "casual_audio_encoder",
        "head",
    ]
    _skip_layerwise_casting_patterns: ClassVar = [  # type: ignore[assignment, misc] # see above
        "patch_embedding",
        "cond_encoder",
        "frame_packer",
        "_embedding",
        "trainable_cond_mask",
        "norm",
    ]

    @register_to_config  # type: ignore[untyped-decorator] # diffusers' own
    def __init__(
        self,
        *,
        dim: int = 5120,
        ffn_dim: int = 13824,
        num_heads: int = 40,
        num_layers: int = 40,
        in_dim: int = 16,
        out_dim: int = 16,
        text_dim: int = 4096,
        freq_dim: int = 256,
        patch_size: tuple[int, int, int] = (1, 2, 2),
        cond_dim: int = 16,
        audio_dim: int = 1024,
        num_audio_layers: int = 25,
        num_audio_token: int = 4,
        audio_inject_layers: tuple[int, ...] = _INJECT_LAYERS,
        framepack_drop_mode: Literal["drop", "padd"] = "padd",
        eps: float = 1e-6,
        enable_adain: bool = True,
        adain_mode: str = "attn_norm",
        zero_timestep: bool = True,
        enable_framepack: bool = True,
        enable_motioner: bool = False,
    ) -> None:
        super().__init__()
        published = enable_adain and adain_mode == "attn_norm" and zero_timestep and enable_framepack
        if not published or enable_motioner:
            raise ValueError("This is another variant of the S2V transformer than the published one.")
        self.out_dim, self.freq_dim, self.patch_size = out_dim, freq_dim, tuple(patch_size)
        self.head_dim = dim // num_heads
        self.injections = {block: index for index, block in enumerate(audio_inject_layers)}
        self.patch_embedding = nn.Conv3d(in_dim, dim, kernel_size=patch_size, stride=patch_size)
        self.cond_encoder = nn.Conv3d(cond_dim, dim, kernel_size=patch_size, stride=patch_size)
        self.text_embedding = nn.Sequential(
            nn.Linear(text_dim, dim), nn.GELU(approximate="tanh"), nn.Linear(dim, dim)
        )
        self.time_embedding = nn.Sequential(nn.Linear(freq_dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, dim * 6))
        self.blocks = nn.ModuleList(WanS2VBlock(dim, ffn_dim, num_heads, eps) for _ in range(num_layers))
        self.head = _Head(dim, out_dim * math.prod(patch_size), eps)
        self.casual_audio_encoder = CausalAudioEncoder(audio_dim, num_audio_layers, dim, num_audio_token)
        self.audio_injector = AudioInjector(len(audio_inject_layers), dim, num_heads, eps)
        self.trainable_cond_mask = nn.Embedding(3, dim)
        self.frame_packer = FramePacker(in_dim, dim, framepack_drop_mode)

    def forward(
        self,
        hidden_states: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        *,
        ref_latents: torch.Tensor,
        motion_latents: torch.Tensor,
        cond_states: torch.Tensor,
        audio_input: torch.Tensor,
        motion_frames: int = 73,
        drop_motion_frames: bool = False,
        return_dict: bool = True,
    ) -> Any:
        """Predict the flow of a clip.

        Args:
            hidden_states: noisy latents [batch, in_dim, frames, height, width].
            timestep: [batch], 0 to 1000.
            encoder_hidden_states: text states [batch, text tokens, text_dim], padded with zeros.
            ref_latents: the portrait, [batch, in_dim, 1, height, width].
            motion_latents: the clip before, [batch, in_dim, motion latents, height, width].
            cond_states: poses [batch, cond_dim, frames, height, width].
            audio_input: speech features [batch, layers, audio_dim, video frames].
            motion_frames: the video frames that the motion latents were made of.
            drop_motion_frames: leave the clip before out, as for the first clip.
            return_dict: an object with ``sample``, or a tuple of one.

        Returns:
            The prediction, [batch, out_dim, frames, height, width], in the precision of the latents.
        """
        dtype = hidden_states.dtype
        audio = self._encode_audio(audio_input, motion_frames, motion_latents.shape[2], dtype)
        states, rotary, grid = self._embed(
            hidden_states, ref_latents, motion_latents, cond_states, drop_motion_frames
        )
        video_tokens, frame_tokens = math.prod(grid), math.prod(grid[1:])  # of the clip, and of a frame
        share = Share.of(self._parallel_config, video_tokens)
        states = share.take(states, video_tokens)
        cos, sin = (share.take(table, video_tokens) for table in rotary)
        time, modulation = self._embed_time(timestep)
        text = self.text_embedding(encoder_hidden_states)
        for number, block in enumerate(self.blocks):
            states = block(states, text, modulation, share.video, (cos, sin))
            if number in self.injections:
                video = states[:, : share.video]
                video += self.audio_injector(self.injections[number], video, share.first, frame_tokens, audio)
        patches = share.gather(self.head(states[:, : share.video], time).to(dtype))
        sample = self._unpatchify(patches, grid)
        return Transformer2DModelOutput(sample=sample) if return_dict else (sample,)

    def _encode_audio(
        self, features: torch.Tensor, motion_frames: int, motion_latents: int, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode the clip's sound behind its own first frame, held for as long as the motion frames last."""
        held = features[..., :1].expand(-1, -1, -1, motion_frames)
        whole, local = self.casual_audio_encoder(torch.cat([held, features], dim=-1).float())
        return whole[:, motion_latents:].to(dtype), local[:, motion_latents:].to(dtype)

    def _embed(
        self,
        video: torch.Tensor,
        reference: torch.Tensor,
        motion: torch.Tensor,
        poses: torch.Tensor,
        drop_motion: bool,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor], tuple[int, int, int]]:
        """All tokens in float32, their rotary tables, and the video's frames, rows and columns of tokens."""
        patches = self.patch_embedding(video) + self.cond_encoder(poses)
        frames, rows, columns = grid = tuple(patches.shape[2:])
        grids = [Grid(0, grid, grid), Grid(_REFERENCE_POSITION, (1, rows, columns), (1, rows, columns))]
        tokens = [_tokens(patches), _tokens(self.patch_embedding(reference))]
        if not drop_motion:
            packed, motion_grids = self.frame_packer(motion)
            tokens.append(packed)
            grids += motion_grids
        kinds = torch.tensor([_VIDEO, _REFERENCE, _MOTION], device=patches.device)[: len(tokens)]
        marks = self.trainable_cond_mask(kinds)
        states = torch.cat([part + mark for part, mark in zip(tokens, marks, strict=True)], dim=1)
        return states.float(), rotary_embedding(grids, self.head_dim, states.device), (frames, rows, columns)

    def _embed_time(self, timestep: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The head's time [batch, dim], and the blocks' [batch, 2, 6, dim]: of the video, and of zero."""
        both = torch.stack([timestep, torch.zeros_like(timestep)], dim=1)
        time = self.time_embedding(_sinusoidal(both, self.freq_dim))
        return time[:, 0], self.time_projection(time).unflatten(-1, (6, -1))

    def _unpatchify(self, patches: torch.Tensor, grid: tuple[int, int, int]) -> torch.Tensor:
        cells = patches.reshape(len(patches), *grid, *self.patch_size, self.out_dim)
        return cells.permute(0, 7, 1, 4, 2, 5, 3, 6).flatten(6, 7).flatten(4, 5).flatten(2, 3)


class _Head(nn.Module):
    def __init__(self, dim: int, out_channels: int, eps: float) -> None:
        super().__init__()
        self.norm = FP32LayerNorm(dim, eps, elementwise_affine=False)
        self.head = nn.Linear(dim, out_channels)
        self.modulation = nn.Parameter(torch.randn(1, 2, dim) / dim**0.5)

    def forward(self, states: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        shift, scale = (self.modulation + time.unsqueeze(1)).chunk(2, dim=1)
        return self.head(self.norm(states) * (1 + scale) + shift)  # type: ignore[no-any-return] # nn.Module.__call__


def _tokens(patches: torch.Tensor) -> torch.Tensor:
    return patches.flatten(2).transpose(1, 2)


def _sinusoidal(positions: torch.Tensor, dim: int) -> torch.Tensor:
    """Cosines, then sines, of each position: [...] to float32 [..., dim]."""
    exponents = torch.arange(dim // 2, dtype=torch.float64, device=positions.device) / (dim // 2)
    angles = positions.double().unsqueeze(-1) * 10000.0**-exponents
    return torch.cat([angles.cos(), angles.sin()], dim=-1).float()
