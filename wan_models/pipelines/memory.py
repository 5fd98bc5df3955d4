"""Giving the device's memory back."""

from __future__ import annotations

import gc

import torch


def free_memory() -> None:
    """Collect what nobody refers to any more, and return torch's cache to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
