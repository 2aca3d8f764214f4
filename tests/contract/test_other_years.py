"""The same official tables as they may look in other years: they load right, or are refused with the true reason.

The offices' files are cut to a few territories, changed, and read; what is expected is computed from the unchanged file.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest

from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import Finding, ReadingError
from teilhabe.reading import ReadingContext, open_reading

PROJECT = Path(__file__).resolve().parents[2]
CONTRACTS = load_contracts(PROJECT / "agencies")

GENESIS = {
    "state_statistics__population": "lsn_genesis/12411-01-01-5_00.csv",
    "state_statistics__population_nationality": "lsn_genesis/12411-03-03-4_00.csv",
    "state_statistics__migration": "lsn_genesis/12711-01-03-5_00.csv",
    "state_statistics__naturalisations": "lsn_genesis/12511-01-01-4.csv",
    "state_statistics__asylum_benefits": "lsn_genesis/22221-01-01-4_00.csv",
    "state_statistics__dwellings": "lsn_genesis/31231-01-02-5_00.csv",
    "state_statistics__day_care": "lsn_genesis/22541-01-04-4_00.csv",
    "state_statistics__pupils": "lsn_genesis/21111-01-03-4.csv",
    "state_statistics__school_leavers": "lsn_genesis/21111-02-06-4_00.csv",
    "employment_agency__unemployed_municipal": "employment_agency/13211-01-03-5_00.csv",
    "employment_agency__unemployed_district": "employment_agency/13211-02-05-4_00.csv",
    "employment_agency__employees_residence": "employment_agency/13111-02-02-5_00.csv",
}
LATER = 8
"""Years by which the tables are moved."""

Row = dict[str, Any]
Change = Callable[[str], str]


@pytest.fixture(scope="module")
def cut(real_files: Path) -> Callable[[str], str]:
    """A GENESIS table with the rows of Germany, Lower Saxony and Peine only."""
    texts: dict[str, str] = {}

    def of(dataset_id: str) -> str:
        if dataset_id not in texts:
            raw = (real_files / GENESIS[dataset_id]).read_bytes()
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError:
                text = raw.decode("cp1252")
            texts[dataset_id] = "\n".join(line for line in text.replace("\r\n", "\n").split("\n") if _is_kept(line))
        return texts[dataset_id]

    return of


def _is_kept(line: str) -> bool:
    cells = line.split(";")
    if len(cells) < 4:
        return True
    key = next(
        (cell.strip() for cell in cells[:2] if re.fullmatch(r"DG|\d{2}|\d{3}|\d{5}|\d{7,11}", cell.strip())), None
    )
    return key is None or key in ("DG", "03") or key.startswith("03157")


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., tuple[list[Row], list[Finding]]]:
    def reader(
        dataset_id: str, content: str | bytes, name: str = "tabelle.csv", **context: Any
    ) -> tuple[list[Row], list[Finding]]:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        reading = open_reading(CONTRACTS[dataset_id], path, name, context=ReadingContext(**context))
        return pa.concat_tables(reading.chunks()).to_pylist(), reading.findings

    return reader


Read = Callable[..., tuple[list[Row], list[Finding]]]


def refused(read: Read, *args: Any, **context: Any) -> Finding:
    with pytest.raises(ReadingError) as caught:
        read(*args, **context)
    return caught.value.finding


def values(rows: list[Row]) -> dict[tuple[str, ...], str | None]:
    names = ("territory_code", "measure_code", "period_code", "nationality", "sex", "age_band", "category")
    return {tuple(str(row.get(name)) for name in names): row["value"] for row in rows}


def head(text: str, change: Change) -> str:
    """The change applied above the first row of data and below the last."""
    lines = text.split("\n")
    data = [i for i, line in enumerate(lines) if len(line.split(";")) > 3 and re.search(r"(^|;)(DG|03\d*);", line)]
    first, last = data[0], data[-1] + 1
    parts = ("\n".join(lines[:first]), "\n".join(lines[first:last]), "\n".join(lines[last:]))
    return "\n".join((change(parts[0]), parts[1], change(parts[2])))


def columns(text: str, change: Callable[[list[str], bool], list[str]]) -> str:
    """The change applied to the cells of every row of the wide part; told whether it is a row of data."""
    lines = []
    for line in text.split("\n"):
        cells = line.split(";")
        is_data = len(cells) > 3 and bool(re.search(r"(^|;)(DG|03\d*);", line))
        is_head = len(cells) > 3 and not is_data and any(cells[3:])
        lines.append(";".join(change(cells, is_data)) if is_data or is_head else line)
    return "\n".join(lines)


def problems(findings: list[Finding]) -> list[str]:
    return [finding.rule for finding in findings if finding.severity != "info"]


@pytest.mark.parametrize("dataset_id", sorted(GENESIS))
def test_the_same_table_of_a_later_year(read: Read, cut: Callable[[str], str], dataset_id: str) -> None:
    """Years, the date of the table, a line more in its title and another remark below it change no number."""
    text = cut(dataset_id)
    before, _ = read(dataset_id, text)

    def later(part: str) -> str:
        return re.sub(r"(?<![\d-])20[01]\d(?![\d)])", lambda match: str(int(match[0]) + LATER), part)

    body, _, foot = text.partition("\n____")
    first, _, table = body.partition("\n")
    table = head(table, later)
    table = columns(table, lambda cells, is_data: [later(cells[0]), *cells[1:]] if is_data else cells)
    body = f"{first}\n{table}"
    lines = body.split("\n")
    lines[3:3] = ["(Ergebnisse auf Grundlage des Zensus 2022);;"]
    foot = re.sub(r"Stand: .*", "Stand: 05.11.2026 / 09:15:00", foot) + "\n"
    after, findings = read(dataset_id, "\n".join(lines) + "\n____" + foot)

    def moved(code: str) -> str:
        return re.sub(r"\d{4}", lambda m: str(int(m[0]) + LATER), code, count=1)

    expected = {(*key[:2], moved(key[2]), *key[3:]): value for key, value in values(before).items()}
    assert values(after) == expected
    assert not problems(findings)


@pytest.mark.parametrize("dataset_id", sorted(GENESIS))
def test_groups_under_their_newer_names(read: Read, cut: Callable[[str], str], dataset_id: str) -> None:
    text = cut(dataset_id)
    before, _ = read(dataset_id, text)
    for names in (
        {"Ausländer(innen)": "Ausländerinnen und Ausländer", ";Ausländer;": ";Ausländerinnen und Ausländer;"},
        {"Ausländer(innen)": "ausländisch", "Deutsche": "deutsch", "Schüler(innen)": "Schülerinnen und Schüler"},
        {"männlich": "Männer", "weiblich": "Frauen", ";Ausländer;": ";Ausländer/-innen;"},
        {"Regelleistungsempfänger": "Regelleistungsempfängerinnen und -empfänger", "von Ausländern": "von Ausländerinnen und Ausländern"},
    ):  # fmt: skip
        new = text
        for old, name in names.items():
            new = head(new, lambda part, old=old, name=name: part.replace(old, name))  # type: ignore[misc]
        after, findings = read(dataset_id, new)
        assert values(after) == values(before), names
        assert not problems(findings)


@pytest.mark.parametrize("dataset_id", sorted(GENESIS))
def test_a_column_more_is_told_and_changes_nothing(read: Read, cut: Callable[[str], str], dataset_id: str) -> None:
    text = cut(dataset_id)
    before, _ = read(dataset_id, text)
    after, findings = read(
        dataset_id, columns(text, lambda cells, is_data: [*cells, "7" if is_data else "neue Gliederung"])
    )
    assert values(after) == values(before)
    assert problems(findings) == ["header.unknown_column"]


@pytest.mark.parametrize("dataset_id", sorted(GENESIS))
def test_a_column_that_is_gone_or_renamed_is_refused_by_name(
    read: Read, cut: Callable[[str], str], dataset_id: str
) -> None:
    """The last loaded column is taken out, or given a name nobody agreed on."""
    text = cut(dataset_id)
    before, _ = read(dataset_id, text)
    last = max(row["_column_number"] for row in before) - 1
    gone = columns(text, lambda cells, _: [*cells[:last], *cells[last + 1 :]])
    assert refused(read, dataset_id, gone).rule == "header.missing_column"
    other = columns(
        text, lambda cells, is_data: cells if is_data else [*cells[:last], "Etwas anderes", *cells[last + 1 :]]
    )
    finding = refused(read, dataset_id, other)
    assert finding.rule == "header.missing_column" and "Etwas anderes" in finding.message


@pytest.mark.parametrize("dataset_id", sorted(GENESIS))
def test_columns_in_another_order(read: Read, cut: Callable[[str], str], dataset_id: str) -> None:
    text = cut(dataset_id)
    before, _ = read(dataset_id, text)
    first = min(row["_column_number"] for row in before) - 1
    turned = columns(text, lambda cells, _: [*cells[:first], *reversed(cells[first:])])
    after, _ = read(dataset_id, turned)
    assert values(after) == values(before)


def test_a_third_sex(read: Read, cut: Callable[[str], str]) -> None:
    """Divers is loaded where the table has it; it is part of the total, so nothing else changes."""
    text = cut("state_statistics__population")
    before, _ = read("state_statistics__population", text)

    def more(cells: list[str], is_data: bool) -> list[str]:
        if is_data:
            return [*cells, "-" if cells[2] == "-" else "3"]
        return [*cells, "31.12.2015" if "31.12" in ";".join(cells) else "divers"]

    after, findings = read("state_statistics__population", columns(text, more))
    assert not problems(findings)
    extra = values(after).items() - values(before).items()
    assert {key[4] for key, _ in extra} == {"diverse"}
    assert {value for _, value in extra} == {"3", None}, "a dissolved municipality stays unpublished"


def test_one_year_in_the_title_or_several_in_a_column(read: Read, cut: Callable[[str], str]) -> None:
    """GENESIS puts the period where it fits: into the title, into the header, into a first column."""
    dataset_id = "employment_agency__unemployed_municipal"
    text = cut(dataset_id)
    before, _ = read(dataset_id, text)
    in_column = columns(text.replace("Jahr: 2016", ""), lambda cells, is_data: ["2016" if is_data else "", *cells])
    assert values(read(dataset_id, in_column)[0]) == values(before)
    dataset_id = "state_statistics__naturalisations"
    text = cut(dataset_id)
    one_year = "\n".join(line for line in text.split("\n") if not re.match(r"201[0-5];", line))
    before, _ = read(dataset_id, one_year)
    lines = columns(one_year, lambda cells, _: cells[1:]).split("\n")
    lines[4:4] = ["2016;;;;;;;;"]
    assert values(read(dataset_id, "\n".join(lines))[0]) == values(before)


def test_two_periods_in_a_title(read: Read, cut: Callable[[str], str]) -> None:
    text = cut("employment_agency__unemployed_municipal").replace("Jahr: 2016", "Jahr: 2016;;\nJahr: 2015")
    assert refused(read, "employment_agency__unemployed_municipal", text).rule == "period.contradiction"


def test_other_age_groups_are_refused(read: Read, cut: Callable[[str], str]) -> None:
    text = head(cut("state_statistics__asylum_benefits"), lambda part: part.replace("unter 7 Jahre", "unter 6 Jahre"))
    finding = refused(read, "state_statistics__asylum_benefits", text)
    assert finding.rule == "header.missing_column"
    assert "unter 7 Jahre" in finding.message and "unter 6 Jahre" in finding.message


def test_a_table_with_the_newer_first_and_last_line(read: Read, cut: Callable[[str], str]) -> None:
    text = cut("state_statistics__population")
    before, _ = read("state_statistics__population", text)
    new = text.replace("GENESIS-Tabelle: ", "Tabelle: ", 1)
    new = re.sub(r"Stand: .*", "© Statistische Ämter, Deutschland, 2026 | Stand: 05.11.2026 / 09:15:00", new)
    assert values(read("state_statistics__population", new)[0]) == values(before)


# Police


@pytest.fixture(scope="module")
def police(real_files: Path) -> str:
    path = real_files / "police_pks_2022" / "KR-F-01-T01-Kreise-Faelle-HZ_csv.csv"
    lines = path.read_bytes().decode("cp1252").replace("\r\n", "\n").split("\n")
    return "\n".join([*lines[:2], *(line for line in lines[2:] if ";3157;" in line or ";3151;" in line)])


PKS = "police__offences_district"


def test_police_tables_of_other_years(read: Read, police: str) -> None:
    before, _ = read(PKS, police, "T01_2022.csv")
    later, _ = read(PKS, police, "T01_2024.csv")
    assert {row["period_code"] for row in later} == {"2024"}
    assert [row["value"] for row in later] == [row["value"] for row in before]
    without_numbers = police.split("\n", 1)[1]
    assert [row["value"] for row in read(PKS, without_numbers, "T01_2023.csv")[0]] == [row["value"] for row in before]
    titled = "Polizeiliche Kriminalstatistik\nBerichtszeitraum: 01.01.2019 bis 31.12.2019\n" + police
    rows, findings = read(PKS, titled, "T01.csv")
    assert {row["period_code"] for row in rows} == {"2019"} and not problems(findings)


def test_police_numbers_in_german_are_not_read_as_english(read: Read, police: str) -> None:
    """7.250 cases are not seven and a quarter, and 7.000 are not seven."""
    lines = police.split("\n")
    german = "\n".join([*lines[:2], *(re.sub(r"(\d),(\d{3})", r"\1.\2", line) for line in lines[2:])])
    _, findings = read(PKS, german, "T01_2024.csv")
    assert [finding.rule for finding in findings if finding.severity == "critical"] == ["value.ambiguous_thousands"]


def test_police_columns_that_change(read: Read, police: str) -> None:
    with_victims = "\n".join(
        line + (";Opfer insgesamt" if i == 1 else ";19" if i == 0 else ";5")
        for i, line in enumerate(police.split("\n"))
    )
    rows, findings = read(PKS, with_victims, "T01_2024.csv")
    assert "header.unknown_column" in problems(findings)
    assert len(rows) == len(read(PKS, police, "T01_2024.csv")[0])
    renamed = police.replace("Tatverdaechtige insgesamt", "Tatverdaechtige ohne Verstoesse", 1)
    finding = refused(read, PKS, renamed, "T01_2024.csv")
    assert finding.rule == "header.missing_column" and "Tatverdaechtige ohne Verstoesse" in finding.message


# Workbooks


@pytest.fixture(scope="module")
def agency_book(real_files: Path) -> Path:
    return sorted((real_files / "employment_agency" / "arbeitsmarkt_kommunal").glob("*.xlsx"))[0]


WORKBOOK = "employment_agency__municipal_workbook"


def edited(path: Path, change: Callable[[Any], None]) -> bytes:
    book = openpyxl.load_workbook(path)
    change(book["Daten"])
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def test_the_workbook_of_another_municipality_and_year(read: Read, agency_book: Path) -> None:
    before, _ = read(WORKBOOK, edited(agency_book, lambda sheet: None), agency_book.name)

    def change(sheet: Any) -> None:
        sheet["A4"] = "03157006 Peine, Stadt (Gebietsstand im Jahr 2026)"
        sheet["A5"] = 2026
        for column, year in zip("CDEFG", range(2022, 2027), strict=True):
            sheet[f"{column}7"] = year

    after, findings = read(WORKBOOK, edited(agency_book, change), "Arbeitsmarkt-kommunal_03157006_Peine.xlsx")
    assert {row["territory_code"] for row in after} == {"03157006"}
    assert {row["period_code"][:4] for row in after} == {str(year) for year in range(2022, 2027)}
    assert [row["value"] for row in after] == [row["value"] for row in before]
    assert not problems(findings)
    wrong = refused(read, WORKBOOK, edited(agency_book, change), agency_book.name)
    assert (wrong.rule, wrong.expected) == ("key.contradiction", "03157006")


def test_the_workbook_with_other_rows(read: Read, agency_book: Path) -> None:
    def renamed(sheet: Any) -> None:
        sheet["B13"] = "Personen mit ausländischer Staatsangehörigkeit"

    finding = refused(read, WORKBOOK, edited(agency_book, renamed), agency_book.name)
    assert (finding.rule, finding.sheet, finding.column) == ("header.missing_column", "Daten", "Ausländer")

    def six_years(sheet: Any) -> None:
        sheet["H7"], sheet["A5"] = 2025, 2025
        for row in range(10, 47):
            if sheet.cell(row, 7).value is not None:
                sheet.cell(row, 8).value = sheet.cell(row, 7).value

    rows, _ = read(WORKBOOK, edited(agency_book, six_years), agency_book.name)
    assert "2025" in {row["period_code"] for row in rows}


# Monitor


def test_a_later_vintage_of_the_monitor(read: Read, real_files: Path) -> None:
    path = real_files / "lsn_integration_monitor" / "2023-12" / "indicator_1-2-1.csv"
    text = path.read_text(encoding="utf-8-sig")
    lines = text.split("\n")
    newest = max(line.split(",")[0] for line in lines[1:] if line)
    more = [line.replace(newest, str(int(newest) + 1), 1) for line in lines if line.startswith(newest)]
    before, _ = read("state_monitor__foreigners", text, path.name)
    after, _ = read("state_monitor__foreigners", "\n".join([*lines[:-1], *more, ""]), path.name)
    assert len(after) == len(before) + len(more)
    noted = [line.rstrip("\r") + (",Anmerkung" if i == 0 else ",") for i, line in enumerate(lines) if line]
    rows, findings = read("state_monitor__foreigners", "\n".join(noted) + "\n", path.name)
    assert len(rows) == len(before) and "header.unknown_column" in problems(findings)
    renamed = text.replace("GeoCode", "Regionalschluessel", 1)
    assert "GeoCode" in refused(read, "state_monitor__foreigners", renamed, path.name).message


# Register


def test_the_register_of_another_quarter(read: Read, real_files: Path) -> None:
    lines = (real_files / "municipality_register" / "GV100AD_31122022.txt").read_text(encoding="utf-8").split("\n")
    peine = [line for line in lines if line[10:15] in ("03157", "03   ") or (line[10:12] == "03" and line[:2] == "10")]
    text = "\n".join(peine) + "\n"
    before, _ = read("register__municipalities", text, "GV100AD.txt")
    after, _ = read("register__municipalities", text.replace("20221231", "20250930"), "GV100AD_30092025.txt")
    assert {row["period_code"] for row in after} == {"2025-09-30"}
    assert [row["area_km2"] for row in after] == [row["area_km2"] for row in before]
    assert {row["population"] for row in after} == {None}, "whose day nobody knows"
    mixed = text.replace("20221231", "20250930", 1)
    assert refused(read, "register__municipalities", mixed, "GV100AD.txt").rule == "period.contradiction"
