"""What torch raises, told apart."""

import weakref

import pytest
import torch

from wan_models.errors import DeviceFaultError, DeviceMemoryError, GenerationError
from wan_models.pipelines.faults import fault_of
from wan_models.pipelines.memory import free_memory


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory"),
    ],
)
def test_too_little_memory_is_told(error):
    assert isinstance(fault_of(error), DeviceMemoryError)


def test_too_little_memory_of_the_machine_is_told():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60)
    assert isinstance(fault_of(raised.value), DeviceMemoryError)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        torch.AcceleratorError("uncorrectable ECC error encountered"),
    ],
)
def test_a_device_that_failed_is_told(error):
    assert isinstance(fault_of(error), DeviceFaultError)


@pytest.mark.parametrize(
    "error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("no")]
)
def test_everything_else_is_the_model_s_own(error):
    fault = fault_of(error)
    assert type(fault) is GenerationError
    assert str(error) in str(fault)


def test_memory_is_freed_without_a_gpu_as_well():
    tensor = torch.zeros(1)
    ring: list[object] = [tensor]
    ring.append(ring)
    left = weakref.ref(tensor)
    del tensor, ring
    free_memory()
    assert left() is None
