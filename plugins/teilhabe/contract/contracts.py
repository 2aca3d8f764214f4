"""The data contracts: one ODCS 3.1 file per dataset says who delivers what, when and in which layout.

The standard's own part is checked with the standard's own model, unknown keys forbidden; what the standard has no
term for stands in ``customProperties``: ``layout`` (how the delivered file looks), ``calendar`` (what period it is for) and,
where they are needed, ``senders`` (municipalities that deliver a file each), ``approval`` and ``mendable``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from open_data_contract_standard.model import CustomProperty, OpenDataContractStandard, SchemaProperty, Support
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, ValidationError, model_validator

from teilhabe.codes.periods import period_end
from teilhabe.contract import naming
from teilhabe.errors import ContractError

SUFFIX = ".odcs.yaml"

NATIONALITIES = frozenset(
    {"total", "german", "foreign", "asylum8", "refugee_context", "protection_seeker", "ukrainian"}
)
SEXES = frozenset({"total", "male", "female", "diverse"})
AGE_BAND = re.compile(r"total|u\d{1,2}|\d{1,2}_\d{1,2}|\d{1,2}plus")

GROUP_COLUMNS = ("nationality", "sex", "age_band", "category")
"""Breakdowns: a cell that names none of them is the total."""

OBSERVATION_COLUMNS = ("territory_code", "territory_name", "period_code", "value", "obs_status", "conf_status")
"""What every observation-shaped dataset has; the others only where the file varies in them."""

SERVER_TYPES = frozenset({"local", "sftp", "s3", "api", "custom"})

_COLUMN_TEXTS: dict[str, tuple[str, str]] = {
    "measure_code": ("What was counted; codes as in dim_measure.", "Was gezählt wurde; Codes wie in dim_measure."),
    "territory_code": (
        "Official key of the territory: DG, state 2, region 3, county 5, municipality 8, association 9 digits.",
        "Amtlicher Schlüssel des Gebiets, wie geliefert.",
    ),
    "territory_name": ("Name delivered beside the key.", "Name, der neben dem Schlüssel geliefert wurde."),
    "period_code": ("Reference period, e.g. 2024, 2024-12-31 or SY2024.", "Berichtszeitraum oder Stichtag."),
    "nationality": ("Nationality group.", "Staatsangehörigkeitsgruppe."),
    "sex": ("Sex.", "Geschlecht."),
    "age_band": ("Age group, lower and upper bound in completed years.", "Altersgruppe in vollendeten Jahren."),
    "category": ("The measure's own breakdown, total otherwise.", "Eigene Gliederung der Kennzahl, sonst total."),
    "category_name": ("Name of the category as delivered.", "Name der Gliederung, wie geliefert."),
    "value": ("The number; null when suppressed or missing.", "Der Wert; leer, wenn gesperrt oder nicht vorhanden."),
    "obs_status": ("Observation status, SDMX CL_OBS_STATUS.", "Beobachtungsstatus nach SDMX."),
    "conf_status": ("Confidentiality status, SDMX CL_CONF_STATUS.", "Geheimhaltungsstatus nach SDMX."),
}

Regime = Literal["genesis", "lsn_new", "ba", "none"]
SecrecyMethod = Literal["none", "min3", "min3+secondary", "min5", "round3", "round5", "round10", "ckm"]
DEVIATION: Mapping[SecrecyMethod, float] = {
    "none": 0, "min3": 0, "min3+secondary": 0, "min5": 0, "round3": 1, "round5": 2, "round10": 5, "ckm": 4,
}  # fmt: skip
"""How far one published number may lie from the true one. Rounding to a multiple of five moves it by at most two."""

Meaning = Literal["zero", "missing", "suppressed", "unreliable", "later"]
NumberFormat = Literal["german", "english", "international"]
Coordinates = dict[str, str] | None
Labels = dict[str, Coordinates]

PERIOD_PLACEHOLDERS = (
    "year",
    "year_before",
    "date",
    "month",
    "quarter",
    "half_year",
    "school_year",
    "guidance_year",
    "allocation_half_year",
)
"""What ``period`` of a layout may be made of. From ``{month}`` on a placeholder is the whole code."""

MAIL_ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+"
"""Plain ASCII: what every mail server takes. A domain with umlauts has a spelling of its own (xn--...)."""

ESCALATION = "escalation"
"""Channel of the support entry that hears of what stays open."""

_CUSTOM_PROPERTIES = ("layout", "calendar", "senders", "approval", "mendable", "for_offices", "container")

SERVER_PROPERTIES = ("connection", "pattern", "sender_pattern", "kind", "authentication_server")


class Strict(BaseModel):
    """Unknown keys fail: a misspelt key must not be a setting that silently does nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SymbolRules(Strict):
    """What stands in a cell instead of a number."""

    regime: Regime
    dash: Literal["zero", "missing", "missing_when_all"] = "zero"
    """``missing_when_all``: not published when every cell of a territory and period is a dash, zero otherwise."""
    also: dict[str, Meaning] = {}
    """Symbols of this dataset beyond its regime, e.g. ``"": missing`` for an empty cell."""


