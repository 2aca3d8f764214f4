"""No delivered file can do harm: what is in it is found before a parser sees it, told in one sentence, and nothing is left.

Every file is made here, byte by byte where no program would write it.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import Finding, ReadingError, SourceError
from teilhabe.reading import Reading, ReadingContext, open_reading
from teilhabe.reading.files import containers, guard, hostile
from teilhabe.reading.files import workbook as inspected
from teilhabe.reading.files.source import Source
from teilhabe.reading.report import MAX_KINDS, Report
from tests.faults_workbook import as_ods

PROJECT = Path(__file__).resolve().parents[2]
CONTRACTS = load_contracts(PROJECT / "agencies")

FIXTURES = PROJECT / "tests" / "fixtures" / "deliveries"

CHANGES = "register__territorial_changes"
FOREIGNERS = "state_monitor__foreigners"
MINIMUM_INCOME = "state_monitor__minimum_income"
HOUSING = "housing__accommodation"
CLUBS = "civic__sports_clubs"
ALLOCATION = "housing__allocation"

MEMORY_MB = 1_500
SECONDS = 60


def opened(path: Path, dataset_id: str = CHANGES, name: str | None = None, **context: Any) -> Reading:
    return open_reading(CONTRACTS[dataset_id], path, name or path.name, context=ReadingContext(**context))


def refused(path: Path, dataset_id: str = CHANGES, name: str | None = None, **context: Any) -> Finding:
    with pytest.raises(ReadingError) as caught:
        list(opened(path, dataset_id, name, **context).chunks())
    finding = caught.value.finding
    assert finding.severity == "critical"
    assert finding.message.startswith(f"Datei „{name or path.name}“: ")
    assert finding.message.endswith(".")
    assert "\n" not in finding.message
    assert len(finding.message) < 400, finding.message
    return finding


def written(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# ZIP files as containers


def zipped(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def patched(path: Path, mark: bytes, offset: int, kind: str, value: int, *, last: bool = True) -> Path:
    """The file with one number of a header overwritten: a directory that lies."""
    raw = bytearray(path.read_bytes())
    at = raw.rfind(mark) if last else raw.find(mark)
    struct.pack_into(kind, raw, at + offset, value)
    return written(path, bytes(raw))


def container_refused(path: Path, limits: hostile.Limits | None = None) -> Finding:
    """The refusal of a container whose members are all unpacked; nothing is left where they would have gone."""
    folder = path.parent / "out"
    folder.mkdir(exist_ok=True)
    before = set(path.parent.rglob("*"))
    with pytest.raises(ReadingError) as caught:
        for number, member in enumerate(hostile.members(path, limits, Report("lieferung.zip"))):
            hostile.extract(member, folder / str(number))
    assert set(path.parent.rglob("*")) == before
    finding = caught.value.finding
    assert finding.message.startswith("Datei „lieferung.zip“: ")
    assert finding.message.endswith(".")
    return finding


def test_a_good_container_gives_its_files_where_the_caller_says(tmp_path: Path) -> None:
    book = zipped(tmp_path / "b.xlsx", [("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<workbook/>")])
    path = zipped(
        tmp_path / "a.zip",
        [("Peine/zahlen.csv", b"1;2\n"), ("Ilsede/zahlen.csv", b"3;4\n"), ("mappe.xlsx", book.read_bytes()),
         ("__MACOSX/._zahlen.csv", b"x"), ("leer/", b"")],
    )  # fmt: skip
    members = hostile.members(path)
    assert [(m.place, m.name) for m in members] == [
        ("Peine/zahlen.csv", "zahlen.csv"), ("Ilsede/zahlen.csv", "zahlen.csv"), ("mappe.xlsx", "mappe.xlsx"),
    ]  # fmt: skip
    assert hostile.extract(members[1], tmp_path / "zwei") == 4
    assert (tmp_path / "zwei").read_bytes() == b"3;4\n"
    assert {p.name for p in tmp_path.iterdir()} == {"a.zip", "b.xlsx", "zwei"}


@pytest.mark.parametrize(
    "name",
    ["../x.csv", "a/../../x.csv", "/etc/x.csv", "C:\\x.csv", "C:x.csv", "..\\x.csv", "\\\\server\\x.csv", "a/..",
     "x\u202ecsv.exe", "x\x01.csv", "x.csv ", "x.", "a/" + 120 * "ä" + ".csv"],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    finding = container_refused(zipped(tmp_path / "a.zip", [("gut.csv", b"1"), (name, b"2")]))
    assert finding.rule == "zip.path"
    assert not re.search(r"[\x00-\x1f\u202e]", finding.message)


@pytest.mark.parametrize(
    ("rule", "make"),
    [
        ("zip.empty", lambda p: zipped(p, [])),
        ("zip.empty", lambda p: zipped(p, [("ordner/", b"")])),
        ("zip.too_many", lambda p: zipped(p, [(f"{n}.csv", b"1") for n in range(201)])),
        ("zip.too_many", lambda p: zipped(p, [(f"{n}.csv", b"1") for n in range(5000)])),
        ("zip.nested", lambda p: zipped(p, [("innen.zip", b"PK")])),
        ("zip.nested", lambda p: zipped(p, [("innen.csv", zipped(p, [("x.csv", b"1")]).read_bytes())])),
        ("zip.nested", lambda p: zipped(p, [("innen.csv", b"7z\xbc\xaf\x27\x1c....")])),
        ("zip.nested", lambda p: zipped(p, [("innen.csv", b"\x1f\x8b\x08....")])),
        ("zip.bomb", lambda p: zipped(p, [("x.csv", bytes(50_000_000))])),
        ("zip.encrypted", lambda p: patched(zipped(p, [("x.csv", b"1;2")]), b"PK\x01\x02", 8, "<H", 1)),
        ("zip.damaged", lambda p: written(p, b"PK\x03\x04 nothing")),
        ("zip.damaged", lambda p: written(p, zipped(p, [("x.csv", b"1;2")]).read_bytes()[:-15])),
        ("zip.damaged", lambda p: patched(zipped(p, [("x.csv", b"1;2")]), b"PK\x01\x02", 16, "<I", 1)),
        ("zip.damaged", lambda p: patched(zipped(p, [("x.csv", b"1;2")]), b"PK\x01\x02", 24, "<I", 9)),
        ("zip.damaged", lambda p: patched(zipped(p, [("x.csv", b"1"), ("y.csv", b"2")]), b"PK\x01\x02", 42, "<I", 0)),
    ],
)  # fmt: skip
def test_what_a_container_may_not_be(tmp_path: Path, rule: str, make: Callable[[Path], Path]) -> None:
    assert container_refused(make(tmp_path / "a.zip")).rule == rule


def test_a_directory_that_promises_less_than_comes_out(tmp_path: Path) -> None:
    path = patched(zipped(tmp_path / "a.zip", [("x.csv", bytes(3_000_000))]), b"PK\x01\x02", 24, "<I", 100)
    assert container_refused(path).rule == "zip.bomb"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_same_entry_twice(tmp_path: Path) -> None:
    assert container_refused(zipped(tmp_path / "a.zip", [("x.csv", b"1"), ("x.csv", b"2")])).rule == "zip.damaged"


def test_many_members_under_the_limit_are_still_too_much_together(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", [(f"{n}.csv", b"123456789" * 10) for n in range(3)])
    assert container_refused(path, hostile.Limits(total_bytes=200)).rule == "zip.bomb"
    assert container_refused(path, hostile.Limits(member_bytes=50)).rule == "zip.bomb"


def test_many_members_none_of_which_is_packed_too_much_are_so_together(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", [(f"{n}.csv", bytes(50_000)) for n in range(20)])
    found = container_refused(path, hostile.Limits(total_ratio_from=500_000))
    assert found.rule == "zip.bomb"
    assert "-Fache des Archivs" in found.message


def test_a_container_is_not_unpacked_where_there_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "a.zip", [("a.csv", b"1;2\n" * 1000)])
    folder = tmp_path / "out"
    folder.mkdir()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(containers.shutil, "disk_usage", lambda _: usage._replace(free=usage.total // 50 + 5_000))
    with pytest.raises(SourceError, match="no room to unpack"):
        containers.unpack(path, "a.zip", folder, CONTRACTS[HOUSING])
    assert list(folder.iterdir()) == []


def test_a_contract_says_how_much_a_container_may_hold(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", [("a.csv", bytes(range(256)) * 8_000)])
    contract = CONTRACTS[HOUSING].model_copy(update={"container_bytes": 2_000_000})
    with pytest.raises(ReadingError) as caught:
        containers.unpack(path, "a.zip", tmp_path, contract)
    assert caught.value.finding.rule == "zip.bomb"


# Workbooks

TYPES = b'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
HEAD = f'<worksheet xmlns="{MAIN}"><sheetData>'
TAIL = "</sheetData></worksheet>"
ONE = '<row r="1"><c r="A1"><v>1</v></c></row>'


def book(path: Path, *sheets: Iterable[str], more: Iterable[tuple[str, bytes]] = (), names: int | None = None) -> Path:
    """A workbook of the given XML, with only the parts that a reader needs."""
    count = names or len(sheets)
    listed = "".join(f'<sheet name="Blatt{n}" sheetId="{n}" r:id="r{n}"/>' for n in range(1, count + 1))
    related = "".join(
        f'<Relationship Id="r{n}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, count + 1)
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("[Content_Types].xml", TYPES)
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKAGE}">'
            f'<Relationship Id="r1" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{listed}</sheets></workbook>'
        )
        archive.writestr("xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{PACKAGE}">{related}</Relationships>')
        for number, parts in enumerate(sheets, start=1):
            with archive.open(f"xl/worksheets/sheet{number}.xml", "w", force_zip64=True) as out:
                for part in parts:
                    out.write(part.encode())
        for name, content in more:
            archive.writestr(name, content)
    return path


def cells(row: int, column: str) -> str:
    return f'<row r="{row}"><c r="{column}{row}"><v>1</v></c></row>'


MERGES = (f'<mergeCell ref="A{n}:B{n}"/>' for n in range(1, 30_001))
PREFIXED = (
    f'<x:worksheet xmlns:x="{MAIN}"><x:sheetData><x:row r="1048576"><x:c r="XFD1048576"><x:v>1</x:v></x:c></x:row>'
    "</x:sheetData></x:worksheet>"
)

WORKBOOKS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "macros": ("file.macros", lambda p: book(p, [HEAD, ONE, TAIL], more=[("xl/vbaProject.bin", b"x")])),
    "old macro sheets": ("file.macros", lambda p: book(p, [HEAD, ONE, TAIL], more=[("xl/macrosheets/sheet1.xml", b"<x/>")])),
    "formulas on another workbook": (
        "file.external_links",
        lambda p: book(p, [HEAD, '<row r="1"><c r="A1"><f>[1]Tabelle1!A1*2</f><v>1</v></c></row>', TAIL]),
    ),
    "entities": ("file.xml_entities", lambda p: book(p, ['<!DOCTYPE a [<!ENTITY b "c">]>', HEAD, ONE, TAIL])),
    "a cell at the far end": ("file.too_large", lambda p: book(p, [HEAD, ONE, cells(1_048_576, "XFD"), TAIL])),
    "cells that do not say where they are": (
        "file.too_large",
        lambda p: book(p, [HEAD, '<row r="1048576">', "<c><v>1</v></c>" * 9000, "</row>", TAIL]),
    ),
    "a far cell under a prefix": ("file.too_large", lambda p: book(p, [PREFIXED])),
    "a reference beyond numbers": ("file.too_large", lambda p: book(p, [HEAD, cells(10**9, "ZZZZ"), TAIL])),
    "many sheets that are each allowed": (
        "file.too_large",
        lambda p: book(p, *([HEAD, ONE, cells(60_000, "Z"), TAIL] for _ in range(6))),
    ),
    "too many sheets": ("file.too_many_sheets", lambda p: book(p, [HEAD, ONE, TAIL], names=100_000)),
    "too many parts": (
        "file.too_many_parts", lambda p: book(p, [HEAD, ONE, TAIL], more=[(f"xl/{n}.xml", b"") for n in range(2500)]),
    ),
    "too many merges": (
        "file.too_large",
        lambda p: book(p, [HEAD, ONE, "</sheetData><mergeCells>", *MERGES, "</mergeCells></worksheet>"]),
    ),
    "too many texts": (
        "file.too_large",
        lambda p: book(p, [HEAD, ONE, TAIL], more=[("xl/sharedStrings.xml", b"<sst>" + b"<si/>" * 2_100_000 + b"</sst>")]),
    ),
    "one long text that many cells share": (
        "file.too_large",
        lambda p: book(
            p, [HEAD, *(f'<row r="{n}"><c r="A{n}" t="s"><v>1</v></c></row>' for n in range(1, 2_001)), TAIL],
            more=[("xl/sharedStrings.xml", b"<sst><si><t>a</t></si><si><t>" + b"x" * 190_000 + b"</t></si></sst>")],
        ),
    ),
    "rows that begin and never end": (
        "file.unreadable", lambda p: book(p, [HEAD, "<row><c><v>1</v></c>", "<row " * 100_000, TAIL]),
    ),
    "a cell twice": ("file.unreadable", lambda p: book(p, [HEAD, ONE, cells(2, "A"), cells(3, "A"), cells(2, "A"), TAIL])),
    "a cell twice in other words": (
        "file.unreadable", lambda p: book(p, [HEAD, cells(2, "A"), '<row><c s="0" r="A2"><v>2</v></c></row>', TAIL]),
    ),
    "a number with a comment in it": (
        "file.unreadable", lambda p: book(p, [HEAD, '<row r="2"><c r="A2"><v>1<!-- -->2</v></c></row>', TAIL]),
    ),
    "a text with a comment in it": (
        "file.unreadable",
        lambda p: book(
            p, [HEAD, ONE, TAIL],
            more=[("xl/sharedStrings.xml", b'<sst><si><t xml:space="preserve">1<![CDATA[2]]></t></si></sst>')],
        ),
    ),
    "a text no cell can hold": (
        "cell.too_long",
        lambda p: book(p, [HEAD, '<row r="1"><c r="A1" t="inlineStr"><is><t>', "x" * 5_000_000, "</t></is></c></row>", TAIL]),
    ),
    "a directory that lies": (
        "file.zip_bomb",
        lambda p: patched(book(p, [HEAD, ONE, " " * 90_000, TAIL]), b"xl/worksheets/sheet1.xml", -22, "<I", 50),
    ),
    "a damaged part": ("file.unreadable", lambda p: patched(book(p, [HEAD, ONE, TAIL]), b"xl/workbook.xml", -30, "<I", 7)),
    "another encoding": ("file.unreadable", lambda p: book(p, [HEAD.encode("utf-16").decode("latin-1"), TAIL])),
    "two spellings of one part": (
        "file.unreadable", lambda p: book(p, [HEAD, ONE, TAIL], more=[("xl/Workbook.xml", b"<workbook/>")]),
    ),
    "the binary format": (
        "file.unknown_kind", lambda p: zipped(p, [("[Content_Types].xml", TYPES), ("xl/workbook.bin", b"\x83\x01")]),
    ),
    "a text document": (
        "file.unknown_kind", lambda p: zipped(p, [("[Content_Types].xml", TYPES), ("word/document.xml", b"<x/>")]),
    ),
    "no XML at all": ("file.unreadable", lambda p: book(p, ["nothing"], more=[])),
}  # fmt: skip


@pytest.mark.parametrize("kind", WORKBOOKS)
def test_a_workbook_that_is_not_opened(tmp_path: Path, kind: str) -> None:
    rule, make = WORKBOOKS[kind]
    path = make(tmp_path / "mappe.xlsx")
    found = refused(path)
    assert found.rule == rule if kind != "no XML at all" else found.rule in (rule, "file.not_this_layout")
    assert [p.name for p in tmp_path.iterdir()] == ["mappe.xlsx"]


def rewritten(path: Path, part: str, change: Callable[[str], str]) -> Path:
    """A workbook of the fixtures with one part changed."""
    with zipfile.ZipFile(FIXTURES / "jobcentre__clients.xlsx") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    before = parts[part].decode()
    parts[part] = change(before).encode()
    assert parts[part].decode() != before
    return zipped(path, parts.items())


@pytest.mark.parametrize(
    "place",
    [
        "A1",
        "ZZ5",
        "A0",
        "XFE{row}",
        "a{row}",
        "$A${row}",
        "A99999999",
        "",
        "A0{row}",
        "{row}",
        "A",
        "AAAA{row}",
        " A{row}",
    ],
)
def test_a_cell_that_says_it_is_elsewhere(tmp_path: Path, place: str) -> None:
    """One program believes the cell, another the row it stands in."""
    path = rewritten(
        tmp_path / "x.xlsx",
        "xl/worksheets/sheet1.xml",
        lambda text: re.sub(r'<c r="[B-Z]+(7)"', lambda found: f'<c r="{place.format(row=found[1])}"', text, count=1),
    )
    assert refused(path, "jobcentre__clients").rule in ("file.unreadable", "file.too_large")


@pytest.mark.parametrize("number", ["0", "-1", "x", "1048577", "9" * 30, "", "1.0"])
def test_a_row_with_a_number_that_no_row_has(tmp_path: Path, number: str) -> None:
    path = rewritten(
        tmp_path / "x.xlsx",
        "xl/worksheets/sheet1.xml",
        lambda text: text.replace('<row r="7"', f'<row r="{number}"', 1),
    )
    assert refused(path, "jobcentre__clients").rule == "file.unreadable"


@pytest.mark.parametrize(
    "target",
    [
        "worksheets/none.xml",
        "../../etc/passwd",
        "http://localhost/x.xml",
        "worksheets/../worksheets/sheet1.xml",
    ],
)
@pytest.mark.parametrize("sheet", [1, 2])
def test_a_sheet_that_leads_nowhere_is_not_left_out(tmp_path: Path, sheet: int, target: str) -> None:
    path = rewritten(
        tmp_path / "x.xlsx",
        "xl/_rels/workbook.xml.rels",
        lambda text: text.replace(f'"/xl/worksheets/sheet{sheet}.xml"', f'"{target}"'),
    )
    assert refused(path, "jobcentre__clients").rule == "file.unreadable"


def test_two_sheets_that_are_the_same_part(tmp_path: Path) -> None:
    path = rewritten(
        tmp_path / "x.xlsx", "xl/_rels/workbook.xml.rels", lambda text: text.replace("sheet2.xml", "sheet1.xml")
    )
    assert "zwei Blätter mit demselben Inhalt" in refused(path, "jobcentre__clients").message


def test_a_chart_beside_the_table_has_no_cells(tmp_path: Path) -> None:
    content = openpyxl.load_workbook(FIXTURES / "jobcentre__clients.xlsx")
    content.create_chartsheet("Diagramm")
    content.save(tmp_path / "x.xlsx")
    assert sum(len(table) for table in opened(tmp_path / "x.xlsx", "jobcentre__clients").chunks())


def test_a_workbook_that_unpacks_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspected, "MAX_XML_BYTES", 1_000_000)
    assert refused(book(tmp_path / "a.xlsx", [HEAD, "<row></row>" * 200_000, TAIL])).rule == "file.zip_bomb"


def test_macros_are_found_whatever_the_name(tmp_path: Path) -> None:
    for name in ("mappe.xlsm", "mappe.xlsx", "mappe.csv"):
        path = book(tmp_path / name, [HEAD, ONE, TAIL], more=[("XL/VBAPROJECT.BIN", b"x")])
        assert refused(path).rule == "file.macros"
    kind = TYPES.replace(
        b"/>", b'><Override ContentType="application/vnd.ms-excel.sheet.macroEnabled.main+xml"/></Types>'
    )
    path = zipped(tmp_path / "a.xlsx", [("[Content_Types].xml", kind), ("xl/workbook.xml", b"<workbook/>")])
    assert refused(path).rule == "file.macros"


# Old workbooks, and encrypted new ones: OLE compound files, written sector by sector

SECTOR = 512
END, FREE, TABLE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD


def compound(path: Path, name: str, stream: bytes, *, circle: bool = False) -> Path:
    """A compound file with one stream: header, allocation table, directory, and the stream's sectors."""
    stream = stream.ljust(4096, b"\0")
    count = -(-len(stream) // SECTOR)
    table = [TABLE, END, *range(3, 2 + count), 2 if circle else END]
    header = struct.pack("<8s16s5H6s9I", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 62, 3, 0xFFFE, 9, 6, b"",
                         0, 1, 1, 0, 4096, END, 0, END, 0)  # fmt: skip
    entry = "<64sHBBIII16sI16sIII"

    def directory(text: str, kind: int, child: int, start: int, size: int) -> bytes:
        spelt = text.encode("utf-16-le")
        return struct.pack(entry, spelt, len(spelt) + 2, kind, 1, FREE, FREE, child, b"", 0, b"", start, size, 0)

    entries = directory("Root Entry", 5, 1, END, 0) + directory(name, 2, FREE, 2, len(stream))
    body = struct.pack("<109I", 0, *[FREE] * 108)
    sectors = struct.pack(f"<{len(table)}I", *table).ljust(SECTOR, b"\xff") + entries.ljust(SECTOR, b"\0") + stream
    return written(path, header + body + sectors)


def record(kind: int, body: bytes = b"") -> bytes:
    return struct.pack("<HH", kind, len(body)) + body


BOF = record(0x809, struct.pack("<HH12x", 0x600, 5))
FAR = record(0x203, struct.pack("<HHHd", 65_535, 255, 0, 1.0))


@pytest.mark.parametrize(
    ("name", "stream", "rule"),
    [
        ("EncryptedPackage", b"secret", "file.encrypted"),
        ("Workbook", BOF + record(0x2F, b"\1\0\1\0\1\0"), "file.encrypted"),
        ("_VBA_PROJECT_CUR", b"code", "file.macros"),
        ("Workbook", BOF + record(0x85, struct.pack("<IBBB", 0, 0, 1, 1) + b"\0A\0"), "file.macros"),
        ("Workbook", BOF + BOF + FAR + BOF + FAR, "file.too_large"),
        ("WordDocument", b"text", "file.unknown_kind"),
        ("Workbook", b"\xff" * 4096, "file.unreadable"),
    ],
)
def test_an_old_workbook_that_is_not_opened(tmp_path: Path, name: str, stream: bytes, rule: str) -> None:
    assert refused(compound(tmp_path / "mappe.xls", name, stream)).rule == rule


def test_sectors_that_run_in_a_circle_end(tmp_path: Path) -> None:
    assert refused(compound(tmp_path / "a.xls", "Workbook", BOF, circle=True)).rule == "file.unreadable"
    assert (
        refused(written(tmp_path / "b.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x41" * 3000)).rule
        == "file.unreadable"
    )


# Sheets that hide, cells that are merged


def changes(path: Path, change: Callable[[Any], None]) -> Path:
    """A good list of territorial changes with a cover sheet, changed in one way."""
    workbook: Any = openpyxl.Workbook()
    workbook.active.title = "Deckblatt"
    sheet = workbook.create_sheet("Änderungen")
    names = ["Amtlicher Regionalschlüssel (ARS)", "Amtlicher Gemeinde-schlüssel (AGS)", "Name"]
    old, new = ["039990001001", "03999001", "Altdorf"], ["039990002002", "03999002", "Neustadt"]
    for row in (
        ["Gebietsänderungen vom 01.01. - 31.12.2031"],
        ["Kennziffer", "Regionaleinheit", "Abgebende Gemeinde"],
        [None, None, *names, "Änderungs-art 1)", "Fläche qm", "Einwohner", *names, "juristisch", "statistisch"],
        ["03/2031/0001-R", "Gemeinde", *old, 1, 5_000_000, 90, *new, "01.01.2031", "01.01.2031"],
    ):
        sheet.append(row)
    change(workbook)
    workbook.save(path)
    return path


def notes(state: str, rows: int = 2) -> Callable[[Any], None]:
    def change(workbook: Any) -> None:
        sheet = workbook.create_sheet("Notizen")
        for number in range(rows):
            sheet.append(["Nebenrechnung", number])
        sheet.sheet_state = state

    return change


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_a_hidden_sheet_is_not_read_and_told(tmp_path: Path, state: str) -> None:
    reading = opened(changes(tmp_path / "a.xlsx", notes(state)))
    assert sum(len(chunk) for chunk in reading.chunks()) == 1
    [finding] = [f for f in reading.findings if f.rule == "sheet.hidden"]
    assert (finding.severity, finding.sheet) == ("warning", "Notizen")
    assert "Nebenrechnung" not in finding.message


def test_a_hidden_sheet_without_content_is_nothing_to_tell(tmp_path: Path) -> None:
    reading = opened(changes(tmp_path / "a.xlsx", notes("hidden", rows=0)))
    assert [f.rule for f in reading.findings] == []


def test_the_agreed_table_on_a_hidden_sheet_is_refused(tmp_path: Path) -> None:
    def hide(workbook: Any) -> None:
        workbook["Änderungen"].sheet_state = "hidden"

    finding = refused(changes(tmp_path / "a.xlsx", hide))
    assert (finding.rule, finding.sheet) == ("sheet.hidden", "Änderungen")

    def copy(workbook: Any) -> None:
        workbook.copy_worksheet(workbook["Änderungen"]).sheet_state = "hidden"

    assert refused(changes(tmp_path / "b.xlsx", copy)).rule == "sheet.hidden"


def test_merged_cells_among_numbers_are_refused_and_in_a_header_welcome(tmp_path: Path) -> None:
    def merge(place: str) -> Source:
        path = changes(tmp_path / f"{place[:2]}.xlsx", lambda workbook: workbook["Änderungen"].merge_cells(place))
        return Source(path, path.name, Report(path.name))

    header = merge("C2:E2")
    header.refuse_merges("Änderungen", 3, 3)
    assert header.merges["Änderungen"] == [((1, 2), (1, 4))]
    with pytest.raises(ReadingError) as caught:
        merge("G4:H4").refuse_merges("Änderungen", 3, 3)
    finding = caught.value.finding
    assert (finding.rule, finding.sheet, finding.row, finding.column) == ("sheet.merged_cells", "Änderungen", 4, "G")


def test_a_merge_over_a_million_rows_ends_with_the_cells(tmp_path: Path) -> None:
    merged = '</sheetData><mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells></worksheet>'
    path = book(tmp_path / "a.xlsx", [HEAD, ONE, cells(3, "C"), merged])
    assert Source(path, path.name, Report(path.name)).merges == {"Blatt1": [((0, 0), (2, 2))]}


# Texts


def monitor(*rows: str) -> str:
    return "\n".join(["Year,Gebietseinheit,GeoCode,Value", *rows]) + "\n"


GOOD_ROW = "2022,Peine,K03157,15000"


@pytest.mark.parametrize(
    ("content", "rule", "row"),
    [
        (monitor(GOOD_ROW, '2022,"' + "x" * 2_000_000 + '",K03157,1'), "row.too_long", 3),
        ("Year," + ",".join("s" * 300_000) + "\n", "header.too_many_columns", 1),
        (monitor(*[GOOD_ROW] * 9000, "2022,Pe\0ine,K03157,1"), "file.encoding", 9002),
        ("\r".join(["x" * 10] * 10).ljust(3_000_000, "y"), "row.too_long", None),
    ],
)
def test_a_text_that_is_no_table(tmp_path: Path, content: str, rule: str, row: int | None) -> None:
    finding = refused(written(tmp_path / "zahlen.csv", content), FOREIGNERS)
    assert finding.rule == rule
    assert row is None or finding.row == row
    assert "xxx" not in finding.message


@pytest.mark.parametrize("dataset_id", [FOREIGNERS, ALLOCATION])
def test_a_quotation_mark_that_is_never_closed_swallows_nothing(tmp_path: Path, dataset_id: str) -> None:
    good = monitor(GOOD_ROW) if dataset_id == FOREIGNERS else allocation()
    path = written(tmp_path / "zahlen.csv", good + '03157;"Peine;' + "\n".join(["geheim;1;2" * 9] * 50_000) + "\n")
    reading = opened(path, dataset_id)
    try:
        list(reading.chunks())
        findings = reading.findings
    except ReadingError as error:
        findings = [error.finding]
    critical = [f for f in findings if f.severity == "critical"]
    assert critical
    assert all("geheim" not in f.message for f in critical)


def test_a_file_that_is_wrong_in_a_thousand_ways_ends_early(tmp_path: Path) -> None:
    rows = (f"2022,Musterkreis,Gruppe {n},Anzahl,K03998,{n}" for n in range(20_000))
    content = "\n".join(["Year,Gebietseinheit,Nationalität,Units,GeoCode,Value", *rows]) + "\n"
    reading = opened(written(tmp_path / "zahlen.csv", content), MINIMUM_INCOME)
    with pytest.raises(ReadingError) as caught:
        list(reading.chunks())
    assert caught.value.finding.rule == "file.too_many_findings"
    assert len(reading.findings) == MAX_KINDS


# What reading may cost

MEASURE = """
import pathlib, resource, sys, time
from teilhabe.contract.parsing import load_contract
from teilhabe.errors import ReadingError
from teilhabe.reading import open_reading
path, contract = pathlib.Path(sys.argv[1]), load_contract(pathlib.Path(sys.argv[2]))
begin = time.process_time()
try:
    rule = sum(len(chunk) for chunk in open_reading(contract, path, path.name).chunks())
except ReadingError as error:
    rule = error.finding.rule
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(rule, max(u.ru_maxrss for u in used) // 1024, round(sum(u.ru_utime + u.ru_stime for u in used)))
"""


def cost(path: Path, dataset_id: str = CHANGES) -> tuple[str, int, int]:
    """What became of a file, the memory in MB and the computing seconds it took in a process of its own."""
    contract = str(CONTRACTS[dataset_id].path)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path), contract], capture_output=True, text=True, timeout=300, check=True
    )
    rule, memory, seconds = done.stdout.split()
    return rule, int(memory), int(seconds)


