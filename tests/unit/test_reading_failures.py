"""Wrong on purpose, one file per kind of failure: each gets one German sentence and a stable rule."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest

from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import Finding, ReadingError
from teilhabe.reading import ReadingContext, open_reading, report
from teilhabe.reading.layouts import base, tidy_csv

PROJECT = Path(__file__).resolve().parents[2]
FIXTURES = PROJECT / "tests" / "fixtures" / "reading"
CONTRACTS = load_contracts(PROJECT / "agencies")

POPULATION = "state_statistics__population"
MINIMUM_INCOME = "state_monitor__minimum_income"
FLAT = "state_statistics__population_nationality"
OFFENCES = "police__offences_district"
CHANGES = "register__territorial_changes"
REGISTER = "register__municipalities"


@dataclass
class Result:
    rows: list[dict[str, Any]]
    findings: list[Finding]

    def finding(self, rule: str) -> Finding:
        found = [finding for finding in self.findings if finding.rule == rule]
        assert len(found) == 1, [finding.rule for finding in self.findings]
        return found[0]

    def values(self, **where: str) -> list[str | None]:
        return [row["value"] for row in self.rows if all(row[name] == value for name, value in where.items())]


Read = Callable[..., Result]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def reader(dataset_id: str, content: bytes | str, name: str = "datei.csv", **context: Any) -> Result:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        reading = open_reading(CONTRACTS[dataset_id], path, name, context=ReadingContext(**context))
        rows = pa.concat_tables(reading.chunks()).to_pylist()
        return Result(rows, reading.findings)

    return reader


def fixture(name: str) -> str:
    return (FIXTURES / name).read_text(encoding="utf-8")


def refused(read: Read, dataset_id: str, content: bytes | str, name: str = "datei.csv", **context: Any) -> Finding:
    with pytest.raises(ReadingError) as caught:
        read(dataset_id, content, name, **context)
    finding = caught.value.finding
    assert finding.severity == "critical"
    assert name in finding.message
    assert finding.message.endswith(".")
    return finding


# What is delivered instead of a file


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "file.empty"),
        (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "file.html"),
        (b"\xef\xbb\xbf\n <html><head></head></html>", "file.html"),
        (b"%PDF-1.7 \x00\x01", "file.pdf"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "file.unknown_kind"),
        (b"Betreff: Lieferung\r\n\r\nanbei die Zahlen", "file.not_this_layout"),
    ],
)
def test_something_else_is_named(read: Read, content: bytes, rule: str) -> None:
    assert refused(read, POPULATION, content).rule == rule


def test_a_zip_is_no_workbook(read: Read, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("zahlen.csv", "1")
    assert refused(read, CHANGES, (tmp_path / "a.zip").read_bytes(), "a.xlsx.zip").rule == "file.zip"


def test_a_broken_workbook(read: Read) -> None:
    assert refused(read, CHANGES, b"PK\x03\x04 broken", "liste.xlsx").rule == "file.unreadable"


def test_wrong_encodings_are_named_with_their_row(read: Read) -> None:
    text = fixture("genesis_population.csv")
    mojibake = text.encode("utf-8").decode("cp1252").encode("utf-8")
    finding = refused(read, POPULATION, mojibake)
    assert (finding.rule, finding.row) == ("file.encoding", 2)
    assert refused(read, POPULATION, text.encode("utf-16")).rule == "file.encoding"
    undefined = text.encode("cp1252").replace(b"Neustadt", b"Neust\x81dt")
    finding = refused(read, POPULATION, undefined)
    assert (finding.rule, finding.row, finding.found) == ("file.encoding", 12, "0x81")


def test_both_agreed_encodings_and_a_byte_order_mark_give_the_same_rows(read: Read) -> None:
    text = fixture("genesis_population.csv")
    plain = read(POPULATION, text).rows
    assert read(POPULATION, text.encode("cp1252")).rows == plain
    assert read(POPULATION, b"\xef\xbb\xbf" + text.encode()).rows == plain
    assert read(POPULATION, text.replace("\n", "\r\n")).rows == plain


# GENESIS tables


def test_symbols_are_statuses_not_numbers(read: Read) -> None:
    result = read(POPULATION, fixture("genesis_population.csv"))
    status = {
        (row["territory_code"], row["period_code"], row["sex"]): (row["value"], row["obs_status"], row["conf_status"])
        for row in result.rows
    }
    assert status["03999003", "2031-12-31", "total"] == (None, "Q", "C")
    assert status["03999003", "2030-12-31", "total"] == (None, "O", "F")
    assert status["03999003", "2030-12-31", "male"] == (None, "M", "F")
    assert status["03999003", "2030-12-31", "female"] == (None, "O", "F")
    assert status["03999001", "2031-12-31", "total"] == (None, "M", "F"), "only dashes: dissolved"
    assert status["03999005", "2031-12-31", "male"] == ("0", "A", "F"), "a dash among numbers is a zero"
    assert status["039995401", "2031-12-31", "total"] == ("100", "A", "F"), "an association has its ARS"


def test_a_municipality_under_two_associations_is_one(read: Read) -> None:
    result = read(POPULATION, fixture("genesis_population.csv"))
    assert result.values(territory_code="03999004", sex="total") == ["60", "58"]
    assert result.finding("key.same_municipality").row_count == 2


def test_a_truncated_table(read: Read) -> None:
    text = fixture("genesis_population.csv")
    for cut in (text[: text.index("03999002")], text[: text.index("Stand:")], text[: text.index("___")]):
        assert refused(read, POPULATION, cut).rule == "file.truncated"


def test_the_table_of_another_dataset(read: Read) -> None:
    finding = refused(read, POPULATION, fixture("genesis_population.csv").replace("12411-01-01-5", "12711-01-03-5"))
    assert finding.rule == "file.other_dataset"
    assert "12711-01-03-5" in finding.message and "12411-01-01-5" in finding.message


def test_a_missing_column(read: Read) -> None:
    lines = fixture("genesis_population.csv").split("\n")
    cut = [line.rsplit(";", 1)[0] if line.count(";") == 7 else line for line in lines]
    assert refused(read, POPULATION, "\n".join(cut)).rule == "header.missing_column"


def test_a_renamed_column_is_missing_and_the_unknown_text_is_told(read: Read) -> None:
    finding = refused(read, POPULATION, fixture("genesis_population.csv").replace("weiblich", "Damen"))
    assert finding.rule == "header.missing_column"
    assert "weiblich" in finding.message and "Damen" in finding.message


def test_an_additional_column_is_told_and_not_loaded(read: Read) -> None:
    text = fixture("genesis_population.csv")
    lines = text.split("\n")
    more = [
        line + (";ohne Angabe" if "männlich" in line else ";31.12.2031" if "31.12.2031" in line else ";3")
        for line in lines
    ]
    wide = [new if old.count(";") == 7 else old for old, new in zip(lines, more, strict=True)]
    result = read(POPULATION, "\n".join(wide))
    finding = result.finding("header.unknown_column")
    assert (finding.severity, finding.found) == ("warning", "ohne Angabe")
    assert len(result.rows) == len(read(POPULATION, text).rows)


def test_the_same_column_twice(read: Read) -> None:
    text = fixture("genesis_population.csv").replace(
        "31.12.2030;31.12.2030;31.12.2030", "31.12.2031;31.12.2031;31.12.2031"
    )
    assert refused(read, POPULATION, text).rule == "header.duplicate_column"


def test_text_in_a_number_column_is_one_finding_for_all_rows(read: Read) -> None:
    text = re.sub(r"(?<=;)100(?=;)", "k. A.", fixture("genesis_population.csv"))
    result = read(POPULATION, text)
    finding = result.finding("value.not_a_number")
    assert (finding.severity, finding.row_count, finding.row, finding.column) == ("critical", 2, 12, "4")
    assert "„k. A.“" in finding.message
    assert [(e.row, e.column) for e in finding.evidence] == [(12, "4"), (12, "5"), (14, "3")]
    assert result.values(territory_code="03999002", period_code="2031-12-31", sex="male") == [None]


def test_a_short_row_is_told_with_its_number(read: Read) -> None:
    result = read(POPULATION, fixture("genesis_population.csv").replace("200;100;100;200;101;99", "200;100"))
    finding = result.finding("row.ragged")
    assert (finding.severity, finding.row) == ("critical", 12)
    assert not result.values(territory_code="03999002")


def test_a_table_without_a_period(read: Read) -> None:
    text = re.sub(r"31\.12\.203\d", "", fixture("genesis_population.csv"))
    half = "\n".join(line.replace(";Insgesamt;männlich;weiblich", "", 1) for line in text.split("\n"))
    lines = [";".join(line.split(";")[:5]) if line.count(";") == 7 else line for line in half.split("\n")]
    assert refused(read, POPULATION, "\n".join(lines)).rule == "period.not_found"


def test_a_period_announced_must_not_contradict_the_file(read: Read) -> None:
    assert (
        refused(read, POPULATION, fixture("genesis_population.csv"), period="2029-12-31").rule == "period.contradiction"
    )


# Tidy CSV


def test_a_tidy_file(read: Read) -> None:
    result = read(MINIMUM_INCOME, fixture("tidy_minimum_income.csv"))
    assert result.values(measure_code="minimum_income_rate_published") == ["8.5"]
    assert result.values(territory_code="03997") == ["1200"], "an exponent is written out"
    assert result.finding("key.completed_from_name").evidence[0].row == 6
    assert result.values(territory_code="03998", period_code="2031-12-31") == ["1010"]


def test_another_indicator_of_the_same_shape(read: Read) -> None:
    text = "Year,Gebietseinheit,GeoCode,Value\n2030,Musterkreis,K03998,5\n"
    assert refused(read, "state_monitor__population", text, "indicator_1-2-1.csv").rule == "file.other_dataset"
    assert len(read("state_monitor__population", text, "indicator_1-1-1.csv").rows) == 1


def test_repeated_and_contradicting_rows(read: Read) -> None:
    text = fixture("tidy_minimum_income.csv")
    row = "2030,Musterkreis,Deutsche,Anzahl,K03998,700\n"
    result = read(MINIMUM_INCOME, text + row)
    finding = result.finding("row.exact_duplicate")
    assert (finding.severity, finding.row) == ("warning", 8)
    assert len(result.rows) == 6
    finding = read(MINIMUM_INCOME, text + row.replace("700", "701")).finding("row.duplicate_key")
    assert (finding.severity, finding.row) == ("critical", 8)


def test_an_unknown_label_is_told_and_its_rows_are_not_loaded(read: Read) -> None:
    result = read(MINIMUM_INCOME, fixture("tidy_minimum_income.csv") + "2030,Musterkreis,Staatenlose,Anzahl,K03998,4\n")
    finding = result.finding("label.unknown")
    assert (finding.severity, finding.row, finding.found) == ("warning", 8, "Staatenlose")
    assert len(result.rows) == 6


def test_a_label_that_is_missing_everywhere(read: Read) -> None:
    text = fixture("tidy_minimum_income.csv").replace("Ausländerinnen und Ausländer", "Insgesammt")
    assert read(MINIMUM_INCOME, text).finding("label.missing").severity == "critical"


def test_ragged_rows_keep_the_numbers_of_the_others(read: Read) -> None:
    lines = fixture("tidy_minimum_income.csv").split("\n")
    lines[2:2] = ["2030,Musterkreis,zu kurz", "", "2030,Musterkreis,Deutsche,Anzahl,K03998,1,2,3"]
    result = read(MINIMUM_INCOME, "\n".join(lines))
    finding = result.finding("row.ragged")
    assert (finding.row_count, [e.row for e in finding.evidence]) == (2, [3, 5])
    assert [row["_row_number"] for row in result.rows if row["territory_code"] == "03998"][:3] == [2, 6, 7]


def test_a_key_that_is_none(read: Read) -> None:
    text = fixture("tidy_minimum_income.csv").replace("K03997", "X-17")
    finding = read(MINIMUM_INCOME, text).finding("key.invalid")
    assert (finding.severity, finding.found) == ("critical", "X-17")


def test_evidence_is_capped_and_the_count_complete(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (base, report, tidy_csv):
        monkeypatch.setattr(module, "EVIDENCE_LIMIT", 200)
    rows = "".join(f"{1000 + n},Musterkreis,Insgesamt,Anzahl,K03998,viele\n" for n in range(1000))
    finding = read(MINIMUM_INCOME, fixture("tidy_minimum_income.csv") + rows).finding("value.not_a_number")
    assert (finding.row_count, len(finding.evidence)) == (1000, 200)


def test_only_a_header(read: Read) -> None:
    header = fixture("tidy_minimum_income.csv").split("\n")[0] + "\n"
    assert refused(read, MINIMUM_INCOME, header).rule == "file.no_rows"


# Flat GENESIS


def test_a_flat_file_with_other_columns(read: Read) -> None:
    result = read(FLAT, fixture("ffcsv_population.csv"))
    assert {row["sex"]: row["value"] for row in result.rows} == {"male": "150", "female": "151", "total": "301"}


def test_a_flat_file_of_another_statistic(read: Read) -> None:
    assert refused(read, FLAT, fixture("ffcsv_population.csv").replace("12411", "13111")).rule == "file.other_dataset"


# Tables


def test_english_numbers_in_a_german_file(read: Read) -> None:
    result = read(OFFENCES, fixture("pks_2031.csv").encode("cp1252"), "KR-F-01-T01_2031.csv")
    assert result.values(measure_code="offences_known", category="------", territory_code="03998") == ["7100"]
    assert {row["period_code"] for row in result.rows} == {"2031"}
    assert result.finding("period.inferred").severity == "warning"


def test_the_year_follows_from_the_populations_if_exactly_one_fits(read: Read) -> None:
    fitting = {"2029": {"03998": 98_000.0, "03997": 78_000.0}, "2030": {"03998": 100_000.0, "03997": 80_000.0}}
    result = read(OFFENCES, fixture("pks_2031.csv"), populations=lambda: fitting)
    assert {row["period_code"] for row in result.rows} == {"2031"}
    twice = fitting | {"2031": fitting["2030"]}
    assert refused(read, OFFENCES, fixture("pks_2031.csv"), populations=lambda: twice).rule == "period.not_found"
    other = {"2029": fitting["2029"]}
    assert refused(read, OFFENCES, fixture("pks_2031.csv"), populations=lambda: other).rule == "period.not_found"


def test_a_table_without_one_of_its_columns(read: Read) -> None:
    finding = refused(
        read, OFFENCES, fixture("pks_2031.csv").replace("Auffklaerung - Anzahl Faelle", "geklaert"), "x_2031.csv"
    )
    assert finding.rule == "header.missing_column"
    assert "geklaert" in finding.message


# Workbooks


def changes_workbook(path: Path, title: str = "Gebietsänderungen vom 01.01. - 31.12.2031") -> bytes:
    book = openpyxl.Workbook()
    book.active.title = "Deckblatt"  # type: ignore[union-attr]
    sheet = book.create_sheet("Irgendein Name")
    sheet.append([title])
    sheet.append(["Kennziffer", "Regionaleinheit", "Abgebende Gemeinde"])
    names = ["Amtlicher Regionalschlüssel (ARS)", "Amtlicher Gemeinde-schlüssel (AGS)", "Name"]
    sheet.append(
        [None, None, *names, "Änderungs-art 1)", "Fläche qm", "Einwohner", *names, "juristisch", "statistisch"]
    )
    old, new = ["039990001001", "03999001", "Altdorf"], ["039990002002", "03999002", "Neustadt"]
    sheet.append(["03/2031/0001-R", "Gemeinde", *old, 1, 5_000_000, 90, *new, "01.01.2031", "01.01.2031"])
    sheet.append(
        [
            "03/2031/0001-R",
            "Gemeindeverband",
            *old[:1],
            None,
            None,
            "3, 4",
            None,
            None,
            *new,
            "01.01.2031",
            "01.01.2031",
        ]
    )
    sheet.append(["1) Änderungsart:"])
    book.save(path)
    return path.read_bytes()


def test_the_bytes_decide_not_the_name(read: Read, tmp_path: Path) -> None:
    result = read(CHANGES, changes_workbook(tmp_path / "liste.xlsx"), "2031.xls")
    assert result.finding("file.name_and_kind").severity == "info"
    assert [(row["change_type"], row["area_m2"], row["legal_date"]) for row in result.rows] == [
        ("1", "5000000", "2031-01-01"),
        ("3, 4", None, "2031-01-01"),
    ]


def test_a_list_of_changes_without_its_year(read: Read, tmp_path: Path) -> None:
    assert refused(read, CHANGES, changes_workbook(tmp_path / "a.xlsx", "Liste"), "b.xlsx").rule == "period.not_found"


def record(kind: str, key: str, association: str, name: str, numbers: str = "") -> str:
    return f"{kind}20311231{key:<8}{association:<4}{name:<50}{'':<50}64    {numbers}".ljust(220)


def test_the_register_in_fixed_width(read: Read) -> None:
    lines = [
        record("10", "03", "", "Musterland"),
        record("40", "03999", "", "Musterkreis"),
        record("50", "03999", "0001", "Altdorf"),
        record("60", "03999001", "0001", "Altdorf", "000000012340000000100000000000490"),
    ]
    rows = read(REGISTER, "\n".join(lines) + "\n", "GV100AD.txt").rows
    assert [row["territory_code"] for row in rows] == ["03", "03999", "039990001", "03999001"]
    assert (rows[3]["area_km2"], rows[3]["population"], rows[3]["population_female"]) == ("12.34", "1000", "510")
    assert rows[3]["ars"] == "039990001001"
    assert refused(read, REGISTER, "\n".join(lines)[:-100], "GV100AD.txt").rule == "file.truncated"
    broken = "\n".join([*lines[:2], "Zwischentext", *lines[2:]])
    assert read(REGISTER, broken, "GV100AD.txt").finding("row.ragged").row == 3


def test_the_register_whose_blanks_an_editor_took_off_the_ends_of_lines(read: Read) -> None:
    numbers = "000000012340000000100000000000490"
    lines = [
        record("10", "03", "", "Musterland"),
        record("40", "03999", "", "Musterkreis"),
        record("60", "03999001", "0001", "Altdorf", numbers),
        record("60", "03999002", "0001", "Neudorf", numbers),
    ]
    bare = "\n".join(line.rstrip() for line in lines)
    whole = read(REGISTER, "\n".join(lines) + "\n", "GV100AD.txt").rows
    assert read(REGISTER, bare + "\n", "GV100AD.txt").rows == whole
    assert refused(read, REGISTER, bare[:-8], "GV100AD.txt").rule == "file.truncated", "490 women would be none"
    cut = "\n".join([lines[0], lines[1][:150], lines[2][:160], lines[3]])
    assert read(REGISTER, cut, "GV100AD.txt").finding("row.ragged").row == 2, "elsewhere the blanks are there"


def test_an_umlaut_of_dos_is_called_so_though_windows_has_no_such_sign(read: Read) -> None:
    lines = "\n".join([record("10", "03", "", "Musterland"), record("40", "03999", "", "Mühlkreis")])
    finding = refused(read, REGISTER, lines.encode("cp850"), "GV100AD.txt")
    assert finding.rule == "file.encoding" and "DOS" in finding.message and finding.row == 2


def register_workbook(path: Path, *, numbers: bool) -> bytes:
    """The yearly workbook; with ``numbers`` somebody saved it with the key's parts as numbers."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    head = ["Satzart", "Textkennzeichen", "Land", "RB", "Kreis", "VB", "Gem", "Gemeindename", "Fläche km2 1)"]
    sheet.append([*head, "Bevölkerung"])
    sheet.append([None, None, "Gebietsstand am 31.12.2031", *[None] * 6, "Stand: 30.09.2031"])
    sheet.append([*[None] * 9, "insgesamt", "männlich", "weiblich"])
    parts = ["03", "1", "57", "0006", "006"]
    key: list[Any] = [int(part) for part in parts] if numbers else parts
    sheet.append([60, 63, *key, "Peine", 119.9, 50000, 24600, 25400])
    book.save(path)
    return path.read_bytes()


