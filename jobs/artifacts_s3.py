"""Artifacts in an S3 bucket: AWS, or any server that speaks its protocol."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Self

from boto3.s3.transfer import TransferConfig
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from jobs.artifact_stream import ArtifactStream
from jobs.artifacts import Artifact, check_key, check_prefix, check_range
from jobs.errors import ArtifactNotFoundError, ArtifactStoreUnavailableError

if TYPE_CHECKING:  # the stubs are a development dependency
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

MAX_PRESIGN_SECONDS = 7 * 24 * 3600  # Signature Version 4 allows no more
PART_BYTES = 8 * 1024 * 1024
PARALLEL_PARTS = 4  # each holds a part in memory
CONNECTIONS = 50  # downloads that stream at the same time without opening a connection each


class S3ArtifactStore:
    """An ArtifactStore in a bucket, below an optional prefix.

    Args:
        client: a boto3 client, safe to share between threads.
        bucket: the bucket; it must exist.
        prefix: what every key is put under, such as ``wanserve``.
    """

    def __init__(self, client: S3Client, bucket: str, prefix: str = "") -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{check_key(prefix)}/" if prefix else ""

    @classmethod
    def connect(
        cls,
        bucket: str,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
    ) -> Self:
        """A store from plain values. Nothing is sent before the first use.

        Args:
            bucket: the bucket; it must exist.
            endpoint: the server's URL; None for AWS itself.
            region: what requests are signed for; None leaves it to the AWS environment.
            access_key: with ``secret_key``, the credentials. None leaves them to the AWS
                environment, in boto3's order: variables, profile, instance role.
            secret_key: see ``access_key``.
        """
        client = Session().client(
            "s3",
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=_client_config(path_style=endpoint is not None),
        )
        return cls(client, bucket)

    def put(self, key: str, source: Path, about: Mapping[str, str] | None = None) -> Artifact:
        """See ArtifactStore. A file of more than 8 MiB goes up in parallel parts."""
        artifact = Artifact(check_key(key), source.stat().st_size)
        with source.open("rb") as reader, self._available():
            self._client.upload_fileobj(
                reader,
                self._bucket,
                self._prefix + key,
                ExtraArgs={"ContentType": artifact.content_type, "Metadata": dict(about or {})},
                Config=TransferConfig(
                    multipart_threshold=PART_BYTES,
                    multipart_chunksize=PART_BYTES,
                    max_concurrency=PARALLEL_PARTS,
                ),
            )
        return artifact

    def stat(self, key: str) -> Artifact:
        """See ArtifactStore."""
        try:
            with self._available(key):
                head = self._client.head_object(Bucket=self._bucket, Key=self._prefix + check_key(key))
        except ArtifactNotFoundError:
            self.ping()  # a 404 to HEAD has no body to tell a missing bucket from a missing key
            raise
        return Artifact(key, head["ContentLength"])

    def read(self, key: str, start: int = 0, end: int | None = None) -> ArtifactStream:
        """See ArtifactStore."""
        check_range(start, end)
        span = f"bytes={start}-{'' if end is None else end}"
        with self._available(key):
            try:
                answer = self._client.get_object(
                    Bucket=self._bucket, Key=self._prefix + check_key(key), Range=span
                )
            except ClientError as error:
                if _code(error) != "InvalidRange":
                    raise
                return ArtifactStream(BytesIO(), 0)  # it begins behind the last byte, if there is one
        return _stream(answer, start, end)

    def presign(self, key: str, expires_in: int) -> str:
        """See ArtifactStore. The URL names the endpoint, so clients must be able to reach that."""
        return self._presign("get_object", key, expires_in)

    def presign_put(self, key: str, size: int, expires_in: int) -> str:
        """See ArtifactStore. The length is signed with the rest: the server refuses any other."""
        return self._presign("put_object", key, expires_in, ContentLength=size)

    def find(self, prefix: str = "") -> Iterator[Artifact]:
        """See ArtifactStore. Objects under names that are no keys are not ours and left out."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + check_prefix(prefix)
        )
        with self._available():
            for page in pages:
                for entry in page.get("Contents", ()):
                    with suppress(ValueError):
                        yield Artifact(check_key(entry["Key"].removeprefix(self._prefix)), entry["Size"])

    def delete(self, key: str) -> None:
        """See ArtifactStore."""
        # S3 says nothing of a key that was not there; some other servers do.
        with suppress(ArtifactNotFoundError), self._available(key):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + check_key(key))

    def _presign(self, verb: str, key: str, expires_in: int, **more: int) -> str:
        if not 1 <= expires_in <= MAX_PRESIGN_SECONDS:
            raise ValueError(f"A URL can be signed for 1 to {MAX_PRESIGN_SECONDS} seconds, not {expires_in}.")
        where = {"Bucket": self._bucket, "Key": self._prefix + check_key(key), **more}
        with self._available():
            return self._client.generate_presigned_url(verb, Params=where, ExpiresIn=expires_in)

    def ping(self) -> None:
        """See ArtifactStore."""
        with self._available():
            self._client.head_bucket(Bucket=self._bucket)

    @contextmanager
    def _available(self, key: str | None = None) -> Iterator[None]:
        """Turn boto3's errors into the port's. ``key`` is the one that may be missing."""
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            if key is not None and _code(error) in {"NoSuchKey", "404"}:
                raise ArtifactNotFoundError(key) from error
            where = f"The bucket {self._bucket} at {self._client.meta.endpoint_url}"
            raise ArtifactStoreUnavailableError(f"{where} {_complaint(error)}") from error