def empty_rows(first: int, last: int) -> str:
    return "".join(f'<row r="{n}" s="1" customFormat="1"><c r="A{n}" s="1"/></row>' for n in range(first, last))


EXPENSIVE: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "a million empty rows with a format": (
        "file.not_this_layout", lambda p: book(p, [HEAD, ONE, empty_rows(2, 1_000_001), TAIL]),
    ),
    "a text of 300 MB in a cell": (
        "cell.too_long", lambda p: book(p, [HEAD, '<row r="1"><c r="A1" t="str"><v>', *["x" * 10_000_000] * 30, TAIL]),
    ),
    "as many cells as are allowed": (
        "file.not_this_layout",
        lambda p: book(p, [HEAD, *(f'<row r="{n}">' + "<c><v>1.5</v></c>" * 8 + "</row>" for n in range(1, 200_001)), TAIL]),
    ),
}  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="measures with the resource module of Unix")
@pytest.mark.parametrize("kind", EXPENSIVE)
def test_reading_is_bounded_whatever_the_file(tmp_path: Path, kind: str) -> None:
    rule, make = EXPENSIVE[kind]
    found, memory, seconds = cost(make(tmp_path / "mappe.xlsx"))
    assert found == rule
    assert memory < MEMORY_MB
    assert seconds < SECONDS


