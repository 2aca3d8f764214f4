"""The words of official tables: what a heading or a label means as a code."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from teilhabe.errors import TeilhabeError

if TYPE_CHECKING:
    from teilhabe.reading.files.source import Source

FEW = 40
"""A text column with more entries is a list of things (offences, clubs), not a breakdown."""

MOSTLY = 0.8
UNITS = ("anzahl", "wert", "value", "betrag", "zahl", "prozent", "in", "")
_CODE_WORDS = frozenset(
    "ags schluessel gemeindeschluessel kreisschluessel regionalschluessel gebietsschluessel geocode gkz kreis gebiet "  # noqa: SIM905
    "gemeindenummer".split()
)
NAME_WORDS = frozenset(
    "gemeinde gemeindename gebiet gebietsname gebietseinheit name kreis kreisname landkreis ort kommune sitz".split()  # noqa: SIM905
)
PERIOD_TEMPLATES = (
    "{month}",
    "{quarter}",
    "{half_year}",
    "{allocation_half_year}",
    "{school_year}",
    "{date}",
    "{year}",
)
_WORDS_OF_GROUPS = {
    "": "insgesamt gesamt zusammen summe alle total gesamtzahl",
    "sex male": "maennlich maenner jungen maennliche",
    "sex female": "weiblich frauen maedchen weibliche",
    "sex diverse": "divers",
    "nationality german": "deutsche deutsch",
    "nationality foreign": "auslaender auslaenderinnen auslaenderinnenundauslaender auslaendisch auslaendische nichtdeutsche "
    "nichtdeutsch nd",
    "nationality refugee_context": "kontextfluchtmigration imkontextfluchtmigration fluchtmigration gefluechtete flucht",
    "nationality asylum8": "asylherkunftslaender asylherkunftslaender8",
    "nationality ukrainian": "ukraine ukrainer ukrainerinnenundukrainer",
    "nationality protection_seeker": "schutzsuchende schutzberechtigte",
}
"""Code -> the offices' words for it, spelt as ``normalise`` spells them."""

_GROUPS = {
    word: dict([code.split()]) if code else {} for code, words in _WORDS_OF_GROUPS.items() for word in words.split()
}
_AGES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"unter (\d{1,3})( Jahren?)?"), lambda m: f"u{m[1]}"),
    (re.compile(r"bis (\d{1,3})( Jahren?)?"), lambda m: f"u{int(m[1]) + 1}"),
    (re.compile(r"(\d{1,3}) bis unter (\d{1,3})( Jahren?)?"), lambda m: f"{m[1]}_{int(m[2]) - 1}"),
    (re.compile(r"(\d{1,3})\s?(?:-|\u2013|bis)\s?(\d{1,3})( Jahren?)?"), lambda m: f"{m[1]}_{m[2]}"),
    (re.compile(r"(\d{1,3})( Jahren?)? und (?:älter|mehr)"), lambda m: f"{m[1]}plus"),
    (re.compile(r"ab (\d{1,3})( Jahren?)?"), lambda m: f"{m[1]}plus"),
    (re.compile(r"über (\d{1,3})( Jahren?)?"), lambda m: f"{int(m[1]) + 1}plus"),
    (re.compile(r"(\d{1,3}) Jahre"), lambda m: f"{m[1]}_{m[1]}"),
)


@dataclass
class Proposal:
    """What a file suggests: the layout, what it needs around it, and what was decided on the way."""

    layout: dict[str, Any]
    group_columns: list[str]
    office_terms: dict[str, str]
    constants: dict[str, str]
    symbols: dict[str, Any]
    levels: list[str]
    measures: dict[str, str]
    """New measure codes and what the office calls them; they join the catalogue."""
    file_format: str
    fixture: bytes
    decided: list[str] = field(default_factory=list)
    open_points: list[str] = field(default_factory=list)
    periods: list[str] = field(default_factory=list)


def is_code_header(text: str) -> bool:
    from teilhabe.reading.cells.labels import normalise

    words = normalise(text), *(normalise(word) for word in re.split(r"\W+", text))
    return any(word in _CODE_WORDS or word.endswith("schluessel") for word in words)


def is_key(text: str) -> bool:
    return bool(re.fullmatch(r"DG|[A-Z]{0,2}(?:\d{2,5}|\d{7,8})", text.strip()))


def entries_of(entries: list[str]) -> tuple[str, dict[str, dict[str, str]]]:
    """The column a breakdown speaks about, and its entries with their codes."""
    known = [group_of(entry) for entry in entries]
    names = {name for found in known if found for name in found}
    if len(names) == 1 and all(found is not None for found in known):
        return names.pop(), {entry: found or {} for entry, found in zip(entries, known, strict=True)}
    return "category", {
        entry: {} if found == {} else {"category": as_slug(entry)} for entry, found in zip(entries, known, strict=True)
    }


def group_of(text: str) -> dict[str, str] | None:
    """Coordinates of a text that is nothing but a group, else None."""
    from teilhabe.reading.cells.labels import clean, normalise

    if normalise(text) in _GROUPS:
        return _GROUPS[normalise(text)]
    for pattern, code in _AGES:
        if found := pattern.fullmatch(clean(text)):
            return {"age_band": code(found)}
    return None