class KeyOverride(Strict):
    """A key the office is known to get wrong; the name beside it decides."""

    name: str | None = None
    key: str | None = None
    beside: str | None = None
    """Only in periods in which the file has a row of this name too: the district before a merger beside the other one."""
    code: str
    reason: str

    @model_validator(mode="after")
    def _says_which(self) -> KeyOverride:
        if self.name is None and self.key is None:
            raise ValueError("needs a name, a key or both")
        return self


def _period_code(code: str) -> str:
    if period_end(code) is None:
        raise ValueError(f"must be a period like 2024, 2024-03 or SY2023, found {code!r}")
    return code


PeriodCode = Annotated[str, AfterValidator(_period_code)]


class Validity(Strict):
    """The time in which a text belongs to the layout: offices rename, add and drop columns over the years.

    Within it the text is expected like any other; outside it need not occur, and if it does it is read, with a warning.
    """

    since: PeriodCode | None = None
    until: PeriodCode | None = None
    instead_of: str | None = None
    """The text this one replaced: documents the change; the older text ends where this one begins."""

    @model_validator(mode="after")
    def _says_when(self) -> Validity:
        if self.since is None and self.until is None:
            raise ValueError("needs since, until or both")
        if self.instead_of is not None and self.since is None:
            raise ValueError("instead_of needs since")
        return self


def _template(template: str) -> str:
    found = re.findall(r"\{(.*?)\}", template)
    if not found or any(name not in PERIOD_PLACEHOLDERS for name in found):
        known = ", ".join("{" + name + "}" for name in PERIOD_PLACEHOLDERS)
        raise ValueError(f"must be made of one of {known}, found {template!r}")
    return template


PeriodTemplate = Annotated[str, AfterValidator(_template)]


class LayoutBase(Strict):
    name: str
    period: PeriodTemplate = "{year}"
    """Template of the period code, e.g. ``{year}-12-31``, ``SY{year}``, ``{date}``, ``{month}`` (2024-03), ``{quarter}``
    (2024-Q1), ``{half_year}`` (2024-H1), ``{school_year}`` (SY2023), ``{guidance_year}`` (AY2023),
    ``{allocation_half_year}`` (WH2023, SH2024)."""
    period_in: Literal["content", "file_name"] = "content"
    """``file_name``: the agreed place of the period is the file's name; without one there the file is refused."""
    labels: Labels = {}
    """Text in the file -> coordinates. ``{}``: structural, says nothing. ``null``: declared, but not loaded."""
    optional: list[str] = []
    """Labels that need not occur in every delivery."""
    validity: dict[str, Validity] = {}
    """Text (of ``labels``, or a column's header) -> the time in which it belongs to the layout."""
    symbols: SymbolRules | None = None
    numbers: NumberFormat = "german"
    mendable: bool | None = None
    """Where it differs from the dataset's: a file made for the county beside the published table."""

    @property
    def is_one_per_row(self) -> bool:
        """Whether a row of the file is one number: else it is numbers that are counted for people, not rows."""
        return False

    def coordinates(self) -> Iterator[tuple[str, Coordinates]]:
        """Every place in the contract that names coordinates, and these."""
        for text, found in self.labels.items():
            yield f"labels.{text!r}", found

    def texts(self) -> Iterator[str]:
        """Every text the layout knows: labels and headers."""
        yield from self.labels
        for aliases in getattr(self, "columns", {}).values():
            yield from aliases
        for aliases in getattr(self, "label_columns", []):
            yield from aliases


class GenesisCsv(LayoutBase):
    """The wide CSV of a GENESIS table (regionalstatistik.de, LSN-Online)."""

    reader: Literal["genesis_csv"]
    table: str
    keys: list[Literal["period_code", "territory_code", "territory_name", "label"]]
    """The leading columns, in order; ``label`` cells are looked up in ``labels``."""
    value_columns: int
    """Loaded value columns per period: fewer means that a column is missing."""

    @property
    def is_one_per_row(self) -> bool:
        return self.value_columns == 1 and "period_code" in self.keys


