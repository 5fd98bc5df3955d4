"""A gateway whose five models are all installed and runnable, for tests of what it takes in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.cached import Cached
from api.inputs.intake import open_intake
from api.settings import GatewaySettings
from jobs.artifacts import ArtifactStore
from jobs.artifacts_local import LocalArtifactStore
from jobs.connect import open_store
from jobs.outbound import Resolver, system_resolver
from tests.integration.api.conftest import Gateway, parts_with, serving
from wan_models.catalog import CATALOG
from wan_models.models_dir import InstalledModel

COMMON: dict[str, Any] = {"prompt": "A cat", "size": "128*64", "frame_num": 5, "sample_steps": 2}
IMAGE = "/generate/image-to-video"
SPEECH = "/generate/speech-to-video"
ANIMATION = "/generate/animation"


@contextmanager
def taking_inputs(
    redis_url: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    artifacts: ArtifactStore | None = None,
    resolve: Resolver = system_resolver,
    **settings: Any,
) -> Iterator[Gateway]:
    """A gateway with these settings, all of whose models are tiny."""
    runnable = {
        task: replace(spec, pipeline=spec.pipeline or "some:Pipeline") for task, spec in CATALOG.items()
    }
    monkeypatch.setattr("api.submission.CATALOG", runnable)
    models = {task: InstalledModel(task, folder / task, tiny=True) for task in CATALOG}
    read = GatewaySettings(data_dir=folder, redis_url=f"{redis_url}" or None, **settings)
    kept = artifacts or LocalArtifactStore(folder / "artifacts")
    parts = parts_with(
        open_store(read, kept),
        folder,
        artifacts=kept,
        models=Cached(lambda: models, 0),
        intake=open_intake(read, kept, resolve),
        clones_voices=read.tts_url is not None,
    )
    with serving(parts, folder) as gateway:
        yield gateway


def keys(gateway: Gateway, prefix: str = "") -> list[str]:
    """What the artifact store holds."""
    return [artifact.key for artifact in gateway.parts.artifacts.find(prefix)]


Refused = Callable[..., str]


def refusal(gateway: Gateway, url: str, *, field: str, **sent: Any) -> str:
    """The sentence that a request is refused with for one field; nothing of it may be left."""
    answer = gateway.client.post(url, **sent)
    assert answer.status_code == 422, answer.text
    assert [fault["field"] for fault in answer.json()["errors"]] == [field], answer.text
    assert [key for key in keys(gateway) if "/in/" in key] == []
    assert gateway.submitted == []
    return str(answer.json()["errors"][0]["message"])
