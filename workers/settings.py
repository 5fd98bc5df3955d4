"""What a worker reads from the environment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from jobs.settings import JobsSettings
from wan_models.loras import read_loras
from wan_models.options import PipelineOptions, StepCacheName
from wan_models.plan import Plan
from wan_models.registry import MemoryRules


class WorkerSettings(JobsSettings):
    """The settings of a supervisor and its workers."""

    models_dir: Path | None = Field(
        None, description="Directory that holds `wan/<task>/`. Unset: tiny models below `DATA_DIR`."
    )
    loras_dir: Path | None = Field(
        None, description="Directory of LoRA adapters with their catalog `loras.toml`. Unset: there are none."
    )
    engines: Path | None = Field(
        None, description="File of the tasks that other servers make the videos of. Unset: none."
    )
    drain_seconds: float = Field(
        30, ge=0, le=24 * 3600, description="How long a worker that is told to stop goes on with its job."
    )
    cancel_grace_seconds: float = Field(
        10,
        ge=0,
        le=3600,
        description="How long a run that was told to stop may go on before its process is killed.",
    )
    retry_seconds: float = Field(
        10,
        ge=0,
        le=600,
        description="How long a job waits after an attempt that may be repeated, twice as long after each.",
    )
    checkpoint_seconds: float = Field(
        60,
        ge=0,
        le=24 * 3600,
        description="How often a run's state is saved for another attempt to go on from; 0 for never.",
    )

    tts_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        description="Service with OpenAI's `/v1/audio/speech` that speaks texts. Unset: eSpeak NG.",
    )
    tts_api_key: SecretStr | None = Field(None, description="API key of the text-to-speech service.")
    tts_model: str | None = Field(None, description="Its model. Unset: the service's choice.")
    tts_voice: str | None = Field(
        None, description="Voice to speak with. Unset: the service's choice, and eSpeak NG's `en`."
    )
    webhook_seconds: float = Field(
        15, ge=1, le=60, description="How long one attempt to deliver a webhook may take."
    )

    attention_backend: str = Field(
        "native",
        pattern=r"^_?[a-z0-9_]{1,63}$",
        description="Attention of the transformers, by the name that diffusers gives it.",
    )
    compile_blocks: bool = Field(
        default=False,
        description="Compile the transformers' blocks: slow for the first job of a size, then faster.",
    )
    step_cache: StepCacheName = Field(
        "none",
        description="Reuse of work between steps, `first-block`, `magcache` or `taylorseer`; another video.",
    )
    step_cache_threshold: float = Field(
        0.05, gt=0, le=1, description="How much may change that `first-block` or `magcache` leaves out."
    )
    prompt_cache_entries: int = Field(
        32, ge=0, le=4096, description="Texts to remember the encoding of, at 4 MB each."
    )
    vae_tiling: bool = Field(
        default=False, description="Decode videos in tiles: less memory, more time, and another video."
    )
    context_parallel: int = Field(
        1, ge=1, le=16, description="GPUs that work on one video together, where the model can be shared."
    )

    memory_plan: Literal["auto"] | Plan = Field(
        "auto",
        description="Plan that models begin with, instead of the fastest that fits; see docs/models.md.",
    )
    memory_budget_gb: float | None = Field(
        None, gt=0, description="GPU memory, on a CPU the host's, that each worker may take. Unset: all."
    )
    warm_models: int = Field(4, ge=1, le=100, description="Models that a worker keeps loaded at once.")
    preload: str | None = Field(
        None,
        description="Models, with commas between, to load when a worker starts, or `all` that it serves.",
    )

    @property
    def memory_rules(self) -> MemoryRules:
        """How this deployment wants its device's memory used."""
        return MemoryRules(
            plan=None if self.memory_plan == "auto" else Plan(self.memory_plan),
            budget=self._memory_budget,
            models=self.warm_models,
        )

    @property
    def _memory_budget(self) -> int | None:
        return None if self.memory_budget_gb is None else int(self.memory_budget_gb * 1e9)

    def preloaded(self, queues: Sequence[str]) -> list[str]:
        """The models to load at the start of a worker that serves these queues."""
        if self.preload == "all":
            return list(queues)
        wanted = [name.strip() for name in (self.preload or "").split(",")]
        return [queue for queue in queues if queue in wanted]

    @property
    def pipeline_options(self) -> PipelineOptions:
        """How this deployment wants its pipelines.

        Raises:
            LoraCatalogError: the catalog of adapters cannot be read.
        """
        return PipelineOptions(
            attention=self.attention_backend,
            compile_blocks=self.compile_blocks,
            step_cache=self.step_cache,
            step_cache_threshold=self.step_cache_threshold,
            prompt_cache=self.prompt_cache_entries,
            vae_tiling=self.vae_tiling,
            context_parallel=self.context_parallel,
            memory_limit=self._memory_budget,
            loras=read_loras(self.loras_dir),
        )

    @property
    def models_path(self) -> Path:
        """Where the models are."""
        return self.models_dir or self.data_dir / "models"
