"""Installing models from a hub, with all that may go wrong on the way."""

import errno
import fcntl
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanPipeline

from scripts.download_wan_models import main
from scripts.models import fetch
from scripts.models.errors import DamagedFileError, DiskFullError, InstallError
from scripts.models.hub import Hub, HubSettings
from scripts.models.install import Installer
from tests.hub_server import COMMIT, HubServer, hub_of
from wan_models.catalog import CATALOG
from wan_models.manifest import MANIFEST, Manifest
from wan_models.models_dir import installed_model, model_path

TASK = "t2v-A14B"
SPEC = CATALOG[TASK]
SHARD = "transformer/diffusion_pytorch_model.safetensors"
UNNEEDED = ("README.md", ".gitattributes", "assets/cat.png", "vae/model.fp16.safetensors", "vae/model.bin")


class Noted:
    """Progress that is kept."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.notes: list[str] = []

    def begin(self, _title: str, total: int) -> None:
        self.total, self.done = total, 0

    def advance(self, size: int) -> None:
        self.done += size

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def repository(models_dir: Path, tmp_path: Path) -> Path:
    """The tiny model as a published repository, with what nobody needs beside it."""
    folder = tmp_path / "published"
    shutil.copytree(model_path(models_dir, TASK), folder)
    (folder / MANIFEST).unlink()
    for name in UNNEEDED:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("Nobody needs this.")
    return folder


@pytest.fixture
def hub(repository: Path):
    with hub_of(SPEC.repository, repository) as server:
        yield server


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(fetch.Fetcher.__init__, "__defaults__", (lambda _seconds: None,))


def install(hub: HubServer, place: Path, noted: Noted, token: str | None = None, **options: Any) -> None:
    settings = HubSettings.model_validate({"hf_endpoint": hub.url, "hf_token": token})
    with Hub(settings) as client:
        Installer(place, client, noted, **options).install(SPEC)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST
    }


def test_a_model_is_installed_with_the_files_that_it_needs(hub, repository, place, noted):
    install(hub, place, noted)
    model = installed_model(place, TASK)
    assert model
    assert (model.tiny, model.verified) == (False, True)
    expected = {name: content for name, content in contents(repository).items() if name not in UNNEEDED}
    assert contents(model.path) == expected
    manifest = Manifest.read(model.path)
    assert (manifest.repository, manifest.commit, manifest.dtype) == (SPEC.repository, COMMIT, None)
    assert set(manifest.files) == set(expected)
    assert noted.done == noted.total == sum(map(len, expected.values()))


def test_what_is_installed_is_not_asked_for_again(hub, place, noted):
    install(hub, place, noted)
    before = hub.gets.copy()
    install(hub, place, noted)
    assert hub.gets == before
    assert "installed already" in noted.notes[-1]


def test_a_connection_that_is_cut_goes_on_where_it_was(hub, repository, place, noted):
    hub.cut = lambda path: 2000 if path == SHARD else None
    install(hub, place, noted)
    size = (repository / SHARD).stat().st_size
    pieces = range(2000, size, 2000)
    assert hub.ranges == [(SHARD, f"bytes={start}-") for start in pieces]
    assert noted.done == noted.total
    assert contents(model_path(place, TASK))[SHARD] == (repository / SHARD).read_bytes()


def test_a_connection_that_brings_nothing_ends_the_download_and_the_next_one_goes_on(hub, place, noted):
    cuts = iter([3000])
    hub.cut = lambda path: next(cuts, 0) if path == SHARD else None
    with pytest.raises(InstallError, match="the connection"):
        install(hub, place, noted)
    assert installed_model(place, TASK) is None
    assert not model_path(place, TASK).exists()
    hub.cut, hub.ranges, hub.gets = lambda _path: None, [], hub.gets.__class__()
    install(hub, place, noted)
    assert hub.ranges[0] == (SHARD, "bytes=3000-")
    assert "model_index.json" not in hub.gets
    assert installed_model(place, TASK)


def test_a_hub_that_knows_no_ranges_is_asked_from_the_beginning(hub, repository, place, noted):
    cuts = iter([3000])
    hub.understands_ranges = False
    hub.cut = lambda path: next(cuts, None) if path == SHARD else None
    install(hub, place, noted)
    assert contents(model_path(place, TASK))[SHARD] == (repository / SHARD).read_bytes()
    assert noted.done == noted.total


@pytest.mark.parametrize("name", [SHARD, "vae/config.json"])
@pytest.mark.parametrize("spoiled", [lambda c: c[:-1] + bytes([c[-1] ^ 1]), lambda c: c + b"more"])
def test_a_file_with_another_digest_is_brought_once_more_and_then_refused(hub, place, noted, name, spoiled):
    hub.spoil = lambda path, content: spoiled(content) if path == name else content
    with pytest.raises(DamagedFileError, match=f"{name} came twice"):
        install(hub, place, noted)
    assert hub.gets[name] == 2
    assert installed_model(place, TASK) is None
    hub.spoil = lambda _path, content: content
    install(hub, place, noted)
    assert installed_model(place, TASK)


def test_a_hub_that_is_busy_is_asked_again(hub, place, noted):
    hub.on_file = lambda _path: setattr(hub, "busy", 0 if hub.gets[SHARD] else 1)
    install(hub, place, noted)
    assert installed_model(place, TASK)


def test_a_disk_with_too_little_room_is_found_out_before_the_first_file(hub, place, noted):
    with pytest.raises(DiskFullError, match=r"needs 1\.1 GB more, and .* has 0\.5 GB free"):
        install(hub, place, noted, free_bytes=lambda _folder: 500_000_000)
    assert not hub.gets


def test_a_disk_that_gets_full_ends_the_download_with_advice(hub, place, noted, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "_settle", full)
        with pytest.raises(DiskFullError, match="Make room, then start the same command again"):
            install(hub, place, noted)
    assert installed_model(place, TASK) is None
    install(hub, place, noted)
    assert installed_model(place, TASK)


def test_the_token_goes_to_the_hub_alone(hub, place, noted):
    hub.token = "hf_secret"
    install(hub, place, noted, token="hf_secret")
    assert hub.tokens == {"hub": {"Bearer hf_secret"}, "store": {None}}


def test_without_the_token_it_is_said_what_is_missing_and_the_token_is_never_shown(hub, place, noted):
    hub.token = "hf_secret"
    with pytest.raises(InstallError, match="Set HF_TOKEN") as caught:
        install(hub, place, noted, token="hf_wrong")
    assert "hf_wrong" not in str(caught.value) + repr(HubSettings.model_validate({"hf_token": "hf_wrong"}))


@pytest.mark.parametrize("path", ["../../escaped.json", "/etc/escaped.json"])
def test_a_path_that_leads_out_of_the_folder_is_refused(hub, place, noted, monkeypatch, path):
    told = hub.describe()
    told["siblings"][0]["rfilename"] = path
    monkeypatch.setattr(HubServer, "describe", lambda _self: told)
    with pytest.raises(InstallError, match="no path in a repository"):
        install(hub, place, noted)


def test_two_at_once_take_turns(hub, place, noted):
    began, other = threading.Event(), Noted()
    hub.on_file = lambda _path: began.set()
    lock_path = place / "wan" / f".{TASK}.lock"
    lock_path.parent.mkdir(parents=True)
    second = threading.Thread(target=install, args=(hub, place, other))
    with lock_path.open("w") as lock:  # as another process that installs has it
        fcntl.flock(lock, fcntl.LOCK_EX)
        other_waits = threading.Event()
        other.note = lambda text: (other.notes.append(text), other_waits.set())[0]  # type: ignore[method-assign,func-returns-value] # a test's hook
        second.start()
        assert other_waits.wait(60)
        assert not began.is_set()
    install(hub, place, noted)
    second.join()
    assert {count for name, count in hub.gets.items() if name == SHARD} == {1}
    assert installed_model(place, TASK)


def test_in_half_precision_it_takes_less_and_runs_with_the_same_weights_on_a_gpu(
    hub, repository, place, noted, tmp_path
):
    install(hub, place, noted, dtype="bf16")
    model = installed_model(place, TASK)
    assert model
    assert Manifest.read(model.path).dtype == "bf16"
    precision = {"vae": torch.float32, "default": torch.bfloat16}
    pipes = [WanPipeline.from_pretrained(path, dtype=precision) for path in (repository, model.path)]
    for name in ("transformer", "transformer_2", "text_encoder", "vae"):
        whole, half = (getattr(pipe, name).state_dict() for pipe in pipes)
        assert {key: value.dtype for key, value in whole.items()} == {k: v.dtype for k, v in half.items()}
        assert all(torch.equal(whole[key], half[key]) for key in whole)
    sizes = [
        (folder / "text_encoder/model.safetensors").stat().st_size for folder in (repository, model.path)
    ]
    assert sizes[1] < 0.6 * sizes[0]
    vae = "vae/diffusion_pytorch_model.safetensors"
    assert (model.path / vae).read_bytes() == (repository / vae).read_bytes()


def test_a_download_in_half_precision_that_broke_keeps_what_it_had(hub, place, noted):
    hub.cut = lambda path: 0 if path == SHARD else None
    with pytest.raises(InstallError):
        install(hub, place, noted, dtype="bf16")
    hub.cut, hub.gets = lambda _path: None, hub.gets.__class__()
    install(hub, place, noted)  # it goes on as it was begun
    assert hub.gets["text_encoder/model.safetensors"] == 0
    assert Manifest.read(model_path(place, TASK)).dtype == "bf16"


def test_a_model_whose_file_was_lost_does_not_count_and_is_repaired_with_that_file_alone(hub, place, noted):
    install(hub, place, noted)
    (model_path(place, TASK) / SHARD).unlink()
    assert installed_model(place, TASK) is None
    hub.gets = hub.gets.__class__()
    install(hub, place, noted)
    assert hub.gets == {SHARD: 1}
    assert installed_model(place, TASK)


def test_a_folder_that_others_began_is_left_alone(hub, place, noted):
    model_path(place, TASK).mkdir(parents=True)
    (model_path(place, TASK) / "notes.txt").write_text("mine")
    with pytest.raises(InstallError, match="Move it away"):
        install(hub, place, noted)
    assert not hub.gets


class TestTheCommand:
    @pytest.fixture(autouse=True)
    def environment(self, hub, place, monkeypatch):
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("MODELS_DIR", str(place))

    def test_installs_lists_and_verifies(self, capsys):
        assert main(["--model", TASK]) == 0
        assert main(["--installed"]) == 0
        assert f"(as published, {SPEC.repository}@{COMMIT[:12]})" in capsys.readouterr().out
        assert main(["--verify"]) == 0
        assert "as installed" in capsys.readouterr().out

    def test_finds_a_changed_byte_and_repairs_it(self, hub, place, capsys):
        main(["--model", TASK])
        shard = model_path(place, TASK) / SHARD
        content = shard.read_bytes()
        shard.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert installed_model(place, TASK)
        assert main(["--verify"]) == 1
        assert f"damaged: {SHARD}" in capsys.readouterr().out
        assert installed_model(place, TASK) is None
        hub.gets.clear()
        assert main(["--model", TASK]) == 0
        assert hub.gets == {SHARD: 1}
        assert (main(["--verify"]), shard.read_bytes()) == (0, content)

    def test_says_what_is_wrong_with_the_hub(self, hub, capsys):
        hub.repository = "Wan-AI/Other"
        assert main(["--model", TASK]) == 1
        assert "is not on this hub (404)" in capsys.readouterr().err

    def test_says_which_variable_is_wrong(self, monkeypatch, capsys):
        monkeypatch.setenv("HF_ENDPOINT", "no address")
        assert main(["--model", TASK]) == 1
        assert "HF_ENDPOINT" in capsys.readouterr().err


def test_a_manifest_that_is_no_manifest_vouches_for_nothing(tmp_path):
    for text in ("", "[]", "null", '{"files": {"a": {"size": 1}}}', json.dumps({"files": 3})):
        (tmp_path / MANIFEST).write_text(text)
        assert Manifest.read(tmp_path) == Manifest()
