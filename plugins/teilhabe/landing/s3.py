"""Files in an S3-style object store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from teilhabe.errors import ContractError, SourceError, TeilhabeError
from teilhabe.landing.base import (
    CHUNK_BYTES,
    Credentials,
    Listing,
    Problems,
    RemoteFile,
    base_name,
    is_delivery_name,
    matches,
    max_file_bytes,
    refuse_too_large,
    write_stream,
)


@dataclass(frozen=True)
class S3Source:
    """The objects below ``path`` (``bucket/prefix``), each there as a whole or not at all. Nothing is deleted."""

    path: str
    source: str
    pattern: str | None = None
    credentials: Credentials = field(default_factory=Credentials)
    endpoint_url: str | None = None
    limit: int | None = None
    keeps_files: bool = field(default=True, init=False)
    problems: Problems = field(default_factory=list, init=False, compare=False, repr=False)

    def list(self) -> Listing:
        with self._store() as store:
            bucket, _, prefix = self.path.partition("/")
            try:
                # s3fs calls a bucket empty that is missing or out of reach, which would read as "nothing delivered".
                store.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)
            except FileNotFoundError as error:
                raise ContractError(f"There is no bucket {bucket!r} at {self._where()}.") from error
            found = store.find(self.path, detail=True)
        self.problems.clear()
        files = [self._described(key, info) for key, info in found.items() if info["type"] == "file"]
        kept = [
            file
            for file in files
            if file and is_delivery_name(file.name) and matches(self.pattern, self._inner(file.key))
        ]
        return sorted(kept, key=lambda file: (file.modified or datetime.min.replace(tzinfo=UTC), file.key))

    def fetch(self, file: RemoteFile, to: Path) -> None:
        limit = max_file_bytes() if self.limit is None else self.limit
        refuse_too_large(file.name, file.size, limit)
        with self._store() as store, store.open(file.key, "rb") as remote:
            write_stream(iter(lambda: remote.read(CHUNK_BYTES), b""), to, file.name, limit, expected=file.size)

    def acknowledge(self, file: RemoteFile) -> None:
        pass

    def _described(self, key: str, info: dict[str, Any]) -> RemoteFile | None:
        try:
            name = base_name(key)
        except TeilhabeError as error:
            self.problems.append(str(error))
            return None
        modified = info.get("LastModified")
        return RemoteFile(
            key=key,
            name=name,
            size=int(info["size"]),
            modified=modified,
            fingerprint=f"{key} {info.get('ETag') or modified} {info['size']}",
            complete=True,
            source=self.source,
        )

    def _inner(self, key: str) -> str:
        return key.removeprefix(self.path.rstrip("/") + "/")

    def _where(self) -> str:
        return self.endpoint_url or str(self.credentials.extra.get("endpoint_url") or "the object store")

    @contextmanager
    def _store(self) -> Iterator[Any]:
        import s3fs
        from botocore.exceptions import (  # type: ignore[import-untyped]
            BotoCoreError,
            NoCredentialsError,
            PartialCredentialsError,
        )

        where = f"{self._where()}, {self.path}"
        try:
            yield s3fs.S3FileSystem(**s3_options(self.credentials, self.endpoint_url))
        except TeilhabeError:
            raise
        except (PermissionError, NoCredentialsError, PartialCredentialsError) as error:
            raise ContractError(f"{where}: access was refused; check the connection named in the contract.") from error
        except FileNotFoundError as error:
            raise SourceError(f"{where}: an object vanished while it was being read.") from error
        except (OSError, BotoCoreError) as error:
            raise SourceError(f"{where}: cannot be reached ({type(error).__name__}).") from error


def s3_options(credentials: Credentials, endpoint_url: str | None = None) -> dict[str, Any]:
    """Options for s3fs. Without a login the usual AWS variables and instance roles apply."""
    # s3fs tries again by itself, and so does the task; a third loop around every call would only hide an outage longer.
    retries = {"retries": {"max_attempts": 1}}
    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False, "config_kwargs": retries}
    if credentials.login:
        options |= {"key": credentials.login, "secret": credentials.password}
    elif credentials.flag("anon"):
        options["anon"] = True
    endpoint = endpoint_url or credentials.extra.get("endpoint_url")
    if endpoint:
        options["endpoint_url"] = endpoint
    client: dict[str, Any] = {}
    if region := credentials.extra.get("region_name"):
        client["region_name"] = region
    if ca_file := credentials.extra.get("ca_file"):
        client["verify"] = ca_file
    if client:
        options["client_kwargs"] = client
    return options
