"""Ways to change a file, each knowing how it is built. ``all_of(kind)`` lists them; each takes bytes and a seeded ``Random``."""

from __future__ import annotations

import csv
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from random import Random

from bench.hostile.oracle import decoded

Mutation = Callable[[bytes, Random], bytes]
_MUTATIONS: dict[str, list[Mutation]] = {"csv": [], "xlsx": [], "zip": [], "mail": []}


def all_of(kind: str) -> list[Mutation]:
    return _MUTATIONS[kind]


def mutation(*kinds: str) -> Callable[[Mutation], Mutation]:
    def listed(function: Mutation) -> Mutation:
        for kind in kinds:
            _MUTATIONS[kind].append(function)
        return function

    return listed


# ------------------------------------------------------------------------------------------------------------- any bytes


@mutation("csv", "xlsx", "zip", "mail")
def bytes_flipped(content: bytes, random: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(random.choice((1, 2, 10))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


@mutation("csv", "xlsx", "zip", "mail")
def cut_off(content: bytes, random: Random) -> bytes:
    return content[: random.randrange(1, len(content))]


@mutation("csv", "xlsx", "zip", "mail")
def piece_repeated(content: bytes, random: Random) -> bytes:
    at = random.randrange(len(content))
    end = min(at + random.choice((1, 20, 2000)), len(content))
    return content[:end] + content[at:]


@mutation("csv", "xlsx", "zip", "mail")
def piece_left_out(content: bytes, random: Random) -> bytes:
    at = random.randrange(len(content))
    return content[:at] + content[at + random.choice((1, 20, 2000)) :]


@mutation("csv", "xlsx", "zip", "mail")
def zeros_written(content: bytes, random: Random) -> bytes:
    at, length = random.randrange(len(content)), random.choice((1, 4, 512))
    return content[:at] + bytes(length) + content[at + length :]


# -------------------------------------------------------------------------------------------------------------------- CSV


def delimiter_of(content: bytes) -> str:
    """The sign that separates, by counting."""
    text = decoded(content)
    return max(";,\t|", key=text.count)


def _lines(content: bytes) -> tuple[list[str], str]:
    text = decoded(content)
    return text.splitlines(keepends=True), "utf-8"


def _in_lines(change: Callable[[list[str], Random], list[str]]) -> Mutation:
    def changed(content: bytes, random: Random) -> bytes:
        lines, encoding = _lines(content)
        return "".join(change(lines, random)).encode(encoding)

    changed.__name__ = change.__name__
    return changed


def _fields(content: bytes) -> tuple[list[list[str]], str]:
    sign = delimiter_of(content)
    return list(csv.reader(io.StringIO(decoded(content), newline=""), delimiter=sign)), sign


def _joined(rows: list[list[str]], sign: str, quoting: int = csv.QUOTE_MINIMAL) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=sign, lineterminator="\r\n", quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    return out.getvalue().encode()


def _data_row(rows: list[list[str]], random: Random) -> int:
    """A line with numbers, if there is one."""
    width = max(map(len, rows), default=0)
    good = [n for n, row in enumerate(rows) if len(row) == width and any(re.search(r"\d", cell) for cell in row)]
    return random.choice(good or list(range(len(rows))))


@mutation("csv")
def other_encoding(content: bytes, random: Random) -> bytes:
    name = random.choice(
        ("cp1252", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp850", "mac-roman", "utf-7")
    )
    return decoded(content).encode(name, "replace")


@mutation("csv")
def other_line_ends(content: bytes, random: Random) -> bytes:
    lines = decoded(content).splitlines()
    return "".join(line + random.choice(("\n", "\r\n", "\r")) for line in lines).encode()


@mutation("csv")
def one_other_line_end(content: bytes, random: Random) -> bytes:
    end = random.choice(("\n", "\r", "\r\n", "\n\n"))
    return "".join(line + end for line in decoded(content).splitlines()).encode()


@mutation("csv")
def other_separator(content: bytes, random: Random) -> bytes:
    rows, sign = _fields(content)
    return _joined(rows, random.choice([other for other in ";,\t|" if other != sign]))


@mutation("csv")
def everything_quoted(content: bytes, random: Random) -> bytes:
    rows, sign = _fields(content)
    return _joined(rows, sign, csv.QUOTE_ALL)


@mutation("csv")
def quote_opened(content: bytes, random: Random) -> bytes:
    text = decoded(content)
    at = random.randrange(len(text))
    return (text[:at] + '"' + text[at:]).encode()


@mutation("csv")
def field_too_many(content: bytes, random: Random) -> bytes:
    rows, sign = _fields(content)
    row = rows[_data_row(rows, random)]
    row.insert(random.randrange(len(row) + 1), random.choice(("", "7", "x")))
    return _joined(rows, sign)


@mutation("csv")
def field_too_few(content: bytes, random: Random) -> bytes:
    rows, sign = _fields(content)
    row = rows[_data_row(rows, random)]
    if row:
        del row[random.randrange(len(row))]
    return _joined(rows, sign)


@mutation("csv")
def empty_columns_behind(content: bytes, random: Random) -> bytes:
    rows, sign = _fields(content)
    return _joined([[*row, *[""] * random.choice((1, 3, 300))] for row in rows], sign)


@mutation("csv")
def columns_swapped(content: bytes, random: Random) -> bytes:
    rows, sign = _fields(content)
    width = max(map(len, rows))
    a, b = random.randrange(width), random.randrange(width)
    for row in rows:
        if len(row) == width:
            row[a], row[b] = row[b], row[a]
    return _joined(rows, sign)


@mutation("csv")
def headings_swapped(content: bytes, random: Random) -> bytes:
    rows, sign = _fields(content)
    width = max(map(len, rows))
    whole = [row for row in rows if len(row) == width]
    row = random.choice(whole[:3])
    a, b = random.randrange(width), random.randrange(width)
    row[a], row[b] = row[b], row[a]
    return _joined(rows, sign)


def _with_number(content: bytes, random: Random, pattern: str, change: Callable[[str], str]) -> bytes:
    """One cell of a row of data that looks like ``pattern`` is changed."""
    rows, sign = _fields(content)
    row = rows[_data_row(rows, random)]
    if places := [n for n, cell in enumerate(row) if re.fullmatch(pattern, cell)]:
        n = random.choice(places)
        row[n] = change(row[n])
    return _joined(rows, sign)


@mutation("csv")
def digit_changed(content: bytes, random: Random) -> bytes:
    def change(cell: str) -> str:
        at = random.choice([i for i, letter in enumerate(cell) if letter.isdigit()] or [0])
        return cell[:at] + str(random.randrange(10)) + cell[at + 1 :]

    return _with_number(content, random, r"[\d.,]+", change)


@mutation("csv")
def number_written_otherwise(content: bytes, random: Random) -> bytes:
    ways = ("{}.000", "{},000", "{},5", "{}.5", "1.{}", "1'{}", "-{}", "\u2212{}", "({})", "{}-", "{}*", "{} r", "\u00a0{}",
            "{}e3", "{}%", "0x{}", "{}/2", "={}", "'{}", "ca. {}", "{} Tsd.", "\uff11{}", "{}\u00b2", "{}\u200b",
            "{}\x1b[0m")  # fmt: skip
    return _with_number(content, random, r"\d+", lambda cell: random.choice(ways).format(cell))


@mutation("csv")
def symbol_for_a_number(content: bytes, random: Random) -> bytes:
    rows, sign = _fields(content)
    row = rows[_data_row(rows, random)]
    places = [n for n, cell in enumerate(row) if re.fullmatch(r"[\d.,]+", cell)]
    if places:
        row[random.choice(places)] = random.choice(
            ("", "-", ".", "x", "X", "/", "...", "*", "#NV", "NaN", "inf", "null", "k.A.")
        )
    return _joined(rows, sign)


def _line_doubled(lines: list[str], random: Random) -> list[str]:
    at = random.randrange(len(lines))
    return [*lines[: at + 1], *lines[at:]]


def _line_left_out(lines: list[str], random: Random) -> list[str]:
    at = random.randrange(len(lines))
    return lines[:at] + lines[at + 1 :]


def _lines_swapped(lines: list[str], random: Random) -> list[str]:
    a, b = random.randrange(len(lines)), random.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return lines


def _line_put_in(lines: list[str], random: Random) -> list[str]:
    at = random.randrange(len(lines) + 1)
    line = random.choice(("\r\n", ";;;;\r\n", "Summe;1;2;3\r\n", "\x1a\r\n", "\ufeff\r\n", "x" * 200_000 + "\r\n", '"' * 5_001 + "\r\n",
                          ";" * 20_000 + "\r\n", "\x00\r\n", "=1+1;=2\r\n"))  # fmt: skip
    return [*lines[:at], line, *lines[at:]]


def _ends_early(lines: list[str], random: Random) -> list[str]:
    return lines[: random.randrange(1, len(lines) + 1)]


def _begins_late(lines: list[str], random: Random) -> list[str]:
    return lines[random.randrange(len(lines)) :]


def _twice(lines: list[str], random: Random) -> list[str]:
    return lines * 2


for _change in (_line_doubled, _line_left_out, _lines_swapped, _line_put_in, _ends_early, _begins_late, _twice):
    mutation("csv")(_in_lines(_change))


# ------------------------------------------------------------------------------------------------------------------- xlsx


def parts_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        return {name: book.read(name) for name in book.namelist()}


def packed(parts: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as book:
        for name, part in parts.items():
            book.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), part, method)
    return out.getvalue()


def _sheet(parts: dict[str, bytes], random: Random) -> str:
    """Mostly that with the most numbers: it is what is read."""
    names = sorted(name for name in parts if re.fullmatch(r"xl/worksheets/[^/]+\.xml", name))
    by_numbers = max(names, key=lambda name: len(re.findall(_NUMBER_CELL.encode(), parts[name])))
    return by_numbers if random.random() < 0.85 else random.choice(names)


def _in_sheet(change: Callable[[str, Random], str]) -> Mutation:
    def changed(content: bytes, random: Random) -> bytes:
        parts = parts_of(content)
        name = _sheet(parts, random)
        parts[name] = change(parts[name].decode(), random).encode("utf-8", "surrogatepass")
        return packed(parts)

    changed.__name__ = change.__name__
    return changed


def _one(pattern: str, text: str, random: Random, by: Callable[[re.Match[str]], str]) -> str:
    found = list(re.finditer(pattern, text))
    if not found:
        return text
    match = random.choice(found)
    return text[: match.start()] + by(match) + text[match.end() :]


_NUMBER_CELL = r'<c r="([A-Z]+\d+)"((?: s="\d+")?)(?: t="n")?><v>([^<]*)</v></c>'
_ROW = r"<row\b[^>]*>.*?</row>"


def _dimension(text: str, random: Random) -> str:
    said = random.choice(
        (
            "",
            '<dimension ref="A1"/>',
            '<dimension ref="A1:XFD1048576"/>',
            '<dimension ref="B2:A1"/>',
            '<dimension ref="x"/>',
        )
    )
    return re.sub(r"<dimension[^>]*/>", said, text, count=1)


def _value_changed(text: str, random: Random) -> str:
    ways = ("7", "-7", "1e3", "1E400",
            "NaN", "INF", "0x10", " 12 ", "1<!-- -->2", "<![CDATA[12]]>", "12.5", "1,5", "", "\uff11\uff12", "1_000",
            "12345678901234567890", "1.23456789012345678", "45292", "#N/A", "1&#10;2", "+5", ".5", "5.")  # fmt: skip
    return _one(_NUMBER_CELL, text, random, lambda m: f'<c r="{m[1]}"{m[2]}><v>{random.choice(ways)}</v></c>')


def _number_as_text(text: str, random: Random) -> str:
    kind = random.choice(("str", "inlineStr", "b", "d", "e", "s", "x"))
    inner = (lambda m: f"<is><t>{m[3]}</t></is>") if kind == "inlineStr" else (lambda m: f"<v>{m[3]}</v>")
    return _one(_NUMBER_CELL, text, random, lambda m: f'<c r="{m[1]}"{m[2]} t="{kind}">{inner(m)}</c>')


def _number_by_formula(text: str, random: Random) -> str:
    value = random.choice(("<v>{}</v>", "", "<v></v>"))
    return _one(_NUMBER_CELL, text, random, lambda m: f'<c r="{m[1]}"{m[2]}><f>SUM(A1:A9)</f>{value.format(m[3])}</c>')


def _cell_left_out(text: str, random: Random) -> str:
    return _one(r"<c\b[^>]*?(?:/>|>.*?</c>)", text, random, lambda _: "")


def _cell_twice(text: str, random: Random) -> str:
    return _one(_NUMBER_CELL, text, random, lambda m: m[0] + m[0].replace(f"<v>{m[3]}<", "<v>99<"))


def _cell_moved(text: str, random: Random) -> str:
    other = random.choice(("A1", "ZZ5", "A0", "XFE1", "a5", "$A$5", "A99999999", ""))
    return _one(r'<c r="[A-Z]+\d+"', text, random, lambda _: f'<c r="{other}"')


def _row_left_out(text: str, random: Random) -> str:
    return _one(_ROW, text, random, lambda _: "")


def _row_twice(text: str, random: Random) -> str:
    return _one(_ROW, text, random, lambda m: m[0] * 2)


def _row_elsewhere(text: str, random: Random) -> str:
    number = random.choice(("1", "3", "0", "-1", "1048577", "x", "9" * 30))
    return _one(r'<row r="\d+"', text, random, lambda _: f'<row r="{number}"')


def _no_row_numbers(text: str, random: Random) -> str:
    return re.sub(r'<row r="\d+"', "<row", text)


def _no_cell_places(text: str, random: Random) -> str:
    return re.sub(r'<c r="[A-Z]+\d+"', "<c", text)


def _rows_in_disorder(text: str, random: Random) -> str:
    rows = re.findall(_ROW, text, re.DOTALL)
    random.shuffle(rows)
    return re.sub(
        r"<sheetData>.*</sheetData>", lambda _: f"<sheetData>{''.join(rows)}</sheetData>", text, flags=re.DOTALL
    )


def _hidden(text: str, random: Random) -> str:
    return _one(r"<row\b", text, random, lambda m: f'{m[0]} hidden="1"')


def _merged(text: str, random: Random) -> str:
    areas = [
        f"A{random.randrange(1, 30)}:{random.choice('BCDZ')}{random.randrange(1, 40)}"
        for _ in range(random.choice((1, 2, 5_000)))
    ]
    said = "".join(f'<mergeCell ref="{area}"/>' for area in areas)
    return text.replace("</sheetData>", f"</sheetData><mergeCells>{said}</mergeCells>", 1)


def _in_other_words(text: str, random: Random) -> str:
    """The same with a prefix on every name."""
    text = re.sub(r"<(/?)([A-Za-z])", r"<\1x:\2", text)
    return text.replace("xmlns=", "xmlns:x=", 1)


def _with_entities(text: str, random: Random) -> str:
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha"}">' for n in range(9))
    body = text[text.index("?>") + 2 :] if text.startswith("<?xml") else text
    return f"<!DOCTYPE x [{levels}]>" + body.replace("<v>", "<v>&e8;", 1)


def _nested(text: str, random: Random) -> str:
    depth = random.choice((100, 100_000))
    return text.replace("</sheetData>", "</sheetData>" + "<extLst>" * depth + "</extLst>" * depth, 1)


def _unclosed_rows(text: str, random: Random) -> str:
    return text.replace("</sheetData>", "<row " * random.choice((10, 20_000)) + "</sheetData>", 1)


def _many_cells(text: str, random: Random) -> str:
    last = max((int(n) for n in re.findall(r'<row r="(\d+)"', text)), default=0)
    rows = "".join(
        f'<row r="{last + n}"><c r="A{last + n}" t="s"><v>0</v></c></row>'
        for n in range(1, random.choice((50, 60_000)))
    )
    return text.replace("</sheetData>", f"{rows}</sheetData>", 1)


for _sheet_change in (_dimension, _value_changed, _number_as_text, _number_by_formula, _cell_left_out, _cell_twice, _cell_moved,
                      _row_left_out, _row_twice, _row_elsewhere, _no_row_numbers, _no_cell_places, _rows_in_disorder, _hidden,
                      _merged, _in_other_words, _with_entities, _nested, _unclosed_rows, _many_cells):  # fmt: skip
    mutation("xlsx")(_in_sheet(_sheet_change))


@mutation("xlsx")
def packed_otherwise(content: bytes, random: Random) -> bytes:
    parts = list(parts_of(content).items())
    random.shuffle(parts)
    return packed(
        dict(parts), random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    )


@mutation("xlsx")
def part_left_out(content: bytes, random: Random) -> bytes:
    parts = parts_of(content)
    del parts[random.choice(sorted(parts))]
    return packed(parts)


@mutation("xlsx")
def part_damaged(content: bytes, random: Random) -> bytes:
    parts = parts_of(content)
    name = random.choice(sorted(parts))
    parts[name] = random.choice((bytes_flipped, cut_off, piece_repeated, piece_left_out))(parts[name] or b" ", random)
    return packed(parts)


@mutation("xlsx")
def part_in_utf16(content: bytes, random: Random) -> bytes:
    parts = parts_of(content)
    name = random.choice(sorted(name for name in parts if name.endswith((".xml", ".rels"))))
    text = re.sub(r"^<\?xml[^>]*\?>", "", parts[name].decode())
    parts[name] = ("<?xml version='1.0' encoding='UTF-16'?>" + text).encode("utf-16")
    return packed(parts)


@mutation("xlsx")
def strings_in_other_order(content: bytes, random: Random) -> bytes:
    parts = parts_of(content)
    name = "xl/sharedStrings.xml"
    if name not in parts:
        return packed(parts)
    text = parts[name].decode()
    items = re.findall(r"<si\b.*?</si>|<si/>", text, re.DOTALL)
    order = list(range(len(items)))
    random.shuffle(order)
    at = {old: new for new, old in enumerate(order)}
    head = text[: text.index("<si")] if items else text
    parts[name] = (head + "".join(items[old] for old in order) + "</sst>").encode() if items else parts[name]
    if random.random() < 0.8:  # else every label is another's: it has to be noticed
        for sheet in [one for one in parts if one.startswith("xl/worksheets/")]:
            parts[sheet] = re.sub(
                rb'(t="s"[^>]*><v>)(\d+)', lambda m: m[1] + str(at.get(int(m[2]), int(m[2]))).encode(), parts[sheet]
            )
    return packed(parts)


@mutation("xlsx")
def string_left_out(content: bytes, random: Random) -> bytes:
    parts = parts_of(content)
    if "xl/sharedStrings.xml" in parts:
        text = parts["xl/sharedStrings.xml"].decode()
        parts["xl/sharedStrings.xml"] = _one(r"<si\b.*?</si>", text, random, lambda _: "").encode()
    return packed(parts)


@mutation("xlsx")
def string_of_enormous_length(content: bytes, random: Random) -> bytes:
    parts = parts_of(content)
    if "xl/sharedStrings.xml" in parts:
        text = parts["xl/sharedStrings.xml"].decode()
        length = random.choice((40_000, 190_000, 2_000_000))
        parts["xl/sharedStrings.xml"] = _one(
            r"<t\b[^>]*>[^<]*</t>", text, random, lambda _: f"<t>{'a' * length}</t>"
        ).encode()
    return packed(parts)


@mutation("xlsx")
def relation_changed(content: bytes, random: Random) -> bytes:
    parts = parts_of(content)
    name = "xl/_rels/workbook.xml.rels"
    target = random.choice(
        (
            "/xl/worksheets/sheet1.xml",
            "worksheets/none.xml",
            "../../etc/passwd",
            "http://localhost/x.xml",
            "worksheets/../worksheets/sheet1.xml",
        )
    )
    if name in parts:
        parts[name] = _one(r'Target="[^"]*"', parts[name].decode(), random, lambda _: f'Target="{target}"').encode()
    return packed(parts)


@mutation("xlsx")
def relation_outside(content: bytes, random: Random) -> bytes:
    parts = parts_of(content)
    name = "xl/_rels/workbook.xml.rels"
    if name in parts:
        parts[name] = parts[name].replace(b"Target=", b'TargetMode="External" Target=', 1)
    return packed(parts)


@mutation("xlsx")
def sheet_renamed_or_hidden(content: bytes, random: Random) -> bytes:
    parts = parts_of(content)
    text = parts["xl/workbook.xml"].decode()
    by = random.choice(('state="hidden" name="', 'state="veryHidden" name="', 'name="Kopie von '))
    parts["xl/workbook.xml"] = _one(
        r'(?<=<sheet )(?:[^>]*?)name="', text, random, lambda m: m[0].replace('name="', by)
    ).encode()
    return packed(parts)


# --------------------------------------------------------------------------------------------------------- headers of ZIP


def _directory(content: bytes) -> int:
    end = content.rindex(b"PK\x05\x06")
    return int(struct.unpack_from("<I", content, end + 16)[0])


@mutation("xlsx", "zip")
def directory_lies(content: bytes, random: Random) -> bytes:
    """One field of an entry in the directory: version, flags, method, checksum, sizes, length of the name, place."""
    changed = bytearray(content)
    at = _directory(content)
    for _ in range(random.randrange(5)):
        following = content.find(b"PK\x01\x02", at + 4)
        at = following if following > 0 else at
    offset, kind = random.choice(
        ((6, "<H"), (8, "<H"), (10, "<H"), (16, "<I"), (20, "<I"), (24, "<I"), (28, "<H"), (42, "<I"))
    )
    struct.pack_into(
        kind,
        changed,
        at + offset,
        random.choice((0, 1, 9, 0xFFFF, 0x7FFF)) if kind == "<H" else random.choice((0, 1, 1 << 31, 0xFFFFFFFF)),
    )
    return bytes(changed)


@mutation("xlsx", "zip")
def entry_lies(content: bytes, random: Random) -> bytes:
    """One field of the header before an entry's bytes, which not every reader looks at."""
    changed = bytearray(content)
    places = [m.start() for m in re.finditer(rb"PK\x03\x04", content)]
    at = random.choice(places)
    offset = random.choice((6, 8, 14, 18, 22, 26, 30))
    changed[at + offset] ^= random.choice((1, 8, 0xFF))
    return bytes(changed)


@mutation("xlsx", "zip")
def end_lies(content: bytes, random: Random) -> bytes:
    changed = bytearray(content)
    end = content.rindex(b"PK\x05\x06")
    struct.pack_into("<H", changed, end + random.choice((4, 6, 8, 10, 20)), random.choice((0, 1, 2, 0xFFFF)))
    return bytes(changed)


@mutation("xlsx", "zip")
def something_before_or_behind(content: bytes, random: Random) -> bytes:
    junk = random.choice((b"MZ" + bytes(200), b"\n", content, b"PK\x05\x06" + bytes(18), b"%PDF-1.4\n"))
    return junk + content if random.random() < 0.5 else content + junk


@mutation("xlsx", "zip")
def entry_twice(content: bytes, random: Random) -> bytes:
    parts = parts_of(content)
    name = random.choice(sorted(parts))
    out = io.BytesIO(content)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as book:
            book.writestr(name, parts[name][: len(parts[name]) // 2])
    return out.getvalue()


@mutation("zip")
def place_outside(content: bytes, random: Random) -> bytes:
    parts = parts_of(content)
    name = random.choice(sorted(parts))
    other = random.choice(
        (
            "../x.csv",
            "/etc/x.csv",
            "C:\\x.csv",
            "a/../../x.csv",
            "x.csv\0.exe",
            "a" * 300 + ".csv",
            "\u202evsc.x",
            ".csv",
            "a/b/c.csv",
            "caf\u00e9.csv",
        )
    )
    return packed({(other if one == name else one): part for one, part in parts.items()})


@mutation("zip")
def bomb(content: bytes, random: Random) -> bytes:
    parts = parts_of(content)
    return packed({**parts, "null.csv": bytes(random.choice((30_000_000, 250_000_000)))})


@mutation("zip")
def many_members(content: bytes, random: Random) -> bytes:
    parts = parts_of(content)
    return packed({**parts, **{f"{n}.csv": b"a;b\r\n1;2\r\n" for n in range(random.choice((3, 250)))}})


@mutation("zip")
def zip_in_zip(content: bytes, random: Random) -> bytes:
    return packed({"innen.zip": content, **parts_of(content)})


@mutation("zip")
def beside_it(content: bytes, random: Random) -> bytes:
    parts = parts_of(content)
    return packed(
        {**parts, "Readme.txt": b"Erl\xe4uterung", "__MACOSX/._a": b"x", "Bild.png": zlib.compress(b"x" * 100)}
    )


# ------------------------------------------------------------------------------------------------------------------- mail


def message(name: str, content: bytes) -> bytes:
    """A mail with a file, as an office's program writes it."""
    from email.message import EmailMessage

    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "amt@lengede.example", "zahlen@landkreis.example", "Zahlen"
    mail.set_content("anbei die Zahlen")
    mail.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    mail.set_boundary("grenze")
    return mail.as_bytes()


@mutation("mail")
def header_changed(content: bytes, random: Random) -> bytes:
    lines = content.split(b"\n")
    heads = [n for n, line in enumerate(lines) if re.match(rb"[A-Za-z-]+:", line)]
    n = random.choice(heads)
    by = random.choice((b"", b"X: y", lines[n] + b"; x=" + b"a" * 300_000, lines[n] + b"\xff\xfe", lines[n] + b"=?utf-8?b?####?=",
                        lines[n] + b'; filename*0*=kein%ZZ; filename*9="', lines[n].upper(), b'From: "', b"Content-Type: a[b"))  # fmt: skip
    return b"\n".join([*lines[:n], by, *lines[n + 1 :]])


@mutation("mail")
def encoding_changed(content: bytes, random: Random) -> bytes:
    other = random.choice((b"quoted-printable", b"x-uuencode", b"7bit", b"8bit", b"kein", b"base64, base64"))
    return content.replace(b"Transfer-Encoding: base64", b"Transfer-Encoding: " + other)


@mutation("mail")
def boundary_changed(content: bytes, random: Random) -> bytes:
    return content.replace(b"grenze", random.choice((b"", b"gre\nnze", b"x" * 2_000, b"--")), random.choice((1, 2, -1)))


@mutation("mail")
def parts_in_parts(content: bytes, random: Random) -> bytes:
    depth = random.choice((10, 500, 100_000))
    heads = b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (n, n) for n in range(depth))
    return b"From: a@b.example\nMIME-Version: 1.0\n" + heads + content


@mutation("mail")
def many_parts(content: bytes, random: Random) -> bytes:
    part = b"--grenze\nContent-Disposition: attachment; filename=leer.txt\n\nx\n"
    return content.replace(b"--grenze--", part * random.choice((10, 20_000)) + b"--grenze--")


@mutation("mail")
def forwarded(content: bytes, random: Random) -> bytes:
    return b"From: a@b.example\nMIME-Version: 1.0\nContent-Type: message/rfc822\n\n" + content
