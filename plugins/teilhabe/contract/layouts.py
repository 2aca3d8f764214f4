"""The layouts a contract can name, and what each has to say of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from teilhabe.codes.periods import period_end

Regime = Literal["genesis", "lsn_new", "ba", "none"]
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
