"""The contracts as German pages for the offices: one per dataset and an index by agency; self-contained and printable.

Everything shown comes from contract, suite and catalogue and is escaped; nothing is fetched, no script runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from teilhabe.codes import wording
from teilhabe.contract.layouts import BaWorkbook, Coordinates, Form, GenesisCsv, StackedTable, Table
from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import load_contracts
from teilhabe.offices.templates import template_layout

if TYPE_CHECKING:
    from teilhabe.contract.layouts import Layout
    from teilhabe.contract.model import Column
    from teilhabe.settings import Settings
    from teilhabe.validation.expectation_runs import Expectation

INDEX = "index.html"

_COUNTY = "Koordinierungsstab für Migration und Teilhabe"
_ABOUT_OUR_COLUMNS = ("column.blank", "code.unknown", "value.status", "value.confidentiality")
"""Checks of what the reader made of a file; the office's own words for them stand in the sentence below the table."""
_EXAMPLE_PLACE = ("03157006", "Peine, Stadt")


class Html(str):
    """Text that is HTML already; anything else is escaped on its way into a tag."""

    __slots__ = ()


def write_pages(settings: Settings, folder: Path, *, today: date, only: Contract | None = None) -> list[Path]:
    """Write the page of ``only``, or the index (first in the result) and all pages. ``ContractError`` as in ``contracts check``."""
    from teilhabe.validation.observations import catalogue
    from teilhabe.validation.suite import contract_expectations, load_suite

    contracts = [only] if only else list(load_contracts(settings.agencies).values())
    measures = {code: measure.name_de for code, measure in catalogue(settings.project).items()}
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    if only is None:
        written.append(folder / INDEX)
        written[0].write_text(index_page(contracts, today), encoding="utf-8")
    for contract in contracts:
        always = [check for check in contract_expectations(contract) if check.rule not in _ABOUT_OUR_COLUMNS]
        checks = [*load_suite(settings.expectations, contract).expectations, *always]
        path = folder / f"{contract.dataset_id}.html"
        path.write_text(dataset_page(contract, checks, measures, today, index=only is None), encoding="utf-8")
        written.append(path)
    return written


def index_page(contracts: Sequence[Contract], today: date) -> str:
    """All datasets by office, with what is due next."""
    by_office: dict[str, list[Contract]] = defaultdict(list)
    for contract in sorted(contracts, key=lambda one: (one.office, one.title_de)):
        by_office[contract.office].append(contract)
    parts = [
        _tag("p", f"{len(contracts)} Datensätze von {len(by_office)} Stellen. Jede Seite sagt, was geliefert wird, bis wann, "
                  "in welcher Form und was geprüft wird.", class_="lead"),
    ]  # fmt: skip
    for office, its in by_office.items():
        rows = []
        for contract in its:
            due = wording.next_due(contract, today, 1)
            rows.append([
                Html(f'<a href="{escape(contract.dataset_id)}.html">{escape(contract.title_de)}</a>'),
                wording.FREQUENCIES[contract.calendar.frequency],
                wording.due_sentence(due[0]) if due else "–",
                " / ".join(dict.fromkeys(wording.file_kind(layout) for layout in contract.layouts)),
            ])  # fmt: skip
        head = ["Datensatz", "Turnus", "Nächste Lieferung", "Form"]
        parts.append(
            _section(office, _table(head, rows, caption=f"Datensätze: {office}", hide_caption=True, row_heads=True))
        )
    return _page("Datenlieferungen an den Landkreis", "Was die Stellen liefern", parts, today, footer=[])


