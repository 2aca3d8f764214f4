"""Who may do what, in the terms of Airflow's accounts: the desk's own resources and the roles made of them.

Offices have no right on a DAG: whoever may edit one may pause it. What they may do is a right on a resource of the desk's own,
for all datasets, those of an agency or a single one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from teilhabe.airflow.names import APPROVALS_DAG
from teilhabe.errors import TeilhabeError

if TYPE_CHECKING:
    from teilhabe.contract.model import Contract

DELIVERIES = "Deliveries"
READ, HAND_IN, WAIVE = "can_read", "can_create", "can_edit"
"""Actions on it: see; hand in files, comment and take out what was handed in; let incidents rest and decide what counts."""

AUTOMATION = "teilhabe"
"""The account of commands and of the desk, so that nothing depends on the password of a person. It has none itself."""

ADMIN = "admin"
"""The account of the first person."""

Kind = Literal["office", "municipality", "county", "analyst", "admin"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Permission = tuple[str, str]
"""An action on a resource."""

_OWN_PASSWORD: tuple[Permission, ...] = (("can_read", "My Password"), ("can_edit", "My Password"))
SENDER_ROLE = "sender_"
"""A role of this prefix and a territory code restricts its account to what that municipality owes and sent."""
_OFFICE_ROLE = "office_"
_LONGEST_ROLE = 64


@dataclass(frozen=True)
class Role:
    """A role by name and all it may."""

    name: str
    permissions: tuple[Permission, ...]


ANALYST = Role("analyst", ((READ, DELIVERIES), *_OWN_PASSWORD))
COUNTY = Role(
    "county",
    (
        (READ, DELIVERIES),
        (HAND_IN, DELIVERIES),
        (WAIVE, DELIVERIES),
        # Questions about warnings are answered in Airflow, which asks for the right to edit their DAG - this one only.
        ("can_read", f"DAG:{APPROVALS_DAG}"),
        ("can_edit", f"DAG:{APPROVALS_DAG}"),
        ("can_read", "HITL Detail"),
        ("can_edit", "HITL Detail"),
        ("menu_access", "HITL Detail"),
        ("can_read", "DAG Runs"),
        ("can_read", "DAG Versions"),
        ("can_read", "Task Instances"),
        ("can_read", "Plugins"),
        ("can_read", "Website"),
        *_OWN_PASSWORD,
    ),
)
_OF_COMMANDS = Role(
    "automation",
    (
        ("can_read", "DAGs"),
        ("can_edit", "DAGs"),
        ("can_read", "DAG Runs"),
        ("can_create", "DAG Runs"),
        ("can_read", "Task Instances"),
        ("can_read", "Task Logs"),
        ("can_read", "ImportError"),
    ),
)
ALWAYS = (ANALYST, COUNTY, _OF_COMMANDS)
"""Roles every installation has."""


def resources_of(dataset_id: str) -> tuple[str, str, str]:
    """The resources a right on which is a right on the dataset."""
    agency = dataset_id.partition("__")[0]
    return DELIVERIES, f"{DELIVERIES}:{agency}", f"{DELIVERIES}:{dataset_id}"


def office_role(whose: str) -> Role:
    """Of an agency or one of its datasets."""
    resource = f"{DELIVERIES}:{whose}"
    return Role(f"{_OFFICE_ROLE}{whose}", ((READ, resource), (HAND_IN, resource), *_OWN_PASSWORD))


def municipality_role(territory_code: str) -> Role:
    """Of all datasets, of which the desk then shows only what that municipality owes and sent."""
    return Role(f"{SENDER_ROLE}{territory_code}", ((READ, DELIVERIES), (HAND_IN, DELIVERIES), *_OWN_PASSWORD))


def is_of_office(role: str) -> bool:
    """Whether a role is named as those of offices and municipalities are."""
    return role.startswith((_OFFICE_ROLE, SENDER_ROLE))


def roles_for(kind: Kind, whose: Iterable[str], contracts: Iterable[Contract]) -> list[Role]:
    """The roles of an account of this kind for these agencies, datasets or municipalities.

    Raises:
        TeilhabeError: one is not known, or none is named where one is needed.
    """
    wanted, known = list(dict.fromkeys(whose)), list(contracts)
    if kind in ("county", "analyst", "admin"):
        if wanted:
            raise TeilhabeError(
                f"An account of kind {kind} sees all datasets; --for belongs to offices and municipalities."
            )
        return {"county": [COUNTY], "analyst": [ANALYST], "admin": [Role("Admin", ())]}[kind]
    if not wanted:
        example = "--for civic or --for civic__sports_clubs" if kind == "office" else "--for 03157005"
        raise TeilhabeError(f"Say for whom an account of kind {kind} is, for example {example}.")
    if kind == "office":
        agencies = {one.agency for one in known}
        of, what = agencies | {one.dataset_id for one in known}, "agency or dataset"
        rest = f"Agencies: {', '.join(sorted(agencies))}; their datasets: teilhabe contracts list."
    else:
        of = {sender.territory_code for one in known for sender in one.senders}
        what = "municipality that a contract names as a sender"
        rest = f"Known: {', '.join(sorted(of)) or 'none'}."
    if strange := [one for one in wanted if one not in of]:
        raise TeilhabeError(f"There is no {what} {', '.join(strange)}. {rest}")
    roles = [office_role(one) if kind == "office" else municipality_role(one) for one in wanted]
    if too_long := [role.name for role in roles if len(role.name) > _LONGEST_ROLE]:
        raise TeilhabeError(
            f"Airflow takes no name of a role longer than {_LONGEST_ROLE} characters: {', '.join(too_long)}."
        )
    return roles