class Ffcsv(LayoutBase):
    """The flat CSV of newer GENESIS installations: one row per number, codes instead of texts."""

    reader: Literal["ffcsv"]
    statistics: str
    variables: list[str] = []
    """Codes of the breakdowns that ``labels`` knows."""

    @property
    def is_one_per_row(self) -> bool:
        return True


class TidyCsv(LayoutBase):
    """A CSV with one row per number and a header line."""

    reader: Literal["tidy_csv"]
    marker: str | None = None
    """Number of the table; a file name with another number belongs to another dataset."""
    columns: dict[str, list[str]]
    """Column of the contract -> header texts it may have in the file."""
    label_columns: list[list[str]] = []
    """Columns (header and its aliases) whose cells are looked up in ``labels``."""
    ignore: list[str] = []
    """Headers that may be there and are not loaded."""
    constants: dict[str, str] = {}
    """Values of columns the file leaves out because they never change."""
    delimiter: Literal[",", ";", "\t", "|"] | None = None
    key_prefixes: list[str] = []
    """Letters in front of the key, as in ``K03157``."""
    key_width: int | None = None
    """Keys are padded with leading zeros to this width."""
    key_overrides: list[KeyOverride] = []

    @property
    def is_one_per_row(self) -> bool:
        return True


class Table(LayoutBase):
    """A rectangular table below a header of one or more (merged) rows, in a workbook or a CSV.

    The period comes from a ``period_code`` column, the header, the sheet's name (``sheet_period``) or, where agreed
    (``period_in``), the file's name.
    """

    reader: Literal["table"]
    columns: dict[str, list[str]]
    """Column of the contract -> header texts it may have in the file. Coordinates in cells stand here too."""
    label_columns: list[list[str]] = []
    """Columns (header and its aliases) whose cells are looked up in ``labels``."""
    ignore: list[str] = []
    """Headers that may be there and are not loaded."""
    constants: dict[str, str] = {}
    """Values of columns the file leaves out because they never change."""
    kinds: list[Literal["csv", "workbook"]] = ["csv", "workbook"]
    delimiter: Literal[",", ";", "\t", "|"] = ";"
    key_width: int | None = None
    """Territory keys that lost their leading zero get it back: to this width, or to that of a higher level."""
    widths: dict[str, int] = {}
    """Other key columns whose numbers are padded with zeros, e.g. ``category: 4`` for ``0012``."""
    sheets: Literal["first", "each"] = "first"
    """Read the first sheet that has the table, or every sheet that is not ignored."""
    sheet_period: bool = False
    """The sheet's name is the period."""
    sheet_labels: Labels = {}
    """Name of a sheet -> coordinates of all its numbers; ``null``: the sheet is declared, but not loaded."""
    ignore_sheets: list[str] = []
    """Sheets that may be there and hold no data (notes, a cover)."""
    on_sheets: dict[str, list[str]] = {}
    """Label -> the only sheets it belongs on; a label that is not here belongs on every sheet."""
    ratio: tuple[list[str], list[str]] | None = None
    """Headers of a count and its rate per 100,000 inhabitants: together they tell the year of a file that does not."""

    @model_validator(mode="after")
    def _sheets_agree(self) -> Table:
        if self.sheets == "first" and (self.sheet_period or self.sheet_labels):
            raise ValueError("sheet_period and sheet_labels need sheets: each")
        for text, sheets in self.on_sheets.items():
            if text not in self.labels:
                raise ValueError(f"on_sheets: {text!r} is none of the labels")
            for sheet in sheets:
                if sheet not in self.sheet_labels:
                    raise ValueError(f"on_sheets: {sheet!r} is none of the sheet_labels")
        return self

    def coordinates(self) -> Iterator[tuple[str, Coordinates]]:
        yield from super().coordinates()
        for name, found in self.sheet_labels.items():
            yield f"sheet_labels.{name!r}", found


class Form(LayoutBase):
    """The county's Excel template: a block of labels and values, then one small table. One municipality, one period."""

    reader: Literal["form"]
    sheet: str = "Meldung"
    fields: dict[str, list[str]]
    """Column of the contract -> label cells; the value stands in the next filled cell to the right.

    ``territory_code`` and ``period_code`` are required. Every other label of the block stands in ``labels``."""
    table: list[str] = []
    """Texts of the table's top left cell; the row labels below and the headers beside it are looked up in ``labels``."""
    table_columns: list[str] = []
    """Which labels are headers of the small table; the Excel template is drawn from this."""
    key_width: int | None = None
    constants: dict[str, str] = {}

    @model_validator(mode="after")
    def _has_the_keys(self) -> Form:
        for name in ("territory_code", "period_code"):
            if name not in self.fields:
                raise ValueError(f"fields: {name} is missing")
        for text in self.table_columns:
            if text not in self.labels:
                raise ValueError(f"table_columns: {text!r} is none of the labels")
        return self

    def texts(self) -> Iterator[str]:
        yield from super().texts()
        for aliases in self.fields.values():
            yield from aliases
        yield from self.table