def dataset_page(
    contract: Contract,
    checks: Iterable[Expectation],
    measures: Mapping[str, str],
    today: date,
    *,
    index: bool = True,
) -> str:
    """The contract of one dataset."""
    parts = [
        _section("Auf einen Blick", _facts(contract, measures, today)),
        _section("Bis wann", _due(contract, today)),
        _section("Wie die Datei aussieht", *(_layout(contract, layout, measures) for layout in contract.layouts)),
        _section("Zeichen statt Zahlen, Geheimhaltung", *_signs(contract)),
        _section("Was geprüft wird", *_checks(checks, is_mendable=contract.mendable)),
        _section("So wird geliefert", *_delivery(contract)),
    ]
    if contract.definitions:
        rows = [[term, meaning] for term, meaning in contract.definitions.items()]
        table = _table(["Begriff", "Bedeutung"], rows, caption="Begriffe, nach denen gezählt wird", row_heads=True)
        parts.insert(1, _section("Was gezählt wird", table))
    if contract.remarks_de:
        parts.append(_section("Fachliche Anmerkungen", _tag("p", contract.remarks_de)))
    footer = [
        f"Vereinbarung „{contract.title_de}“, Version {contract.version}",
        f"Lizenz: {contract.licence}",
        contract.attribution,
    ]
    return _page(contract.title_de, contract.office, parts, today, footer=footer, back=index)


# ------------------------------------------------------------------------------------------------------------- sections


def _facts(contract: Contract, measures: Mapping[str, str], today: date) -> Html:
    next_due = wording.next_due(contract, today, 1)
    facts: list[tuple[str, str]] = [
        ("Geliefert wird", "; ".join(measures.get(code, code) for code in contract.measures) or contract.title_de),
        ("Gliederung", _breakdowns(contract)),
        ("Gebiete", ", ".join(wording.LEVELS[level] for level in contract.levels)),
        ("Stelle", contract.office),
        ("Turnus", wording.FREQUENCIES[contract.calendar.frequency]),
        ("Nächste Lieferung", wording.due_sentence(next_due[0]) if next_due else "nach Absprache"),
        ("Form", " / ".join(dict.fromkeys(wording.file_kind(layout) for layout in contract.layouts))),
        ("Version", f"{contract.version} ({wording.STATUSES.get(contract.status, contract.status)})"),
    ]
    rows = "".join(_tag("div", Html(_tag("dt", name) + _tag("dd", text))) for name, text in facts if text)
    return _tag("dl", Html(rows), class_="facts")


def _breakdowns(contract: Contract) -> str:
    names = {
        "nationality": "Staatsangehörigkeit",
        "sex": "Geschlecht",
        "age_band": "Alter",
        "category": "eigene Gliederung",
    }
    terms = {column.name: column.office_term for column in contract.columns}
    return ", ".join(terms.get(name) or word for name, word in names.items() if name in contract.column_names)


def _due(contract: Contract, today: date) -> Html:
    entries = wording.next_due(contract, today)
    rows = [
        [wording.spell_period(e.period_code), wording.spell_date(e.due_on), wording.spell_date(e.grace_until)]
        for e in entries
    ]
    head = ["Berichtszeitraum", "fällig am", "Erinnerung ab"]
    return Html(
        _tag("p", wording.due_rule(contract))
        + (_table(head, rows, caption="Die nächsten Termine", row_heads=True) if rows else "")
        + _tag("p", f"Frühester Zeitraum: {wording.spell_period(contract.calendar.first_period)}.", class_="quiet")
    )