# Files about persons

PERSONS: dict[str, list[tuple[str, ...]]] = {
    "names": [("Nachname", "Vorname", "Gemeinde"), ("Beispielmann", "Erdogana", "Peine")],
    "a name in one column": [("Name, Vorname", "Betrag"), ("Beispielmann, Erdogana", "12")],
    "birth dates": [("Nr", "Geb.-Datum", "Gemeinde"), ("1", "17.03.1991", "Peine")],
    "birth date of whom": [("Nr", "Geburtsdatum des Kindes", "Ort"), ("1", "17.03.1991", "Peine")],
    "a number of the register of foreigners": [("AZR-Nummer", "Status"), ("910317123456", "Duldung")],
    "a number of the job centre": [("BG-Nummer", "Status"), ("24104//0012345", "aktiv")],
    "an insurance number": [("Sozialversicherungsnummer", "Status"), ("12170391B123", "aktiv")],
    "a passport": [("Passnummer", "Status"), ("C01X00T47", "gültig")],
    "a bank account": [("Empfänger", "IBAN"), ("Beispielmann", "DE02120300000000202051")],
    "files of cases": [("Name", "Aktenzeichen", "Status"), ("Beispielmann", "33.12", "offen")],
    "addresses": [("Name", "Straße", "PLZ", "Ort"), ("Beispielmann", "Weg 1", "31224", "Peine")],
    "a heading above the header": [("Liste",), ("Stand 2024",), ("Nachname", "Vorname"), ("Beispielmann", "Erdogana")],
    "bank accounts without a header": [("x", "DE02120300000000202051", "12,50")],
    "a foreign account": [("x", "AT61 1904 3002 3457 3201", "12,50")],
    "birth dates and numbers without a header": [("a", "17.03.1991", "910317123456")],
    "birth dates alone": [("Beispielmann", "17.03.1991"), ("Muster", "02.11.1988"), ("Probe", "23.07.2009")],
    "mail addresses": [("a", "e.b@post.example"), ("b", "f.c@post.example"), ("c", "g.d@post.example")],
}


