"""What a client may send to each ``/generate`` endpoint, field by field, by the names of Wan's own options.

Each body checks its fields alone; ``wan_models.request.resolve`` holds it against the model. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from wan_models.catalog import Kind
from wan_models.errors import InvalidRequestError
from wan_models.fields import (
    MAX_SEED,
    RANDOM_SEED,
    Boundary,
    Flag,
    Fps,
    Prompt,
    Scales,
    Shift,
    Source,
    Steps,
    Task,
    Text,
    Wait,
    WebhookEvents,
    WebhookUrl,
    Whole,
)
from wan_models.loras import LoraChoice
from wan_models.presets import PresetName

_REFERT_NUMS = (1, 5, 77)  # Wan's own default, 77, is one that its code refuses; resolve takes it as 1


def _check_refert_num(number: int) -> int:
    if number not in _REFERT_NUMS:
        raise ValueError("must be 1 or 5")
    return number


class VideoBody(BaseModel):
    """What every task takes. What is left out takes the model's official default.

    ``sources`` maps the fields that name an input file to the name of that input in ``VideoRequest.inputs``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: ClassVar[Kind]
    sources: ClassVar[Mapping[str, str]] = {}

    task: Task
    prompt: Prompt
    enhance_prompt: Annotated[
        Flag | None, Field(description="Have the language model elaborate the prompt, if there is one.")
    ] = None
    original_prompt: Annotated[
        Prompt | None,
        Field(description="What the prompt was elaborated from; kept with the job."),
    ] = None
    size: Annotated[
        str | None,
        Field(
            strict=True,
            max_length=16,
            description="Width*height: `1280*720`, or `1280x720`.",
            examples=["1280*720"],
        ),
    ] = None
    frame_num: Annotated[Whole | None, Field(description="Frames of the video, 4n+1.")] = None
    sample_steps: Annotated[Steps | None, Field(description="Denoising steps.")] = None
    sample_guide_scale: Annotated[
        Scales | None,
        Field(description="Guidance: one number, or the pair of the low-noise and the high-noise expert."),
    ] = None
    sample_shift: Annotated[Shift | None, Field(description="Shift of the noise schedule.")] = None
    boundary: Annotated[
        Boundary | None,
        Field(description="Share of the noise schedule at which two experts change over."),
    ] = None
    base_seed: Annotated[
        int | None,
        Field(strict=True, ge=RANDOM_SEED, le=MAX_SEED, description="Absent or -1: a seed is drawn."),
    ] = None
    negative_prompt: Annotated[Text | None, Field(description="What to avoid; empty for nothing.")] = None
    fps: Annotated[Fps | None, Field(description="Frames a second of playback.")] = None
    preset: Annotated[
        PresetName | None,
        Field(description="Quality against time: settings for what the request leaves open."),
    ] = None
    loras: Annotated[
        tuple[LoraChoice, ...] | None,
        Field(max_length=4, description="LoRA adapters of this server, see `/models`."),
    ] = None
    priority: Annotated[
        Literal["high", "normal", "low"] | None,
        Field(description="`high`, `normal` or `low` within its queue; absent: normal."),
    ] = None
    expires_in: Annotated[
        Wait | None,
        Field(description="Seconds it may wait for a worker before it expires; absent: the model's own."),
    ] = None
    timeout: Annotated[
        Wait | None,
        Field(description="Seconds that one attempt may take before the job fails; absent: the model's own."),
    ] = None
    reuse: Annotated[
        Flag | None,
        Field(description="Answer with a finished job of the same request and seed, if there is one."),
    ] = None
    preview: Annotated[
        Flag | None, Field(description="Take a small picture every few steps, for `/events` to tell of.")
    ] = None
    webhook_url: Annotated[
        WebhookUrl | None, Field(description="Where to POST signed messages about the job; https.")
    ] = None
    webhook_events: Annotated[
        WebhookEvents | None,
        Field(description="Which messages `webhook_url` gets; absent: how the job ended."),
    ] = None

    @property
    def given(self) -> dict[str, str]:
        """The inputs that this request names: where each is, by the field that names it."""
        named = {field: getattr(self, field) for field in self.sources}
        return {field: source for field, source in named.items() if source is not None}


