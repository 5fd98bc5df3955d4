"""A follower on the CPU, which diffusers does not count as a device."""

import torch

from wan_models.pipelines.follower import main

torch.accelerator.device_count = lambda: 1

if __name__ == "__main__":
    main()