def sheet_of(path: Path, rows: list[tuple[str, ...]]) -> Path:
    workbook: Any = openpyxl.Workbook()
    for row in rows:
        workbook.active.append(row)
    workbook.save(path)
    return path


def everything_said(error: BaseException | None) -> str:
    said = []
    while error is not None:
        said += [repr(error), str(error), repr(getattr(error, "finding", ""))]
        error = error.__cause__ or error.__context__
    return "\n".join(said)


@pytest.mark.parametrize("form", ["csv", "xlsx", "utf-16"])
@pytest.mark.parametrize("kind", PERSONS)
def test_a_list_of_persons_is_refused_and_quoted_nowhere(tmp_path: Path, kind: str, form: str) -> None:
    rows = PERSONS[kind]
    if form == "xlsx":
        path = sheet_of(tmp_path / "liste.xlsx", rows)
    else:
        text = "".join(";".join(row) + "\r\n" for row in rows)
        path = written(tmp_path / "liste.csv", text.encode("cp1252" if form == "csv" else form))
    for dataset_id in (FOREIGNERS, CLUBS, HOUSING, "register__municipalities"):
        with pytest.raises(ReadingError) as caught:
            opened(path, dataset_id)
        finding = caught.value.finding
        assert finding.rule == "file.person_level"
        assert (finding.found, finding.column, finding.sheet, finding.evidence) == (None, None, None, ())
        said = everything_said(caught.value)
        for word in {word for row in rows for word in row if len(word) > 3} - {"Ort", "Status", "Name", "Geburtsdatum"}:
            assert not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", said), word