def _layout(contract: Contract, layout: Layout, measures: Mapping[str, str]) -> Html:
    facts = [wording.file_kind(layout)]
    if layout.reader in ("table", "tidy_csv", "genesis_csv", "ffcsv"):
        facts.append(f"Zahlen {wording.NUMBERS[layout.numbers]}")
    if delimiter := _delimiter(layout):
        facts.append(f"Trennzeichen {delimiter}")
    if encoding := getattr(layout, "encoding", None):
        facts.append({"utf-8": "Zeichensatz UTF-8", "cp1252": "Zeichensatz Windows-1252"}[encoding])
    if layout.period_in == "file_name":
        facts.append("der Zeitraum steht im Dateinamen")
    terms = {column.name: column for column in contract.columns}
    own = {**getattr(layout, "columns", {}), **getattr(layout, "fields", {})}
    keys = [[" / ".join(texts), _of_column(name, terms), "Pflicht"] for name, texts in own.items()]
    keys += [
        [" / ".join(aliases), "Ausprägung, siehe unten", "Pflicht"] for aliases in getattr(layout, "label_columns", [])
    ]
    if isinstance(layout, StackedTable):
        keys.append([" / ".join(layout.kind_column), f"Art der Zahl: {', '.join(layout.values)}", "Pflicht"])
    if isinstance(layout, GenesisCsv):
        words = {
            "label": "Ausprägung",
            "territory_code": "Regionalschlüssel",
            "territory_name": "Gebiet",
            "period_code": "Zeitraum",
        }
        keys = [[words[name], _of_column(name, terms), "Pflicht"] for name in layout.keys]
    if isinstance(layout, StackedTable):
        also = {**layout.kinds, **layout.headers}
        facts += [f"statt „{text}“ auch {' / '.join(others)}" for text, others in also.items()]
    out = [_tag("h3", layout.name), _tag("p", "; ".join(facts) + ".")]
    if keys:
        out.append(
            _table(["Spalte oder Feld", "Bedeutung", ""], keys, caption="Schlüsselspalten und -felder", row_heads=True)
        )
    labels = _labels(layout)
    if labels:
        rows = [
            [text, _meaning(found, measures, text, terms), _when(layout, text)]
            for text, found in labels
            if found is not None
        ]
        head = ["Text in der Datei", "Bedeutung", ""]
        out.append(_table(head, rows, caption="Zahlen und Ausprägungen mit den Worten der Stelle", row_heads=True))
        unused = [text for text, found in labels if found is None]
        unused += getattr(layout, "ignore", [])
        if unused:
            out.append(_tag("p", f"Darf vorkommen, wird nicht übernommen: {'; '.join(unused)}.", class_="quiet"))
    if example := _example(contract, layout):
        head, row = example
        out.append(_table(head, [row], caption="Beispielzeile (erfundene Zahlen)", wide=True))
    return _tag("div", Html("".join(out)), class_="layout")


_OF_COLUMNS = {
    "territory_code": "Amtlicher Schlüssel des Gebiets",
    "territory_name": "Name des Gebiets",
    "period_code": "Berichtszeitraum oder Stichtag",
    "value": "Die Zahl, oder eines der vereinbarten Zeichen",
    "category_name": "Name dazu",
    "label": "Ausprägung, siehe unten",
}
"""What an office puts into a column; a contract describes what we make of it."""


def _of_column(name: str, terms: Mapping[str, Column]) -> str:
    if name == "category":
        named = terms["category_name"].office_term if "category_name" in terms else ""
        return "Wonach die Zahlen gegliedert sind" + (f"; der Name dazu steht in „{named}“" if named else "")
    return _OF_COLUMNS.get(name) or (terms[name].description_de if name in terms else "")


def _delimiter(layout: Layout) -> str | None:
    if layout.reader == "table" and "csv" not in layout.kinds:
        return None
    given = getattr(layout, "delimiter", None)
    return {";": "Semikolon", ",": "Komma", "\t": "Tabulator", "|": "senkrechter Strich"}[given] if given else None


def _labels(layout: Layout) -> list[tuple[str, Coordinates]]:
    if isinstance(layout, BaWorkbook):
        return [
            (f"{heading}: {text}", found)
            for heading, block in layout.blocks.items() if block
            for text, found in block.labels.items()
        ]  # fmt: skip
    if isinstance(layout, StackedTable):
        return [
            *((f"Titel „{title}“", found) for title, found in layout.titles.items()),
            *((f"{kind}: {text}", found) for kind, block in layout.values.items() for text, found in block.items()),
        ]
    sheets = list(layout.sheet_labels.items()) if isinstance(layout, Table) else []
    return [*layout.labels.items(), *((f"Blatt „{name}“", found) for name, found in sheets)]


