"""What was agreed about messages: who speaks, when, to whom and by which channel.

The packaged ``follow_up.yml`` holds every key; a file of that name in the home replaces the keys it has, group by group.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PrivateAttr, ValidationError

from teilhabe.codes.office_time import OFFICE_TIME
from teilhabe.contract.layouts import Strict
from teilhabe.contract.model import MAIL_ADDRESS
from teilhabe.errors import ContractError
from teilhabe.landing import Credentials
from teilhabe.settings import Settings
from teilhabe.system import agreed

if TYPE_CHECKING:
    from teilhabe.contract.model import Contract

FILE = "follow_up.yml"
_DESCRIBED = "docs/reference/messages.md"
TEXTS = "texts"
"""Folder of the home with texts that replace the packaged ones."""

Channel = Literal["smtp", "webhook", "drop"]
OfficeKind = Literal["verdict", "repeat", "receipt", "reminder", "overdue", "escalation", "closing"]
GetCredentials = Callable[[str], Credentials]


Address = Annotated[str, Field(pattern=f"^{MAIL_ADDRESS}$")]


class Coordination(Strict):
    """Who signs, and whom the offices ask back."""

    name: str = Field(min_length=1)
    address: Address
    phone: str | None = None


class Operators(Strict):
    """The data engineers; without an address their alerts are kept, but reach nobody."""

    address: Address | None = None
    channel: Channel | None = None


class QuietHours(Strict):
    """When no office is written to; in the offices' own time. Equal times: no hour of the day is quiet."""

    start: time = Field(alias="from")
    until: time
    weekends: bool
    holidays: bool


class Retry(Strict):
    """``minutes`` until the second attempt; each further one waits twice as long, four hours at most."""

    attempts: int = Field(ge=1)
    minutes: int = Field(ge=1)


class Attachment(Strict):
    """How large the workbook beside a verdict may become."""

    rows: int = Field(ge=1, le=100_000)
    megabytes: float = Field(gt=0, le=50)


class Channels(Strict):
    default: Literal["smtp", "webhook", "drop", "auto"]
    """``auto``: by mail where there is a connection for it, else into the folder, so that nothing is sent by accident."""


class Connection(Strict):
    connection: str = Field(min_length=1)


class Office(Strict):
    """What differs for an agency, one of its datasets or a municipality."""

    channel: Channel | None = None
    addresses: list[Address] | None = None
    """Instead of the contract's contact; an empty list is nobody, which the operators are told."""
    escalation: Address | None = None
    kinds: list[OfficeKind] | None = None
    """The only messages it gets: an office that publishes data we fetch need not be thanked or reminded."""


_LONGEST_WAIT = timedelta(hours=4)


class Policy(Strict):
    """All of it. Unknown keys fail."""

    county: str = Field(min_length=1)
    coordination: Coordination
    operators: Operators
    desk_url: str | None = Field(pattern=r"^https?://\S+$")
    quiet_hours: QuietHours | None
    rate_limit_per_hour: int = Field(ge=1)
    rate_limit_per_day: int = Field(ge=1)
    reminder_days: int = Field(ge=0)
    reply_days: int = Field(ge=1)
    escalation_days: int = Field(ge=0)
    retry: Retry
    low_disk_percent: float = Field(ge=0, lt=100)
    attachment: Attachment
    channels: Channels
    smtp: Connection
    webhook: Connection
    offices: dict[str, Office]

    _settings: Settings = PrivateAttr()
    _default: Channel = PrivateAttr(default="drop")

    @property
    def settings(self) -> Settings:
        return self._settings

    def recipient(self, contract: Contract, sender: str | None) -> Recipient:
        """Who hears about a dataset (and municipality); the most special entry of ``offices`` counts, key by key."""
        known = next((one for one in contract.senders if one.territory_code == sender), None)
        asked = [self.offices[key] for key in (sender, contract.dataset_id, contract.agency) if key in self.offices]
        addresses = next((one.addresses for one in asked if one.addresses is not None), None)
        if addresses is None:
            contact = known.contact if known else contract.contact
            addresses = [contact] if re.fullmatch(MAIL_ADDRESS, contact) else []
        second = [one.escalation for one in asked if one.escalation]
        kinds = next((one.kinds for one in asked if one.kinds is not None), None)
        channels = [one.channel for one in asked if one.channel]
        return Recipient(
            name=known.territory_name if known else contract.office,
            addresses=tuple(addresses),
            escalation=next(iter(second), contract.escalation_contact or self.coordination.address),
            channel=next(iter(channels), self._default),
            kinds=None if kinds is None else frozenset(kinds),
        )

    @property
    def desk(self) -> str:
        """Where the desk is reached, for links."""
        return (self.desk_url or _desk_below_airflow(self.settings)).rstrip("/")

    @property
    def operators_channel(self) -> Channel:
        return self.operators.channel or self._default

    def next_moment(self, now: datetime) -> datetime:
        """From when on an office may be written to: ``now``, or the end of the quiet hours it falls into."""
        quiet = self.quiet_hours
        if quiet is None:
            return now
        local = now.astimezone(OFFICE_TIME)
        while True:
            if self._is_quiet_day(local, quiet):
                local = _at(local + timedelta(days=1), time(0))
            elif _within(local.time(), quiet):
                day = local if local.time() < quiet.until else local + timedelta(days=1)
                local = _at(day, quiet.until)
            else:
                return now if local <= now else local.astimezone(now.tzinfo)

    @staticmethod
    def _is_quiet_day(local: datetime, quiet: QuietHours) -> bool:
        from teilhabe.codes.holidays import working_day

        if local.weekday() > 4:
            return quiet.weekends
        return quiet.holidays and not working_day(local.date())

    def wait(self, attempts: int) -> timedelta:
        """Until the next attempt, after so many."""
        return min(_LONGEST_WAIT, timedelta(minutes=self.retry.minutes * 2 ** max(0, min(attempts - 1, 10))))


