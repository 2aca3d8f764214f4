"""Lines, records and their numbers: what an editor shows, whatever the bytes are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow as pa
import pytest

from teilhabe.codes.territory import with_lost_zero
from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import Finding, ReadingError
from teilhabe.reading import open_reading
from teilhabe.reading.files import text
from teilhabe.reading.files.text import Records
from tests.faults import decoded

PROJECT = Path(__file__).resolve().parents[2]
CONTRACTS = load_contracts(PROJECT / "agencies")
DELIVERIES = PROJECT / "tests" / "fixtures" / "deliveries"
PROGRAMMES = "jobcentre__programmes"
MONITOR = "state_monitor__foreigners"


def read(
    dataset: str, content: bytes, folder: Path, name: str = "datei.csv"
) -> tuple[list[dict[str, Any]], list[Finding]]:
    path = folder / name
    path.write_bytes(content)
    reading = open_reading(CONTRACTS[dataset], path, name)
    return pa.concat_tables(reading.chunks()).to_pylist(), reading.findings


def records(*lines: str) -> tuple[list[str], list[int]]:
    found = Records(";")
    made = found.add(list(lines))
    return made, found.rows(np.arange(1, len(made) + 1)).tolist()


@pytest.mark.parametrize(
    ("lines", "made", "rows"),
    [
        (["a;b", "1;2"], ["a;b", "1;2"], [1, 2]),
        (["", "sep=;", ";;;", "a;b", "1;2"], ["a;b", "1;2"], [4, 5]),
        (['"sep=;"', "a;b"], ["a;b"], [2]),
        (["a;b;c", '1;"x; y', 'z";3', "2;w;4"], ["a;b;c", '1;"x; y z";3', "2;w;4"], [1, 2, 4]),
        (["a;b;c", '1;"x', "", '""y""";3', "2;w;4"], ["a;b;c", '1;"x  ""y""";3', "2;w;4"], [1, 2, 5]),
        (["a;b", '"x; y', 'z";3'], ["a;b", '"x; y z";3'], [1, 2]),
        (["a;b", '5" Rohr;2', "3;4"], ["a;b", '5" Rohr;2', "3;4"], [1, 2, 3]),
        (["a;b", '"Die Brücke" e.V.;2', "3;4"], ["a;b", '"Die Brücke" e.V.;2', "3;4"], [1, 2, 3]),
        (["a;b", '5" Rohr;"x', 'y"'], ["a;b", '5" Rohr;"x y"'], [1, 2]),
    ],
)  # fmt: skip
def test_records_and_the_lines_they_begin_in(lines: list[str], made: list[str], rows: list[int]) -> None:
    assert records(*lines) == (made, rows)


@pytest.mark.parametrize(
    "lines",
    [
        ["a;b;c", '"1;2;3', "4;5;6"],
        ["a;b;c", '"1;2;3', '"4";5;6'],
        ["a;b;c;d", '1;"P;2;3', '4;Q";5;6', "7;R;8;9"],
        ["a;b;c", '1;2;"3', *["4;5;6"] * 600],
    ],
)
def test_a_quotation_mark_that_is_not_closed_swallows_nothing(lines: list[str]) -> None:
    found = Records(";")
    assert found.add(lines) == lines
    assert found.open_quote == 2