def _meaning(found: Mapping[str, str], measures: Mapping[str, str], text: str, terms: Mapping[str, Column]) -> str:
    """Coordinates in words: the measure first, then the groups that are not the total."""
    words = [measures.get(found["measure_code"], found["measure_code"])] if "measure_code" in found else []
    for name, code in found.items():
        if name == "category" and code != "total":
            column = terms[name].office_term or "Gliederung" if name in terms else "Gliederung"
            known = wording.code_words("category", code)
            words.append(f"{column}: {known if known != code else text}")
        elif name != "measure_code" and not (words and wording.code_words(name, code) in words[0]):
            words.append(wording.code_words(name, code))
    return ", ".join(words) or "insgesamt"


def _when(layout: Layout, text: str) -> str:
    validity = layout.validity.get(text)
    words = ["kann fehlen"] if text in layout.optional else []
    if validity and validity.since:
        words.append(f"ab {wording.spell_period(validity.since)}")
    if validity and validity.until:
        words.append(f"bis {wording.spell_period(validity.until)}")
    if validity and validity.instead_of:
        words.append(f"statt „{validity.instead_of}“")
    return ", ".join(words)


def _example(contract: Contract, layout: Layout) -> tuple[list[str], list[str]] | None:
    """A row as an office could write it; forms, and what others publish in a layout of their own, have none."""
    if not contract.mendable or not isinstance(layout, Table):
        return None
    code, name = _EXAMPLE_PLACE if "municipality" in contract.levels else ("03157", "Peine")
    period = wording.delivered_period(contract.calendar.first_period, layout) or contract.calendar.first_period
    numbers = ("1.234" if layout.numbers == "german" else "1234", "56", "78", "9", "10", "11")
    known = {"territory_code": code, "territory_name": name, "period_code": period, "value": numbers[0]}
    cells: list[tuple[str, str]] = []
    for column, texts in layout.columns.items():
        cells.append((texts[0], known.get(column, "…")))
    label_columns = layout.label_columns
    first: dict[tuple[tuple[str, str], ...], str] = {}
    for text, found in layout.labels.items():
        if found is not None:
            first.setdefault(tuple(found.items()), text)
    values = [text for key, text in first.items() if any(column == "measure_code" for column, _ in key)]
    groups = [text for text in first.values() if text not in values]
    for aliases in label_columns:
        cells.append((aliases[0], groups[0] if groups else "…"))
    headed = [text for text in values if text not in layout.optional] or [t for t in groups if not label_columns]
    cells += [(text, number) for text, number in zip(headed, numbers, strict=False)]
    if len(headed) > len(numbers):
        cells.append(("…", "…"))
    return [text for text, _ in cells], [text for _, text in cells]


def _signs(contract: Contract) -> Iterator[Html]:
    yield _tag("p", wording.secrecy_sentence(contract))
    lines = wording.sign_lines(contract)
    if lines:
        yield _table(
            ["Zeichen", "Bedeutung"],
            [[sign, text] for sign, text in lines],
            caption="Vereinbarte Zeichen",
            row_heads=True,
        )
    else:
        yield _tag("p", "In den Zahlenspalten sind keine Zeichen vereinbart: Es stehen nur Zahlen.")
    if "leere Zelle" not in dict(lines):
        may = [f"„{text}“" for layout in contract.layouts if isinstance(layout, Form) for text in layout.optional]
        but = f", außer bei {', '.join(may)}" if may else ""
        yield _tag("p", f"Eine leere Zelle ist keine Angabe: Sie wird beanstandet{but}.", class_="quiet")


def _checks(checks: Iterable[Expectation], *, is_mendable: bool) -> Iterator[Html]:
    order = list(wording.SEVERITIES)
    rows, seen = [], set()
    for check in sorted(checks, key=lambda one: order.index(one.severity)):
        key = (check.severity, check.sentence_de)
        if key not in seen:
            seen.add(key)
            word = wording.SEVERITIES[check.severity][0]
            rows.append(
                [Html(f'<span class="badge {check.severity}">{word}</span>'), check.sentence_de, check.expected_de]
            )
    severities = wording.SEVERITIES if is_mendable else {**wording.SEVERITIES, "critical": wording.FAULTS_OF_PUBLISHED}
    items = [Html(_tag("strong", word) + ": " + escape(sentence)) for word, sentence in severities.values()]
    yield _tag("ul", Html("".join(_tag("li", item) for item in items)), class_="legend")
    yield _table(["Art", "Gemeldet wird", "Erwartet wird"], rows, caption="Prüfungen dieses Datensatzes")
    yield _tag("p", "Dazu kommt bei jeder Datei: Sie lässt sich öffnen, hat die vereinbarten, gefüllten Spalten und nennt ihren Zeitraum; "
                    "in den Zahlenspalten stehen Zahlen oder vereinbarte Zeichen, und keine Zeile widerspricht einer anderen.",
               class_="quiet")  # fmt: skip


