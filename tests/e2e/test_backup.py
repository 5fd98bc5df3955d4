"""A service loses everything, and goes on from its backup."""

import shutil

import pytest

from tests.e2e.conftest import running_service
from tests.e2e.test_cli import wanserve

pytestmark = pytest.mark.slow

LONG = {"size": "832*480", "frame_num": 9, "sample_steps": 40}


def test_what_was_done_is_there_again_and_what_ran_completes(tmp_path):
    data_dir, backup = tmp_path / "data", tmp_path / "backup"
    with running_service(data_dir, LEASE_SECONDS="2") as service:
        done = service.finished(service.submit()["id"])
        video = service.client.get(done["video_path"]).content
        running, waiting = service.submit(**LONG)["id"], service.submit()["id"]
        service.wait(running, lambda job: job["step"] > 0)
        taken = wanserve("backup", str(backup), "--artifacts", DATA_DIR=str(data_dir))
        assert taken.returncode == 0, taken.stderr
    shutil.rmtree(data_dir)
    put_back = wanserve("restore", str(backup), DATA_DIR=str(data_dir))
    assert put_back.returncode == 0, put_back.stderr
    with running_service(data_dir, LEASE_SECONDS="2") as service:
        restored = {**service.job(done["id"]), "video_url": done["video_url"]}  # it listens elsewhere now
        assert restored == done
        assert service.client.get(done["video_path"]).content == video
        again = service.finished(running)
        assert (again["status"], again["attempt"]) == ("completed", 2)
        assert service.finished(waiting)["status"] == "completed"
