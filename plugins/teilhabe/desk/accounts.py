"""Who is asking, and what they may see and do. Rights belong to Airflow; the desk only asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fastapi import HTTPException, status

from teilhabe.airflow.rights import SENDER_ROLE

READ_ONLY = "Ihr Konto darf hier lesen, aber nichts ändern. Bitte die Koordinierungsstelle fragen."
NO_DECISION = "Ob Zahlen gelten, entscheidet die Koordinierungsstelle. Bitte dort fragen."
NO_WAIVER = "Ausnahmen lässt die Koordinierungsstelle zu. Bitte dort fragen; eine Notiz erreicht sie."


@dataclass(frozen=True)
class Account:
    """A signed-in account. What it may answers for a dataset id."""

    name: str
    may_read: Callable[[str], bool]
    may_hand_in: Callable[[str], bool]
    """Hand in files, take out what was handed in, take up incidents and comment on them."""
    may_waive: Callable[[str], bool] = lambda _: False
    """Let incidents rest: nobody is to be judge in its own cause, so offices may not."""
    senders: frozenset[str] = frozenset()
    """Territory codes the account is restricted to; empty: all senders."""
    works_in_airflow: bool = True
    """May see pages of Airflow as well."""
    is_operator: bool = False
    """May see what is meant for the data engineers."""
    may_decide: bool = False
    """May answer in Airflow whether deliveries with warnings are loaded, withdraw what was loaded, and have what was refused
    loaded without its faulty rows."""

    def require_hand_in(self, dataset_id: str) -> None:
        """403 unless the account may hand in files of the dataset."""
        if not self.may_hand_in(dataset_id):
            raise HTTPException(status.HTTP_403_FORBIDDEN, READ_ONLY)

    def require_waiver(self, dataset_id: str) -> None:
        """403 unless the account may let incidents of the dataset rest."""
        self.require_hand_in(dataset_id)
        if not self.may_waive(dataset_id):
            raise HTTPException(status.HTTP_403_FORBIDDEN, NO_WAIVER)

    def decides(self, dataset_id: str) -> bool:
        """Whether the account may decide what of the dataset counts."""
        return self.may_waive(dataset_id) and self.may_decide

    def require_decision(self, dataset_id: str) -> None:
        """403 unless the account may decide what of the dataset counts."""
        self.require_hand_in(dataset_id)
        if not self.decides(dataset_id):
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
