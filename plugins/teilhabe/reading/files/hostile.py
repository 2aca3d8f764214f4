"""What is checked before any parser sees the bytes: containers that bombard, lie, hide or run code.

Nothing is unpacked beyond a cap and nothing is believed: sizes are counted while inflating, whatever the directory of a
ZIP file says. Every refusal is one German sentence with a stable rule, raised through the report of the file.
"""

from __future__ import annotations

import os
import re
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from teilhabe.reading.report import Report

_BLOCK = 1 << 20
_LOCAL = struct.Struct("<4s5H3I2H")
_ENCRYPTED = 0x1
_ZIP_KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".cab", ".iso", ".jar")
_ARCHIVE_MARKS = (b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"MSCF")
_OFFICE_MARKS = (b"[Content_Types].xml", b"xl/", b"_rels/.rels", b"docProps/", b"mimetypeapplication/")
_NAME_BYTES = 200
_MB = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What a ZIP file may hold. The ratio only counts for members large enough to hurt."""

    members: int = 200
    member_bytes: int = 2_000 * _MB
    total_bytes: int = 4_000 * _MB
    ratio: int = 200
    ratio_from: int = 20 * _MB
    total_ratio: int = 100
    """Of all members together to the whole file, where they are more than ``total_ratio_from``."""
    total_ratio_from: int = 200 * _MB


@dataclass(frozen=True)
class Member:
    """One file in a ZIP file; ``name`` is a bare file name, which two folders of the archive may share."""

    path: Path
    """The ZIP file."""
    place: str
    """The name within the ZIP file, as it says."""
    name: str
    size: int
    """Bytes unpacked, as the directory says; ``extract`` counts for itself."""
    report: Report
    limits: Limits


def members(path: Path, limits: Limits | None = None, report: Report | None = None) -> list[Member]:
    """The files of a ZIP file in their order, each safe to ``extract``; nothing is unpacked here.

    Raises ``ReadingError``: ``zip.damaged``, ``zip.empty``, ``zip.too_many``, ``zip.path``, ``zip.encrypted``,
    ``zip.nested``, ``zip.bomb``. Folders and the litter of desktop systems are left out.
    """
    limits = limits or Limits()
    report = report or Report(path.name)
    found: list[Member] = []
    for entry in entries(path, report, limits.members):
        if entry.is_dir() or _is_litter(entry.filename):
            continue
        name = _safe_name(entry.filename, report)
        found.append(Member(path, entry.filename, name, entry.file_size, report, limits))
        _check_member(found[-1], entry)
    if not found:
        raise report.error("zip.empty", "Das ZIP-Archiv enthält keine Datei.", found="0 Dateien", expected="Dateien")
    total = sum(member.size for member in found)
    if total > limits.total_bytes:
        raise _bomb(report, None, f"zusammen {total // _MB} MB", f"{limits.total_bytes // _MB} MB")
    packed = path.stat().st_size
    if total > limits.total_ratio_from and total > limits.total_ratio * packed:
        most = f"höchstens das {limits.total_ratio}-Fache"
        raise _bomb(report, None, f"zusammen {total // _MB} MB, das {total // packed}-Fache des Archivs", most)
    return found


def extract(member: Member, target: Path) -> int:
    """Write a member to ``target`` (a path the caller chose) and return its size; nothing is left when it is refused.

    Stops as soon as more comes out than the directory promised, than the limits allow, or when a checksum is wrong.
    """
    report, limits = member.report, member.limits
    entry = next(e for e in entries(member.path, report, limits.members) if e.filename == member.place)
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    written = 0
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            for block in inflated(member.path, entry, report):
                if not written:
                    _check_start(member, block)
                written += len(block)
                if written > limits.member_bytes:
                    raise _bomb(report, member.name, f"über {limits.member_bytes // _MB} MB", "weniger")
                _check_ratio(member, written, entry.compress_size)
                out.write(block)
            out.flush()
            os.fsync(out.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return written


def is_workbook(path: Path) -> bool:
    """Whether a file that begins like a ZIP file is an Office document rather than a container of files."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.NameToInfo
            return (
                "[Content_Types].xml" in names or "mimetype" in names or any(n.lower().startswith("xl/") for n in names)
            )
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def has_folder(path: Path, folder: str) -> bool:
    """Whether an Office document has a folder of this name: a workbook has ``xl/``."""
    with zipfile.ZipFile(path) as archive:
        return any(name.lower().replace("\\", "/").startswith(folder) for name in archive.NameToInfo)


def is_broken(path: Path) -> bool:
    """Whether the directory of a ZIP file cannot be read."""
    try:
        with zipfile.ZipFile(path):
            return False
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return True