class Block(Strict):
    """A block of a workbook of stacked blocks: its own period template and labels."""

    period: PeriodTemplate | None = None
    """Template of this block's period, where it is not that of the layout."""
    labels: Labels
    optional: list[str] = []

    @model_validator(mode="after")
    def _optional_are_labels(self) -> Block:
        for text in self.optional:
            if text not in self.labels:
                raise ValueError(f"optional: {text!r} is none of the labels")
        return self


class BaWorkbook(LayoutBase):
    """The employment agency's workbook "Arbeitsmarkt kommunal": one municipality, years side by side, stacked blocks."""

    reader: Literal["ba_workbook"]
    sheet: str = "Daten"
    blocks: dict[str, Block | None]
    """Heading of a block -> its labels; ``null``: the block is declared, but not loaded."""

    def coordinates(self) -> Iterator[tuple[str, Coordinates]]:
        for heading, block in self.blocks.items():
            for text, found in (block.labels if block else {}).items():
                yield f"blocks.{heading!r}.labels.{text!r}", found

    def texts(self) -> Iterator[str]:
        for block in self.blocks.values():
            yield from block.labels if block else ()


class StackedTable(LayoutBase):
    """A table in which every unit is a row with its key and name, followed by one row per kind of number."""

    reader: Literal["stacked_table"]
    titles: dict[str, dict[str, str]] = Field(min_length=1)
    """Text in a sheet's title line -> coordinates of all its numbers; other sheets are not read. The title names the year."""
    kind_column: list[str]
    """Header of the column that names the kind of number of a row (``Zahl``, ``%``, ``Sitze``)."""
    values: dict[str, dict[str, dict[str, str]]]
    """Kind of number -> header of a column -> coordinates."""
    kinds: dict[str, list[str]] = {}
    """Kind of number -> what other editions write for it (``-`` for ``Zahl``)."""
    headers: dict[str, list[str]] = {}
    """Header of a column -> what it is called in other editions, its group's text in front."""
    ignore: list[str] = []
    """Kinds of numbers that are declared, but not loaded."""
    key_prefix: str = ""
    """The part of the official key that the file leaves out, e.g. ``03``."""
    units: list[str] = []
    """Abbreviations in front of the name of a municipality's entry (``EG``, ``MG``). Others are parts or sums."""

    def coordinates(self) -> Iterator[tuple[str, Coordinates]]:
        for title, common in self.titles.items():
            yield f"titles.{title!r}", common
        for kind, columns in self.values.items():
            for header, found in columns.items():
                yield f"values.{kind!r}.{header!r}", found

    def texts(self) -> Iterator[str]:
        for kind, columns in self.values.items():
            yield kind
            yield from columns
        yield from self.kind_column
        for texts in (*self.kinds.values(), *self.headers.values()):
            yield from texts


class Gv100ad(LayoutBase):
    """The municipality register in fixed width (GV-ISys, record types 10-60)."""

    reader: Literal["gv100ad"]

    @property
    def is_one_per_row(self) -> bool:
        return True


class RegisterXlsx(LayoutBase):
    """The municipality register as the yearly workbook extract."""

    reader: Literal["register_xlsx"]

    @property
    def is_one_per_row(self) -> bool:
        return True


class TerritorialChanges(LayoutBase):
    """The yearly list of territorial changes, xls or xlsx."""

    reader: Literal["territorial_changes"]

    @property
    def is_one_per_row(self) -> bool:
        return True


Layout = Annotated[
    GenesisCsv
    | Ffcsv
    | TidyCsv
    | Table
    | Form
    | BaWorkbook
    | StackedTable
    | Gv100ad
    | RegisterXlsx
    | TerritorialChanges,
    Field(discriminator="reader"),
]

Level = Literal["country", "state", "region", "county", "association", "municipality"]


class LayoutProperty(Strict):
    """The one custom property ``layout``: everything about the file the standard has no term for."""

    levels: list[Level] = Field(min_length=1)
    secrecy: SecrecyMethod
    symbols: SymbolRules
    constants: dict[str, str] = {}
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

    definitions: dict[str, str] = {}
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
    senders: list[Sender] = []
    """The municipalities that deliver one file each; empty where the office sends one file for all."""
    office: str
    contact: str
    escalation_contact: str | None = None
    """Second address, for what stays open; None: the coordination office."""
    calendar: Calendar
    mendable: bool = True
    """Whether the office can mend a file: then all of it is loaded or nothing. Of a published table that will never be
    mended, rows with a fault are held back and the others loaded."""
    definitions: dict[str, str] = {}
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