def test_persons_are_found_wherever_they_stand(tmp_path: Path) -> None:
    def behind(workbook: Any) -> None:
        sheet = workbook.create_sheet("Quelle")
        sheet.append(["Nachname", "Vorname"])
        sheet.sheet_state = "veryHidden"

    assert refused(changes(tmp_path / "a.xlsx", behind)).rule == "file.person_level"
    fields = f'<pivotCacheDefinition xmlns="{MAIN}"><cacheFields><cacheField name="Gemeinde"/>'
    fields += '<cacheField name="Geburtsdatum"/></cacheFields></pivotCacheDefinition>'
    source = ("xl/pivotCache/pivotCacheDefinition1.xml", fields.encode())
    assert refused(book(tmp_path / "b.xlsx", [HEAD, ONE, TAIL], more=[source])).rule == "file.person_level"
    late = monitor(*[GOOD_ROW] * 60_000, "2022,DE02120300000000202051,K03157,1", *[GOOD_ROW] * 60_000)
    assert refused(written(tmp_path / "c.csv", late), FOREIGNERS).rule == "file.person_level"


def test_a_list_of_persons_below_a_long_table_is_found(tmp_path: Path) -> None:
    persons = ["Nachname;Vorname;Geburtsdatum", *(f"Muster;Alva;1{day}.03.1991" for day in range(5))]
    text = monitor(*[GOOD_ROW] * 300) + "\n" + "\n".join(persons) + "\n"
    assert refused(written(tmp_path / "a.csv", text), FOREIGNERS).rule == "file.person_level"
    rows = [
        ("AGS", "Gemeinde", "Zahl"),
        *[("03157006", "Peine", "4")] * 300,
        *(tuple(line.split(";")) for line in persons),
    ]
    assert refused(sheet_of(tmp_path / "b.xlsx", rows)).rule == "file.person_level"