def entries(path: Path, report: Report, limit: int, rule: str = "zip") -> list[zipfile.ZipInfo]:
    """The directory of a ZIP file, if it is consistent: no overlaps, no duplicates, and every entry where it says.

    Two programs must not see two different contents in one file; so whatever is ambiguous is damaged.
    ``rule`` is ``zip`` or ``file`` (a workbook is a ZIP file, too).
    """
    damaged = "zip.damaged" if rule == "zip" else "file.unreadable"
    what = "Das ZIP-Archiv" if rule == "zip" else "Die Arbeitsmappe"
    try:
        count = _promised_entries(path)
        if count > 10 * limit:
            raise _too_many(report, rule, limit)
        with zipfile.ZipFile(path) as archive:
            found = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise report.error(
            damaged,
            f"{what} ist beschädigt und lässt sich nicht öffnen; bitte neu senden.",
            found="kein lesbares Inhaltsverzeichnis",
            expected="ein unbeschädigtes Archiv",
        ) from error
    if len(found) > limit:
        raise _too_many(report, rule, limit)
    trouble = _inconsistent(path, found)
    if trouble:
        raise report.error(
            damaged,
            f"{what} ist widersprüchlich ({trouble}) und wird nicht geöffnet; bitte neu erstellen und senden.",
            found=trouble,
            expected="ein widerspruchsfreies Archiv",
        )
    return found


def inflated(path: Path, entry: zipfile.ZipInfo, report: Report, rule: str = "zip") -> Iterator[bytes]:
    """The unpacked bytes of an entry in blocks of at most 1 MB, never more than the directory promised.

    Raises ``zip.bomb`` (or ``file.zip_bomb``) when more comes out, ``zip.damaged`` when less does or the checksum is wrong.
    """
    left, checksum = entry.file_size, 0
    with path.open("rb") as stream:
        stream.seek(_data_start(stream, entry))
        for block in _unpacked(stream, entry):
            left -= len(block)
            checksum = zlib.crc32(block, checksum)
            if left < 0:
                raise report.error(
                    f"{rule}.bomb" if rule == "zip" else "file.zip_bomb",
                    f"Im Archiv ist {_quoted(entry.filename)} größer als sein Inhaltsverzeichnis angibt; "
                    "es wird nicht entpackt.",
                    found=f"mehr als {entry.file_size} Bytes",
                    expected=f"{entry.file_size} Bytes",
                )
            yield block
    if left or checksum != entry.CRC:
        raise report.error(
            "zip.damaged" if rule == "zip" else "file.unreadable",
            f"Im Archiv ist {_quoted(entry.filename)} beschädigt (Prüfsumme oder Länge stimmt nicht); bitte neu senden.",
            found="falsche Prüfsumme oder Länge",
            expected="ein unbeschädigtes Archiv",
        )