def _delivery(contract: Contract) -> Iterator[Html]:
    yield _tag("ul", Html("".join(_tag("li", way) for way in wording.ways(contract))))
    if template_layout(contract) is not None:
        yield _tag(
            "p",
            "Zum Ausfüllen gibt es eine Excel-Vorlage mit Auswahllisten und Eingabeprüfung; der Landkreis schickt sie auf Anfrage.",
        )
    if contract.senders:
        rows = [[s.territory_name, s.territory_code, s.contact] for s in contract.senders]
        yield _table(
            ["Gemeinde", "Schlüssel", "Kontakt"],
            rows,
            caption="Jede dieser Gemeinden liefert eine eigene Datei",
            row_heads=True,
        )
    contact = escape(contract.contact)
    linked = f'<a href="mailto:{contact}">{contact}</a>' if "@" in contract.contact else contact
    yield _tag("p", Html(f"Beanstandungen gehen an {linked}. Eine berichtigte Datei wird einfach neu gesendet: Sie ersetzt die frühere, "
                         "die als ältere Fassung erhalten bleibt."))  # fmt: skip


# -------------------------------------------------------------------------------------------------------------- drawing


def _tag(name: str, content: str, **attributes: str) -> Html:
    shown = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{shown}>{_html(content)}</{name}>")


def _html(content: str) -> str:
    return str(content) if isinstance(content, Html) else escape(content)


def _section(title: str, *parts: Html) -> Html:
    return _tag("section", Html(_tag("h2", title) + "".join(parts)))


def _table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    caption: str,
    hide_caption: bool = False,
    row_heads: bool = False,
    wide: bool = False,
) -> Html:
    """A table a screen reader can walk through; empty columns are left out."""
    keep = [n for n, title in enumerate(head) if title or any(row[n] for row in rows)]
    titles = "".join(f'<th scope="col">{_html(head[n]) or "Anmerkung"}</th>' for n in keep)
    body = []
    for row in rows:
        cells = [
            f'<th scope="row">{_html(row[n])}</th>' if row_heads and n == 0 else f"<td>{_html(row[n])}</td>"
            for n in keep
        ]
        body.append(f"<tr>{''.join(cells)}</tr>")
    hidden = ' class="unseen"' if hide_caption else ""
    kind = ' class="example"' if wide else ' class="aligned"' if hide_caption else ""
    return Html(
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table{kind}>'
        f"<caption{hidden}>{escape(caption)}</caption><thead><tr>{titles}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _page(
    title: str, above: str, parts: Sequence[Html], today: date, *, footer: Sequence[str], back: bool = False
) -> str:
    way_back = f'<nav aria-label="Übersicht"><a href="{INDEX}">Alle Datensätze</a></nav>' if back else ""
    lines = "".join(
        _tag("p", line)
        for line in [*footer, f"Stand der Seite: {wording.spell_date(today)}. Erzeugt aus dem Datenvertrag."]
        if line
    )
    return f"""<!doctype html>
<html lang="de">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<a class="skip" href="#inhalt">Zum Inhalt</a>
<header><div><p class="sender">{escape(_COUNTY)}</p>{way_back}<p class="above">{escape(above)}</p><h1>{escape(title)}</h1></div></header>
<main id="inhalt">
{"".join(parts)}
</main>
<footer><div>{lines}</div></footer>
</body>
</html>
"""


