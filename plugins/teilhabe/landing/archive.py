"""The archive: bytes as received, named by their SHA-256, with one manifest entry per arrival.

They stay until their time is over or somebody erases them (``teilhabe.keeping.removing``); the entry of the arrival stays, without names.

Below the archive's address lie ``objects/<first two digits>/<sha256>`` with an ending that says how the bytes are kept, and
``manifest/<dataset_id>/<received_at>-<sha256[:12]>-<n>.json``. Folder and object store behave alike. The SHA-256 is that of the
bytes as received, whatever the ending: ``.zst`` compressed, ``.member`` the name of the container that holds them, none as they are
(so the archive kept them until it compressed).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from teilhabe.errors import ContractError, ReadingError, SourceError, TeilhabeError
from teilhabe.landing import compressed, room
from teilhabe.landing.base import CHUNK_BYTES, Credentials, private_dirs, sync_folder, write_stream
from teilhabe.landing.s3 import s3_options

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DATASET_ID = re.compile(r"[a-z0-9][a-z0-9_]*")
_MEMBER = ".member"
_WHOLE = 1 << 62
_LEFT_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Archived:
    """``uri`` names the object without the ending that says how it is kept."""

    sha256: str
    uri: str
    size: int


@dataclass(frozen=True)
class ManifestEntry:
    """One arrival. ``arrival`` is what identifies it at its source (ticket or fingerprint); ``is_kept``: there is an object of it."""

    dataset_id: str
    received_at: datetime
    sha256: str
    size: int
    original_name: str
    sender: str | None = None
    source: str | None = None
    period: str | None = None
    arrival: str | None = None
    is_kept: bool = True


class Archive:
    """``Archive(settings.archive_url)``; an object store may be given ``credentials`` (see cookbook: sources)."""

    def __init__(self, url: str, credentials: Credentials | None = None) -> None:
        self.url = url.rstrip("/")
        self._fs, root = _filesystem(self.url, credentials)
        self._root = root.rstrip("/")
        self._is_folder = "file" in _protocols(self._fs)

    def put(self, local: Path) -> Archived:
        """Keep the bytes of ``local``. Bytes already kept are not written again, unless their object is torn."""
        with self._failures(f"store {local.name}"):
            sha256, size = _hash(local)
            if self._kept(sha256) != size:
                self._copy_in(local, sha256)
                if self._kept(sha256) != size:
                    raise SourceError(f"{local.name}: the archive {self.url} did not keep all of {size} bytes.")
            return Archived(sha256, self._uri(self._object(sha256)), size)

    def put_member(self, local: Path, container: str, name: str, place: str) -> Archived:
        """Keep the bytes of ``local``, which came out of the object ``container`` at ``place``: nothing is written twice.

        ``name`` is what the container is called.
        """
        with self._failures(f"store {local.name}"):
            sha256, size = _hash(local)
            if self._kept(sha256) != size:
                said = {"container": container, "name": name, "place": place, "size": size}
                self._write(self._object(sha256) + _MEMBER, lambda out: out.write(_json(said)))
            return Archived(sha256, self._uri(self._object(sha256)), size)

    def record(self, entry: ManifestEntry) -> str:
        """Append ``entry`` to the manifest and return its address; existing entries are never touched.

        The same arrival recorded again (a retry after a crash) returns the entry that is already there.
        """
        if not _DATASET_ID.fullmatch(entry.dataset_id) or not _SHA256.fullmatch(entry.sha256):
            raise TeilhabeError(f"No manifest entry can be named {entry.dataset_id!r}, {entry.sha256!r}.")
        at = entry.received_at.astimezone(UTC)
        said = {**asdict(entry), "received_at": at.isoformat()}
        if entry.is_kept:
            del said["is_kept"]  # as entries were before some had none
        stem = f"{self._root}/manifest/{entry.dataset_id}/{at:%Y%m%dT%H%M%S%fZ}-{entry.sha256[:12]}"
        with self._failures(f"record {entry.original_name}"):
            n = 1
            while not self._create(f"{stem}-{n}.json", said):
                if entry.arrival is not None and self._read_json(f"{stem}-{n}.json") == said:
                    break
                n += 1
            return self._uri(f"{stem}-{n}.json")

    def remove(self, sha256: str) -> bool:
        """Remove the bytes; False when there are none. Whoever calls this knows that nobody needs them."""
        if not _SHA256.fullmatch(sha256):
            raise TeilhabeError(f"{sha256!r} is not a SHA-256.")
        removed = False
        with self._failures(f"remove {sha256}"):
            while (found := self._found(sha256))[1] is not None:
                self._fs.rm_file(found[0])
                if self._is_folder:
                    sync_folder(Path(found[0]).parent)
                removed = True
        return removed

    def keep_apart(self, sha256: str, folder: Path) -> None:
        """Keep the bytes of an object that lies within a container on their own, before that goes; others stay as they are."""
        if self._found(sha256)[1] == _MEMBER:
            local = self.local(sha256, folder)
            with self._failures(f"store {sha256}"):
                self._copy_in(local, sha256)

    def forget(self, manifest_uri: str) -> None:
        """Take out of an entry of the manifest who sent it and what it was called; what is left is that something came."""
        path = self._path(manifest_uri)
        with self._failures("change its manifest"):
            self._fs.invalidate_cache()
            try:
                said = self._read_json(path)
            except FileNotFoundError:
                return
            bare = {**said, "original_name": "", "sender": None, "arrival": None}
            if said == bare:
                return
            text = json.dumps(bare, ensure_ascii=False, indent=1).encode()
            if not self._is_folder:
                self._fs.pipe_file(path, text)
                return
            waiting = Path(self._waiting())
            try:
                with self._writing(str(waiting)) as out:
                    out.write(text)
                waiting.replace(path)
                sync_folder(Path(path).parent)
            finally:
                waiting.unlink(missing_ok=True)

    def manifest(self, dataset_id: str) -> list[ManifestEntry]:
        """All arrivals of a dataset, in the order they were received."""
        if not _DATASET_ID.fullmatch(dataset_id):
            raise TeilhabeError(f"{dataset_id!r} is not a dataset id (expected agency__dataset).")
        with self._failures(f"read the manifest of {dataset_id}"):
            self._fs.invalidate_cache()
            folder = f"{self._root}/manifest/{dataset_id}"
            paths = sorted(path for path in self._fs.find(folder) if path.endswith(".json"))
            said = [self._read_json(path) for path in paths]
        return [ManifestEntry(**{**one, "received_at": datetime.fromisoformat(one["received_at"])}) for one in said]

    def local(self, sha256: str, to_dir: Path) -> Path:
        """The bytes as a local file ``to_dir/<sha256>``; TeilhabeError when they are missing or were altered."""
        if not _SHA256.fullmatch(sha256):
            raise TeilhabeError(f"{sha256!r} is not a SHA-256.")
        to_dir.mkdir(parents=True, exist_ok=True)
        to = to_dir / sha256
        if to.is_file() and not to.is_symlink() and _hash(to)[0] == sha256:
            return to
        with self._failures(f"fetch {sha256}"):
            path, form = self._found(sha256)
            if form is None:
                raise TeilhabeError(f"The archive {self.url} has no object {sha256}.")
            if form == _MEMBER:
                return self._from_container(sha256, path, to)
            digest = hashlib.sha256()
            try:
                with self._fs.open(path, "rb") as stream:
                    chunks = compressed.read(stream) if form == compressed.SUFFIX else _chunks(stream)
                    write_stream(_hashing(chunks, digest), to, sha256, limit=_WHOLE)
            except compressed.TornError as error:
                raise self._damaged(sha256) from error
        if digest.hexdigest() != sha256:
            to.unlink()
            raise self._damaged(sha256)
        return to

    def size(self, sha256: str) -> int | None:
        """Bytes of an object before it was compressed; None when there is none, or its end is missing."""
        with self._failures(f"look for {sha256}"):
            return self._kept(sha256)

    def check(self, sha256: str) -> None:
        """Read an object again; TeilhabeError when it is missing or was altered."""
        with tempfile.TemporaryDirectory() as folder:
            self.local(sha256, Path(folder))

    def sweep(self) -> int:
        """Remove what killed processes left half written; returns how many. Nothing takes a day to write."""
        if not self._is_folder:
            return 0
        swept = 0
        for path in (Path(self._root) / "waiting").glob("*"):
            with suppress(FileNotFoundError):  # it was moved to its place meanwhile, or another process sweeps
                if time.time() - path.stat().st_mtime > _LEFT_SECONDS:
                    path.unlink()
                    swept += 1
        return swept

    def mirror(self, to: Path) -> tuple[int, int]:
        """Copy what ``to`` does not have yet, as it is kept; returns how many files and bytes were new."""
        files = size = 0
        with self._failures(f"be copied to {to}"):
            self._fs.invalidate_cache()
            for part in ("objects", "manifest"):
                for path, info in sorted(self._fs.find(f"{self._root}/{part}", detail=True).items()):
                    target = to / Path(path).relative_to(self._root)
                    if target.exists() and target.stat().st_size == info["size"]:
                        continue
                    private_dirs(target.parent, to)
                    draft = target.with_name(f".{target.name}.part")
                    self._fs.get_file(path, str(draft))
                    draft.chmod(0o600)
                    draft.replace(target)
                    files, size = files + 1, size + int(info["size"])
        return files, size

    def _object(self, sha256: str) -> str:
        return f"{self._root}/objects/{sha256[:2]}/{sha256}"

    def _found(self, sha256: str) -> tuple[str, str | None]:
        """Where an object lies, and the ending that says how it is kept; None when there is none."""
        self._fs.invalidate_cache()
        path = self._object(sha256)
        for ending in (compressed.SUFFIX, "", _MEMBER):
            if self._size(path + ending) is not None:
                return path + ending, ending
        return path, None

    def _kept(self, sha256: str) -> int | None:
        path, form = self._found(sha256)
        if form is None:
            return None
        length = self._size(path) or 0
        if form == "":
            return length
        if form == _MEMBER:
            said = self._read_json(path)
            # Nothing is kept by naming a container that is not there, or not whole.
            return None if self._kept(said["container"]) is None else int(said["size"])
        try:
            return compressed.size(self._fs.cat_file(path, start=max(length - compressed.END_BYTES, 0)), length)
        except compressed.TornError:
            return None

    def _from_container(self, sha256: str, path: str, to: Path) -> Path:
        from teilhabe.reading import confined
        from teilhabe.reading.files import containers

        said = self._read_json(path)
        with tempfile.TemporaryDirectory(dir=to.parent) as folder:
            container = self.local(said["container"], Path(folder))
            member = Path(folder) / "member"
            try:
                confined.run(
                    containers.take_out, container, said["name"], said["place"], member, file_name=said["name"]
                )
            except ReadingError as error:
                raise self._damaged(sha256) from error
            if _hash(member)[0] != sha256:
                raise self._damaged(sha256)
            member.replace(to)
        return to

    def _damaged(self, sha256: str) -> TeilhabeError:
        return TeilhabeError(f"Object {sha256} in the archive {self.url} is damaged: its bytes were altered.")

    def _uri(self, path: str) -> str:
        return Path(path).as_uri() if self._is_folder else str(self._fs.unstrip_protocol(path))

    def _path(self, uri: str) -> str:
        """Where an address that ``_uri`` gave lies."""
        return url2pathname(urlsplit(uri).path) if self._is_folder else str(self._fs._strip_protocol(uri))

    def _waiting(self) -> str:
        return f"{self._root}/waiting/{uuid.uuid4().hex}"

    def _size(self, path: str) -> int | None:
        self._fs.invalidate_cache()
        try:
            return int(self._fs.info(path)["size"])
        except FileNotFoundError:
            return None

    def _copy_in(self, local: Path, sha256: str) -> None:
        digest = hashlib.sha256()

        def packed(out: IO[bytes]) -> None:
            with local.open("rb") as stream:
                compressed.write(_hashing(_chunks(stream), digest), out)
            if digest.hexdigest() != sha256:
                raise SourceError(f"{local.name}: was changed while it was being archived.")

        plain = self._object(sha256)
        self._write(plain + compressed.SUFFIX, packed)
        for other in (plain, plain + _MEMBER):  # torn, or it named a container that is gone
            if self._size(other) is not None:
                self._fs.rm_file(other)

    def _write(self, target: str, content: Callable[[IO[bytes]], object]) -> None:
        """Write under a temporary name, then move: a crash never leaves half an object."""
        waiting = self._waiting()
        try:
            with self._writing(waiting) as out:
                content(out)
            if self._is_folder:
                private_dirs(Path(target).parent, Path(self._root))
                Path(waiting).replace(target)
                sync_folder(Path(target).parent)
            else:
                self._fs.mv(waiting, target)
        finally:
            if self._is_folder:
                Path(waiting).unlink(missing_ok=True)
            elif self._fs.exists(waiting):
                self._fs.rm_file(waiting)

    def _create(self, path: str, said: dict[str, Any]) -> bool:
        """Write a new JSON file; False when there is one of that name."""
        text = _json(said)
        if not self._is_folder:
            # Not every store refuses to overwrite on demand, so it is asked first as well.
            if self._size(path) is not None:
                return False
            try:
                self._fs.pipe_file(path, text, mode="create")
            except OSError:
                if self._size(path) is None:
                    raise
                return False
            return True
        waiting = Path(self._waiting())
        try:
            with self._writing(str(waiting)) as out:
                out.write(text)
            private_dirs(Path(path).parent, Path(self._root))
            os.link(waiting, path)
            sync_folder(Path(path).parent)
        except FileExistsError:
            return False
        finally:
            waiting.unlink(missing_ok=True)
        return True

    @contextmanager
    def _writing(self, path: str) -> Iterator[IO[bytes]]:
        if self._is_folder:
            private_dirs(Path(path).parent, Path(self._root))
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
        else:
            with self._fs.open(path, "wb") as remote:
                yield remote

    def _read_json(self, path: str) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self._fs.cat_file(path))
        return said

    @contextmanager
    def _failures(self, what: str) -> Iterator[None]:
        try:
            yield
        except TeilhabeError:
            raise
        except PermissionError as error:
            raise ContractError(f"The archive {self.url} does not allow to {what}.") from error
        except Exception as error:
            if (full := room.refusal(error, self.url)) is not None:
                raise full from error
            # The client libraries of object stores raise their own types; the archive is needed for everything
            # and nothing was acknowledged yet, so another try is right for all of them.
            raise SourceError(f"The archive {self.url} could not {what} ({_reason(error)}).") from error


def _filesystem(url: str, credentials: Credentials | None) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    if url.startswith("file://"):
        # fsspec takes %20 literally; the settings and everybody else write real URIs.
        url = url2pathname(urlsplit(url).path)
    options = s3_options(credentials or Credentials()) if url.startswith("s3://") else {}
    try:
        fs, root = url_to_fs(url, **options)
    except (ImportError, ValueError) as error:
        raise ContractError(f"TEILHABE_ARCHIVE_URL {url!r} is not an address the archive can use.") from error
    return fs, str(root)


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _json(said: dict[str, Any]) -> bytes:
    return json.dumps(said, ensure_ascii=False, indent=1).encode()


def _hash(path: Path) -> tuple[str, int]:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        size = sum(len(chunk) for chunk in _hashing(_chunks(stream), digest))
    return digest.hexdigest(), size


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


def _hashing(chunks: Iterable[bytes], digest: Any) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