class TextToVideo(VideoBody):
    """The body of ``POST /generate/text-to-video``. What is left out takes the model's official default."""

    kind = Kind.TEXT_TO_VIDEO

    task: Task = "t2v-A14B"


class ImageToVideo(VideoBody):
    """The body of ``POST /generate/image-to-video``. ``size`` names an area; the image gives the aspect."""

    kind = Kind.IMAGE_TO_VIDEO
    sources = {"image_path": "image", "last_image_path": "last_image"}

    task: Task = "i2v-A14B"
    image_path: Annotated[Source, Field(description="The first frame.")]
    last_image_path: Annotated[
        Source | None, Field(description="The last frame, where the model takes one.")
    ] = None


class TextImageToVideo(VideoBody):
    """The body of ``POST /generate/text-image-to-video``: a prompt, with or without a first frame."""

    kind = Kind.TEXT_IMAGE_TO_VIDEO
    sources = {"image_path": "image"}

    task: Task = "ti2v-5B"
    image_path: Annotated[Source | None, Field(description="The first frame.")] = None


class SpeechToVideo(VideoBody):
    """The body of ``POST /generate/speech-to-video``: a portrait, and speech as a file or as text to say."""

    kind = Kind.SPEECH_TO_VIDEO
    sources = {
        "image_path": "image",
        "audio_path": "audio",
        "tts_prompt_audio": "tts_prompt",
        "pose_video": "pose",
    }

    task: Task = "s2v-14B"
    image_path: Annotated[Source, Field(description="The portrait.")]
    audio_path: Annotated[Source | None, Field(description="The speech. Or use `enable_tts`.")] = None
    enable_tts: Annotated[Flag, Field(description="Make the speech from `tts_text`.")] = False
    tts_text: Annotated[Prompt | None, Field(description="What to say.")] = None
    tts_prompt_text: Annotated[
        Text | None, Field(description="What is said in `tts_prompt_audio`, to clone its voice.")
    ] = None
    tts_prompt_audio: Annotated[Source | None, Field(description="A sample of the voice to clone.")] = None
    pose_video: Annotated[Source | None, Field(description="A video of poses to follow.")] = None
    num_clip: Annotated[
        int | None, Field(strict=True, ge=1, le=100, description="Clips to make at most; absent: all.")
    ] = None
    infer_frames: Annotated[
        int | None,
        Field(strict=True, ge=4, le=80, multiple_of=4, description="Frames of a clip, 80 if absent."),
    ] = None
    start_from_ref: Annotated[Flag, Field(description="Begin with the portrait itself.")] = False

    @model_validator(mode="after")
    def _has_one_voice(self) -> Self:
        if self.enable_tts:
            if self.tts_text is None:
                raise InvalidRequestError("tts_text", "It says what to speak; enable_tts needs it.")
            if self.audio_path is not None:
                raise InvalidRequestError("audio_path", "The speech is either this or made by enable_tts.")
        elif self.audio_path is None:
            raise InvalidRequestError("audio_path", "Send the speech, or set enable_tts and tts_text.")
        elif speech := next((name for name in self.model_fields_set if name.startswith("tts_")), None):
            raise InvalidRequestError(speech, "It has a meaning only with enable_tts.")
        return self


class Animation(VideoBody):
    """The body of ``POST /generate/animation``: a character, and the poses and faces that it is to follow."""

    kind = Kind.ANIMATION
    sources = {"src_root_path": "src_root"}

    task: Task = "animate-14B"
    prompt: Prompt = "视频中的人在做动作"  # the official one: "the person in the video is moving"
    src_root_path: Annotated[
        Source,
        Field(
            description="A folder below `INPUTS_DIR`, or a .zip, with `src_pose.mp4`, `src_face.mp4` and "
            "`src_ref.png`; for `replace_flag` also `src_bg.mp4` and `src_mask.mp4`."
        ),
    ]
    replace_flag: Annotated[
        Flag, Field(description="Put the character into the background video instead of animating it.")
    ] = False
    refert_num: Annotated[
        int,
        Field(
            strict=True,
            json_schema_extra={"enum": [*_REFERT_NUMS]},
            description="Frames that a segment takes over from the one before: 1 or 5.",
        ),
        AfterValidator(_check_refert_num),
    ] = 1
