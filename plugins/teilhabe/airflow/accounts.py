"""Accounts and their roles, made and changed in Airflow's own tables by Airflow's own code.

That code reconfigures every process it is imported in, so each order is carried out by a process of its own: ``ask`` starts
it, ``serve`` is it.
"""

from __future__ import annotations

import json
import secrets as random_source
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from teilhabe.airflow import configuration, metadata, processes
from teilhabe.airflow.client import PASSWORD_FILE
from teilhabe.airflow.rights import ADMIN, ALWAYS, AUTOMATION, DELIVERIES, HAND_IN, READ, Role, is_of_office
from teilhabe.errors import ServiceError, TeilhabeError
from teilhabe.server import embedded
from teilhabe.settings import Settings, get_settings, secret

if TYPE_CHECKING:
    from airflow.providers.fab.auth_manager.security_manager.override import (
        FabAirflowSecurityManagerOverride as Manager,
    )

SHORTEST_PASSWORD = 12


def new_password() -> str:
    """One that nobody guesses and a person can type."""
    signs = "abcdefghijkmnpqrstuvwxyz23456789"
    return "-".join("".join(random_source.choice(signs) for _ in range(5)) for _ in range(4))


def checked_password(password: str) -> str:
    """A password a person has chosen.

    Raises:
        TeilhabeError: it is too short.
    """
    if len(password) < SHORTEST_PASSWORD:
        raise TeilhabeError(f"A password has at least {SHORTEST_PASSWORD} characters.")
    return password


def add(
    settings: Settings, name: str, roles: Iterable[Role], *, full_name: str, mail: str | None, password: str | None
) -> None:
    """Make an account. Without a password nobody can sign in with one: the county's own login has to let it in."""
    given = {"name": name, "full_name": full_name, "mail": mail or f"{name}@localhost", "password": password}
    ask(settings, "add", **given, roles=[[role.name, role.permissions] for role in roles])


def listed(settings: Settings) -> list[dict[str, Any]]:
    """All accounts with their roles."""
    found: list[dict[str, Any]] = ask(settings, "list")
    return found


def set_active(settings: Settings, name: str, *, active: bool) -> None:
    """Let an account in or not; signed in already, it is out within half a minute."""
    ask(settings, "set_active", name=name, active=active)


def set_password(settings: Settings, name: str, password: str) -> None:
    """Give an account another password."""
    ask(settings, "set_password", name=name, password=password)
    if name == ADMIN:
        (settings.secrets / PASSWORD_FILE).unlink(missing_ok=True)  # what it says is no longer so


def ask(settings: Settings, what: str, **given: Any) -> Any:
    """Have an order carried out.

    Raises:
        TeilhabeError: why it cannot be.
    """
    embedded.ensure_running(settings)
    environ = configuration.component_environment(settings)
    metadata.migrate(settings, environ)
    with processes.private_log(settings, "accounts") as output:
        done = subprocess.run(
            [sys.executable, "-c", "from teilhabe.airflow.accounts import serve; serve()"],
            check=False,
            input=json.dumps({"what": what, "given": given}),
            text=True,
            stdout=subprocess.PIPE,
            stderr=output,
            env={**environ, processes.MARK: str(settings.home), "SPT_NOENV": "1"},
            cwd=settings.airflow_home,
        )
    if done.returncode != 0:
        raise ServiceError(f"Airflow could not be asked; look at {processes.log_path(settings, 'accounts')}.")
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    if problem := answer.get("problem"):
        raise TeilhabeError(problem)
    return answer["result"]


# --------------------------------------------------------------------------------------------- in a process with Airflow


