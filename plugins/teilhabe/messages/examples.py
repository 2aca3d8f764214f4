"""Messages with made-up matter, to see what an office would read: ``teilhabe messages preview``."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teilhabe.codes import wording
from teilhabe.codes.office_time import spell_moment
from teilhabe.contract import delivery_calendar
from teilhabe.errors import Evidence, Finding
from teilhabe.messages import compose, evidence, writing
from teilhabe.messages.rendering import Kind, Text, render
from teilhabe.ops import Delivery

if TYPE_CHECKING:
    from teilhabe.contract.model import Contract
    from teilhabe.messages.policy import Policy, Recipient

_FILE = "Beispiel.csv"
_WRONG = "ca. 120"


@dataclass(frozen=True)
class Example:
    text: Text
    workbook: bytes | None = None


def example(policy: Policy, contract: Contract, kind: Kind, now: datetime) -> Example:
    """The message of a kind about a dataset, as it would read at ``now``."""
    sender = contract.senders[0].territory_code if contract.senders else None
    recipient = policy.recipient(contract, sender)
    facts = _Facts(policy, contract, recipient, now, _period(contract, now))
    if kind == "verdict":
        return _verdict(facts, sender)
    return Example(render(policy, kind, {"is_demo": False, "url": policy.desk, **_CONTEXTS[kind](facts)}))


@dataclass(frozen=True)
class _Facts:
    policy: Policy
    contract: Contract
    recipient: Recipient
    now: datetime
    period: str

    @property
    def base(self) -> dict[str, Any]:
        return {
            "dataset": self.contract.title_de,
            "office": self.recipient.name,
            "period": wording.spell_period(self.period),
            "ways": writing.ways(self.policy, self.contract),
            "url": f"{self.policy.desk}/deliveries/1",
        }

    def day(self, days: int) -> str:
        return wording.spell_date(delivery_calendar.today(self.now) + timedelta(days=days))


def _period(contract: Contract, now: datetime) -> str:
    ended = wording.ended_periods(contract, delivery_calendar.today(now))
    return ended[-1] if ended else contract.calendar.first_period


def _verdict(facts: _Facts, sender: str | None) -> Example:
    contract, now = facts.contract, facts.now
    names = [column.office_term or column.name for column in contract.columns[:6]]
    rows = [names, *([f"{name} {n}" for name in names[:-1]] + [_WRONG if n == 2 else str(100 + n)] for n in (1, 2, 3))]
    out = io.StringIO()
    csv.writer(out, delimiter=";").writerows(rows)
    finding = Finding(
        "critical",
        "value.not_a_number",
        "",
        row=3,
        column=names[-1],
        found=_WRONG,
        expected="eine Zahl oder ein vereinbartes Zeichen",
        evidence=(Evidence(3, names[-1], _WRONG),),
        what="{place}„{found}“ ist keine Zahl und kein vereinbartes Zeichen",
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _FILE
        path.write_text(out.getvalue(), encoding="utf-8")
        made = evidence.workbook(
            contract,
            path,
            _FILE,
            [finding],
            rows=10,
            size=1_000_000,
            complete_at=f"{facts.policy.desk}/deliveries/1",
        )
    delivery = Delivery(
        1, contract.dataset_id, _FILE, "", 0, now.astimezone(UTC), None, "", facts.period, "", "quarantined", None, None, None,
        None, None, sender, None,
    )  # fmt: skip
    context = compose.verdict_context(
        facts.policy,
        contract,
        facts.recipient,
        delivery,
        [finding],
        reply_by=delivery_calendar.today(now) + timedelta(days=7),
        periods=[facts.period],
        attachment="Beanstandungen_1.xlsx",
    )
    return Example(render(facts.policy, "verdict", context), made)


def _receipt(facts: _Facts) -> dict[str, Any]:
    following = next(iter(wording.next_due(facts.contract, delivery_calendar.today(facts.now), 1)), None)
    one = {
        "file": _FILE,
        "received": spell_moment(facts.now),
        "period": wording.spell_period(facts.period),
        "taken": wording.how_much(1234, rows=facts.contract.layouts[0].is_one_per_row),
    }
    due = following and {
        "day": wording.spell_date(following.due_on),
        "period": wording.spell_period(following.period_code),
    }
    return {**facts.base, "file_count": 1, "deliveries": [one], "next_due": due}


def _repeat(facts: _Facts) -> dict[str, Any]:
    moments = {
        "received": spell_moment(facts.now),
        "first": spell_moment(facts.now - timedelta(days=1)),
    }
    return {**facts.base, **moments, "file": f"„{_FILE}“", "is_mended": False}


def _due(facts: _Facts) -> dict[str, Any]:
    return {
        **facts.base,
        "due_on": facts.day(facts.policy.reminder_days),
        "grace_until": facts.day(0),
        "withdrawn_on": None,
    }


def _overdue(facts: _Facts) -> dict[str, Any]:
    grace = facts.contract.calendar.grace_days
    return {**facts.base, "due_on": facts.day(-grace - 1), "grace_until": facts.day(-1), "withdrawn_on": None}


def _escalation(facts: _Facts) -> dict[str, Any]:
    matters = ["Die Lieferung ist überfällig und nicht eingegangen."]
    return {**facts.base, "matters": matters, "more_matters": 0, "told": facts.recipient.address}


def _closing(facts: _Facts) -> dict[str, Any]:
    matters = [f"„{_WRONG}“ ist keine Zahl und kein vereinbartes Zeichen."]
    received = spell_moment(facts.now)
    return {**facts.base, "file": _FILE, "received": received, "matters": matters, "matter_count": 1}


def _operators(facts: _Facts) -> dict[str, Any]:
    return {
        "subject": f"Quelle nicht erreichbar: deliver__{facts.contract.dataset_id}",
        "text": "Task deliver: daten.example.org: did not answer in time.",
    }


_CONTEXTS: Mapping[Kind, Callable[[_Facts], dict[str, Any]]] = {
    "repeat": _repeat,
    "receipt": _receipt,
    "reminder": _due,
    "overdue": _overdue,
    "escalation": _escalation,
    "closing": _closing,
    "operators": _operators,
}
