"""Every error a person can meet is a type here, with one sentence that person can act on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["critical", "warning", "info"]

EVIDENCE_LIMIT = 100_000
"""Rows of evidence kept per finding, and per delivery: the whole list of what is to be mended. The count is always complete."""

EVIDENCE_SHOWN = 1_000
"""Rows of a finding that show the pattern; so many are kept of each, whatever the others took. Rules that compare a whole
table look for no more: their places are found one by one, and an official table may have tens of thousands."""


@dataclass(frozen=True)
class Place:
    """A row of a file or, where rows hold several numbers, one of them: ``column`` counts from 1, None is the whole row."""

    sheet: str | None
    row: int
    column: int | None


@dataclass(frozen=True)
class Evidence:
    """One place in the delivered file where a rule was broken.

    ``column`` is a header as it stands in the file, or the column's number from 1 (``"2"``) or letters (``"B"``).
    ``subject`` is what the number is about ("Peine (03157), März 2024"), ``found`` the delivered text alone.
    ``expected`` where it differs from place to place, else the finding says it; it may repeat delivered numbers, the
    finding's never does. ``column_number`` where one number of the row is at fault and the others are not; ``sheet`` where it
    is another one than the finding's.
    """

    row: int | None
    column: str | None
    found: str | None
    expected: str | None = None
    column_number: int | None = None
    sheet: str | None = None
    subject: str | None = None


@dataclass(frozen=True)
class Finding:
    """What a rule said about a delivery, in parts; ``saying.say`` makes the sentence for whoever reads it.

    ``what`` is the sentence without the file's name, with ``{place}``, ``{subject}``, ``{found}`` and ``{expected}`` where
    these parts belong. ``message`` is the whole sentence with nothing secret in it, for readers that want no parts, and all
    there is where ``what`` is None. ``row_count`` counts the affected rows of the file (or, of a finding that names no row,
    its places); ``evidence`` lists at most ``EVIDENCE_LIMIT`` places.
    """

    severity: Severity
    rule: str
    message: str
    sheet: str | None = None
    row: int | None = None
    column: str | None = None
    found: str | None = None
    expected: str | None = None
    row_count: int = 1
    evidence: tuple[Evidence, ...] = ()
    what: str | None = None
    held_back: bool = False
    """The rows were left out and the others taken over: the finding stops nothing."""

    @property
    def stops(self) -> bool:
        """Whether a delivery with this finding is refused."""
        return self.severity == "critical" and not self.held_back

    def places(self) -> list[Place] | None:
        """The rows that are at fault; None where it is not certain rows, or not all of them are listed."""
        found = [Place(e.sheet or self.sheet, e.row, e.column_number) for e in self.evidence if e.row is not None]
        are_all = len(found) == len(self.evidence) >= self.row_count and len(found) < EVIDENCE_LIMIT
        return found if found and are_all else None


class TeilhabeError(Exception):
    """The base of all errors that are shown to a person as they are, without a traceback."""

    bare: str | None = None
    """The same without the name of a file, where it names one."""
    in_full: str | None = None
    """All its words, where they were left out for a log."""


class ContractError(TeilhabeError):
    """A contract, suite or setting is wrong: nothing a retry could mend."""


class ReadingError(TeilhabeError):
    """A delivered file is not what its contract says; ``finding`` is the verdict to record."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding

    def __reduce__(self) -> tuple[type[ReadingError], tuple[Finding]]:
        return type(self), (self.finding,)


class SourceError(TeilhabeError):
    """A source could not be reached or broke off: worth another try."""


class GoneError(SourceError):
    """A file in the inbox was taken by another run since it was listed: nothing is left to do here."""


class FullError(TeilhabeError):
    """There is no room for delivered bytes; another try at once would meet the same."""


class IncidentError(TeilhabeError):
    """What somebody asked of an incident cannot be done; one German sentence, for it is shown at the desk."""


class WarehouseError(TeilhabeError):
    """The database is not there or refuses."""


class UnreachableError(WarehouseError):
    """The database does not answer at present: worth another try."""


class ServiceError(TeilhabeError):
    """Airflow does not start, answer or end."""