@pytest.mark.parametrize(
    ("line", "is_stray"),
    [
        ('1;"P"eine";2', True),
        ('1;"Verein "Eintracht" e.V.";2', True),
        ('"a"b;1;2', True),
        ('1;2;"a"b', True),
        ('1;"x,"y",z";2', True),
        ('1;"Verein ""Eintracht"" e.V.";2', False),
        ('1;12" Rohr;2', False),
        ('1;"a;b" ;2', False),
        ('1;"";"2"', False),
        ('1;"""a""";2', False),
    ],
)
@pytest.mark.parametrize("size", [3, 1 << 20])
def test_a_quotation_mark_within_a_text_in_quotation_marks(
    line: str, is_stray: bool, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "_BLOCK", size)
    found = Records(";")
    found.add(["a;b;c", "1;2;3", line, "4;5;6"])
    assert found.stray_quotes == ({3} if is_stray else set())
    path = tmp_path / "x.csv"
    path.write_text(f"a;b;c\n1;2;3\n{line}\n4;5;6\n", encoding="utf-8")
    assert not (is_stray and text.look(path, ";").is_clean)


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("state_monitor__school_leavers.csv", ","),
        ("state_statistics__naturalisations.csv", ";"),
        ("state_statistics__population_nationality.csv", ";"),
        ("jobcentre__programmes.csv", ";"),
        ("police__offences_municipal.2024.csv", ";"),
    ],
)
def test_nobody_can_tell_what_such_a_text_is_so_its_row_is_refused(name: str, sign: str, tmp_path: Path) -> None:
    """``"P"eine"`` is Peine, P or nothing: by chance of the program that reads it."""
    lines = decoded((DELIVERIES / name).read_bytes()).splitlines()
    at = next(i for i, line in enumerate(lines) if "Peine" in line and line.count(sign) > 2)
    cells, stray = [cell.strip('"') for cell in lines[at].split(sign)], 'P"eine'
    lines[at] = sign.join(f'"{cell.replace("Peine", stray)}"' if "Peine" in cell else cell for cell in cells)
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    contract = CONTRACTS[name.partition(".")[0]]
    reading = open_reading(contract, path, name)
    list(reading.chunks())
    told = [one for one in reading.findings if one.rule == "row.stray_quote"]
    assert told and told[0].row == at + 1 and told[0].severity == "critical" and f"Zeile {at + 1}" in told[0].message


def test_a_field_may_go_on_in_the_next_portion() -> None:
    found = Records(";")
    assert found.add(["a;b", '1;"x'], last=False) == ["a;b"]
    assert found.add(['y"', "2;z"]) == ['1;"x y"', "2;z"]
    assert [found.row(record) for record in (1, 2, 3)] == [1, 2, 4]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
