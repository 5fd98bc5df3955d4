"""Putting a loaded pipeline of diffusers where its memory plan says."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.hooks.group_offloading import apply_group_offloading

from wan_models.pipelines.acceleration import transformers
from wan_models.plan import Plan

_GROUPED = ("text_encoder", "transformer", "transformer_2")


def place(pipe: Any, device: torch.device, plan: Plan) -> None:
    """Have a pipeline run on a device with its parts there, or on the host while they do not work."""
    if plan is Plan.RESIDENT or (plan is Plan.MODEL_OFFLOAD and device.type == "cpu"):
        pipe.to(device)
    elif plan is Plan.MODEL_OFFLOAD:
        pipe.enable_model_cpu_offload(device=device)
    else:
        if plan is Plan.FP8:
            _store_in_fp8(pipe)
        _group(pipe, device)


def _store_in_fp8(pipe: Any) -> None:
    for transformer in transformers(pipe).values():
        computing = transformer.dtype
        transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=computing)
        for module in transformer.modules():
            if isinstance(module, torch.nn.Linear):
                # peft makes adapters as precise as this says; in 8 bits, nothing would be left of them.
                module.compute_dtype = computing


def _group(pipe: Any, device: torch.device) -> None:
    """Bring one layer after another to the device; what is small stays there."""
    grouped = [getattr(pipe, name, None) for name in _GROUPED]
    for module in grouped:
        if module is not None:
            apply_group_offloading(
                module,
                onload_device=device,
                offload_device=torch.device("cpu"),
                offload_type="leaf_level",
                use_stream=device.type == "cuda",
            )
    for module in pipe.components.values():
        if isinstance(module, torch.nn.Module) and not any(module is it for it in grouped):
            module.to(device)