def load_contracts(agencies: Path) -> dict[str, Contract]:
    """All contracts below ``agencies``, by dataset id in alphabetical order."""
    contracts = [load_contract(path) for path in sorted(agencies.glob(f"*/*{SUFFIX}"))]
    return {contract.dataset_id: contract for contract in sorted(contracts, key=lambda c: c.dataset_id)}


def contract_path(agencies: Path, dataset_id: str) -> Path:
    """Where the contract of a dataset stands, if there is one."""
    agency, _, dataset = dataset_id.partition("__")
    return agencies / agency / f"{dataset}{SUFFIX}"


def load_contract(path: Path) -> Contract:
    """One contract; ``ContractError`` names the file and the key that is wrong. Read again only when its file has changed."""
    try:
        now = path.stat()
        return _read(path, now.st_mtime_ns, now.st_size)
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"{path}: cannot be read as UTF-8 text ({error}).") from error


@lru_cache(maxsize=512)
def _read(path: Path, _changed_at: int, _size: int) -> Contract:
    """Nobody can change a contract that was read, so all share it."""
    return parse_contract(path.read_text(encoding="utf-8"), path)


def parse_contract(text: str, path: Path) -> Contract:
    """As ``load_contract``, for a text that would stand at ``path``."""
    raw = strict_yaml(text, path)
    if not isinstance(raw, dict):
        raise ContractError(f"{path}: must be a mapping with the keys of the Open Data Contract Standard.")
    return _build(_validated(OpenDataContractStandard, raw, path, ""), path)


def strict_yaml(text: str, path: Path) -> Any:
    """YAML as a person reads it (see ``_StrictLoader``); ``ContractError`` names the file."""
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.YAMLError as error:
        raise ContractError(f"{path}: not valid YAML - {' '.join(str(error).split())}.") from error


def _build(standard: OpenDataContractStandard, path: Path) -> Contract:
    agency, dataset = path.parent.name, path.name.removesuffix(SUFFIX)
    dataset_id = f"{agency}__{dataset}"

    def fail(key: str, sentence: str) -> ContractError:
        return ContractError(f"{path}: {key}: {sentence}")

    def need(value: Any, key: str) -> Any:
        if value is None or value in ("", []):
            raise fail(key, "is missing.")
        return value

    if standard.kind != "DataContract":
        raise fail("kind", f"must be 'DataContract', found {standard.kind!r}.")
    if not str(standard.apiVersion or "").startswith("v3.1"):
        raise fail("apiVersion", f"must be v3.1.x, found {standard.apiVersion!r}.")
    if standard.id != dataset_id:
        raise fail("id", f"must be '{dataset_id}' as folder and file say, found {standard.id!r}.")
    if problem := naming.problem_of_id(dataset_id):
        raise fail("id", problem)
    schema = need(standard.schema_, "schema")
    if len(schema) != 1:
        raise fail("schema", f"must hold exactly one table, found {len(schema)}.")
    if schema[0].name != dataset_id:
        raise fail("schema[0].name", f"must be '{dataset_id}', found {schema[0].name!r}.")

    custom = {}
    for index, entry in enumerate(standard.customProperties or []):
        if entry.property not in _CUSTOM_PROPERTIES:
            raise fail(
                f"customProperties[{index}].property",
                f"must be one of {', '.join(_CUSTOM_PROPERTIES)}, found {entry.property!r}.",
            )
        if entry.property in custom:
            raise fail(f"customProperties[{index}].property", f"'{entry.property}' is there twice.")
        custom[entry.property] = (index, entry.value)
    for name in ("layout", "calendar"):
        need(custom.get(name), f"customProperties ({name})")
    layout = _validated(LayoutProperty, custom["layout"][1], path, f"customProperties[{custom['layout'][0]}].value")
    calendar = _validated(
        CalendarProperty, custom["calendar"][1], path, f"customProperties[{custom['calendar'][0]}].value"
    )

    links = {entry.type: entry for entry in standard.authoritativeDefinitions or []}
    for kind in ("licence", "attribution"):
        need(links.get(kind) and links[kind].description, f"authoritativeDefinitions ({kind}).description")
    description = need(standard.description, "description")
    team = need(standard.team, "team")
    if isinstance(team, list):
        raise fail("team", "must be an object with name and description, not a list of persons.")
    support = need(standard.support, "support")

    offices = _for_offices(custom.get("for_offices"), layout, path)
    contract = Contract(
        dataset_id=dataset_id,
        agency=agency,
        dataset=dataset,
        title_de=need(standard.name, "name"),
        version=need(standard.version, "version"),
        status=need(standard.status, "status"),
        purpose=need(description.purpose, "description.purpose"),
        limitations=description.limitations or "",
        columns=[_column(p, i, path) for i, p in enumerate(need(schema[0].properties, "schema[0].properties"))],
        layouts=layout.files,
        symbols=layout.symbols,
        secrecy_method=layout.secrecy,
        constants=layout.constants,
        levels=layout.levels,
        servers=list(_servers(standard, path)),
        senders=_senders(custom.get("senders"), path),
        office=need(team.description or team.name, "team.description"),
        contact=need(support[0].url, "support[0].url").removeprefix("mailto:"),
        escalation_contact=_escalation(support, path),
        calendar=_calendar(standard, calendar, path),
        mendable=_mendable(custom.get("mendable"), path),
        definitions=offices.definitions,
        remarks_de=offices.remarks,
        approval_hours=_approval_hours(custom.get("approval"), path),
        container_bytes=_container_bytes(custom.get("container"), path),
        licence=links["licence"].description or "",
        licence_url=links["licence"].url or "",
        attribution=links["attribution"].description or "",
        tags=standard.tags or [],
        path=path,
    )
    where = f"customProperties[{custom['layout'][0]}].value"
    _check_columns(contract, path)
    _check_coordinates(contract, path, where)
    return contract


