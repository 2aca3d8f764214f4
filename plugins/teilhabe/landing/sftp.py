"""Files on an SFTP server whose host key is known beforehand."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teilhabe.errors import ContractError, SourceError, TeilhabeError
from teilhabe.landing.base import (
    CHUNK_BYTES,
    DONE_SUFFIX,
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

if TYPE_CHECKING:
    import paramiko

_CONNECT_SECONDS = 15.0
_READ_SECONDS = 60.0
_DEPTH = 8


@dataclass(frozen=True)
class SftpSource:
    """The regular files below ``path`` (or the one file at ``path``). Links are not followed, nothing is deleted.

    ``credentials.extra``: ``known_hosts`` (lines as in OpenSSH's file) or ``host_key`` (type and key) say who the
    server is - without either the connection is refused, unless ``no_host_key_check`` is set. ``private_key`` (text)
    or ``key_file`` with ``private_key_passphrase`` log in by key. Every call is one connection of its own.
    """

    host: str
    port: int
    path: str
    source: str
    pattern: str | None = None
    credentials: Credentials = field(default_factory=Credentials)
    limit: int | None = None
    keeps_files: bool = field(default=True, init=False)
    problems: Problems = field(default_factory=list, init=False, compare=False, repr=False)

    def list(self) -> Listing:
        self.problems.clear()
        with self._session() as sftp:
            try:
                top = sftp.stat(self.path)
            except FileNotFoundError as error:
                raise ContractError(f"{self.host}: there is no {self.path!r}.") from error
            if stat.S_ISREG(top.st_mode or 0):
                folder, _, name = self.path.rpartition("/")
                entries = {entry.filename: entry for entry in sftp.listdir_attr(folder or "/")}
                return [file for file in [self._described(folder, "", name, entries)] if file]
            files = list(self._below(sftp, "", 0))
        return sorted(files, key=lambda file: (file.modified or datetime.min.replace(tzinfo=UTC), file.key))

    def fetch(self, file: RemoteFile, to: Path) -> None:
        limit = max_file_bytes() if self.limit is None else self.limit
        refuse_too_large(file.name, file.size, limit)
        with self._session() as sftp, sftp.open(file.key, "rb") as remote:
            size = remote.stat().st_size or 0
            refuse_too_large(file.name, size, limit)
            remote.prefetch(size, max_concurrent_requests=64)
            write_stream(iter(lambda: remote.read(CHUNK_BYTES), b""), to, file.name, limit, expected=size)
            if _state(remote.stat()) != file.fingerprint.removeprefix(f"{file.key} "):
                to.unlink()
                raise SourceError(f"{file.name}: was changed at {self.host} while it was being fetched.")

    def acknowledge(self, file: RemoteFile) -> None:
        pass

    def _below(self, sftp: paramiko.SFTPClient, inner: str, depth: int) -> Iterator[RemoteFile]:
        folder = f"{self.path.rstrip('/')}/{inner}".rstrip("/") or "/"
        entries = {entry.filename: entry for entry in sftp.listdir_attr(folder)}
        for name, entry in entries.items():
            if stat.S_ISDIR(entry.st_mode or 0) and not name.startswith(".") and depth < _DEPTH:
                yield from self._below(sftp, f"{inner}{name}/", depth + 1)
            else:
                file = self._described(folder, inner, name, entries)
                if file:
                    yield file

    def _described(self, folder: str, inner: str, name: str, entries: dict[str, Any]) -> RemoteFile | None:
        found = entries.get(name)
        if found is None or not stat.S_ISREG(found.st_mode or 0):
            return None
        if not is_delivery_name(name) or not matches(self.pattern, f"{inner}{name}"):
            return None
        try:
            bare = base_name(name)
        except TeilhabeError as error:
            self.problems.append(str(error))
            return None
        key = f"{folder.rstrip('/')}/{name}"
        flag = entries.get(name + DONE_SUFFIX)
        return RemoteFile(
            key=key,
            name=bare,
            size=found.st_size,
            modified=datetime.fromtimestamp(found.st_mtime or 0, UTC),
            fingerprint=f"{key} {_state(found)}",
            # A flag older than the file belongs to the file's predecessor.
            complete=flag is not None and (flag.st_mtime or 0) >= (found.st_mtime or 0),
            source=self.source,
        )

    @contextmanager
    def _session(self) -> Iterator[paramiko.SFTPClient]:
        import paramiko

        where = f"{self.host}:{self.port}"
        client = paramiko.SSHClient()
        try:
            self._know_host(client, where)
            client.connect(
                self.host,
                self.port,
                username=self.credentials.login,
                password=self.credentials.password,
                pkey=self._private_key(),
                timeout=_CONNECT_SECONDS,
                banner_timeout=_CONNECT_SECONDS,
                auth_timeout=_CONNECT_SECONDS,
                allow_agent=False,
                look_for_keys=False,
            )
            with client.open_sftp() as sftp:
                channel = sftp.get_channel()
                if channel is not None:
                    channel.settimeout(_READ_SECONDS)
                yield sftp
        except TeilhabeError:
            raise
        except paramiko.BadHostKeyException as error:
            raise ContractError(
                f"{where}: shows another host key than the one agreed on; ask the office before trusting it."
            ) from error
        except paramiko.AuthenticationException as error:
            raise ContractError(f"{where}: refused the login; check the connection named in the contract.") from error
        except PermissionError as error:
            raise ContractError(f"{where}: does not allow to read {self.path!r}.") from error
        except FileNotFoundError as error:
            raise SourceError(f"{where}: a file vanished while it was being read.") from error
        except TimeoutError as error:
            raise SourceError(f"{where}: did not answer in time.") from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise SourceError(f"{where}: the connection failed ({type(error).__name__}).") from error
        finally:
            client.close()

    def _know_host(self, client: paramiko.SSHClient, where: str) -> None:
        import paramiko

        class Refuse:
            def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
                raise ContractError(
                    f"{where}: its host key is not known; put it into known_hosts of the connection "
                    f"(fingerprint {key.fingerprint})."
                )

        extra = self.credentials.extra
        lines = str(extra.get("known_hosts") or "").splitlines()
        if host_key := str(extra.get("host_key") or "").strip():
            name = self.host if self.port == paramiko.config.SSH_PORT else f"[{self.host}]:{self.port}"
            lines.append(f"{name} {host_key}")
        for line in lines:
            text = " ".join(line.split())
            if not text or text.startswith(("#", "@")):
                continue
            try:
                entry = paramiko.hostkeys.HostKeyEntry.from_line(text)
            except (paramiko.hostkeys.InvalidHostKey, paramiko.SSHException) as error:
                raise ContractError(f"{where}: a known_hosts line of the connection is not readable.") from error
            for name in entry.hostnames if entry else ():
                client.get_host_keys().add(name, entry.key.get_name(), entry.key)
        unchecked = not lines and self.credentials.flag("no_host_key_check")
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy() if unchecked else Refuse())

    def _private_key(self) -> paramiko.PKey | None:
        import paramiko

        extra = self.credentials.extra
        text = extra.get("private_key")
        if not text and extra.get("key_file"):
            try:
                text = Path(str(extra["key_file"])).read_text(encoding="ascii")
            except (OSError, ValueError) as error:
                raise ContractError(f"{self.host}: the key file of the connection is not readable.") from error
        if not text:
            return None
        for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
            try:
                key: paramiko.PKey = kind.from_private_key(io.StringIO(text), extra.get("private_key_passphrase"))
            except (paramiko.SSHException, ValueError, IndexError):
                continue
            return key
        raise ContractError(f"{self.host}: the private key of the connection cannot be used.")


def _state(found: Any) -> str:
    return f"{found.st_mtime} {found.st_size}"
