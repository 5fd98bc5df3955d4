"""What a device does wrong: too little memory, which may be helped, and a fault, which may not."""

from __future__ import annotations

import torch

from wan_models.errors import DeviceFaultError, DeviceMemoryError, GenerationError

# Older calls of torch raise plain RuntimeErrors for both.
_NO_MEMORY = ("out of memory", "can't allocate memory")
_FAULTS = ("CUDA error", "cuDNN error", "CUBLAS_STATUS", "NCCL error")


def fault_of(error: Exception) -> GenerationError:
    """The error of ours for what torch raised while it loaded or ran a model.

    After a CUDA error other than an allocation's, no call of the process to its device works any more
    (https://docs.nvidia.com/cuda/cuda-runtime-api, "sticky" errors).
    """
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError) or any(words in text for words in _NO_MEMORY):
        return DeviceMemoryError(f"The device has too little memory for this: {text}")
    if isinstance(error, torch.AcceleratorError) or any(words in text for words in _FAULTS):
        return DeviceFaultError(f"The device failed: {text}")
    return GenerationError(f"The model broke: {text}")
