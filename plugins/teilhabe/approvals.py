"""What a person sees who decides whether a delivery with warnings is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from teilhabe import wording
from teilhabe.delivery_calendar import OFFICE_TIME

if TYPE_CHECKING:
    from teilhabe.contracts import Contract
    from teilhabe.errors import Finding
    from teilhabe.ops import Question

PUBLISH, REFUSE = "Übernehmen", "Zurückweisen"

_SHOWN_FINDINGS = 20
_SHOWN_ROWS = 5
_MARKUP = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]<>()#+-.!|~"})


def body(question: Question, findings: Sequence[Finding], contract: Contract) -> str:
    """The evidence as Markdown; whatever comes from the file shows as the text it is."""
    until = question.expires_at.astimezone(OFFICE_TIME)
    warnings = [finding for finding in findings if finding.severity == "warning"]
    lines = [
        f"**{contract.office}** hat Zahlen geliefert, die geladen werden können, aber auffallen.",
        f"Ohne Antwort werden sie am {wording.spell_date(until.date())} um {until:%H:%M} Uhr übernommen.",
        "",
    ]
    for finding in warnings[:_SHOWN_FINDINGS]:
        lines.append(f"- {_text(finding.message)} ({finding.row_count:,} Zeilen, Regel {_text(finding.rule)})")
        for place in finding.evidence[:_SHOWN_ROWS]:
            where = " ".join(filter(None, [f"Zeile {place.row}" if place.row else "", place.column or ""]))
            lines.append(f"    - {_text(where)}: {_text(place.found or 'leer')}")
    if len(warnings) > _SHOWN_FINDINGS:
        lines.append(f"- … und {len(warnings) - _SHOWN_FINDINGS} weitere Warnungen")
    return "\n".join(lines)


def _text(value: str) -> str:
    return " ".join(value.split()).translate(_MARKUP)
