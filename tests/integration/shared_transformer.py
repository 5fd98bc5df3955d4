"""One process of several that share a speech transformer: ``FOLDER PROCESSES RANK``.

Prints how far its predictions are from the official ones, for a later clip and for the first one; and from
those of a process alone, where the shares cut through a frame.
"""

import json
import sys
from pathlib import Path

import torch
from diffusers import ContextParallelConfig
from safetensors.torch import load_file

from tests.integration.test_s2v_transformer import TRANSFORMER, original_folder, predict
from wan_models.pipelines.parallel import join
from wan_models.pipelines.s2v.transformer import WanS2VTransformer3DModel

torch.accelerator.device_count = lambda: 1


def main(folder: Path, processes: int, rank: int) -> None:
    """Take part, and tell."""
    own = folder / str(rank)
    own.mkdir()
    join(rank, processes, folder / "rendezvous")
    model = WanS2VTransformer3DModel.from_pretrained(original_folder(own))
    alone = predict(model, drop=False, frames=19)
    config = ContextParallelConfig(ulysses_degree=processes, ulysses_anything=True)
    model.enable_parallelism(config=config)
    expected = load_file(TRANSFORMER)
    found = [predict(model, drop=drop) - expected[f"out_drop{int(drop)}"] for drop in (False, True)]
    found.append(predict(model, drop=False, frames=19) - alone)
    sys.stdout.write(json.dumps([difference.abs().max().item() for difference in found]))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
