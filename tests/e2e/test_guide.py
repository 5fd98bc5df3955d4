"""The integration guide's own lines, run as printed; only the address is that of the service under test."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Service
from wan_models.pipelines.video import probe_mp4

pytestmark = pytest.mark.slow

GUIDE = (Path(__file__).parent.parent / "data" / "wan-integration-guide.md").read_text()


def blocks(heading: str, language: str) -> list[str]:
    section = GUIDE.split(f"### {heading}\n", 1)[1].split("\n### ", 1)[0]
    return re.findall(rf"```{language}\n(.*?)```", section, flags=re.DOTALL)


def at(service: Service, text: str) -> str:
    return text.replace("http://localhost:8004", service.address)


def test_the_python_client_prints_where_the_video_will_be_and_there_it_is(service, tmp_path):
    (client,) = blocks("Python Client", "python")
    run = subprocess.run(
        [sys.executable, "-c", at(service, client)], capture_output=True, text=True, check=True, timeout=300
    )
    found = re.fullmatch(r"Video generated: (/videos/(job_\w+)\.mp4)\n", run.stdout)
    assert found
    done = service.finished(found[2])
    assert done["status"] == "completed"
    (tmp_path / "video.mp4").write_bytes(service.video(done))
    video = probe_mp4(tmp_path / "video.mp4")
    assert (video.width, video.height, video.frames) == (1280, 720, 17)


def test_every_curl_line_is_answered(service):
    (script,) = blocks("cURL Examples", "bash")
    quiet = at(service, script).replace("curl ", "curl -sS --fail-with-body -w '\\n' ")
    run = subprocess.run(["bash", "-euc", quiet], capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    health, models, job, videos = run.stdout.splitlines()
    assert '"ok"' in health
    assert '"t2v-A14B"' in models
    assert '"queued"' in job
    assert '"videos"' in videos
    found = re.search(r"job_\w+", job)
    assert found
    service.client.post(f"/jobs/{found[0]}/cancel").raise_for_status()
