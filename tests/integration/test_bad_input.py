"""Wrong on purpose, one delivery per kind: given this file, expect this state, this rule and this sentence for the office."""

from __future__ import annotations

import io
import logging
import struct
import zipfile
from dataclasses import dataclass

import openpyxl
import pytest

from demo import genesis, police, register
from demo.county import STOCK_YEARS, County
from teilhabe.settings import Settings
from tests.flow import FOREIGNERS, PEINE, POPULATION, Flow, monitor, population

OFFENCES = "police__offences_district"
CHANGES = "register__territorial_changes"
COUNTY = County()
YEAR = STOCK_YEARS[0]
"""A year with an edition of the register at its end."""
GOOD_CELLS = {code: (100 * n, 50 * n, 50 * n) for n, code in enumerate(PEINE, start=1)}
GOOD = population(GOOD_CELLS, YEAR)
TEXT = GOOD.decode()
PKS = police.district_csv(COUNTY, YEAR)
PKS_LINES = PKS.content.decode("cp1252").splitlines(keepends=True)
PKS_ROW = next(number for number, line in enumerate(PKS_LINES, start=1) if line.startswith("892000"))


@dataclass(frozen=True)
class Case:
    """A delivery, and what becomes of it. ``says``: what the sentence names, in this order.

    ``held_back``: rows of a published table that are left out while the others are loaded.
    """

    dataset_id: str
    content: bytes
    rule: str
    says: tuple[str, ...]
    row: int | None = None
    state: str = "quarantined"
    severity: str = "critical"
    name: str = "zahlen.csv"
    held_back: int = 0


def changed(old: str, new: str, count: int = -1) -> bytes:
    assert old in TEXT
    return TEXT.replace(old, new, count).encode()


def sheet(*rows: tuple[object, ...], at: str | None = None) -> bytes:
    book, out = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    if at:
        book.active[at] = 1
    book.save(out)
    return out.getvalue()