def _client_config(*, path_style: bool) -> Config:
    return Config(
        signature_version="s3v4",  # boto3 still signs URLs for us-east-1 with version 2 by itself
        # "auto" would sign for Amazon's global host name, which redirects to another one in other regions.
        s3={"addressing_style": "path" if path_style else "virtual"},
        # Checksums that the protocol does not ask for break uploads and ranged reads on other servers.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=5,
        read_timeout=30,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=CONNECTIONS,
    )


def _stream(answer: GetObjectOutputTypeDef, start: int, end: int | None) -> ArtifactStream:
    """The wanted bytes of an answer, whichever bytes the server chose to send.

    A server may honour a range with status 206, honour it with status 200 (rclone does), or ignore
    it (RFC 9110, section 14.2), so that only the Content-Range header tells what the body begins with.
    """
    span = re.match(r"bytes (\d+)-(\d+)/", answer.get("ContentRange", ""))
    first, last = (int(span[1]), int(span[2])) if span else (0, answer["ContentLength"] - 1)
    if end is not None:
        last = min(last, end)
    if first > start:
        answer["Body"].close()
        raise ArtifactStoreUnavailableError(
            f"The bucket sent bytes from {first} where {start} was asked for."
        )
    length = max(0, last - start + 1)
    return ArtifactStream(answer["Body"], length, skip=start - first, losses=(BotoCoreError,))


def _code(error: Exception) -> str:
    """S3's name for the error, or its HTTP status where the answer had no body; empty if none came."""
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""


def _complaint(error: BotoCoreError | ClientError) -> str:
    """What went wrong and what to check, without the error's own text, which may quote the request."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return "needs credentials. Set S3_ACCESS_KEY and S3_SECRET_KEY."
    if not isinstance(error, ClientError):
        return f"cannot be reached ({type(error).__name__}). Check S3_ENDPOINT, and the network to it."
    status, code = error.response["ResponseMetadata"]["HTTPStatusCode"], _code(error)
    match status:
        case 401 | 403:
            advice = (
                "Check S3_ACCESS_KEY, S3_SECRET_KEY, their rights on this bucket, and this machine's clock"
            )
        case 404:
            advice = "Create the bucket, or correct S3_BUCKET"
        case 301 | 307 | 400:
            advice = "Check S3_REGION and S3_ENDPOINT"
        case _:
            advice = "Try again shortly; if that does not help, look into the log of that server"
    return f"refused: {status} {code}. {advice}."
