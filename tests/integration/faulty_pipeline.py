"""A worker whose pipeline does to its process what the prompt says, and otherwise paints noise."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from wan_models import registry
from wan_models.catalog import CATALOG
from wan_models.errors import DeviceFaultError
from wan_models.pipeline import GeneratedVideo, Run
from wan_models.pipelines.fake import FakePipeline
from wan_models.request import VideoRequest
from workers.worker import main


class FaultyPipeline(FakePipeline):
    """The prompts are ``die``, and ``fail once``: the first attempt fails."""

    def generate(self, request: VideoRequest, run: Run) -> GeneratedVideo:
        if request.prompt == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        marker = Path(os.environ["DATA_DIR"], "failed")
        if request.prompt == "fail once" and not marker.exists():
            marker.touch()
            raise DeviceFaultError("The device failed.")
        return super().generate(request, run)


if __name__ == "__main__":
    where = "tests.integration.faulty_pipeline:FaultyPipeline"
    faulty = {task: replace(spec, pipeline=where) for task, spec in CATALOG.items()}
    vars(registry)["CATALOG"] = faulty
    main(sys.argv[1:])
