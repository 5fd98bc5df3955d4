"""From settings to open stores."""

from __future__ import annotations

from pydantic import SecretStr

from jobs.artifacts import ArtifactStore
from jobs.artifacts_local import LocalArtifactStore
from jobs.disks import Disks
from jobs.keys import KeyStore
from jobs.keys_redis import RedisKeyStore
from jobs.limits import LimitStore
from jobs.scratch import temporary_folder
from jobs.settings import JobsSettings
from jobs.store import JobStore
from jobs.store_redis import connect
from jobs.store_tidy import TidyJobStore
from jobs.webhook_store import WebhookStore


def open_store(settings: JobsSettings, artifacts: ArtifactStore | None = None) -> JobStore:
    """The job records in the configured Redis, or in the embedded one. Sends nothing yet.

    ``artifacts`` is where jobs have their inputs, if it is open already.
    """
    kept = artifacts or open_artifacts(settings)
    return TidyJobStore(connect(settings.redis_address), settings.policy, kept)


def open_keys(settings: JobsSettings) -> KeyStore:
    """The API keys, in the same Redis. Sends nothing yet."""
    return RedisKeyStore(connect(settings.redis_address))


def open_limits(settings: JobsSettings) -> LimitStore:
    """What tenants may use, in the same Redis. Sends nothing yet."""
    return LimitStore(connect(settings.redis_address))


def open_webhooks(settings: JobsSettings) -> WebhookStore:
    """The webhook endpoints and deliveries, in the same Redis. Sends nothing yet."""
    return WebhookStore(connect(settings.redis_address))


def open_artifacts(settings: JobsSettings) -> ArtifactStore:
    """The configured bucket, or a directory below DATA_DIR."""
    if settings.s3_bucket is None:
        return LocalArtifactStore(settings.data_dir / "artifacts")
    # boto3 takes a while to import, and a local directory needs none of it.
    from jobs.artifacts_s3 import S3ArtifactStore  # noqa: PLC0415 - see above

    return S3ArtifactStore.connect(
        settings.s3_bucket,
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key=_plain(settings.s3_access_key),
        secret_key=_plain(settings.s3_secret_key),
    )


def open_disks(settings: JobsSettings) -> Disks:
    """The disks of temporary files and, where something is embedded, of DATA_DIR."""
    folders = {"temporary": temporary_folder()}
    if settings.s3_bucket is None or settings.redis_url is None:
        folders["data"] = settings.data_dir
    return Disks(folders, int(settings.disk_reserve_gb * 1e9))


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