def _mendable(given: tuple[int, Any] | None, path: Path) -> bool:
    if given is None:
        return True
    index, value = given
    return _validated(MendableProperty, {"value": value}, path, f"customProperties[{index}]").value


def _for_offices(given: tuple[int, Any] | None, layout: LayoutProperty, path: Path) -> ForOfficesProperty:
    if given is None:
        return ForOfficesProperty()
    index, value = given
    found = _validated(ForOfficesProperty, value, path, f"customProperties[{index}].value")
    known = {text for file in layout.files for text in file.texts()}
    for term in found.definitions:
        if term not in known:
            raise ContractError(
                f"{path}: customProperties[{index}].value.definitions: {term!r} is no label or column of any layout."
            )
    return found


def _approval_hours(given: tuple[int, Any] | None, path: Path) -> int | None:
    if given is None:
        return None
    index, value = given
    return _validated(ApprovalProperty, value, path, f"customProperties[{index}].value").hours


def _container_bytes(given: tuple[int, Any] | None, path: Path) -> int | None:
    if given is None:
        return None
    index, value = given
    return _validated(ContainerProperty, value, path, f"customProperties[{index}].value").megabytes * 1_000_000


def _escalation(support: list[Support], path: Path) -> str | None:
    """The address of the entry with channel ``escalation``; the first entry is the office itself."""
    found = None
    for index, entry in enumerate(support):
        if entry.channel != ESCALATION:
            continue
        where = f"{path}: support[{index}]"
        if index == 0:
            raise ContractError(f"{where}.channel: the first entry is the office's own address, not '{ESCALATION}'.")
        if found is not None:
            raise ContractError(f"{where}.channel: '{ESCALATION}' is there twice.")
        found = (entry.url or "").removeprefix("mailto:")
        if not re.fullmatch(MAIL_ADDRESS, found):
            raise ContractError(f"{where}.url: must be mailto: and an address, found {entry.url!r}.")
    return found


def _column(prop: SchemaProperty, index: int, path: Path) -> Column:
    where = f"schema[0].properties[{index}]"
    if not prop.name or not re.fullmatch(r"[a-z][a-z0-9_]*", prop.name):
        raise ContractError(f"{path}: {where}.name: must be snake_case, found {prop.name!r}.")
    if prop.logicalType not in ("string", "number", "integer", "date"):
        raise ContractError(
            f"{path}: {where}.logicalType: must be string, number, integer or date, found {prop.logicalType!r}."
        )
    english, german = _COLUMN_TEXTS.get(prop.name, ("", ""))
    for entry in prop.customProperties or []:
        if entry.property != "description_de":
            raise ContractError(f"{path}: {where}.customProperties: only description_de, found {entry.property!r}.")
        german = str(entry.value)
    english = prop.description or english
    if not english or not german:
        raise ContractError(f"{path}: {where}: column '{prop.name}' needs a description and a description_de.")
    return Column(
        name=prop.name,
        logical_type=prop.logicalType,  # type: ignore[arg-type]
        required=bool(prop.required),
        office_term=prop.businessName or "",
        description_en=english,
        description_de=german,
        unique_key=bool(prop.primaryKey),
    )


