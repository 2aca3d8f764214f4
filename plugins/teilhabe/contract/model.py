"""What an office agreed to deliver, as one checked object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, StrictBool

from teilhabe.codes.groups import GROUP_COLUMNS
from teilhabe.contract.layouts import Layout, Regime, Strict, SymbolRules

SecrecyMethod = Literal["none", "min3", "min3+secondary", "min5", "round3", "round5", "round10", "ckm"]
DEVIATION: Mapping[SecrecyMethod, float] = {
    "none": 0, "min3": 0, "min3+secondary": 0, "min5": 0, "round3": 1, "round5": 2, "round10": 5, "ckm": 4,
}  # fmt: skip
"""How far one published number may lie from the true one. Rounding to a multiple of five moves it by at most two."""

MAIL_ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+"
"""Plain ASCII: what every mail server takes. A domain with umlauts has a spelling of its own (xn--...)."""

Level = Literal["country", "state", "region", "county", "association", "municipality"]


class LayoutProperty(Strict):
    """The one custom property ``layout``: everything about the file the standard has no term for."""

    levels: list[Level] = Field(min_length=1)
    secrecy: SecrecyMethod
    symbols: SymbolRules
    constants: dict[str, str] = Field(default_factory=dict)
    """Coordinates that never change in this dataset; they are no column of the raw table."""
    files: list[Layout] = Field(min_length=1)
    """Layout variants; the first that recognises the file reads it."""


class CalendarProperty(Strict):
    """What ``slaProperties`` cannot say: which period a delivery is for, and the patience after the due date."""

    reference: str = Field(
        pattern=r"^((\d{4}-)?\d{2}-\d{2}|year|month|quarter|half_year|school_year|guidance_year|allocation_half_year)$"
    )
    """A reference date (``12-31``, an election day ``2021-09-12``) or the kind of period."""
    grace_days: int = Field(ge=0)
    first_period: str
    """Earliest period a delivery may contain."""


class MendableProperty(Strict):
    """The custom property ``mendable``: whether the office can send a mended file."""

    value: StrictBool


class ForOfficesProperty(Strict):
    """The custom property ``for_offices``: what an office has to know to count alike, in German, on its page and form."""

    definitions: dict[str, str] = Field(default_factory=dict)
    """Term as it stands in the file -> what is counted under it."""
    remarks: str = ""


class ApprovalProperty(Strict):
    """The custom property ``approval``: a delivery with warnings waits for a person's yes."""

    hours: int = Field(ge=1, le=336)
    """Without an answer it is loaded after so long."""


class ContainerProperty(Strict):
    """The custom property ``container``: an office whose ZIP files hold more, or never so much, as others' do."""

    megabytes: int = Field(ge=1, le=20_000)
    """Of all files of one ZIP file together, unpacked."""


class Calendar(Strict):
    frequency: Literal["yearly", "half_yearly", "quarterly", "monthly", "per_term"]
    """``per_term``: once in the five years of a council's term."""
    reference: str
    lag_days: int
    grace_days: int
    first_period: str


class Column(Strict):
    """A column of the raw table."""

    name: str
    logical_type: Literal["string", "number", "integer", "date"]
    required: bool
    office_term: str
    description_en: str
    description_de: str
    unique_key: bool


class Sender(Strict):
    """A municipality that delivers its own file of a dataset."""

    territory_code: str = Field(pattern=r"^\d{5}(\d{3})?$")
    territory_name: str
    contact: str = Field(pattern=f"^{MAIL_ADDRESS}$")


class Server(Strict):
    """Where the deliveries come from."""

    server: str
    type: str
    location: str | None
    host: str | None
    port: str | None
    path: str | None
    endpoint_url: str | None
    format: str | None
    description: str | None
    connection: str | None = None
    """Id of the connection (Airflow's, or AIRFLOW_CONN_...) that holds the login; never the login itself."""
    pattern: str | None = None
    """Glob: which files of the place are meant."""
    sender_pattern: str | None = None
    """Who may send: a glob on the sender's address (mailboxes)."""
    kind: str | None = None
    """What a server of type ``custom`` is, e.g. ``imap``."""
    authentication_server: str | None = None
    """Whose ``Authentication-Results`` are believed: the name the office's own mail server writes in front of them."""


