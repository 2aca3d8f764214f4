"""What a person sees who decides whether a delivery with warnings is loaded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from teilhabe.codes import wording
from teilhabe.codes.office_time import OFFICE_TIME, spell_time
from teilhabe.findings import saying

if TYPE_CHECKING:
    from teilhabe.contract.model import Contract
    from teilhabe.errors import Finding
    from teilhabe.ops import Question

PUBLISH, REFUSE = "Übernehmen", "Zurückweisen"

_SHOWN_FINDINGS = 20
_SHOWN_ROWS = 5
_LONGEST = 500
_MARKUP = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]<>()#+-.!|~&$"})
_ADDRESS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?=@)", re.IGNORECASE)
"""Where an address is recognised: a page makes links of bare ones, whatever is escaped in them."""
_UNSEEN = "\N{WORD JOINER}"


def body(question: Question, findings: Sequence[Finding], contract: Contract) -> str:
    """The evidence as Markdown; whatever comes from the file shows as the text it is.

    More people may read the question than may take out the file, so numbers the contract keeps secret are not in it.
    """
    until = question.expires_at.astimezone(OFFICE_TIME)
    warnings = [finding for finding in findings if finding.severity == "warning"]
    lines = [
        f"**{contract.office}** hat Zahlen geliefert, die geladen werden können, aber auffallen.",
        f"Ohne Antwort werden sie am {wording.spell_date(until.date())} um {spell_time(until)} übernommen.",
        "",
    ]
    secrecy = contract.secrecy_method
    for finding in warnings[:_SHOWN_FINDINGS]:
        said = saying.say(finding, secrecy, with_place=False, with_count=False).rstrip(".")
        lines.append(f"- {_text(said)} ({saying.counted(finding)})")
        for one in finding.evidence[:_SHOWN_ROWS]:
            where = saying.place(finding, one).words()
            found = saying.found_in_full(one, secrecy) or saying.EMPTY
            lines.append(f"    - {_text(f'{where}: {found}' if where else found)}")
    if len(warnings) > _SHOWN_FINDINGS:
        rest = len(warnings) - _SHOWN_FINDINGS
        lines.append(f"- … und {saying.number(rest)} weitere Warnung{'en' if rest != 1 else ''}")
    return "\n".join(lines)


def _text(value: str) -> str:
    from teilhabe.messages.rendering import plain

    return _ADDRESS.sub(_UNSEEN, plain(value, _LONGEST)).translate(_MARKUP)