@dataclass(frozen=True)
class Recipient:
    """An office, as messages address it."""

    name: str
    addresses: tuple[str, ...]
    escalation: str
    channel: Channel
    kinds: frozenset[str] | None = None

    def wants(self, kind: str) -> bool:
        return self.kinds is None or kind in self.kinds

    @property
    def address(self) -> str | None:
        """As ``ops.message.recipient`` holds it; None where there is nobody."""
        return ", ".join(self.addresses) or None


def load_policy(settings: Settings, credentials: GetCredentials | None = None) -> Policy:
    """The policy of a home; ``ContractError`` names file and key.

    ``credentials`` is asked whether mail can be sent; without it, ``auto`` is the folder.
    """
    return _policy(settings, credentials, agreed.own(settings.home / FILE, _DESCRIBED))


def load_alert_policy(settings: Settings, credentials: GetCredentials) -> Policy:
    """What can be understood of the policy: an alert must reach somebody also when the file that says whom is at fault.

    Groups with a mistake count as if they were not there. Only alerts may be sent by it.
    """
    try:
        own = agreed.own(settings.home / FILE, _DESCRIBED)
    except ContractError:
        own = {}
    understood: dict[str, Any] = {}
    for key, value in own.items():
        with suppress(ContractError):
            _policy(settings, None, {key: value})
            understood[key] = value
    return _policy(settings, credentials, understood)


def _policy(settings: Settings, credentials: GetCredentials | None, own: Mapping[str, Any]) -> Policy:
    path = settings.home / FILE
    packaged = agreed.parsed(
        files("teilhabe.messages").joinpath(FILE).read_text(encoding="utf-8"), Path(FILE), _DESCRIBED
    )
    try:
        policy = Policy.model_validate(agreed.merged(packaged, own))
    except ValidationError as error:
        raise agreed.refusal(path, error) from None
    policy._settings = settings
    policy._default = _default_channel(policy, credentials)
    return policy


def _default_channel(policy: Policy, credentials: GetCredentials | None) -> Channel:
    if policy.channels.default != "auto":
        return policy.channels.default
    if credentials is None:
        return "drop"
    try:
        return "smtp" if credentials(policy.smtp.connection).host else "drop"
    except ContractError:
        return "drop"


def _desk_below_airflow(settings: Settings) -> str:
    """At the public address, or as the environment of Airflow says; else at the port this home's Airflow has chosen."""
    if settings.public_url:
        return f"{settings.public_url}/desk"
    if base := os.environ.get("AIRFLOW__API__BASE_URL"):
        return f"{base.rstrip('/')}/desk"
    try:
        port = int((settings.run / "airflow.port").read_text())
    except (OSError, ValueError):
        port = 8080
    return f"http://127.0.0.1:{port}/desk"


def _at(day: datetime, clock: time) -> datetime:
    return datetime.combine(day.date(), clock, tzinfo=OFFICE_TIME)


def _within(clock: time, quiet: QuietHours) -> bool:
    """Quiet hours may reach over midnight."""
    if quiet.start <= quiet.until:
        return quiet.start <= clock < quiet.until
    return clock >= quiet.start or clock < quiet.until