def test_persons_are_found_in_a_table_of_libre_office(tmp_path: Path) -> None:
    content = as_ods(sheet_of(tmp_path / "liste.xlsx", PERSONS[next(iter(PERSONS))]).read_bytes())
    path = tmp_path / "liste.ods"
    path.write_bytes(content)
    assert refused(path).rule == "file.person_level"


def test_a_good_file_with_a_column_of_birth_dates_more_is_refused(tmp_path: Path) -> None:
    content = monitor(GOOD_ROW).replace("Value", "Value,Geburtsdatum").replace("15000", "15000,17.03.1991")
    assert refused(written(tmp_path / "a.csv", content), FOREIGNERS).rule == "file.person_level"


LEGITIMATE: list[list[tuple[str, ...]]] = [
    [("AGS", "Name", "Wert"), ("03157006", "Peine", "5")],
    [("Schluessel", "Bezeichnung", "Name", "Wert"), ("1", "x", "Peine", "5")],
    [
        ("Vereinsnummer", "Verein", "Straße", "Telefon", "E-Mail"),
        ("12", "TSV Muster", "Weg 1", "05171 12345", "a@b.example"),
    ],
    [("Name der Schule", "Straße", "Telefon"), ("Grundschule", "Weg 1", "05171 12345")],
    [("Gemeinde", "Geburtsjahr 1990", "Geburtsjahr 1991"), ("Peine", "120", "130")],
    [("Gemeinde", "Geborene", "Gestorbene"), ("Peine", "120", "130")],
    [("Ansprechpartner", "Amt für Statistik"), ("Telefon", "05171 12345"), ("E-Mail", "statistik@amt.example")],
    [("Gemeinde", "Stichtag", "Wert"), *((f"G{n}", f"31.12.{1990 + n}", str(n)) for n in range(20))],
    [("Gemeinde", "Tag", "Wert"), *((f"G{n}", f"{n % 28 + 1:02d}.03.2024", str(n)) for n in range(60))],
    [("ARS", "Name"), *((f"0315700{n:02d}0{n:02d}", f"Ort {n}") for n in range(10, 40))],
    [("Aktenzeichen", "33-12/2024"), ("Gemeinde", "Peine")],
]


