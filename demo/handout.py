"""A file as an office sends it, and how its bytes are made: the same figures give the same bytes, whatever the clock."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from openpyxl import Workbook

from teilhabe.codes.wording import UNNAMED_FILE

DEMO_NOTE = "Demo: erfundene Zahlen, keine amtliche Statistik."
DOMAIN = "demo.teilhabe.example"
"""Whatever is handed in from here is shown as demo everywhere."""
REFUSED, DUPLICATE, LOADED, UNPACKED = "quarantined", "duplicate", "loaded", "unpacked"

Cell = object
_FIXED = (2024, 1, 1, 9, 30, 0)


@dataclass(frozen=True)
class Fault:
    """What is wrong with a file on purpose."""

    kind: str
    rule: str | None
    """The finding that has to be there; no other critical one may be."""


@dataclass(frozen=True)
class Handout:
    dataset_id: str
    name: str
    received_at: datetime
    content: bytes
    sender: str
    """Local part of the address it comes from."""
    fault: Fault | None = None
    state: str = LOADED
    """What has to become of the delivery."""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def kept_name(self) -> str:
        """What the warehouse calls it: of a file about persons not even the name is kept."""
        about_persons = self.fault is not None and self.fault.rule == "file.person_level"
        return UNNAMED_FILE if about_persons else self.name

    @property
    def address(self) -> str:
        return f"{self.sender}@{DOMAIN}"

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix


def at(day: date, hour: int = 9) -> datetime:
    return datetime(day.year, day.month, day.day, hour, 30, tzinfo=UTC)


def after(day: date, days: int) -> datetime:
    """So many days later, on a working day."""
    day += timedelta(days=days)
    return at(day + timedelta(days=max(0, 8 - day.isoweekday()) if day.isoweekday() > 5 else 0))


def semicolons(rows: Iterable[Sequence[Cell]], encoding: str = "utf-8") -> bytes:
    """A CSV as German offices write it; numbers are texts already, or whole."""
    out = io.StringIO()
    csv.writer(out, delimiter=";", lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode(encoding)


def commas(rows: Iterable[Sequence[Cell]], encoding: str = "utf-8-sig") -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode(encoding)


def book(first_sheet: str) -> Workbook:
    workbook = Workbook()
    workbook.active.title = first_sheet
    return workbook


def note_sheet(workbook: Workbook) -> None:
    """The sheet every workbook of the demo has, where its layout leaves room."""
    workbook.create_sheet("Hinweise")["A1"] = DEMO_NOTE


def saved(workbook: Workbook) -> bytes:
    """The workbook with fixed times inside."""
    workbook.properties.created = workbook.properties.modified = datetime(*_FIXED)  # noqa: DTZ001 - workbooks know no time zones
    raw = io.BytesIO()
    workbook.save(raw)
    return repacked(raw.getvalue())


def repacked(
    workbook: bytes, more: dict[str, bytes] | None = None, replace: dict[str, tuple[bytes, bytes]] | None = None
) -> bytes:
    """The parts of a workbook in a zip with fixed times; ``more`` parts are added, texts in parts exchanged."""
    fixed = io.BytesIO()
    with ZipFile(io.BytesIO(workbook)) as source, ZipFile(fixed, "w", ZIP_DEFLATED) as target:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename == "docProps/core.xml":
                content = re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>2024-01-01T09:30:00Z", content)
            old, new = (replace or {}).get(entry.filename, (b"", b""))
            target.writestr(_entry(entry.filename), content.replace(old, new, 1) if old else content)
        for name, content in (more or {}).items():
            target.writestr(_entry(name), content)
    return fixed.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as target:
        for name, content in members.items():
            target.writestr(_entry(name), content)
    return out.getvalue()


def _entry(name: str) -> ZipInfo:
    entry = ZipInfo(name, _FIXED)
    entry.compress_type = ZIP_DEFLATED
    return entry
