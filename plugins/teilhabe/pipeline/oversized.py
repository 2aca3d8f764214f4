"""A file over the limit of size: refused without being read or kept, and its office is told."""

from __future__ import annotations

import hashlib

from teilhabe import ops
from teilhabe.errors import Finding
from teilhabe.findings.saying import with_sentence
from teilhabe.landing import Archived, RemoteFile
from teilhabe.landing.base import TooLargeError


def stand_in(file: RemoteFile, source: str, error: TooLargeError) -> Archived:
    """What is recorded of bytes nobody has read: a digest of what identifies the file at its source, and its size there."""
    said = f"{source}\n{file.fingerprint or file.key}\n{error.size}"
    return Archived(hashlib.sha256(said.encode(errors="replace")).hexdigest(), "", error.size)


def finding(file: RemoteFile, error: TooLargeError) -> Finding:
    """Why it is refused."""
    found = Finding(
        "critical",
        ops.TOO_LARGE,
        "",
        found=f"{_megabytes(error.size)} MB",
        expected=f"höchstens {_megabytes(error.limit)} MB",
        what="Sie ist mit {found} zu groß und wurde weder gelesen noch aufbewahrt; angenommen werden {expected}. Bitte nur die "
        "vereinbarte Tabelle senden, ohne Bilder und weitere Blätter, oder sie auf mehrere Dateien aufteilen.",
    )
    return with_sentence(found, None, file.name)


def _megabytes(size: int) -> str:
    """Never rounded to what would be allowed."""
    return f"{-(-size * 100 // (1024 * 1024)) / 100:.2f}".rstrip("0").rstrip(".").replace(".", ",")