def _servers(standard: OpenDataContractStandard, path: Path) -> Iterator[Server]:
    for index, server in enumerate(standard.servers or []):
        if server.type not in SERVER_TYPES:
            kinds = ", ".join(sorted(SERVER_TYPES))
            raise ContractError(f"{path}: servers[{index}].type: must be one of {kinds}, found {server.type!r}.")
        if not server.server:
            raise ContractError(f"{path}: servers[{index}].server: is missing.")
        yield Server(
            server=server.server,
            type=server.type,
            location=server.location,
            host=server.host,
            port=None if server.port is None else str(server.port),
            path=server.path,
            endpoint_url=server.endpointUrl,
            format=server.format,
            description=server.description,
            **_server_properties(server.customProperties or [], f"servers[{index}].customProperties", path),
        )


def _server_properties(entries: list[CustomProperty], where: str, path: Path) -> dict[str, str]:
    said: dict[str, str] = {}
    for index, entry in enumerate(entries):
        if entry.property not in SERVER_PROPERTIES:
            known = ", ".join(SERVER_PROPERTIES)
            raise ContractError(f"{path}: {where}[{index}].property: must be one of {known}, found {entry.property!r}.")
        if not isinstance(entry.value, str) or not entry.value:
            raise ContractError(f"{path}: {where}[{index}].value: must be a text, found {entry.value!r}.")
        said[entry.property] = entry.value
    return said


def _senders(entry: tuple[int, Any] | None, path: Path) -> list[Sender]:
    if entry is None:
        return []
    index, value = entry
    where = f"customProperties[{index}].value"
    if not isinstance(value, list) or not value:
        raise ContractError(f"{path}: {where}: must be a list of senders.")
    senders = [_validated(Sender, one, path, f"{where}[{at}]") for at, one in enumerate(value)]
    codes = [sender.territory_code for sender in senders]
    for at, code in enumerate(codes):
        if code in codes[:at]:
            raise ContractError(f"{path}: {where}[{at}].territory_code: {code!r} is there twice.")
    return senders


_FREQUENCIES = {
    ("5", "y"): "per_term",
    ("1", "y"): "yearly",
    ("6", "m"): "half_yearly",
    ("3", "m"): "quarterly",
    ("1", "m"): "monthly",
}


def _calendar(standard: OpenDataContractStandard, ours: CalendarProperty, path: Path) -> Calendar:
    sla = {entry.property: entry for entry in standard.slaProperties or []}
    for index, entry in enumerate(standard.slaProperties or []):
        if entry.property not in ("frequency", "latency"):
            raise ContractError(
                f"{path}: slaProperties[{index}].property: only frequency and latency, found {entry.property!r}."
            )
    for name in ("frequency", "latency"):
        if name not in sla:
            raise ContractError(f"{path}: slaProperties: '{name}' is missing.")
    frequency = _FREQUENCIES.get((str(sla["frequency"].value), str(sla["frequency"].unit)))
    if frequency is None:
        found = f"{sla['frequency'].value} {sla['frequency'].unit}"
        raise ContractError(f"{path}: slaProperties (frequency): must be 5 y, 1 y, 6 m, 3 m or 1 m, found '{found}'.")
    latency = sla["latency"]
    if latency.unit != "d" or not isinstance(latency.value, int) or isinstance(latency.value, bool):
        found = f"{latency.value} {latency.unit}"
        raise ContractError(f"{path}: slaProperties (latency): must be a whole number of d (days), found '{found}'.")
    return Calendar.model_validate(
        {
            "frequency": frequency,
            "lag_days": latency.value,
            "reference": ours.reference,
            "grace_days": ours.grace_days,
            "first_period": ours.first_period,
        }
    )


def _check_columns(contract: Contract, path: Path) -> None:
    names = contract.column_names
    for name in names:
        if names.count(name) > 1:
            raise ContractError(f"{path}: schema[0].properties: column '{name}' is there twice.")
    if long := naming.too_long(names):
        raise ContractError(f"{path}: schema[0].properties: '{long}' is longer than {naming.LONGEST} bytes.")
    if contract.is_observation:
        for name in OBSERVATION_COLUMNS:
            if name not in names:
                raise ContractError(f"{path}: schema[0].properties: an observation dataset needs the column '{name}'.")
        if "measure_code" not in names and "measure_code" not in contract.constants:
            raise ContractError(
                f"{path}: schema[0].properties: neither a column nor a constant is called 'measure_code'."
            )
    if not contract.unique_key:
        raise ContractError(f"{path}: schema[0].properties: no column is marked primaryKey.")