_STYLE = """
:root { --ink: #1a2733; --quiet: #51606e; --blue: #1f3a5f; --pale: #eef2f6; --line: #c9d2db; --paper: #fff; }
* { box-sizing: border-box; }
html { scroll-behavior: auto; }
body { margin: 0; color: var(--ink); background: var(--paper);
  font: 1rem/1.55 system-ui, "Segoe UI", "Liberation Sans", Arial, sans-serif; }
header { background: var(--blue); color: #fff; border-bottom: 6px solid #e0b73c; }
header > div, main, footer > div { max-width: 64rem; margin: 0 auto; padding: 1.25rem 1.5rem; }
header a { color: #fff; }
header nav { margin: .75rem 0 0; }
.sender { margin: 0; font-size: .875rem; letter-spacing: .02em; }
.above { margin: 1.25rem 0 0; font-size: 1.05rem; }
h1 { margin: .1rem 0 .5rem; font-size: clamp(1.35rem, 5.5vw, 1.9rem); line-height: 1.2;
  font-weight: 650; text-wrap: balance; hyphens: auto; overflow-wrap: anywhere; }
h2 { margin: 0 0 .75rem; padding-bottom: .3rem; font-size: 1.3rem; color: var(--blue); border-bottom: 2px solid var(--line); }
h3 { margin: 0 0 .25rem; font-size: 1.08rem; }
section { margin: 0 0 2.25rem; }
p, ul { margin: 0 0 .75rem; max-width: 46rem; }
.lead { margin-bottom: 1.75rem; font-size: 1.1rem; }
.quiet { color: var(--quiet); font-size: .925rem; }
a { color: #174a8c; }
a:focus-visible, .scroll:focus-visible { outline: 3px solid #e0b73c; outline-offset: 2px; }
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; top: 1rem; padding: .5rem 1rem; background: #fff; color: var(--ink); }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: 0 2rem; margin: 0; }
.facts > div { padding: .5rem 0; border-bottom: 1px solid var(--line); }
dt { font-size: .85rem; color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
.layout + .layout { margin-top: 2rem; }
.scroll { overflow-x: auto; margin: 0 0 1rem; }
table { border-collapse: collapse; width: 100%; font-size: .94rem; }
caption { text-align: left; font-weight: 600; padding: .5rem 0 .4rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .75rem .45rem .6rem; border-bottom: 1px solid var(--line); }
thead th { background: var(--pale); color: var(--blue); border-bottom: 2px solid var(--blue); }
tbody th { font-weight: 600; overflow-wrap: anywhere; }
.aligned { table-layout: fixed; }
.aligned th:first-child { width: 38%; }
.aligned th:nth-child(2) { width: 14%; }
.aligned th:nth-child(3) { width: 24%; }
.example { font-size: .85rem; font-variant-numeric: tabular-nums; }
.example td { background: #fffbea; white-space: nowrap; }
.badge { display: inline-block; min-width: 5rem; padding: .05rem .5rem; border: 1px solid; border-radius: .2rem;
  text-align: center; font-size: .85rem; font-weight: 600; }
.critical { color: #8c1515; background: #fdeeee; }
.warning { color: #6d4700; background: #fff6df; }
.info { color: #174a8c; background: #edf4fd; }
.legend { padding-left: 1.2rem; }
footer { background: var(--pale); border-top: 1px solid var(--line); font-size: .875rem; color: var(--quiet); }
footer p { margin: 0 0 .2rem; max-width: none; }
@media print {
  @page { size: A4; margin: 18mm 15mm; }
  body { font-size: 10pt; }
  header { background: none; color: #000; border-bottom: 2pt solid #000; }
  header nav, .skip { display: none; }
  header > div, main, footer > div { max-width: none; padding: 0; }
  main { padding-top: 6mm; }
  h2 { break-after: avoid; }
  tr, .facts > div { break-inside: avoid; }
  thead { display: table-header-group; }
  .scroll { overflow: visible; }
  .example td { white-space: normal; }
  a { color: inherit; }
  footer { background: none; }
}
"""