def stem_of(text: str) -> tuple[str, dict[str, str]]:
    """A header without the groups it names, and these: ``Einbürgerungen, weiblich`` -> Einbürgerungen, female."""
    words = [word for word in re.split(r"[\s,_:;/()]+", text) if word]
    groups: dict[str, str] = {}
    changed = True
    while changed and words:
        changed = False
        for size in (4, 3, 2, 1):
            for part, rest in ((words[-size:], words[:-size]), (words[:size], words[size:])):
                found = group_of(" ".join(part)) if len(part) == size else None
                if found is not None:
                    groups |= found
                    words, changed = rest, True
                    break
            if changed:
                break
    while words and words[-1].casefold() in UNITS:
        words.pop()
    return " ".join(words), groups


def measure_of(stem: str, dataset_id: str, known: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The code of the catalogue whose German name this is, else a new one of this dataset."""
    from teilhabe.reading.cells.labels import normalise

    if stem and normalise(stem) in known:
        return known[normalise(stem)], {}
    code = as_slug(stem) or dataset_id.partition("__")[2]
    if code in known.values():
        code = f"{dataset_id.partition('__')[2]}_{code}"
    return code, {code: stem or dataset_id.partition("__")[2].replace("_", " ")}


def as_slug(text: str) -> str:
    text = text.casefold()
    for umlaut, plain in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss"), ("+", " plus ")):
        text = text.replace(umlaut, plain)
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:60].rstrip("_")
    return f"n_{slug}" if slug[:1].isdigit() else slug


def is_text(cells: list[str]) -> bool:
    return any(cells) and not any(is_number(cell) for cell in cells)


def is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[+-]?\d[\d.,  ]*", text))


def is_number_column(cells: list[str]) -> bool:
    filled = [cell for cell in cells if cell]
    signs = [cell for cell in filled if not is_number(cell)]
    return (
        bool(filled)
        and len(signs) <= len(filled) / 2
        and all(len(sign) <= 7 for sign in signs)
        and len(signs) < len(filled)
    )


def number_format(cells: Iterable[str], source: Source, decided: list[str], open_points: list[str]) -> str:
    """How numbers are written; a lone group of three digits can be read both ways, so it is said."""
    texts = {text for text in cells if is_number(text) and re.search(r"[.,]", text)}
    if source.is_workbook:
        return "german"
    german = [
        t
        for t in texts
        if (re.search(r",\d+$", t) and not re.search(r",\d{3}$", t)) or re.search(r"\.\d{3},|\.\d{3}\.", t)
    ]
    english = [
        t
        for t in texts
        if (re.search(r"\.\d+$", t) and not re.search(r"\.\d{3}$", t)) or re.search(r",\d{3}\.|,\d{3},", t)
    ]
    if german and english:
        raise TeilhabeError(f"{source.file_name}: numbers are written in two ways (decimal comma and decimal point).")
    if english:
        result = "english" if any("," in text for text in texts) else "international"
    else:
        result = "german"
        if texts and not german:
            open_points.append(
                "Zahlenformat prüfen: 1.234 wurde als eintausendzweihundertvierunddreißig gelesen / check the number format"
            )
    decided.append(f"numbers: {result}")
    return result


def symbols_of(cells: Iterable[str], decided: list[str], open_points: list[str]) -> dict[str, Any]:
    """The regime the signs belong to; what is in none of them is read as missing until somebody says what it means."""
    found = {text for text in cells if not is_number(text)}
    signs = found - {"", "-", "\u2013"}
    if signs & {".", "/", "...", "\u2026"}:
        regime, own = "genesis", {".", "/", "x", "X", "...", "\u2026"}
    elif signs & {"k", "g", "u", "t"}:
        regime, own = "lsn_new", {"k", "g", "u", "x", "t"}
    else:
        regime, own = "ba", {"*", "x", "X"}
    rules: dict[str, Any] = {"regime": regime}
    also = dict.fromkeys(sorted(signs - own), "missing")
    if "" in found:
        also[""] = "missing"
        open_points.append(
            "Leere Zellen: fehlt der Wert, oder ist es 0? / empty cells: missing, or zero (symbols.also)"
        )
    for sign in sorted(signs - own):
        open_points.append(f"Bedeutung des Zeichens „{sign}“ klären / find out what the sign means (symbols.also)")
    if found & {"-", "\u2013"}:
        rules["dash"] = "zero"
        open_points.append("„-“ als genau null gelesen / a dash is read as zero (symbols.dash)")
    if also:
        rules["also"] = also
    decided.append(f"signs: regime {regime}" + (f", {', '.join(sorted(signs))}" if signs else ""))
    return rules


def levels_of(keys: Iterable[str]) -> list[str]:
    lengths = {len(key) for key in keys}
    levels = [("state", {2}), ("county", {4, 5}), ("municipality", {7, 8})]
    return [level for level, wanted in levels if wanted & lengths] or ["municipality"]