def packed(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def encrypted() -> bytes:
    """What Excel makes of a workbook with a password: a compound file with one stream nobody can read."""
    none, end = 0xFFFFFFFF, 0xFFFFFFFE
    header = struct.pack("<8s16s5H6s9I", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 62, 3, 0xFFFE, 9, 6, b"",
                         0, 1, 1, 0, 4096, end, 0, end, 0)  # fmt: skip
    table = struct.pack("<3I", 0xFFFFFFFD, end, end).ljust(512, b"\xff")
    entries = b""
    for name, kind in (("Root Entry", 5), ("EncryptedPackage", 2)):
        spelt = name.encode("utf-16-le")
        entries += struct.pack("<64sHBBIII36sIII", spelt, len(spelt) + 2, kind, 1, none, none, 1, b"", 2, 400, 0)
    return header + struct.pack("<109I", 0, *[none] * 108) + table + entries.ljust(512, b"\0") + bytes(512)


CASES = {
    "an empty file": Case(POPULATION, b"", "file.empty", ("zahlen.csv", "leer", "0 Bytes")),
    "an error page of a web server": Case(
        POPULATION, b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>", "file.html", ("zahlen.csv", "erwartet"),
    ),
    "cut off in the middle of the rows": Case(
        POPULATION, GOOD[: len(GOOD) // 2 + 60], "file.truncated", ("zahlen.csv", "Zeile 11"), row=11),
    "cut off in the header": Case(POPULATION, GOOD[:60], "file.truncated", ("zahlen.csv", "Zeile 2"), row=2),
    "UTF-8 that was read as cp1252 and saved again": Case(
        POPULATION, GOOD.decode("cp1252").encode(), "file.encoding", ("zahlen.csv", "Zeile 2"), row=2,
    ),
    "a byte no agreed encoding has": Case(
        POPULATION, TEXT.encode("cp1252").replace(b"Lengede", b"Leng\x81de"), "file.encoding", ("zahlen.csv", "Zeile 10", "DOS"),
        row=10,
    ),
    "a value column missing": Case(
        POPULATION, "".join(
            line.rpartition(";")[0] + "\r\n" if line.count(";") >= 4 else line for line in TEXT.splitlines(keepends=True)
        ).encode(), "header.missing_column", ("zahlen.csv", "weiblich"), row=6,
    ),
    "a column missing in a table with a header line": Case(
        FOREIGNERS, monitor([(2022, "Peine", 15000)], header=("Year", "Gebietseinheit", "Value")), "file.not_this_layout",
        ("zahlen.csv", "GeoCode", "Year"), row=1,
    ),
    "a column nobody knows": Case(
        FOREIGNERS,
        monitor([(2022, "Peine", "K03157", 15000, "x")], header=("Year", "Gebietseinheit", "GeoCode", "Value", "Bemerkung")),
        "header.unknown_column", ("zahlen.csv", "Spalte 5", "Bemerkung"), row=1, state="loaded", severity="warning",
    ),
    "a key that is in no edition": Case(
        POPULATION, changed("03157007;", "03157077;"), "key.unknown", ("zahlen.csv", "Zeile 12", "03157077", "03157007 (Vechelde)"), row=12,
        state="loaded", held_back=3,
    ),
    "a key that is no key": Case(FOREIGNERS, monitor([(2022, "Irgendwo", "K3157X", 15000)]), "key.invalid",
                                 ("zahlen.csv", "Zeile 2"), row=2),
    "the neighbour's name beside a key": Case(
        POPULATION, changed("Lengede", "Vechelde", 1), "name.of_other_key",
        ("zahlen.csv", "Zeile 10", "03157005 Vechelde", "erwartet 03157007 (Vechelde)"), row=10, state="loaded", held_back=3,
    ),
    "keys slipped by one": Case(
        POPULATION, population(GOOD_CELLS, YEAR, names=dict(zip(PEINE, [*list(PEINE.values())[1:], "Edemissen"], strict=True))),
        "name.of_other_key", ("zahlen.csv", "Zeile 8", "03157001 Hohenhameln", "Insgesamt 7 Zeilen"), row=8,
    ),
    "a name nobody has": Case(
        POPULATION, changed("Lengede", "Stralsund", 1), "name.disagrees", ("zahlen.csv", "Zeile 10", "03157005 Stralsund"),
        row=10, state="loaded", severity="warning",
    ),
    "a period in the future": Case(
        POPULATION, changed(f"31.12.{YEAR}", "31.12.2033"), "period.future", ("zahlen.csv", "Zeile 8", "31.12.2033"), row=8,
    ),
    "a period before the series began": Case(
        POPULATION, changed(f"31.12.{YEAR}", "31.12.1985"), "period.too_early", ("zahlen.csv", "31.12.1985", "31.12.1995"), row=8,
    ),
    "text in a number column": Case(
        POPULATION, changed(";300;150;150", ";300;ca. 150;150"), "value.not_a_number", ("zahlen.csv", "Zeile 10", "Spalte", "ca. 150"),
        row=10, state="loaded", held_back=1,
    ),
    "an empty cell the contract knows no meaning for": Case(
        POPULATION, changed(";300;150;150", ";300;;150"), "value.missing", ("zahlen.csv", "Zeile 10"), row=10,
        state="loaded", held_back=1,
    ),
    "a negative count": Case(
        POPULATION, changed(";300;150;150", ";300;-150;150"), "value.negative", ("zahlen.csv", "Zeile 10", "Spalte 4", "-150", "ab 0"),
        row=10, state="loaded", held_back=1,
    ),
    "the same key twice with different values": Case(
        FOREIGNERS, monitor([(2022, "Peine", "K03157", 15000), (2022, "Peine", "K03157", 15905)]), "row.duplicate_key",
        ("zahlen.csv", "Zeile 3"), row=3,
    ),
    "the same row twice": Case(
        FOREIGNERS, monitor([(2022, "Peine", "K03157", 15000), (2022, "Peine", "K03157", 15000)]), "row.exact_duplicate",
        ("zahlen.csv", "Zeile 3"), row=3, state="loaded", severity="warning",
    ),
    "a row with too many columns": Case(
        FOREIGNERS, monitor([(2022, "Peine", "K03157", 15000), (2021, "Peine", "K03157", 1, 5)]), "row.ragged",
        ("zahlen.csv", "Zeile 3", "5 statt 4 Spalten"), row=3, state="loaded", held_back=1,
    ),
    "a header without rows": Case(FOREIGNERS, monitor([]), "file.no_rows", ("zahlen.csv", "keine einzige Datenzeile")),
    "the right office, the wrong table": Case(
        POPULATION, genesis.unemployed_municipal(COUNTY, YEAR).content, "file.other_dataset",
        ("zahlen.csv", "Das ist die Lieferung „Arbeitslose", "13211-01-03-5 statt 12411-01-01-5", "bitte dort abgeben"),
        row=1,
    ),
    "another indicator of the same shape": Case(
        FOREIGNERS, monitor([(2022, "Peine", "K03157", 15000)]), "file.other_dataset", ("indicator_2-3-1.csv", "2-3-1", "1-2-1"),
        row=1, name="indicator_2-3-1.csv",
    ),
    "a workbook where a CSV was agreed": Case(
        FOREIGNERS, sheet(("Year", "Gebietseinheit", "GeoCode", "Value"), (2022, "Peine", "K03157", 15000)), "file.not_this_layout",
        ("zahlen.xlsx",), row=1, name="zahlen.xlsx",
    ),
    "an .xls that is an .xlsx": Case(
        CHANGES, register.territorial_changes(YEAR).content, "file.name_and_kind", ("2015.xls", "gelesen wurde der Inhalt"),
        state="loaded", severity="info", name="2015.xls",
    ),
    "a workbook with macros": Case(
        CHANGES, packed(("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<workbook/>"), ("xl/vbaProject.bin", b"x")),
        "file.macros", ("2015.xlsx", "Makros", "ohne Makros"), name="2015.xlsx",
    ),
    "a workbook with a password": Case(
        CHANGES, encrypted(), "file.encrypted", ("2015.xlsx", "Kennwort"), name="2015.xlsx",
    ),
    "a workbook whose last cell is the last there can be": Case(
        CHANGES, sheet((1,), at="XFD1048576"), "file.too_large", ("2015.xlsx", "Zeile 1048576, Spalte 16384"), name="2015.xlsx",
    ),
    "a workbook with entities": Case(
        CHANGES, packed(("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<!DOCTYPE a [<!ENTITY b 'c'>]><workbook/>")),
        "file.xml_entities", ("2015.xlsx", "DOCTYPE"), name="2015.xlsx",
    ),
    "a zip whose file would be written elsewhere": Case(
        POPULATION, packed(("../../zahlen.csv", GOOD)), "zip.path", ("lieferung.zip", "unzulässigen Namen"), name="lieferung.zip",
    ),
    "a zip bomb": Case(
        POPULATION, packed(("zahlen.csv", bytes(50_000_000))), "zip.bomb", ("lieferung.zip", "zahlen.csv", "nicht entpackt"),
        name="lieferung.zip",
    ),
    "a zip in a zip": Case(
        POPULATION, packed(("innen.zip", packed(("zahlen.csv", GOOD)))), "zip.nested", ("lieferung.zip", "innen.zip"),
        name="lieferung.zip",
    ),
    "a line no table has": Case(
        FOREIGNERS, monitor([(2022, "x" * 2_000_000, "K03157", 1)]), "row.too_long", ("zahlen.csv", "Zeile 2"), row=2,
    ),
    "a thousands comma where it was not agreed": Case(
        POPULATION, changed(";300;150;150", ";7,250;150;150"), "value.ambiguous_thousands", ("zahlen.csv",), row=10,
    ),
    "an offence key of five digits": Case(
        OFFENCES, "".join(line.replace("892000", "92000", 1) for line in PKS_LINES).encode("cp1252"), "offence_key.malformed",
        ("pks_2022.csv", f"Zeile {PKS_ROW}", "92000", "435*00"), row=PKS_ROW, name="pks_2022.csv",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def flow(installed: Settings) -> Flow:
    """A home that knows an edition of the register, so that keys of its year can be judged."""
    flow = Flow(installed, installed.home / "drafts")
    edition = register.fixed_width(COUNTY, YEAR)
    number = flow.deliver(edition.dataset_id, edition.content, edition.name, at=f"{YEAR + 1}-09-20")
    assert flow.state(number) == "loaded"
    return flow


def test_the_file_all_cases_are_made_from_is_good(flow: Flow) -> None:
    number = flow.deliver(POPULATION, GOOD, "gut.csv")
    assert (flow.state(number), flow.findings(number)) == ("loaded", [])


@pytest.mark.parametrize("kind", CASES)
def test_what_is_wrong_is_said_and_nothing_of_it_is_loaded(
    flow: Flow, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    case = CASES[kind]
    rows = len(flow.raw(case.dataset_id))
    with caplog.at_level(logging.DEBUG, logger="teilhabe"):
        number = flow.deliver(case.dataset_id, case.content, case.name, at="2023-11-02")
    assert flow.state(number) == case.state, [f.message for f in flow.findings(number)]
    findings = {f.rule: f for f in flow.findings(number)}
    assert case.rule in findings, list(findings)
    finding = findings[case.rule]
    assert finding.severity == case.severity
    if case.state == "quarantined":
        assert len(flow.raw(case.dataset_id)) == rows
        assert flow.outcomes(case.dataset_id)[-1] == ("read" if case.name.endswith(".zip") else "validate", "refused")
    else:
        assert len(flow.raw(case.dataset_id)) > rows
        assert not any(f.stops for f in findings.values())
        assert finding.held_back == (case.held_back > 0)
        assert flow.ask("select held_back_count from ops.delivery where delivery_id = %s", number) == [
            (case.held_back,)
        ]
    assert finding.row == case.row
    assert_sentence(finding.message, (f"Datei „{case.name}“", *case.says))
    assert "Traceback" not in caplog.text
    assert all(record.exc_info is None for record in caplog.records)


def assert_sentence(message: str, parts: tuple[str, ...]) -> None:
    for part in parts:
        assert part in message, message
    assert message.endswith("."), message
    assert "\n" not in message
    assert len(message) < 600, message


def test_one_mistake_in_every_row_is_one_sentence_with_the_complete_count(flow: Flow) -> None:
    rows = [(2005 + n % 18, f"Ort {n}", f"K03{n:03d}", "n. v.") for n in range(300)]
    number = flow.deliver(FOREIGNERS, monitor(rows), "viele.csv")
    [finding] = [f for f in flow.findings(number) if f.rule == "value.not_a_number"]
    assert finding.row_count == 300
    assert len(finding.evidence) == 300
    assert [e.row for e in finding.evidence] == list(range(2, 302))
    assert flow.ask("select count(*) from ops.evidence e join ops.finding f using (finding_id) where f.delivery_id = %s"
                    " and f.rule = 'value.not_a_number'", number) == [(300,)]  # fmt: skip


PERSONS = [
    ("Nachname", "Vorname", "Geburtsdatum", "AZR-Nummer", "IBAN", "Gemeinde"),
    ("Beispielmann", "Erdogana", "17.03.1991", "910317123456", "DE02120300000000202051", "Peine"),
    ("Musterfrauova", "Ljudmyla", "02.11.1988", "881102654321", "DE02500105170137075030", "Ilsede"),
]


@pytest.mark.parametrize("dataset_id", [FOREIGNERS, POPULATION, OFFENCES])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_a_list_of_persons_is_refused_and_quoted_nowhere(
    flow: Flow, dataset_id: str, header: bool, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The county may take aggregates only; a list of persons must not spread through logs, messages or tables."""
    rows = PERSONS if header else PERSONS[1:]
    content = sheet(*rows) if form == "xlsx" else "".join(";".join(row) + "\r\n" for row in rows).encode()
    with caplog.at_level(logging.DEBUG, logger="teilhabe"):
        number = flow.deliver(dataset_id, content, f"liste.{form}")
    assert flow.state(number) == "quarantined"
    assert [(f.rule, f.found, f.evidence) for f in flow.findings(number)] == [("file.person_level", None, ())]
    told = "\n".join(
        [caplog.text, *(repr(f) for f in flow.findings(number)), repr(flow.ask("select * from ops.outcome"))]
    )
    for row in PERSONS[1:]:
        for word in row[:-1]:
            assert word not in told, f"{word} of the file is in a log or message"
