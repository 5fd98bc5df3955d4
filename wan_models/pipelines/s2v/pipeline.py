"""Speech to video, clip after clip, as a pipeline of diffusers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.pipelines.wan.pipeline_output import WanPipelineOutput
from diffusers.pipelines.wan.pipeline_wan import prompt_clean
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from torch.nn import functional as F  # noqa: N812 - the name everyone gives it
from transformers import AutoTokenizer, UMT5EncoderModel, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from wan_models.catalog import Size
from wan_models.pipelines.picture import cover
from wan_models.pipelines.s2v.clips import DROPPED_FRAMES, count_clips
from wan_models.pipelines.s2v.frame_packer import MOTION_LATENTS
from wan_models.pipelines.s2v.speech_features import by_frame, resample
from wan_models.pipelines.s2v.speech_model import hidden_states
from wan_models.pipelines.s2v.transformer import WanS2VTransformer3DModel

_MOTION_FRAMES = 4 * MOTION_LATENTS - 3
_FIRST_FRAMES = 6  # copies of the portrait that a video is made to begin behind
_LARGEST_SIGMA = 0.999  # of 1000 training steps

StepCallback = Callable[[Any, int, torch.Tensor, dict[str, Any]], dict[str, Any]]


class WanSpeechToVideoPipeline(DiffusionPipeline):
    """Makes a portrait speak. After ``WanS2V`` in ``wan/speech2video.py`` of Wan-Video/Wan2.2.

    A long video is made of clips. The first one sees the portrait alone; each later one also sees the 73
    frames before it.

    Args:
        tokenizer: of the text encoder.
        text_encoder: UMT5.
        audio_processor: Wav2Vec2's feature extractor.
        audio_encoder: Wav2Vec2.
        transformer: denoises.
        vae: Wan 2.1's.
        scheduler: UniPC, on flow sigmas.
    """

    tokenizer: Any
    text_encoder: Any
    audio_processor: Any
    audio_encoder: Any
    transformer: Any
    vae: Any
    scheduler: Any

    model_cpu_offload_seq: Any = "text_encoder->audio_encoder->transformer->vae"

    def __init__(
        self,
        *,
        tokenizer: Any,
        text_encoder: Any,
        audio_processor: Any,
        audio_encoder: Any,
        transformer: Any,
        vae: Any,
        scheduler: Any,
    ) -> None:
        super().__init__()
        self.register_modules(
            tokenizer=tokenizer,
            text_encoder=text_encoder,
            audio_processor=audio_processor,
            audio_encoder=audio_encoder,
            transformer=transformer,
            vae=vae,
            scheduler=scheduler,
        )

    @classmethod
    def from_pretrained(  # type: ignore[override] # from a local folder alone
        cls,
        path: Path,
        *,
        dtype: dict[str, torch.dtype],
        tokenizer: Any = None,
        text_encoder: Any = None,
        vae: Any = None,
        **options: Any,
    ) -> Self:
        """Load every part from the folder of its name, whoever wrote the index and whatever it calls them.

        Args:
            path: the model's folder.
            dtype: the precision of ``vae``, and the ``default`` of the text encoder and transformer. The
                speech model is small, and kept in float32.
            tokenizer: to be used instead of the folder's, as are the next two.
            text_encoder: the same.
            vae: the same.
            options: passed on to what loads each part.
        """
        default = dtype["default"]
        # These two are what the model was trained for, also where a folder holds another scheduler.
        flow = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
        return cls(
            tokenizer=tokenizer or AutoTokenizer.from_pretrained(path / "tokenizer", **options),
            text_encoder=text_encoder
            or UMT5EncoderModel.from_pretrained(path / "text_encoder", dtype=default, **options),
            audio_processor=Wav2Vec2FeatureExtractor.from_pretrained(path / "audio_processor", **options),
            audio_encoder=Wav2Vec2Model.from_pretrained(path / "audio_encoder", **options),
            transformer=WanS2VTransformer3DModel.from_pretrained(
                path / "transformer", dtype=default, **options
            ),
            vae=vae or AutoencoderKLWan.from_pretrained(path / "vae", dtype=dtype["vae"], **options),
            scheduler=UniPCMultistepScheduler.from_pretrained(path / "scheduler", **flow, **options),
        )

    @torch.no_grad()
    def __call__(
        self,
        *,
        prompt: str,
        negative_prompt: str,
        image: Image.Image,
        audio: torch.Tensor,
        width: int,
        height: int,
        num_frames: int,
        generator: torch.Generator,
        poses: torch.Tensor | None = None,
        fps: int = 16,
        clip_frames: int = 80,
        num_inference_steps: int = 40,
        guidance_scale: float = 4.5,
        start_from_image: bool = False,
        max_sequence_length: int = 512,
        output_type: Literal["pt"] = "pt",  # noqa: ARG002 - part of the way diffusers' pipelines are called
        callback_on_step_end: StepCallback | None = None,
    ) -> WanPipelineOutput:
        """Make one video.

        Args:
            prompt: what is to be seen.
            negative_prompt: what is not.
            image: the portrait; what stands out of the frame is cut off.
            audio: the speech, [samples] at 16 kHz in mono. What is longer than the video is left out.
            width: of the video in pixels, a multiple of 16.
            height: the same.
            num_frames: frames of the video.
            generator: its seed is the first clip's, and each later clip's is one higher.
            poses: uint8 [frames, height, width, 3] to follow, black where there are no more.
            fps: frames a second of the video.
            clip_frames: frames made at once, a multiple of 4.
            num_inference_steps: denoising steps of each clip.
            guidance_scale: how far to go from the negative prompt in silence to the prompt with speech.
            start_from_image: have the video begin with the portrait.
            max_sequence_length: tokens of a prompt.
            output_type: tensors are all there is.
            callback_on_step_end: called after each step of each clip, as diffusers does.

        Returns:
            ``frames`` are uint8 [1, frames, height, width, 3] on the CPU, whole clips cut to the video:
            a minute in floats would fill the memory.
        """
        prompts = (prompt, negative_prompt) if guidance_scale > 1 else (prompt,)
        texts = [self._encode_text(text, max_sequence_length) for text in prompts]
        clips = count_clips(num_frames, clip_frames, start_from_image=start_from_image)
        sounds = self._encode_speech(audio, fps, clip_frames, clips)
        portrait = self._pixels(torch.from_numpy(np.array(cover(image, Size(width, height))))[None])
        reference = self._encode_video(portrait)
        past = _past(portrait, start_from_image=start_from_image)
        shown = []
        for clip, sound in enumerate(sounds):
            alone = clip == 0 and not start_from_image
            motion = _no_motion(reference) if alone else self._encode_video(past)
            latents = self._denoise(
                texts,
                torch.Generator("cpu").manual_seed(generator.initial_seed() + clip),
                num_inference_steps,
                guidance_scale,
                callback_on_step_end,
                ref_latents=reference,
                motion_latents=motion,
                cond_states=self._encode_poses(poses, clip, clip_frames, reference),
                audio_input=sound,
                motion_frames=_MOTION_FRAMES,
                drop_motion_frames=alone,
            )
            fresh = clip_frames - (DROPPED_FRAMES if alone else 0)
            video = self._decode_behind(reference if alone else motion, latents, fresh)
            past = torch.cat([past, video], dim=2)[:, :, -_MOTION_FRAMES:]
            shown.append(_to_uint8(video[0]))
        self.maybe_free_model_hooks()
        return WanPipelineOutput(frames=torch.cat(shown)[None, :num_frames])

    def prepare_latents(self, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
        """The noise that a clip begins with, in float32."""
        noise: torch.Tensor = randn_tensor(shape, generator=generator, device=self._execution_device)
        return noise

    def _denoise(
        self,
        texts: list[torch.Tensor],
        generator: torch.Generator,
        steps: int,
        guidance_scale: float,
        callback: StepCallback | None,
        **conditions: Any,
    ) -> torch.Tensor:
        """One clip's latents, guided away from the second text, if there is one, in silence."""
        device, dtype = self._execution_device, self.transformer.dtype
        conditions = {
            name: value.to(dtype) if isinstance(value, torch.Tensor) and name != "audio_input" else value
            for name, value in conditions.items()
        }
        silent = conditions | {"audio_input": torch.zeros_like(conditions["audio_input"])}
        sigmas = np.linspace(_LARGEST_SIGMA, 0, steps + 1)[:-1]
        self.scheduler.set_timesteps(steps, device=device, sigmas=sigmas)
        latents = self.prepare_latents(conditions["cond_states"].shape, generator)
        for index, timestep in enumerate(self.scheduler.timesteps):
            flows = [
                self.transformer(
                    latents.to(dtype),
                    timestep[None],
                    text,
                    return_dict=False,
                    **(silent if number else conditions),
                )[0]
                for number, text in enumerate(texts)
            ]
            flow = flows[0] if len(flows) == 1 else flows[1] + guidance_scale * (flows[0] - flows[1])
            latents = self.scheduler.step(flow, timestep, latents, return_dict=False)[0]
            if callback:
                latents = callback(self, index, timestep, {"latents": latents})["latents"]
        return latents

    def _encode_text(self, text: str, length: int) -> torch.Tensor:
        """[1, length, channels]; zeros behind the text's own tokens."""
        tokens = self.tokenizer(
            prompt_clean(text),
            padding="max_length",
            max_length=length,
            truncation=True,
            return_attention_mask=True,
            return_tensors="pt",
        ).to(self._execution_device)
        states = self.text_encoder(tokens.input_ids, tokens.attention_mask).last_hidden_state
        encoded: torch.Tensor = states * tokens.attention_mask[..., None]
        return encoded.to(self.transformer.dtype)

    def _encode_speech(
        self, audio: torch.Tensor, fps: int, clip_frames: int, clips: int
    ) -> tuple[torch.Tensor, ...]:
        """[1, layers, channels, clip_frames] for each clip, silent behind the end of the speech."""
        features = resample(hidden_states(audio, self.audio_encoder, self.audio_processor))
        frames = by_frame(features, fps, clip_frames).permute(1, 2, 0)[None]
        missing = clips * clip_frames - frames.shape[-1]
        padded = F.pad(frames, (0, missing)).to(self._execution_device)
        return tuple(padded[..., clip * clip_frames :][..., :clip_frames] for clip in range(clips))

    def _encode_poses(
        self, poses: torch.Tensor | None, clip: int, clip_frames: int, reference: torch.Tensor
    ) -> torch.Tensor:
        """A clip's poses as latents; zeros where there is no pose video at all."""
        if poses is None:
            return reference.new_zeros(1, reference.shape[1], clip_frames // 4, *reference.shape[3:])
        seen = poses[clip * clip_frames :][:clip_frames]
        black = seen.new_zeros(clip_frames - len(seen), *poses.shape[1:])
        video = self._pixels(torch.cat([seen, black]))
        # The VAE keeps the first frame alone; a copy of it is encoded in its place, and left out.
        return self._encode_video(torch.cat([video[:, :, :1], video], dim=2))[:, :, 1:]

    def _pixels(self, frames: torch.Tensor) -> torch.Tensor:
        """uint8 [frames, height, width, 3] to [1, 3, frames, height, width], -1 to 1."""
        pixels = frames.permute(3, 0, 1, 2)[None].to(self._execution_device, self.vae.dtype)
        return pixels / 127.5 - 1

    def _encode_video(self, pixels: torch.Tensor) -> torch.Tensor:
        mean, std = self._latent_statistics()
        latents: torch.Tensor = (self.vae.encode(pixels).latent_dist.mode() - mean) / std
        return latents

    def _decode_behind(self, before: torch.Tensor, latents: torch.Tensor, frames: int) -> torch.Tensor:
        """The last frames of a clip, which the VAE decodes as what goes on from others."""
        return self._decode(torch.cat([before, latents], dim=2))[:, :, -frames:]

    def _decode(self, latents: torch.Tensor) -> torch.Tensor:
        mean, std = self._latent_statistics()
        pixels: torch.Tensor = self.vae.decode(latents.to(self.vae.dtype) * std + mean, return_dict=False)[0]
        return pixels

    def _latent_statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        config = self.vae.config
        mean, std = (
            torch.tensor(values, device=self._execution_device, dtype=self.vae.dtype).view(1, -1, 1, 1, 1)
            for values in (config.latents_mean, config.latents_std)
        )
        return mean, std


def _past(portrait: torch.Tensor, *, start_from_image: bool) -> torch.Tensor:
    """What the first clip goes on from, in pixels: the portrait for some frames, or nothing."""
    past = portrait.new_zeros(1, 3, _MOTION_FRAMES, *portrait.shape[3:])
    if start_from_image:
        past[:, :, -_FIRST_FRAMES:] = portrait
    return past


def _no_motion(reference: torch.Tensor) -> torch.Tensor:
    return reference.new_zeros(1, reference.shape[1], MOTION_LATENTS, *reference.shape[3:])


def _to_uint8(video: torch.Tensor) -> torch.Tensor:
    """[3, frames, height, width], -1 to 1, to uint8 [frames, height, width, 3] on the CPU."""
    pixels = ((video + 1) * 127.5).round_().clamp_(0, 255).to(torch.uint8)
    return pixels.permute(1, 2, 3, 0).contiguous().cpu()
