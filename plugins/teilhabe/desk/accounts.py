"""Who is asking, and what they may see and do. Rights belong to Airflow; the desk only asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fastapi import HTTPException, status

READ_ONLY = "Ihr Konto darf hier lesen, aber nichts ändern. Bitte die Koordinierungsstelle fragen."
NO_DECISION = "Ob Zahlen gelten, entscheidet die Koordinierungsstelle. Bitte dort fragen."
SENDER_ROLE = "sender_"
"""A role of this prefix and a territory code restricts its account to what that municipality owes and sent."""


@dataclass(frozen=True)
class Account:
    """A signed-in account. ``may_read`` and ``may_edit`` answer for a dataset id."""

    name: str
    may_read: Callable[[str], bool]
    may_edit: Callable[[str], bool]
    senders: frozenset[str] = frozenset()
    """Territory codes the account is restricted to; empty: all senders."""
    is_operator: bool = False
    """May see what is meant for the data engineers."""
    may_decide: bool = False
    """May answer in Airflow whether deliveries with warnings are loaded, withdraw what was loaded, and have what was refused
    loaded without its faulty rows."""
    credential: Callable[[], str] | None = None
    """Issues a short-lived token with which Airflow's own interface acts for the account."""

    def require_edit(self, dataset_id: str) -> None:
        """403 unless the account may act on the dataset."""
        if not self.may_edit(dataset_id):
            raise HTTPException(status.HTTP_403_FORBIDDEN, READ_ONLY)

    def require_decision(self, dataset_id: str) -> None:
        """403 unless the account may decide what of the dataset counts."""
        self.require_edit(dataset_id)
        if not self.may_decide:
            raise HTTPException(status.HTTP_403_FORBIDDEN, NO_DECISION)


@dataclass(frozen=True)
class Scope:
    """What an account may see, as queries take it."""

    datasets: list[str]
    senders: list[str] | None
    """None: all senders."""
    operators: bool
    """Messages to the data engineers are shown as well."""

    @property
    def is_unrestricted(self) -> bool:
        return self.senders is None

    @classmethod
    def of(cls, account: Account, datasets: Iterable[str]) -> Scope:
        return cls(
            datasets=[name for name in datasets if account.may_read(name)],
            senders=sorted(account.senders) or None,
            operators=account.is_operator and not account.senders,
        )


def senders_of_roles(roles: Iterable[str]) -> frozenset[str]:
    """The territory codes a list of role names restricts to."""
    return frozenset(role.removeprefix(SENDER_ROLE) for role in roles if role.startswith(SENDER_ROLE))
