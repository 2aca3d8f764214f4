"""What every observation has to be, whatever its dataset: the rules the build relies on, asked when a file is judged.

The build holds the same rules against what it reads (macro ``observation_faults``); a test generates rows for each rule on both
sides. What breaks one here is refused in its office's words; what broke one there would hold up a build.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from teilhabe.codes.periods import period_end

if TYPE_CHECKING:
    import pyarrow as pa

OBS_STATUS = ("A", "P", "E", "U", "Q", "O", "M")
CONF_STATUS = ("F", "C", "D")
WITHOUT_VALUE = ("Q", "O", "M")
NEVER_WITH_VALUE = ("Q", "M")

_TERRITORY = re.compile(r"DG|[0-9]{2,9}")
_PERIOD = re.compile(
    r"[0-9]{4}(-(H[12]|Q[1-4]|(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?))?|(SY|AY|WH|SH)[0-9]{4}", re.ASCII
)
_COUNT = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,20})?")
FIRST_YEAR, LAST_YEAR = 1900, 2100
_FIRST_OF_BAD_BYTES = (0x00, 0xED)
"""With these begins, in UTF-8, what no text may hold; 0xED also begins some letters of Korean."""
LARGEST = Decimal(10) ** 15
"""Far above whatever is counted in Germany in euros; beyond it a number is a slip, and sums lose their digits."""

REQUIRED = ("measure_code", "territory_code", "period_code", "nationality", "sex", "age_band", "category")
TEXTS = (*REQUIRED, "obs_status", "conf_status", "territory_name", "category_name")

Row = Mapping[str, str | None]


@dataclass(frozen=True)
class Rule:
    """``sentence`` says what is wrong with „{found}“, ``expected`` what should be there instead."""

    name: str
    sentence: str
    expected: str


RULES = (
    Rule("required", "eine Angabe fehlt", "eine Angabe in jeder Zeile"),
    Rule("territory", "„{found}“ ist kein amtlicher Gebietsschlüssel", "DG oder 2 bis 9 Ziffern"),
    Rule("period", "„{found}“ ist kein Zeitraum", f"ein Zeitraum der Jahre {FIRST_YEAR} bis {LAST_YEAR}"),
    Rule("status", "„{found}“ ist kein vereinbarter Status", "ein vereinbarter Status"),
    Rule(
        "value",
        "„{found}“ ist keine Zahl, die gezählt worden sein kann",
        "eine Zahl mit höchstens 15 Stellen vor dem Komma",
    ),
    Rule("reason", "weder Zahl noch Grund, warum keine da ist", "eine Zahl oder ein vereinbartes Zeichen"),
    Rule("secret", "Zahl und Sperrvermerk stehen beieinander", "entweder eine Zahl oder ein Sperrvermerk"),
    Rule("text", "der Text enthält ein Zeichen, das in keinem Text stehen kann", "Text ohne Steuerzeichen"),
)


def faults(row: Row) -> set[str]:
    """Names of the rules a row of ``TEXTS`` and ``value`` breaks."""
    value, obs, conf = row.get("value"), row.get("obs_status"), row.get("conf_status")
    broken = {
        "required": any(row.get(name) is None for name in REQUIRED) or obs is None or conf is None,
        "territory": not is_territory(row.get("territory_code")),
        "period": not is_period(row.get("period_code")),
        "status": (obs is not None and obs not in OBS_STATUS) or (conf is not None and conf not in CONF_STATUS),
        "value": not is_value(value),
        "reason": value is None and conf == "F" and obs not in WITHOUT_VALUE,
        "secret": value is not None and (conf != "F" or obs in NEVER_WITH_VALUE),
        "text": not all(is_text(row.get(name)) for name in TEXTS),
    }
    return {name for name, is_broken in broken.items() if is_broken}


def is_territory(code: str | None) -> bool:
    return code is None or bool(_TERRITORY.fullmatch(code))


def is_period(code: str | None) -> bool:
    """Of the form of a period code, in a year people count in, and on the calendar: not 31 April."""
    if code is None:
        return True
    if not _PERIOD.fullmatch(code):
        return False
    year = int(re.sub(r"\D", "", code)[:4])
    return FIRST_YEAR <= year <= LAST_YEAR and period_end(code) is not None


def is_value(text: str | None) -> bool:
    """A finite decimal number of a size that can be counted."""
    if text is None or _COUNT.fullmatch(text):
        return True
    if not text.isascii() or "_" in text:
        return False
    try:
        number = Decimal(text)
    except InvalidOperation:
        return False
    return number.is_finite() and abs(number) < LARGEST


def wrong_places(rule: str, texts: pa.StringArray) -> list[int]:
    """Where among these texts one breaks the rule ``value``, ``period`` or ``text``.

    Numbers hardly repeat, so a file has as many texts as rows: a look at all of them at once finds the few that are doubtful.
    """
    import numpy as np
    import pyarrow.compute as pc

    from teilhabe.columns.bytewise import buffers

    is_right: Callable[[str], bool]
    doubtful: Iterable[int]
    if rule == "value":
        is_right = is_value
        doubtful = pc.indices_nonzero(pc.invert(pc.match_substring_regex(texts, f"^(?:{_COUNT.pattern})$"))).to_pylist()
    elif rule == "text":
        is_right = is_text
        data, _ = buffers(texts)
        doubtful = range(len(texts)) if np.isin(data, _FIRST_OF_BAD_BYTES).any() else []
    else:
        is_right, doubtful = is_period, range(len(texts))
    return [place for place in doubtful if not is_right(texts[place].as_py())]


def is_text(text: str | None) -> bool:
    """PostgreSQL takes no zero byte and no half of a surrogate pair."""
    return text is None or not any(c == "\x00" or "\ud800" <= c <= "\udfff" for c in text)