@pytest.mark.parametrize("numbers", [False, True])
def test_the_register_as_a_workbook(read: Read, tmp_path: Path, numbers: bool) -> None:
    rows = read(REGISTER, register_workbook(tmp_path / "r.xlsx", numbers=numbers), "Auszug.xlsx").rows
    assert [(row["ars"], row["territory_code"], row["population"]) for row in rows] == [
        ("031570006006", "03157006", "50000")
    ]


def test_keys_of_changes_that_are_numbers(read: Read, tmp_path: Path) -> None:
    book = openpyxl.load_workbook(io.BytesIO(changes_workbook(tmp_path / "a.xlsx")))
    sheet = book["Irgendein Name"]
    sheet["C4"], sheet["D4"] = 39990001001, 3999001
    book.save(tmp_path / "b.xlsx")
    row = read(CHANGES, (tmp_path / "b.xlsx").read_bytes(), "b.xlsx").rows[0]
    assert (row["old_ars"], row["old_code"]) == ("039990001001", "03999001")


def test_a_register_of_two_dates(read: Read) -> None:
    lines = [
        record("10", "03", "", "Musterland"),
        record("40", "03999", "", "Musterkreis").replace("20311231", "20301231"),
    ]
    assert refused(read, REGISTER, "\n".join(lines) + "\n", "GV100AD.txt").rule == "period.contradiction"