def serve() -> None:
    """Carry out the order on stdin, answer in one line on stdout."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    order = json.load(sys.stdin)
    with get_application_builder() as builder:
        try:
            answer = {"result": _ORDERS[order["what"]](builder.sm, **order["given"])}
        except TeilhabeError as error:
            answer = {"problem": str(error)}
    print(json.dumps(answer))


def prepare(manager: Manager) -> None:
    """What every installation has: the desk's roles, the account of the commands, and a person who may let others in.

    Whatever people have done to an account stays.
    """
    manager.sync_roles()
    # Airflow lists pages of plugins only to those who may read "Plugins"; the desk is for everybody who may look.
    for name in ("Viewer", "User"):
        _grant(manager, manager.find_role(name), [("can_read", "Plugins")])
    for role in ALWAYS:
        _make(manager, role)
    _take_dags_from_offices(manager)
    if manager.find_user(username=AUTOMATION) is None:
        _create(manager, AUTOMATION, "Teilhabe Automation", f"{AUTOMATION}@localhost", ["automation"], None)
    admin = manager.find_role("Admin")
    if not any(admin in user.roles for user in manager.get_all_users()):
        password = secret(get_settings(), PASSWORD_FILE)
        _create(manager, ADMIN, "Teilhabe Admin", f"{ADMIN}@localhost", ["Admin"], password)


def _take_dags_from_offices(manager: Manager) -> None:
    """Roles made by hand for offices had the right to edit DAGs: to pause them, and to waive what they did wrong."""
    for role in manager.get_all_roles():
        if not is_of_office(role.name):
            continue
        for permission in list(role.permissions):
            action, resource = permission.action.name, permission.resource.name
            prefix, _, dataset_id = resource.partition("deliver__")
            if prefix == "DAG:":
                _grant(manager, role, [(READ if action == "can_read" else HAND_IN, f"{DELIVERIES}:{dataset_id}")])
            if prefix == "DAG:" or (action, resource) == ("can_create", "DAG Runs"):
                manager.remove_permission_from_role(role, permission)


def _add(
    manager: Manager,
    name: str,
    full_name: str,
    mail: str,
    password: str | None,
    roles: list[tuple[str, list[list[str]]]],
) -> None:
    if manager.find_user(username=name) is not None:
        raise TeilhabeError(f"There is an account {name} already.")
    if manager.find_user(email=mail) is not None:
        raise TeilhabeError(f"There is an account with the address {mail} already.")
    for role, permissions in roles:
        _make(manager, Role(role, tuple((action, resource) for action, resource in permissions)))
    _create(manager, name, full_name, mail, [role for role, _ in roles], password)


def _list(manager: Manager) -> list[dict[str, Any]]:
    return [
        {
            "name": user.username,
            "full_name": f"{user.first_name or ''} {user.last_name or ''}".strip(),
            "mail": user.email,
            "roles": sorted(role.name for role in user.roles),
            "active": bool(user.active),
            "last_login": user.last_login.isoformat(timespec="seconds") if user.last_login else None,
        }
        for user in sorted(manager.get_all_users(), key=lambda one: str(one.username))
    ]


def _set_active(manager: Manager, name: str, active: bool) -> None:
    user = _known(manager, name)
    admin = manager.find_role("Admin")
    if not active and admin in user.roles:
        others = [one for one in manager.get_all_users() if one.active and one.id != user.id and admin in one.roles]
        if not others:
            raise TeilhabeError(f"{name} is the last account that may let others in; add another of kind admin first.")
    user.active = active
    if not manager.update_user(user):
        raise TeilhabeError(f"Airflow did not change the account {name}.")


def _set_password(manager: Manager, name: str, password: str) -> None:
    if name == AUTOMATION:
        raise TeilhabeError(f"{AUTOMATION} is the account of the commands; it has no password.")
    if not manager.reset_password(_known(manager, name).id, password):
        raise TeilhabeError(f"Airflow did not change the password of {name}.")


def _known(manager: Manager, name: str) -> Any:
    user = manager.find_user(username=name)
    if user is None:
        raise TeilhabeError(f"There is no account {name}.")
    return user


def _make(manager: Manager, role: Role) -> None:
    made = manager.find_role(role.name) or manager.add_role(role.name)
    _grant(manager, made, role.permissions)


def _grant(manager: Manager, role: Any, permissions: Iterable[tuple[str, str]]) -> None:
    for action, resource in permissions:
        manager.add_permission_to_role(role, manager.create_permission(action, resource))


def _create(manager: Manager, name: str, full_name: str, mail: str, roles: list[str], password: str | None) -> None:
    first, _, last = full_name.rpartition(" ")
    made = manager.add_user(
        name,
        first or last,
        last if first else "-",
        mail,
        [found for role in roles if (found := manager.find_role(role))],
        # Without a password: one that nobody knows.
        password=password or random_source.token_urlsafe(48),
    )
    if not made:
        raise TeilhabeError(f"Airflow did not make the account {name}.")


_ORDERS: dict[str, Callable[..., Any]] = {
    "add": _add,
    "list": _list,
    "set_active": _set_active,
    "set_password": _set_password,
}