@pytest.mark.parametrize("rows", LEGITIMATE, ids=lambda rows: " ".join(rows[0]))
def test_tables_about_places_are_not_taken_for_lists_of_persons(tmp_path: Path, rows: list[tuple[str, ...]]) -> None:
    text = written(tmp_path / "a.csv", "".join(";".join(row) + "\n" for row in rows))
    for path in (text, sheet_of(tmp_path / "a.xlsx", rows)):
        guard.inspect(Source(path, path.name, Report(path.name)), CONTRACTS[ALLOCATION])


def test_no_delivery_of_the_fixtures_is_taken_for_one(tmp_path: Path) -> None:
    paths = [p for p in (PROJECT / "tests" / "fixtures").rglob("*") if p.suffix in (".csv", ".xlsx", ".txt")]
    assert len(paths) > 20
    for path in paths:
        guard.inspect(Source(path, path.name, Report(path.name)), CONTRACTS[ALLOCATION])


def test_no_official_file_is_taken_for_one(real_files: Path) -> None:
    paths = [
        p for p in real_files.rglob("*") if p.suffix in (".csv", ".xls", ".txt", ".xlsx") and p.stat().st_size < 10**6
    ]
    assert len(paths) > 40
    for path in paths:
        guard.inspect(Source(path, path.name, Report(path.name)), CONTRACTS[ALLOCATION])