class Contract(Strict):
    dataset_id: str
    agency: str
    dataset: str
    title_de: str
    version: str
    status: str
    purpose: str
    limitations: str
    columns: list[Column]
    layouts: list[Layout]
    symbols: SymbolRules
    secrecy_method: SecrecyMethod
    constants: dict[str, str]
    levels: list[Level]
    servers: list[Server]
    senders: list[Sender] = Field(default_factory=list)
    """The municipalities that deliver one file each; empty where the office sends one file for all."""
    office: str
    contact: str
    escalation_contact: str | None = None
    """Second address, for what stays open; None: the coordination office."""
    calendar: Calendar
    mendable: bool = True
    """Whether the office can mend a file: then all of it is loaded or nothing. Of a published table that will never be
    mended, rows with a fault are held back and the others loaded."""
    definitions: dict[str, str] = Field(default_factory=dict)
    """Terms of the file and what is counted under them, in German."""
    remarks_de: str = ""
    """What else an office has to know, in German."""
    approval_hours: int | None = None
    container_bytes: int | None = None
    """What the files of one ZIP file may have together; None is what holds for all."""
    """How long a delivery with warnings waits for somebody to say whether it is loaded; None: it does not wait."""
    licence: str
    licence_url: str
    attribution: str
    tags: list[str]
    path: Path

    def counts_rows(self, layout: str | None) -> bool:
        """Whether what is read by a layout (its name) is one number per row of the file."""
        return any(file.name == layout and file.is_one_per_row for file in self.layouts)

    def as_headed_in(self, layout: str) -> Contract:
        """The contract with its columns called as that layout's files head them, where they do."""
        headers = next((getattr(file, "columns", {}) for file in self.layouts if file.name == layout), {})
        columns = [
            column.model_copy(update={"office_term": headers[column.name][0]}) if headers.get(column.name) else column
            for column in self.columns
        ]
        return self.model_copy(update={"columns": columns})

    def is_headed(self, text: str) -> bool:
        """Whether some file of this dataset has that text."""
        return any(text in file.texts() for file in self.layouts)

    @property
    def number_deviation(self) -> float:
        """How far one published number may lie from the true one."""
        return DEVIATION[self.secrecy_method]

    @property
    def symbol_regime(self) -> Regime:
        return self.symbols.regime

    @property
    def team(self) -> str:
        return self.office

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def unique_key(self) -> list[str]:
        return [column.name for column in self.columns if column.unique_key]

    @property
    def is_observation(self) -> bool:
        return "value" in self.column_names

    @property
    def measures(self) -> list[str]:
        """Every measure code a delivery can yield."""
        codes = {value for column, value in self._coordinates() if column == "measure_code"}
        return sorted(codes)

    def codes(self, column: str) -> list[str] | None:
        """Every code a delivery can yield in a column; None where the file states it or joins it from two columns."""
        if column not in self.column_names or any(
            column in {**getattr(layout, "columns", {}), **getattr(layout, "fields", {})} for layout in self.layouts
        ):
            return None
        if column == "category" and any(len(getattr(layout, "label_columns", [])) > 1 for layout in self.layouts):
            return None
        found = {value for name, value in self._coordinates() if name == column}
        return sorted(found | {"total"} if column in GROUP_COLUMNS else found)

    def _coordinates(self) -> Iterator[tuple[str, str]]:
        yield from self.constants.items()
        for layout in self.layouts:
            yield from getattr(layout, "constants", {}).items()
            for _, coordinates in layout.coordinates():
                yield from (coordinates or {}).items()