def _check_coordinates(contract: Contract, path: Path, where: str) -> None:
    names = set(contract.column_names)
    for column, value in contract.constants.items():
        if column in names:
            raise ContractError(f"{path}: {where}.constants.{column}: is a column of the table, so it is no constant.")
        _check_code(path, f"{where}.constants.{column}", column, value)
    for index, layout in enumerate(contract.layouts):
        here = f"{where}.files[{index}]"
        targets = {
            *getattr(layout, "columns", {}),
            *getattr(layout, "fields", {}),
            *getattr(layout, "constants", {}),
        }
        for column in sorted(targets - names):
            raise ContractError(f"{path}: {here}.columns.{column}: is no column of schema[0].properties.")
        for column, value in getattr(layout, "constants", {}).items():
            _check_code(path, f"{here}.constants.{column}", column, value)
        for place, coordinates in layout.coordinates():
            for column, value in (coordinates or {}).items():
                key = f"{here}.{place}.{column}"
                if column not in names:
                    raise ContractError(f"{path}: {key}: is no column of schema[0].properties.")
                _check_code(path, key, column, value)
        for text in layout.optional:
            if text not in layout.labels and text not in getattr(layout, "sheet_labels", {}):
                raise ContractError(f"{path}: {here}.optional: {text!r} is none of the labels.")
        known = set(layout.texts())
        for text, validity in layout.validity.items():
            for one in (text, validity.instead_of):
                if one is not None and one not in known:
                    raise ContractError(f"{path}: {here}.validity: {one!r} is neither a label nor a column's header.")


def _check_code(path: Path, key: str, column: str, value: str) -> None:
    known = {"nationality": NATIONALITIES, "sex": SEXES, "measure_code": measure_codes(path.parents[2])}.get(column)
    if known and value not in known:
        raise ContractError(f"{path}: {key}: must be one of {', '.join(sorted(known))}, found {value!r}.")
    if column == "age_band" and not AGE_BAND.fullmatch(value):
        raise ContractError(f"{path}: {key}: must look like u3, 3_5, 65plus or total, found {value!r}.")


_FRACTIONAL_UNITS = {"per cent", "per cent or per 1000 as published", "km2", "fte", "EUR"}


def measure_codes(project: Path) -> frozenset[str]:
    """The measure codes of the catalogue; empty (anything goes) where the project carries none."""
    return frozenset(row["measure_code"] for row in _measures(project))


@cache
def counted_measures(project: Path) -> frozenset[str]:
    """Measures that count whole things: neither ratios nor areas nor averages over a period."""
    return frozenset(
        row["measure_code"]
        for row in _measures(project)
        if row["unit"] not in _FRACTIONAL_UNITS and row["behaviour"] != "average"
    )


@cache
def numbered_measures(project: Path) -> frozenset[str]:
    """Measures of things one counts, averages over a period among them: no ratios, areas or amounts of money."""
    return frozenset(row["measure_code"] for row in _measures(project) if row["unit"] not in _FRACTIONAL_UNITS)


@cache
def percentages(project: Path) -> frozenset[str]:
    """Measures given in per cent."""
    return frozenset(row["measure_code"] for row in _measures(project) if row["unit"] == "per cent")


@cache
def _measures(project: Path) -> tuple[dict[str, str], ...]:
    catalogue = project / "dbt_project" / "seeds" / "measures.csv"
    if not catalogue.is_file():
        return ()
    with catalogue.open(encoding="utf-8", newline="") as lines:
        return tuple(csv.DictReader(lines))


Model = TypeVar("Model", bound=BaseModel)


def _validated(model: type[Model], raw: Any, path: Path, where: str) -> Model:
    try:
        return model.model_validate(raw, extra="forbid")
    except ValidationError as error:
        first = error.errors()[0]
        key = where
        for part in first["loc"]:
            key += f"[{part}]" if isinstance(part, int) else f".{part}"
        what = "is an unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        raise ContractError(f"{path}: {key.lstrip('.')}: {what}.") from error


class _StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as a person reads it: a key twice is an error, and ``3_5``, ``no`` or ``2024-12-31`` stay text.

    YAML 1.1 reads the age band ``3_5`` as the number 35.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is there twice", key_node.start_mark)
            seen.add(key)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


_StrictLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:bool", r"true|false", "tf"),
    ("tag:yaml.org,2002:int", r"-?(0|[1-9][0-9]*)", "-0123456789"),
    ("tag:yaml.org,2002:null", r"null|~|", ["n", "~", ""]),
):
    _StrictLoader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), list(_first))