# The right file at the wrong place


def allocation() -> str:
    header = "Schluessel;Gemeinde;Verteilzeitraum;Quote;Restsoll;Soll;Aufnahme"
    return "\n".join([header, "03157;Landkreis Peine;WHJ 2023/24;492;0;492;420"]) + "\n"


def test_the_file_of_another_dataset_is_told_where_it_belongs(tmp_path: Path) -> None:
    path = written(tmp_path / "zahlen.csv", allocation())
    for dataset_id in (FOREIGNERS, "state_statistics__population", "civic__social_work"):
        finding = refused(path, dataset_id, others=lambda: CONTRACTS)
        assert finding.rule == "file.other_dataset"
        assert f"Das ist die Lieferung „{CONTRACTS[ALLOCATION].title_de}“ und nicht „" in finding.message
    assert refused(path, FOREIGNERS).rule == "file.not_this_layout", "nobody to ask"


def test_a_file_nobody_knows_is_given_to_nobody(tmp_path: Path) -> None:
    path = written(tmp_path / "zahlen.csv", "Gemeinde;Wert\nPeine;1\n")
    assert refused(path, FOREIGNERS, others=lambda: CONTRACTS).rule == "file.not_this_layout"
    assert (
        refused(book(tmp_path / "a.xlsx", [HEAD, ONE, TAIL]), CHANGES, others=lambda: CONTRACTS).rule
        == "file.not_this_layout"
    )


@pytest.mark.parametrize("sender", ["03157006", "address"])
def test_a_municipality_reports_only_itself(tmp_path: Path, sender: str) -> None:
    contract = CONTRACTS[HOUSING]
    own = next(s for s in contract.senders if s.territory_code == "03157006")
    [path] = (PROJECT / "tests" / "fixtures" / "deliveries").rglob("housing__accommodation*.xlsx")
    said = own.territory_code if sender == "03157006" else (own.contact or "").upper()
    [delivered] = {row["territory_code"] for chunk in opened(path, HOUSING).chunks() for row in chunk.to_pylist()}
    if delivered == own.territory_code:
        assert list(opened(path, HOUSING, sender=said).chunks()), "its own file"
        own = next(s for s in contract.senders if s != own)
        said = own.territory_code if sender == "03157006" else (own.contact or "").upper()
    finding = refused(path, HOUSING, sender=said)
    assert finding.rule == "sender.other_municipality"
    assert delivered in (finding.found or "")
    assert own.territory_code in (finding.expected or "")