@pytest.mark.parametrize("size", [3, 64, 1 << 20])
def test_lines_are_the_same_whatever_they_end_with(
    end: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the portions end that a long file is read in."""
    monkeypatch.setattr(text, "_BLOCK", size)
    path = tmp_path / "x.csv"
    path.write_bytes("\ufeffä;b\u200b\n1;\u00a02\n3;„4“\n".replace("\n", end).encode())
    look = text.look(path, ";")
    assert (look.is_utf8, look.hidden, look.across, look.returns) == (True, True, False, end in ("\r", "\r\r\n"))
    assert [line for lines, _ in text.decoded_lines(path, "utf-8") for line in lines] == ["ä;b", "1; 2", "3;„4“", ""]


def test_a_good_file_needs_no_copy(tmp_path: Path) -> None:
    for number, content in enumerate(
        (b"a;b\n1;2\n", b'"a";"b"\r\n"1";"2"\r\n', "ä;ß\r\n".encode(), "ä;€\n".encode("cp1252"))
    ):
        path = tmp_path / str(number)
        path.write_bytes(content)
        assert text.look(path, ";").is_clean


def test_row_numbers_are_those_of_an_editor(tmp_path: Path) -> None:
    """Behind a quoted line break, a line for Excel and blank ones: in tables and in long lists alike."""
    header, first, *_ = (DELIVERIES / "jobcentre__programmes.csv").read_text(encoding="utf-8").splitlines()
    cells = first.split(";")
    broken = ";".join([cells[0], f'"{cells[1]}; Teil\r\n1"', *cells[2:]])
    wrong = ";".join([*cells[:7], "ca. 5", *cells[8:]])
    content = "\r\n".join(["sep=;", "", header, broken, "", wrong]).encode()
    rows, findings = read(PROGRAMMES, content, tmp_path)
    [finding] = [finding for finding in findings if finding.rule == "value.not_a_number"]
    assert finding.row == 7
    assert {row["_row_number"] for row in rows} == {4, 7}
    assert f"{cells[1]}; Teil 1" in {row["programme_name"] for row in rows if "programme_name" in row} | {
        value for row in rows for value in row.values()
    }

    header, first, *_ = (DELIVERIES / "state_monitor__foreigners.csv").read_text(encoding="utf-8").splitlines()
    content = "\r".join(
        ["sep=,", header, first.replace('"Peine"', '"Peine,\rLandkreis"'), "", "2023,Peine,K03157,ca. 5"]
    ).encode()
    rows, findings = read(MONITOR, content, tmp_path)
    [finding] = [finding for finding in findings if finding.rule == "value.not_a_number"]
    assert finding.row == 6
    assert [row["_row_number"] for row in rows] == [3, 6]
    assert rows[0]["territory_name"] == "Peine, Landkreis"


def test_a_column_without_a_header_is_told_if_anything_stands_in_it(tmp_path: Path) -> None:
    header, *rows = (DELIVERIES / "state_monitor__foreigners.csv").read_text(encoding="utf-8").splitlines()
    assert not read(MONITOR, "\n".join(f"{row}," for row in (header, *rows)).encode(), tmp_path)[1]
    [finding] = read(
        MONITOR, "\n".join([f"{header},", f"{rows[0]},vorläufig", *(f"{row}," for row in rows[1:])]).encode(), tmp_path
    )[1]
    assert (finding.rule, finding.severity, finding.row, finding.found) == (
        "header.unknown_column",
        "warning",
        2,
        "vorläufig",
    )


def test_an_invisible_character_is_told_with_its_line(tmp_path: Path) -> None:
    content = (DELIVERIES / "state_monitor__foreigners.csv").read_bytes().replace(b"K03157", "K03157\u200b".encode())
    rows, findings = read(MONITOR, content, tmp_path)
    assert "03157" in {row["territory_code"] for row in rows}
    [finding] = findings
    assert (finding.severity, finding.rule, finding.row, finding.found) == ("info", "text.invisible", 2, "U+200B")


def test_cells_of_a_workbook_hold_nothing_invisible(tmp_path: Path) -> None:
    path = DELIVERIES / "civic__sports_clubs.xlsx"
    book = openpyxl.load_workbook(path)
    for sheet in book:
        for cell in (cell for row in sheet.iter_rows() for cell in row):
            if isinstance(cell.value, str) and cell.value:
                cell.value = f"{cell.value[0]}\u00ad{cell.value[1:]}\u200b"
    book.save(tmp_path / path.name)
    plain = pa.concat_tables(open_reading(CONTRACTS["civic__sports_clubs"], path, path.name).chunks())
    changed = pa.concat_tables(open_reading(CONTRACTS["civic__sports_clubs"], tmp_path / path.name, path.name).chunks())
    assert changed.to_pylist() == plain.to_pylist()


@pytest.mark.parametrize(
    ("name", "encoding", "row"),
    [("Übergang", "utf-8", None), ("Übergang", "cp1252", None), ("Größe – „Maß“", "cp1252", None), ("ÄÖÜ“", "cp1252", None),
     ("Vöhrum", "cp850", 2), ("Gräben", "mac_roman", 2), ("Hürth", "mac_roman", 2)],
)  # fmt: skip
def test_umlauts_are_read_or_the_line_is_named(name: str, encoding: str, row: int | None, tmp_path: Path) -> None:
    content = f"Year,Gebietseinheit,GeoCode,Value\n2023,{name},K03157,15000\n2022,{name},K03157,14000\n".encode(
        encoding
    )
    if row is None:
        assert {one["territory_name"] for one in read(MONITOR, content, tmp_path)[0]} == {name}
        return
    with pytest.raises(ReadingError) as caught:
        read(MONITOR, content, tmp_path)
    assert (caught.value.finding.rule, caught.value.finding.row) == ("file.encoding", row)


@pytest.mark.parametrize(
    ("lost", "key"),
    [("3", "03"), ("31", "031"), ("3157", "03157"), ("3157006", "03157006"), ("1001", "01001"), ("1001000", "01001000"),
     ("3153401", "03153401"), ("3153401006", "03153401006"), ("713101", "0713101"), ("713100007", "0713100007"),
     ("03", None), ("10", None), ("16", None), ("031", None), ("10041", None), ("03157006", None), ("0713101", None),
     ("DG", None), ("", None), ("0", None), ("123456", None), ("K3157", None), ("\u0663", None)],
)  # fmt: skip
def test_a_lost_zero_leaves_no_doubt(lost: str, key: str | None) -> None:
    assert with_lost_zero(lost) == key


def test_a_foreign_sign_is_answered_with_the_agreed_ones(tmp_path: Path) -> None:
    content = (DELIVERIES / "civic__social_work.csv").read_text(encoding="utf-8").splitlines()
    cells = content[1].split(";")
    content[1] = ";".join([*cells[:-1], "[c]"])
    _, findings = read("civic__social_work", "\n".join(content).encode(), tmp_path)
    [finding] = [finding for finding in findings if finding.found == "[c]"]
    assert finding.expected is not None
    assert "vereinbarte" in finding.expected and "„*“" in finding.expected
