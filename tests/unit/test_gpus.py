"""Which GPUs a supervisor serves."""

import re
from pathlib import Path

import pytest

from wan_models.catalog import CATALOG
from workers.__main__ import _tell_of_lone_tasks, worker_programs
from workers.gpus import GpuSelectionError, present_gpus, select_gpus, share_gpus

FOUR = {"0": "GPU-5f1b-00", "1": "GPU-77c0-11", "2": "GPU-1d2e-22", "3": "GPU-90aa-33"}


@pytest.mark.parametrize("unrestricted", [None, "", "all"])
def test_all_means_every_gpu_of_the_machine_where_none_is_hidden(unrestricted):
    assert select_gpus("all", unrestricted, FOUR) == ["0", "1", "2", "3"]


def test_all_means_the_visible_gpus_where_some_are_hidden():
    assert select_gpus("all", "2, 3", FOUR) == ["2", "3"]


def test_none_means_no_gpu_whatever_is_there():
    assert select_gpus("none", None, FOUR) == []


def test_all_on_a_machine_without_gpus_means_none():
    assert select_gpus("all", None, {}) == []


def test_a_count_takes_the_first_of_the_visible_ones():
    assert select_gpus("2", "3,1,0", FOUR) == ["3", "1"]


def test_a_number_with_a_comma_is_the_gpu_of_that_number_not_a_count():
    assert select_gpus("3,", None, FOUR) == ["3"]


def test_a_list_is_served_in_its_order():
    assert select_gpus("2, 0", None, FOUR) == ["2", "0"]


def test_a_gpu_named_twice_is_served_once():
    assert select_gpus("1,1", None, FOUR) == ["1"]


def test_a_gpu_may_be_named_by_its_uuid_or_the_beginning_of_it():
    assert select_gpus("GPU-5f1b-00,GPU-77c0", None, FOUR) == ["GPU-5f1b-00", "GPU-77c0"]


def test_a_gpu_named_by_its_number_and_its_uuid_is_served_once():
    assert len(select_gpus("1,GPU-77c0", None, FOUR)) == 1


def test_the_names_of_the_visible_ones_need_not_be_those_that_are_wanted():
    assert select_gpus("GPU-77c0", "0,1", FOUR) == ["GPU-77c0"]
    assert select_gpus("1,", "GPU-77c0", FOUR) == ["1"]


def test_a_visible_gpu_may_be_one_that_the_driver_s_tool_does_not_list():
    assert select_gpus("MIG-90aa,", "MIG-90aa", FOUR) == ["MIG-90aa"]


@pytest.mark.parametrize(
    ("wanted", "visible", "complaint"),
    [
        ("5", None, "--gpus 5: only 4 GPUs are visible here."),
        ("2", "1", "--gpus 2: only 1 GPUs are visible here."),
        ("4,", None, "--gpus 4,: this machine shows the GPUs 0, 1, 2, 3."),
        ("0,1", "1", "--gpus 0,1: this machine shows the GPUs 1."),
        ("-1", None, "--gpus -1: this machine shows"),
        ("GPU-ffff", None, "--gpus GPU-ffff: this machine shows the GPUs 0, 1, 2, 3."),
        ("GPU-77c0", "0", "--gpus GPU-77c0: this machine shows the GPUs 0."),
        ("some", None, "--gpus some: this machine shows"),
        (",", None, "--gpus ,: this machine shows"),
        ("", None, "--gpus : this machine shows"),
    ],
)
def test_what_is_not_here_is_refused_and_the_message_says_what_is(wanted, visible, complaint):
    with pytest.raises(GpuSelectionError, match=re.escape(complaint)):
        select_gpus(wanted, visible, FOUR)


def test_where_there_is_no_gpu_the_refusal_says_so():
    with pytest.raises(GpuSelectionError, match="shows the GPUs none"):
        select_gpus("0,", None, {})


class TestPresentGpus:
    @pytest.fixture(autouse=True)
    def path(self, tmp_path: Path, monkeypatch) -> Path:
        """An empty directory as the only one on PATH."""
        monkeypatch.setenv("PATH", str(tmp_path))
        return tmp_path

    def install(self, directory: Path, script: str) -> None:
        tool = directory / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)

    def test_are_none_without_the_drivers_tool(self):
        assert present_gpus() == {}

    def test_are_what_the_tool_lists_without_the_slices_of_a_gpu(self, path):
        lines = [
            "GPU 0: NVIDIA H200 (UUID: GPU-5f1b)",
            "  MIG 1g.18gb     Device  0: (UUID: MIG-90aa)",
            "GPU 1: NVIDIA H200 (UUID: GPU-77c0)",
            "GPU 10: NVIDIA H200 (UUID: GPU-1d2e)",
        ]
        script = '[ "$*" = -L ] || exit 2\n' + "\n".join(f"echo '{line}'" for line in lines)
        self.install(path, script)
        assert present_gpus() == {"0": "GPU-5f1b", "1": "GPU-77c0", "10": "GPU-1d2e"}

    def test_are_none_where_the_tool_finds_no_driver_and_the_log_says_so(self, path, caplog):
        self.install(path, "echo 'Failed to initialize NVML: Driver Not Loaded'; exit 9")
        assert present_gpus() == {}
        assert "Driver Not Loaded" in caplog.text


class TestWorkers:
    def test_are_one_a_gpu_which_each_see_that_gpu_alone(self):
        programs = worker_programs(["0", "3"], ["t2v-A14B", "ti2v-5B"], "host")
        assert [program.environment["CUDA_VISIBLE_DEVICES"] for program in programs] == ["0", "3"]
        assert [program.command[-4:] for program in programs] == [
            ["--name", "gpu0@host", "--queues", "t2v-A14B,ti2v-5B"],
            ["--name", "gpu3@host", "--queues", "t2v-A14B,ti2v-5B"],
        ]

    def test_of_several_gpus_each_see_theirs_alone(self):
        programs = worker_programs(share_gpus(["0", "1", "2", "3"], 2), ["t2v-A14B"], "host")
        assert [program.environment["CUDA_VISIBLE_DEVICES"] for program in programs] == ["0,1", "2,3"]
        assert [program.command[-3] for program in programs] == ["gpu0-1@host", "gpu2-3@host"]

    @pytest.mark.parametrize("gpus", [[], ["0", "1", "2"]])
    def test_of_several_gpus_are_refused_where_these_do_not_come_out_even(self, gpus):
        with pytest.raises(GpuSelectionError, match=f"a multiple of 2 GPUs, not {len(gpus)}"):
            share_gpus(gpus, 2)
        assert share_gpus(gpus, 1) == gpus

    def test_without_a_gpu_are_one_on_the_cpu_which_sees_no_gpu(self):
        (program,) = worker_programs([], ["t2v-A14B"], "host")
        assert program.environment["CUDA_VISIBLE_DEVICES"] == ""
        assert program.command[-4:-2] == ["--name", "cpu@host"]

    def test_without_a_queue_are_none(self):
        assert worker_programs([], [], "host") == []
        assert worker_programs(["0"], [], "host") == []

    @pytest.mark.parametrize(("each", "told"), [(1, []), (2, ["animate-14B"])])
    def test_that_share_no_video_of_a_task_are_told_of_at_the_start(self, caplog, each, told):
        _tell_of_lone_tasks(list(CATALOG), each)
        assert [record.args[0] for record in caplog.records] == told
