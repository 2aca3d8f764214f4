"""Deliveries that are wrong on purpose, one for each kind of mistake offices have made, and what has to come of each.

All are copies of good files, so those that are only remarked on change no number.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

from openpyxl import load_workbook
from openpyxl.worksheet.worksheet import Worksheet

from demo import forms, genesis, labour, offices, police
from demo.county import County
from demo.handout import DUPLICATE, LOADED, REFUSED, Fault, Handout, repacked, saved, semicolons, zipped

_MONTH, _QUARTER = "2024-05", "2024-Q2"
_SHEET = "xl/worksheets/sheet1.xml"
_EMPTY_ROWS = 1_000_000


def handouts(county: County) -> Iterator[Handout]:
    csv_file = labour.unemployed_monthly(county, _MONTH)
    table = genesis.unemployed_municipal(county, 2023)
    form = forms.accommodation(county, "03157005", _MONTH)
    courses = offices.courses(county, "2024-H1")
    quota = offices.allocation(county, 3)
    social = offices.social_work(county, _QUARTER)
    yield from _texts(csv_file, table, county)
    yield from _tables(courses, quota, social, county)
    yield from _workbooks(form, county)
    yield from _containers(social)


def spoilt(
    good: Handout, kind: str, rule: str | None, content: bytes, *, state: str = REFUSED, name: str = "", days: int = 2
) -> Handout:
    """A copy of a good file that is wrong in one way, some days after the good one."""
    return replace(
        good,
        name=name or f"fehler_{kind}{good.suffix}",
        content=content,
        received_at=good.received_at + timedelta(days=days),
        fault=Fault(kind, rule),
        state=state,
    )


def _texts(good: Handout, table: Handout, county: County) -> Iterator[Handout]:
    text = good.content.decode()
    rows = [line.split(";") for line in text.splitlines()]

    def rewritten(change: Callable[[list[list[str]]], object]) -> bytes:
        copied = [list(row) for row in rows]
        change(copied)
        return semicolons(copied)

    def cell(row: int, column: int, value: str) -> bytes:
        return rewritten(lambda copied: copied[row].__setitem__(column, value))

    yield spoilt(good, "unbekannter_schluessel", "key.unknown", text.replace("03157007", "03157077").encode())
    yield spoilt(good, "text_in_zahl", "value.not_a_number", cell(3, 3, f"ca. {rows[3][3]}"))
    yield spoilt(good, "leere_zelle", "value.missing", cell(3, 4, ""))
    yield spoilt(good, "zahl_wurde_datum", "value.is_a_date", cell(4, 4, "01. Mai"))
    yield spoilt(good, "schluessel_wurde_datum", "key.is_a_date", cell(4, 0, "22.08.1908"))
    yield spoilt(good, "zeile_zu_kurz", "row.ragged", rewritten(lambda copied: copied[5].pop()))
    yield spoilt(
        good, "zwei_werte", "row.duplicate_key", semicolons([*rows, [*rows[4][:3], *(f"{n}1" for n in rows[4][3:])]])
    )
    yield spoilt(good, "nachbarschluessel", "name.of_other_key", rewritten(_shift_keys))
    yield spoilt(good, "zukunft", "period.future", text.replace(_MONTH, "2025-11").encode())
    yield spoilt(good, "spalte_fehlt", "header.missing_column", semicolons([row[:7] + row[8:] for row in rows]))
    yield spoilt(good, "spalte_zu_viel", "header.unknown_column", semicolons([[*row, text] for row, text in
                 zip(rows, ["Bemerkung", *[""] * (len(rows) - 1)], strict=True)]), state=LOADED)  # fmt: skip
    yield spoilt(good, "zeichensatz", "file.encoding", text.encode().decode("cp1252", "ignore").encode())
    yield spoilt(good, "leer", "file.empty", b"")
    page = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"
    yield spoilt(good, "webseite", "file.html", page)
    yield spoilt(
        good, "pdf", "file.pdf", b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"
    )
    header = ["Vorname", "Nachname", "Geburtsdatum", "AZR-Nummer", "Gemeinde"]
    people = [[f"Vorname {n}", f"Nachname {n}", f"{n:02d}.03.1990", f"{900000 + n}", "03157005"] for n in range(1, 9)]
    yield spoilt(good, "personenliste", "file.person_level", semicolons([header, *people]))
    yield spoilt(table, "abgeschnitten", "file.truncated", table.content[: len(table.content) // 2])
    yield replace(table, name="doppelt_" + table.name, received_at=table.received_at + timedelta(days=3),
                  fault=Fault("dieselben_bytes", None), state=DUPLICATE)  # fmt: skip
    cases = police.municipal(county, 2023)
    yield spoilt(cases, "ohne_jahr", "period.not_found", cases.content + b"\r\n", name="PKS_Gemeinden.csv")


def _shift_keys(rows: list[list[str]]) -> None:
    """The keys slip by one municipality; the names stay where they are."""
    keys = [row[0] for row in rows[2:]]
    for row, key in zip(rows[2:], [*keys[1:], keys[0]], strict=True):
        row[0] = key


def _tables(courses: Handout, quota: Handout, social: Handout, county: County) -> Iterator[Handout]:
    rows = [line.split(";") for line in quota.content.decode().splitlines()]
    for row in (rows[1], rows[4]):
        row[5] = str(int(row[5]) + 7)
    yield spoilt(quota, "soll_passt_nicht", "values.carried_forward", semicolons(rows))
    yield spoilt(social, "falscher_datensatz", "file.other_dataset", quota.content)

    def part_above_total(sheet: Worksheet) -> None:
        sheet["E8"].value = (
            int(str(sheet["E7"].value)) + 40
        )  # the first part beside its total, in the row of a municipality

    yield spoilt(courses, "teil_groesser_als_summe", "parts.exceed_total", _edited(courses, part_above_total), days=-9)

    def merged_body(sheet: Worksheet) -> None:
        sheet.merge_cells("E4:E5")

    yield spoilt(courses, "verbundene_zellen", "sheet.merged_cells", _edited(courses, merged_body))
    pupils = offices.german_support(county, 2023)

    def other_year(sheet: Worksheet) -> None:
        sheet["E1"].value = "Schuljahr 2022/23"

    yield spoilt(pupils, "zwei_schuljahre", "period.contradiction", _edited(pupils, other_year))
    late = offices.social_work(county, "2024-Q3")
    before = offices.social_work(county, _QUARTER)
    copied = before.content.decode().replace("2. Quartal", "3. Quartal").encode()
    yield spoilt(late, "spalten_aus_dem_vorquartal", "values.copied", copied, state=LOADED, days=-4)


def _edited(good: Handout, change: Callable[[Worksheet], None], sheet: int = 0) -> bytes:
    workbook = load_workbook(io.BytesIO(good.content))
    change(workbook.worksheets[sheet])
    return saved(workbook)


def _workbooks(good: Handout, county: County) -> Iterator[Handout]:
    def as_text(sheet: Worksheet) -> None:
        for row in sheet.iter_rows(min_row=6):
            for cell in row:
                if isinstance(cell.value, int):
                    cell.value = str(cell.value)

    yield spoilt(good, "zahlen_als_text", None, _edited(good, as_text), state=LOADED)

    def linked(sheet: Worksheet) -> None:
        sheet["B6"].value = "='[1]Belegung Mai'!$B$6"

    yield spoilt(good, "verknuepfung", "file.external_links", _edited(good, linked))

    def hidden(sheet: Worksheet) -> None:
        other = sheet.parent.create_sheet("Nebenrechnung")
        other["A1"], other["B1"] = "Zwischensumme", 17
        other.sheet_state = "hidden"

    yield spoilt(good, "ausgeblendetes_blatt", "sheet.hidden", _edited(good, hidden), state=LOADED)

    def does_not_add_up(sheet: Worksheet) -> None:
        last = sheet.max_row
        sheet.cell(last, 2).value = int(str(sheet.cell(last, 2).value)) + 25

    def english(sheet: Worksheet) -> None:
        months = str(sheet["B9"].value)
        sheet["B9"].value = f"{months[:-3]},{months[-3:]}"

    yield spoilt(good, "komma_als_tausender", "value.ambiguous_thousands", _edited(good, english))
    yield spoilt(good, "summe_passt_nicht", "parts.sum", _edited(good, does_not_add_up), days=-3)
    yield spoilt(
        good,
        "makros",
        "file.macros",
        repacked(good.content, more={"xl/vbaProject.bin": b"\0" * 512}),
        name="fehler_makros.xlsm",
    )
    yield spoilt(good, "kennwort", "file.encrypted", encrypted())
    entities = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    bomb = repacked(good.content, replace={"xl/workbook.xml": (b"<workbook ", entities + b"<workbook ")})
    yield spoilt(good, "xml_bombe", "file.xml_entities", bomb)
    huge = b'<row r="60"><c r="A60" t="inlineStr"><is><t>' + b"x" * 1_000_000 + b"</t></is></c></row></sheetData>"
    yield spoilt(
        good, "riesige_zelle", "cell.too_long", repacked(good.content, replace={_SHEET: (b"</sheetData>", huge)})
    )
    empty = b'<row s="0" customFormat="1"/>' * _EMPTY_ROWS + b"</sheetData>"
    yield spoilt(
        good,
        "eine_million_leere_zeilen",
        None,
        repacked(good.content, replace={_SHEET: (b"</sheetData>", empty)}),
        state=LOADED,
    )
    other = forms.accommodation(county, "03157007", "2026-01")
    yield replace(
        spoilt(other, "fremde_gemeinde", "sender.other_municipality", other.content), sender=forms.sender("03157009")
    )


def _containers(good: Handout) -> Iterator[Handout]:
    yield spoilt(
        good, "zip_bombe", "zip.bomb", zipped({"Sozialarbeit.csv": b"0" * 60_000_000}), name="fehler_zip_bombe.zip"
    )
    yield spoilt(
        good,
        "zip_fremde_pfade",
        "zip.path",
        zipped({"../../Sozialarbeit.csv": good.content}),
        name="fehler_zip_pfade.zip",
    )
    inner = zipped({good.name: good.content})
    yield spoilt(good, "zip_im_zip", "zip.nested", zipped({"Sozialarbeit.zip": inner}), name="fehler_zip_im_zip.zip")


def corrections(county: County) -> Iterator[Handout]:
    """Deliveries that are in order as files and wrong in a number, which the office repairs some weeks later."""
    good = offices.social_work(county, "2025-Q1")
    rows = [line.split(";") for line in good.content.decode().splitlines()]
    here = [row for row in rows if row[0] == "03157007" and row[2] in ("insgesamt", "Landkreis")]
    everywhere = [row for row in rows if row[0] == "03157" and row[2] in ("insgesamt", "Landkreis")]
    slip = int(here[1][5]) * 9
    for row in (*here, *everywhere):
        row[5] = str(int(row[5]) + slip)
    yield replace(good, content=semicolons(rows))
    yield replace(good, name="Sozialarbeit_2025-Q1_korrigiert.csv", received_at=good.received_at + timedelta(days=22))


def encrypted() -> bytes:
    """What Excel saves with a password: an OLE container with two streams of noise."""
    sector, streams = 512, (("EncryptionInfo", 8), ("EncryptedPackage", 8))
    chains = [0xFFFFFFFD, 0xFFFFFFFE]
    entries = [_entry("Root Entry", 5, child=1, start=0xFFFFFFFE, size=0)]
    for number, (name, sectors) in enumerate(streams, start=1):
        start = len(chains)
        chains += [*range(start + 1, start + sectors), 0xFFFFFFFE]
        entries.append(
            _entry(
                name, 2, right=number + 1 if number < len(streams) else 0xFFFFFFFF, start=start, size=sectors * sector
            )
        )
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 16 + struct.pack("<5H6x", 0x3E, 3, 0xFFFE, 9, 6)
    header += struct.pack("<9I", 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0) + struct.pack(
        "<109I", 0, *[0xFFFFFFFF] * 108
    )
    table = struct.pack("<128I", *chains, *[0xFFFFFFFF] * (128 - len(chains)))
    return header + table + b"".join(entries).ljust(sector, b"\0") + bytes(range(256)) * (2 * 16)


def _entry(name: str, kind: int, *, child: int = 0xFFFFFFFF, right: int = 0xFFFFFFFF, start: int, size: int) -> bytes:
    text = name.encode("utf-16-le")
    return text.ljust(64, b"\0") + struct.pack(
        "<HBB3I16x4x16xIQ", len(text) + 2, kind, 1, 0xFFFFFFFF, right, child, start, size
    )
