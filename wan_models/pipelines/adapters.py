"""LoRA adapters for the length of one run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from wan_models.errors import GenerationError
from wan_models.loras import LoraCatalog, LoraUse, loras_for


@contextmanager
def adapted(pipe: Any, task: str, uses: Sequence[LoraUse], loras: LoraCatalog) -> Iterator[None]:
    """Have a pipeline of diffusers use adapters for as long as the context lasts, and as ever behind it.

    The weights themselves are not touched: fusing an adapter and taking it out again would round them.

    Raises:
        GenerationError: an adapter is not installed on this machine, or does not fit the model.
    """
    try:
        for number, use in enumerate(uses):
            _load(pipe, _adapter_name(number), _files(use, task, loras))
        _weigh(pipe, uses)
        yield
    finally:
        if uses:
            pipe.unload_lora_weights()


def _adapter_name(number: int) -> str:
    return f"lora_{number}"  # the names of the catalog may have dots, which names of modules may not


def _files(use: LoraUse, task: str, loras: LoraCatalog) -> Mapping[str, Path]:
    lora = loras_for(task, loras).get(use.name)
    if lora is None:
        raise GenerationError(f"The adapter {use.name} is not installed on this worker.")
    return lora.files[task]


def _load(pipe: Any, adapter: str, files: Mapping[str, Path]) -> None:
    for component, file in files.items():
        second = component == "transformer_2"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of peft, about what is wanted: several at once
                pipe.load_lora_weights(
                    file.parent, weight_name=file.name, adapter_name=adapter, load_into_transformer_2=second
                )
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise GenerationError(f"{file.name} is no adapter for this model: {error}") from error


def _weigh(pipe: Any, uses: Sequence[LoraUse]) -> None:
    """Give each adapter its strength, in every transformer that has it."""
    strengths = {_adapter_name(number): use.strength for number, use in enumerate(uses)}
    for component in ("transformer", "transformer_2"):
        present = getattr(getattr(pipe, component, None), "peft_config", {})
        if present:
            getattr(pipe, component).set_adapters(list(present), [strengths[name] for name in present])
