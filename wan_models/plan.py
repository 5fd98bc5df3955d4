"""How a model lies in a device's memory. Pure functions of sizes; all sizes in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

_BLOCKS = 40  # of a 14B transformer; the 5B one has 30
_BLOCKS_HELD = 3  # the one that works, the next one, and what stands around the blocks


class Plan(StrEnum):
    """Where the parts of a model are while they do not work, from fastest to smallest.

    All but the last compute the same. ``fp8`` keeps the transformers' weights in 8-bit floats, on the host
    as well, and rounds what the model was trained with.
    """

    RESIDENT = "resident"
    MODEL_OFFLOAD = "model-offload"
    GROUP_OFFLOAD = "group-offload"
    FP8 = "fp8"

    @property
    def smaller(self) -> Plan | None:
        """The next plan that needs less memory, None behind the last."""
        plans = list(Plan)
        following = plans.index(self) + 1
        return plans[following] if following < len(plans) else None


def needed_bytes(plan: Plan, parts: Mapping[str, int]) -> int:
    """The most that a plan has of a model's weights on the device at once.

    Args:
        plan: the plan.
        parts: the size of each part, as it runs, by its name.
    """
    if plan is Plan.RESIDENT:
        return sum(parts.values())
    largest = max(parts.values(), default=0)
    if plan is Plan.MODEL_OFFLOAD:
        return largest
    blocks = max((size for name, size in parts.items() if name.startswith("transformer")), default=0)
    others = max((size for name, size in parts.items() if name in _MOVED_WHOLE), default=0)
    held = blocks * _BLOCKS_HELD // _BLOCKS
    return max(held if plan is Plan.GROUP_OFFLOAD else held // 2, others)


_MOVED_WHOLE = frozenset({"vae", "audio_encoder", "image_encoder"})


def choose_plan(parts: Mapping[str, int], working: int, free: int) -> Plan:
    """The fastest plan that fits; the smallest one where none does, for small videos need less.

    Args:
        parts: the size of each part, as it runs, by its name.
        working: what the largest video takes beside the weights.
        free: what the device has left.
    """
    return next((plan for plan in Plan if needed_bytes(plan, parts) + working <= free), Plan.FP8)