def _unpacked(stream: IO[bytes], entry: zipfile.ZipInfo) -> Iterator[bytes]:
    left = entry.compress_size
    if entry.compress_type == zipfile.ZIP_STORED:
        while left > 0 and (block := stream.read(min(_BLOCK, left))):
            left -= len(block)
            yield block
        return
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        while left > 0 and not inflate.eof and (block := stream.read(min(_BLOCK // 4, left))):
            left -= len(block)
            while block:
                out = inflate.decompress(block, _BLOCK)
                block = inflate.unconsumed_tail
                if out:
                    yield out
        while not inflate.eof and (out := inflate.decompress(b"", _BLOCK)):
            yield out
    except zlib.error:
        return  # too short: the length tells


def _promised_entries(path: Path) -> int:
    """How many entries the end of the file promises, before a Python object is made for each."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - 65_557))
        tail = stream.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) < at + 22:
            raise zipfile.BadZipFile
        directory = int(struct.unpack_from("<I", tail, at + 12)[0])
    # 46 bytes are the least an entry takes: the count itself may lie, the size of the directory cannot.
    return size // 46 if directory == 0xFFFFFFFF else directory // 46


def _inconsistent(path: Path, found: list[zipfile.ZipInfo]) -> str | None:
    end, seen = 0, set()
    with path.open("rb") as stream:
        for entry in sorted(found, key=lambda entry: entry.header_offset):
            if entry.filename in seen:
                return "derselbe Eintrag zweimal"
            seen.add(entry.filename)
            if entry.header_offset < end:
                return "Einträge überlappen sich"
            try:
                start = _data_start(stream, entry)
            except (zipfile.BadZipFile, struct.error):
                return "Verzeichnis und Einträge stimmen nicht überein"
            end = start + entry.compress_size
        if end > path.stat().st_size:
            return "Einträge reichen über das Dateiende hinaus"
    return None


def _data_start(stream: IO[bytes], entry: zipfile.ZipInfo) -> int:
    """Where the packed bytes begin; the header in front of them must name the same entry as the directory."""
    stream.seek(entry.header_offset)
    parts = _LOCAL.unpack(stream.read(_LOCAL.size))
    name = stream.read(parts[9])
    same = name.decode("utf-8" if parts[2] & 0x800 else "cp437", "replace").partition("\0")[0] == entry.orig_filename
    if parts[0] != b"PK\x03\x04" or parts[3] != entry.compress_type or not same:
        raise zipfile.BadZipFile
    return entry.header_offset + _LOCAL.size + int(parts[9]) + int(parts[10])


def _is_litter(place: str) -> bool:
    parts = place.replace("\\", "/").split("/")
    return parts[0] == "__MACOSX" or parts[-1].lower() in {".ds_store", "thumbs.db", "desktop.ini"}


def _safe_name(place: str, report: Report) -> str:
    """The bare name of an entry; an entry that points outside the archive condemns all of it."""
    text = unicodedata.normalize("NFC", place.replace("\\", "/"))
    parts = text.split("/")
    name = parts[-1]
    unusable = (
        text.startswith("/")
        or re.match(r"[A-Za-z]:", text)
        or ".." in parts
        or any(unicodedata.category(sign) in ("Cc", "Cf") for sign in text)
        or name.strip(" ") != name
        or name.endswith(".")
        or name in ("", ".")
        or len(name.encode("utf-8", "replace")) > _NAME_BYTES
    )
    if unusable:
        raise report.error(
            "zip.path",
            f"Im ZIP-Archiv hat ein Eintrag einen unzulässigen Namen ({_quoted(place)}): erlaubt sind nur Namen innerhalb "
            "des Archivs, ohne „..“, Laufwerk oder führenden Schrägstrich.",
            found=_printable(place),
            expected="ein Dateiname",
        )
    return name


def _check_member(member: Member, entry: zipfile.ZipInfo) -> None:
    report, limits = member.report, member.limits
    if entry.flag_bits & _ENCRYPTED or entry.compress_type == 99:
        raise report.error(
            "zip.encrypted",
            f"Im ZIP-Archiv ist {_quoted(member.name)} mit einem Kennwort verschlüsselt; bitte ohne Kennwort senden.",
            found="verschlüsselt",
            expected="ohne Kennwort",
        )
    if member.name.lower().endswith(_ARCHIVES):
        raise _nested(member)
    if entry.compress_type not in _ZIP_KINDS:
        raise report.error(
            "zip.damaged",
            f"Im ZIP-Archiv ist {_quoted(member.name)} mit einem unüblichen Verfahren gepackt; "
            "bitte mit „ZIP-komprimierter Ordner“ neu packen.",
            found=f"Verfahren {entry.compress_type}",
            expected="Deflate oder unkomprimiert",
        )
    if member.size > limits.member_bytes:
        raise _bomb(report, member.name, f"{member.size // _MB} MB", f"{limits.member_bytes // _MB} MB")
    _check_ratio(member, member.size, entry.compress_size)
    with member.path.open("rb") as stream:
        stream.seek(_data_start(stream, entry))
        _check_start(member, next(_unpacked(stream, entry), b""))


def _check_start(member: Member, block: bytes) -> None:
    """An archive under another name is still an archive; a workbook is one that is wanted."""
    if block.startswith(b"PK\x03\x04") and not any(mark in block for mark in _OFFICE_MARKS):
        raise _nested(member)
    if block.startswith(_ARCHIVE_MARKS):
        raise _nested(member)


def _check_ratio(member: Member, size: int, packed: int) -> None:
    if size > member.limits.ratio_from and size > member.limits.ratio * max(packed, 1):
        raise member.report.error(
            "zip.bomb",
            f"Im ZIP-Archiv ist die Datei {_quoted(member.name)} so stark gepackt, wie es bei Tabellen nicht vorkommt; es wird "
            "nicht entpackt. Bitte die Datei selbst senden, ohne ZIP-Archiv.",
            found="auffällig stark gepackt",
            expected="eine Datei mit Zahlen",
        )


def _bomb(report: Report, name: str | None, found: str, expected: str) -> Exception:
    what = f"die Datei {_quoted(name)}" if name else "der Inhalt"
    return report.error(
        "zip.bomb",
        f"Im ZIP-Archiv ist {what} ausgepackt zu groß ({found}, erlaubt {expected}); es wird nicht entpackt.",
        found=found,
        expected=expected,
    )


def _nested(member: Member) -> Exception:
    return member.report.error(
        "zip.nested",
        f"Im ZIP-Archiv liegt wieder ein Archiv ({_quoted(member.name)}); bitte die Dateien unmittelbar beilegen.",
        found=member.name,
        expected="keine Archive im Archiv",
    )


def _too_many(report: Report, rule: str, limit: int) -> Exception:
    what = "Das ZIP-Archiv enthält" if rule == "zip" else "Die Arbeitsmappe besteht aus"
    return report.error(
        "zip.too_many" if rule == "zip" else "file.too_many_parts",
        f"{what} mehr als {limit} {'Dateien' if rule == 'zip' else 'Teilen'}; so viele werden nicht geöffnet.",
        found=f"mehr als {limit}",
        expected=f"höchstens {limit}",
    )


def _quoted(name: str) -> str:
    return f"„{_printable(name)}“"


def _printable(name: str) -> str:
    text = "".join(sign if sign.isprintable() else "?" for sign in name)
    return text if len(text) <= 80 else text[:77] + "…"
